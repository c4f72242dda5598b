package config

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
)

// errUnsafe: what Format made of a file is not the same configuration with the same comments.
var errUnsafe = errors.New("cannot be put in order without changing its meaning or losing a comment; it stays as it is")

// Format returns the content of a configuration file in canonical form: the keys at the left margin in the order of
// docs/config.md, each with the comments above it; no blanks at the end of lines, no more than one empty line between two
// others, line feeds only. Everything else stays as it is written. What is returned says the same as data and has the same
// comments, or else the error is not nil; it is Errors where data is not a configuration.
func Format(name string, data []byte) ([]byte, error) {
	was, err := Parse(name, data)
	if err != nil {
		return nil, err
	}
	source := strings.Join(was.sources.lines, "\n")
	text := tidy(strings.Join(inOrder(was.sources.lines), "\n"))
	is, err := Parse(name, []byte(text))
	if err != nil || !sameFile(was, is) || !slices.Equal(comments(source), comments(text)) {
		return nil, errUnsafe
	}
	return []byte(text), nil
}

// sameFile reports whether a and b set the same keys to the same values.
func sameFile(a, b *Config) bool {
	keys := func(c *Config) []string { return slices.Sorted(maps.Keys(c.sources.places)) }
	return len(Changes(a, b)) == 0 && slices.Equal(keys(a), keys(b))
}

// tidy leaves blanks at the end of lines out, and empty lines that do not part two others.
func tidy(text string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, " \t")
		if line != "" || len(out) > 0 && out[len(out)-1] != "" {
			out = append(out, line)
		}
	}
	if text = strings.TrimRight(strings.Join(out, "\n"), "\n"); text == "" {
		return ""
	}
	return text + "\n"
}

// A part is one key at the left margin with the comments above it.
type part struct {
	rank  int // place of the key in the schema
	lines []string
}

// inOrder sorts the keys at the left margin. What stands above the first of them, up to an empty line, is the head of the
// file, and comments below the last one are its foot.
func inOrder(lines []string) []string {
	starts, ranks := margin(lines)
	if len(starts) == 0 {
		return lines
	}
	head := above(lines, 0, starts[0])
	for i := starts[0] - 1; i >= head; i-- {
		if strings.TrimSpace(lines[i]) == "" {
			head = i + 1
			break
		}
	}
	foot := above(lines, starts[len(starts)-1]+1, len(lines))
	var parts []part
	from := head
	for i, rank := range ranks {
		to := foot
		if i+1 < len(starts) {
			to = above(lines, starts[i]+1, starts[i+1])
		}
		parts = append(parts, part{rank, lines[from:to]})
		from = to
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.rank, b.rank) })
	out := slices.Clone(lines[:head])
	for _, p := range parts {
		out = append(out, p.lines...)
	}
	return append(out, lines[foot:]...)
}

// margin finds the lines of the keys at the left margin, and their places in the schema.
func margin(lines []string) (starts, ranks []int) {
	names := sections(defaults())
	d := &decoder{places: map[string]place{}}
	for _, p := range d.tree(strings.Join(lines, "\n")).pairs {
		if p.at.col == 1 {
			starts = append(starts, p.at.line-1)
			ranks = append(ranks, slices.IndexFunc(names, func(k key) bool { return k.name == p.key }))
		}
	}
	return starts, ranks
}

// above returns where the comments at the left margin and the empty lines begin that stand right above line to, not before from.
func above(lines []string, from, to int) int {
	for to > from && (strings.TrimSpace(lines[to-1]) == "" || strings.HasPrefix(lines[to-1], "#")) {
		to--
	}
	return to
}
