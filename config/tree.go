package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// This file is the only one that knows the YAML library. It uses its scanner and its syntax tree, not its decoder, which
// panics on crafted tags and passes null over in silence, and turns the tree into plain nodes (docs/adr/0002).

const (
	maxTokens = 50_000 // what a scanner may find in a file; the library's cost is quadratic in it
	maxDepth  = 32     // brackets within brackets, and blocks opened on one line: the library recurses
)

// kind is what a node is.
type kind uint8

const (
	broken  kind = iota // something is wrong with it and has been reported
	missing             // null, written or not
	text                // a plain or quoted string
	number              // a plain number
	boolean             // plain true or false
	list
	mapping
)

var kindNames = [...]string{"unreadable", "no value", "text", "a number", "true or false", "a list", "a mapping (key: value)"}

// node is one value of the file.
type node struct {
	kind  kind
	text  string // of text, number and boolean, as written without quotes
	at    place
	items []*node // of a list
	pairs []pair  // of a mapping, in order, repetitions too
}

// pair is one "key: value" of a mapping.
type pair struct {
	key   string
	at    place
	value *node
}

// place is a position in the file, from 1.
type place struct{ line, col int }

// tree reads source into nodes. What is wrong with its syntax is reported to d; the mapping returned holds what could be
// read all the same, so that one slip does not hide the others.
func (d *decoder) tree(source string) *node {
	root := &node{kind: mapping, at: place{1, 1}}
	body, err := parse(source)
	if err == nil {
		d.gather(root, body)
		return root
	}
	whole := err
	for _, chunk := range chunks(source) {
		if body, err = parse(chunk); err != nil {
			d.syntax(err)
			continue
		}
		d.gather(root, body)
	}
	if len(d.problems) == 0 {
		d.syntax(whole)
	}
	return root
}

// gather adds the keys of body, the top of a document or of a part of one, to root.
func (d *decoder) gather(root *node, body ast.Node) {
	if body == nil {
		return
	}
	switch n := d.node(body, 0); n.kind {
	case broken:
	case mapping:
		root.pairs = append(root.pairs, n.pairs...)
	default:
		d.report(n.at, "", "a configuration is a mapping (key: value), this is "+kindNames[n.kind], "a blank stands after the colon of each key")
	}
}

// topKey finds a line that begins a key at the left margin.
var topKey = regexp.MustCompile(`(?m)^["']?[A-Za-z_][\w.-]*["']?[ \t]*:(?:[ \t\r]|$)`)

// chunks cuts source before each key at the left margin. Each chunk begins with as many empty lines as stand before it,
// so that its line numbers are right.
func chunks(source string) []string {
	starts := topKey.FindAllStringIndex(source, -1)
	out := make([]string, 0, min(len(starts), maxDepth)+1)
	for i := range starts {
		from, to := starts[i][0], len(source)
		if i == 0 {
			from = 0
		}
		if i == maxDepth { // of so many keys at the margin one reads on, but not for ever
			break
		}
		if i+1 < len(starts) {
			to = starts[i+1][0]
		}
		out = append(out, strings.Repeat("\n", strings.Count(source[:from], "\n"))+source[from:to])
	}
	return out
}

// misplaced is a mistake of syntax and where it is.
type misplaced struct {
	at            place
	message, hint string
}

// Error returns the message.
func (m misplaced) Error() string { return m.message }

// syntax reports err, which parse returned.
func (d *decoder) syntax(err error) {
	var m misplaced
	if !errors.As(err, &m) {
		m = misplaced{at: place{1, 1}, message: err.Error()}
	}
	d.report(m.at, "", m.message, m.hint)
}

// parse calls the library and survives what it does. It returns the body of the only document, nil if it is empty.
func parse(source string) (body ast.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			body, err = nil, fmt.Errorf("the YAML library can't read this: %v", r)
		}
	}()
	tokens := lexer.Tokenize(source)
	if len(tokens) > maxTokens {
		return nil, fmt.Errorf("too large: more than %d words and signs", maxTokens)
	}
	if tokens.InvalidToken() == nil {
		tokens = mend(tokens, source)
	}
	if err := screen(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	var bad *yaml.SyntaxError
	switch {
	case errors.As(err, &bad) && bad.Token != nil:
		return nil, misplaced{position(bad.Token), "not YAML: " + bad.Message, "check indentation (blanks, no tabs), brackets and quotes"}
	case err != nil:
		return nil, fmt.Errorf("not YAML: %w", err)
	case len(file.Docs) == 0:
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

// comments returns the comments of source, sorted.
func comments(source string) []string {
	var all []string
	for _, t := range lexer.Tokenize(source) {
		if t.Type == token.CommentType {
			all = append(all, strings.TrimRight(t.Value, " \t\r"))
		}
	}
	slices.Sort(all)
	return all
}

// refused are tokens that no configuration needs, with the reason.
var refused = map[token.Type][2]string{
	token.TagType:        {"tags (!…) are not accepted", "put quotes around a text that begins with !"},
	token.AnchorType:     {"anchors (&…) are not accepted", "write the value out; put quotes around a text that begins with &"},
	token.AliasType:      {"aliases (*…) are not accepted", "write the value out; put quotes around a text that begins with *"},
	token.MergeKeyType:   {"merge keys (<<) are not accepted", "write the keys out"},
	token.MappingKeyType: {"keys in the form \"? key\" are not accepted", "write key: value"},
	token.DirectiveType:  {"directives (%…) are not accepted", "leave the line out"},
	token.LiteralType:    {"block texts (|) are not accepted", "write the value on one line"},
	token.FoldedType:     {"block texts (>) are not accepted", "write the value on one line"},
}

// screen refuses, before the library's parser sees them, tokens that could exhaust it and those that are not accepted.
func screen(tokens token.Tokens) error {
	var depth, opened, line int
	for i, t := range tokens {
		if why, found := refused[t.Type]; found {
			return misplaced{position(t), why[0], why[1]}
		}
		if t.Position.Line != line {
			line, opened = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingValueType:
			if depth <= 0 {
				opened++
			}
		case token.DocumentHeaderType:
			if i > 0 {
				return misplaced{position(t), "a second document begins here", "a configuration is one document"}
			}
		}
		if depth > maxDepth || opened > maxDepth {
			return misplaced{position(t), fmt.Sprintf("nested deeper than %d", maxDepth), ""}
		}
	}
	return nil
}

// position returns where t begins.
func position(t *token.Token) place { return place{t.Position.Line, t.Position.Column} }

// node turns a syntax tree into nodes and reports what is not accepted.
func (d *decoder) node(from ast.Node, depth int) *node {
	n := &node{at: position(from.GetToken())}
	if depth > 4*maxDepth {
		d.report(n.at, "", "nested too deep", "")
		return n
	}
	switch v := from.(type) {
	case *ast.MappingNode:
		n.kind = mapping
		for _, entry := range v.Values {
			n.pairs = append(n.pairs, d.pair(entry, depth))
		}
	case *ast.MappingValueNode:
		n.kind, n.pairs = mapping, []pair{d.pair(v, depth)}
	case *ast.SequenceNode:
		n.kind = list
		for _, item := range v.Values {
			n.items = append(n.items, d.node(item, depth+1))
		}
	case *ast.StringNode:
		n.kind, n.text = text, v.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = number, from.GetToken().Value
	case *ast.BoolNode:
		n.kind, n.text = boolean, from.GetToken().Value
	case *ast.NullNode:
		n.kind = missing
	default:
		d.report(n.at, "", "this kind of YAML value is not accepted", "")
	}
	return n
}

// pair reads one "key: value".
func (d *decoder) pair(v *ast.MappingValueNode, depth int) pair {
	t := v.Key.GetToken()
	p := pair{key: t.Value, at: position(t), value: d.node(v.Value, depth+1)}
	if p.value.kind == missing {
		p.value.at = p.at // the library has no place for what is not there
	}
	return p
}
