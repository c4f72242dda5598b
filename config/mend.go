package config

import (
	"strings"

	"github.com/goccy/go-yaml/token"
)

// mend joins what the library's scanner takes apart by mistake: within { } it ends a plain text at any colon, although
// YAML ends it only at a colon before a blank or a bracket (YAML 1.2.2 §7.3.3), so that {listen: [udp:192.0.2.1:5060]}
// would hold a mapping (goccy/go-yaml issue 832). source is what the tokens were scanned from.
func mend(tokens token.Tokens, source string) token.Tokens {
	lines := strings.Split(source, "\n")
	var out token.Tokens
	var line []rune
	number, depth := 0, 0
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if t.Type != token.MappingValueType || depth <= 0 || t.Position.Line > len(lines) {
			out.Add(t)
			continue
		}
		if number != t.Position.Line {
			number = t.Position.Line
			line = []rune(lines[number-1])
		}
		whole, first, after := rejoin(tokens, i, line)
		if whole == nil {
			out.Add(t)
			continue
		}
		if first < i && len(out) > 0 {
			out = out[:len(out)-1]
		}
		out.Add(whole)
		i = after - 1
	}
	return out
}

// rejoin looks at the colon tokens[i], which stands in line. If it lies within a plain text it returns a token for the
// whole text, and the tokens first to after-1 that it replaces; else nil.
func rejoin(tokens token.Tokens, i int, line []rune) (whole *token.Token, first, after int) {
	at := tokens[i].Position
	end := plainEnd(line, at.Column)
	if end <= at.Column {
		return nil, 0, 0
	}
	first = i
	if i > 0 && adjoins(tokens[i-1], at) {
		first--
	}
	for after = i + 1; after < len(tokens); after++ {
		if p := tokens[after].Position; p.Line != at.Line || p.Column > end {
			break
		}
	}
	// Texts may hold blanks: the last one can reach further than end.
	last := tokens[after-1]
	end = max(end, last.Position.Column-1+len([]rune(last.Value)))
	from := tokens[first].Position
	text := string(line[from.Column-1 : min(end, len(line))])
	return token.String(text, text, from), first, after
}

// adjoins reports whether t is plain and ends right before the colon at c.
func adjoins(t *token.Token, c *token.Position) bool {
	return t.Indicator == token.NotIndicator && t.Position.Line == c.Line && t.Position.Column+len([]rune(t.Value)) == c.Column
}

// plainEnd returns where the plain text that goes on at line[i], after a colon, ends. It is i if the colon separates a key
// from its value.
func plainEnd(line []rune, i int) int {
	if i < len(line) && (line[i] == '"' || line[i] == '\'') {
		return i
	}
	for ; i < len(line); i++ {
		if separates(line, i) || line[i] == ':' && separates(line, i+1) {
			break
		}
	}
	return i
}

// separates reports whether there is a blank, a bracket, a comma or nothing at line[i].
func separates(line []rune, i int) bool {
	return i >= len(line) || strings.ContainsRune(" \t,[]{}", line[i])
}
