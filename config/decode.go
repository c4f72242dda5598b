package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxProblems is how many problems are told; a file with more is not a configuration.
const maxProblems = 100

// A decoder reads one file and collects what is wrong with it.
type decoder struct {
	file     string
	lines    []string
	hidden   map[int]bool // lines that are not shown
	problems Errors
	places   map[string]place // path → where it is set
}

// report adds a problem.
func (d *decoder) report(at place, path, message, hint string) {
	p := Problem{File: d.file, Line: at.line, Col: at.col, Path: path, Message: message, Hint: hint}
	if d.hidden[at.line] {
		var first bool
		if p, first = d.hush(p); !first {
			return
		}
	}
	d.problems = append(d.problems, p)
}

// err returns the problems in the order of the file, nil if there are none. Lines are added now that it is known which are not shown.
func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	for i, p := range d.problems {
		if p.Line > 0 && p.Line <= len(d.lines) {
			d.problems[i].Source = d.lines[p.Line-1]
		}
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return d.problems[:min(len(d.problems), maxProblems)]
}

// A reader reads the value n, found at path, into where it belongs, and reports what is wrong with it.
type reader func(d *decoder, n *node, path string)

// A key is one row of the schema: its name and how its value is read.
type key struct {
	name string
	read reader
}

// section reads a mapping whose keys are exactly known.
func section(keys ...key) reader {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return func(d *decoder, n *node, path string) {
		if !d.are(n, path, mapping, "write {"+names[0]+": …}, with any of "+strings.Join(names, ", ")) {
			return
		}
		first := make(map[string]int, len(n.pairs))
		for _, p := range n.pairs {
			where := join(path, p.key)
			i := slices.Index(names, p.key)
			if i < 0 {
				d.report(p.at, where, "unknown key", keyHint(p.key, names))
				continue
			}
			if line, again := first[p.key]; again {
				d.report(p.at, where, fmt.Sprintf("stands twice, first on line %d", line), "keep one of the two")
			} else {
				first[p.key] = p.at.line
				d.places[where] = p.at
			}
			keys[i].read(d, p.value, where)
		}
	}
}

// keyHint says what an unknown key may have been meant to be.
func keyHint(word string, names []string) string {
	if i := strings.IndexByte(word, ':'); i > 0 && slices.Contains(names, word[:i]) {
		return "put a blank after the colon: " + quoted(word[:i]+": "+word[i+1:])
	}
	return suggest(word, names)
}

// join appends key to path. A key that nobody would write is cut, so that messages stay short.
func join(path, key string) string {
	if len(key) > 40 || strings.ContainsAny(key, "\n\t ") {
		key = quoted(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// is reports whether n is of one of the kinds, and complains if not.
func (d *decoder) is(n *node, path string, kinds ...kind) bool {
	if slices.Contains(kinds, n.kind) {
		return true
	}
	switch n.kind {
	case broken:
	case missing:
		d.report(n.at, path, "has no value (null)", "leave the key out to get its default; an empty list is []")
	default:
		want := make([]string, len(kinds))
		for i, k := range kinds {
			want[i] = kindNames[k]
		}
		d.report(n.at, path, "wants "+strings.Join(want, " or ")+", not "+kindNames[n.kind], kindHint(n, kinds))
	}
	return false
}

// kindHint says how n could be written to be of one of the kinds wanted.
func kindHint(n *node, want []kind) string {
	scalar := n.kind == text || n.kind == number || n.kind == boolean
	switch {
	case scalar && slices.Contains(want, text):
		return "write " + quoted(n.text)
	case n.kind == text && slices.Contains(want, number):
		return "write digits without quotes"
	case n.kind == text && slices.Contains(want, boolean):
		return "write true or false, without quotes"
	}
	return ""
}

// are is is for values that hold others, with a hint for something that stands alone in their place.
func (d *decoder) are(n *node, path string, want kind, hint string) bool {
	if n.kind == want || n.kind == broken || n.kind == missing {
		return d.is(n, path, want)
	}
	d.report(n.at, path, "wants "+kindNames[want]+", not "+kindNames[n.kind], hint)
	return false
}

// fail reports err, which a value's parser returned.
func (d *decoder) fail(n *node, path string, err error) {
	var w wrong
	if !errors.As(err, &w) {
		w.message = err.Error()
	}
	if w.hidden {
		d.lines[n.at.line-1] = notShown
	}
	d.report(n.at, path, w.message, w.hint)
}

// value reads a text by parse into dst.
func value[T any](dst *T, parse func(string) (T, error)) reader {
	return func(d *decoder, n *node, path string) {
		if n.kind == number || n.kind == boolean {
			if _, err := parse(n.text); err != nil { // quotes would not help
				d.fail(n, path, err)
				return
			}
		}
		if !d.is(n, path, text) {
			return
		}
		v, err := parse(n.text)
		if err != nil {
			d.fail(n, path, err)
			return
		}
		*dst = v
	}
}

// each reads a list of mappings, every item by read into a new element.
func each[T any](dst *[]T, read func(*T) reader) reader {
	return items(dst, read, func(n *node) string {
		if n.kind == mapping {
			return "put brackets around it, or a dash before it: [{…}]"
		}
		return "write [{…}], with a pair of braces for each entry"
	})
}

// items reads a list, every item by read into a new element. Items that are wrong stay zero, so that the others keep
// their index. hint is for what is no list.
func items[T any](dst *[]T, read func(*T) reader, hint func(*node) string) reader {
	return func(d *decoder, n *node, path string) {
		if !d.are(n, path, list, hint(n)) {
			return
		}
		*dst = make([]T, len(n.items))
		for i, item := range n.items {
			where := fmt.Sprintf("%s[%d]", path, i)
			d.places[where] = item.at
			read(&(*dst)[i])(d, item, where)
		}
	}
}

// texts reads a list of texts, each by parse.
func texts[T any](dst *[]T, parse func(string) (T, error)) reader {
	return items(dst, func(v *T) reader { return value(v, parse) }, func(n *node) string {
		if n.kind == mapping {
			return "write a list in brackets: [a, b]"
		}
		return "write [" + quoted(n.text) + "]"
	})
}

// boolValue reads true or false.
func boolValue(dst *bool) reader {
	return func(d *decoder, n *node, path string) {
		if d.is(n, path, boolean) {
			*dst = strings.EqualFold(n.text, "true")
		}
	}
}

// integer reads a decimal number from least to most.
func integer(dst *int, least, most int) reader {
	return func(d *decoder, n *node, path string) {
		if !d.is(n, path, number) {
			return
		}
		v, err := strconv.Atoi(n.text)
		if err != nil || v < least || v > most {
			d.report(n.at, path, fmt.Sprintf("%s is not a whole number from %d to %d", n.text, least, most), "")
			return
		}
		*dst = v
	}
}

// choice reads one of options.
func choice[T ~string](dst *T, options ...T) reader {
	known := make([]string, len(options))
	for i, o := range options {
		known[i] = string(o)
	}
	return value(dst, func(s string) (T, error) {
		if !slices.Contains(known, s) {
			return "", wrongf(suggest(s, known), "%s is not a choice", quoted(s))
		}
		return T(s), nil
	})
}

// only accepts one value: the off value or the default of a key whose room is not built.
func only(off string) reader {
	return func(d *decoder, n *node, path string) {
		if d.is(n, path, text, number, boolean) && n.text != off {
			d.report(n.at, path, "not in this version (only "+off+" is)", "leave the key out or write "+off)
		}
	}
}
