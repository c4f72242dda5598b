package config

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFile is how large a file may be.
const maxFile = 1 << 20

// Load reads and checks the file at path. The error is Errors, except if the file can't be read.
func Load(path string) (*Config, error) { return whole(LoadPartly(path)) }

// LoadPartly is Load that returns with Errors what could be read all the same, for further checks and to find a running service by, for no other use; nil if nothing could be.
func LoadPartly(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err) // names the path
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return readAll(path, data)
}

// Parse checks data as if it were the content of a file called name. The error is Errors, with every mistake there is.
func Parse(name string, data []byte) (*Config, error) { return whole(readAll(name, data)) }

// whole is c if there is no error.
func whole(c *Config, err error) (*Config, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// readAll is Parse that returns with Errors what could be read.
func readAll(name string, data []byte) (*Config, error) {
	d := &decoder{file: name, places: make(map[string]place)}
	if len(data) > maxFile {
		return nil, Errors{{File: name, Message: fmt.Sprintf("the file is larger than %d KiB", maxFile>>10)}}
	}
	source := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	d.lines = strings.Split(source, "\n")
	if !d.readable(source) {
		return nil, d.err()
	}
	d.hidden = hide(d.lines)
	c := defaults()
	c.File = name
	schema(c)(d, d.tree(source), "")
	c.sources = sources{file: name, lines: d.lines, places: d.places}
	d.problems = append(d.problems, c.check()...)
	if err := d.err(); err != nil {
		return c, err
	}
	c.complete()
	return c, nil
}

// readable reports what must not be in the file at all: bytes that are not UTF-8, and control characters, which could
// play tricks with a terminal.
func (d *decoder) readable(source string) bool {
	at := place{1, 1}
	for i, r := range source {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(source[i:]); n == 1 {
				d.lines = nil // not fit to be shown
				d.report(at, "", "this is not UTF-8", "save the file as UTF-8")
				return false
			}
		}
		if r != '\n' && r != '\t' && !unicode.IsGraphic(r) {
			d.lines = nil
			d.report(at, "", fmt.Sprintf("control character %U is not accepted", r), "remove it")
			return false
		}
		at.col++
		if r == '\n' {
			at = place{at.line + 1, 1}
		}
	}
	return true
}

// sources knows where values stand.
type sources struct {
	file   string
	lines  []string
	places map[string]place  // path → place in the file
	flags  map[string]string // path → flag that replaced the value
}

// flag returns the flag that set path or what is around it, "" if none did.
func (s sources) flag(path string) string {
	for path != "" {
		if f := s.flags[path]; f != "" {
			return f
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return ""
}

// find returns the place of path, or of the nearest key around it, and the line there.
func (s sources) find(path string) (at place, line string) {
	for {
		if at, found := s.places[path]; found {
			if at.line <= len(s.lines) {
				line = s.lines[at.line-1]
			}
			return at, line
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return place{}, ""
		}
		path = path[:i]
	}
}

// Where tells where the value at path ("upstreams[0].uri") was set: "ringwall.yaml:12", a flag's name, or, for a value
// that nobody set, where the nearest key around it stands; "default" if there is none.
func (c *Config) Where(path string) string {
	if flag := c.sources.flag(path); flag != "" {
		return flag
	}
	if at, _ := c.sources.find(path); at.line > 0 {
		return fmt.Sprintf("%s:%d", c.File, at.line)
	}
	return "default"
}

// Fault makes the error for a value at path that turned out to be wrong later, when it was used: it is told like any
// other mistake of the file, with line and caret. path is that of a key, Listen.Path or Upstream.Path.
func (c *Config) Fault(path, message, hint string) Errors {
	p := Problem{Path: path, Message: message, Hint: hint}
	if flag := c.sources.flag(path); flag != "" {
		p.Path = flag
	} else if at, line := c.sources.find(path); at.line > 0 {
		p.File, p.Line, p.Col, p.Source = c.File, at.line, at.col, line
	}
	return Errors{p}
}
