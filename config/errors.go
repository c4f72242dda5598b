package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in a configuration. Its names in JSON are stable.
type Problem struct {
	File    string `json:"file"`    // "" for flags
	Line    int    `json:"line"`    // from 1; 0 if the problem has no place in a file
	Col     int    `json:"col"`     // from 1, in characters; 0 if the problem has no place in a file
	Path    string `json:"path"`    // key, "outside.listen[1]", or flag, "--outside"; "" if it is about the file as a whole
	Message string `json:"message"` // what is wrong
	Hint    string `json:"hint"`    // what to do about it, "" if there is nothing to add
	Source  string `json:"source"`  // the line of the file
}

// maxShown is how many characters of a source line are shown.
const maxShown = 120

// String tells the problem on one line, followed by the line of the file, a caret under the column, and the hint.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Col)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Line > 0 {
		line, caret := p.excerpt()
		fmt.Fprintf(&b, "\n    %s\n    %s^", line, caret)
	}
	if p.Hint != "" {
		b.WriteString("\n    hint: " + p.Hint)
	}
	return b.String()
}

// excerpt returns the part of the source line around the column, and the blanks that bring a caret under it.
func (p Problem) excerpt() (line, blanks string) {
	runes := []rune(p.Source)
	at := min(max(p.Col-1, 0), len(runes))
	if from := at - maxShown/2; from > 0 && len(runes) > maxShown {
		runes, at = runes[from:], at-from
	}
	runes = runes[:min(len(runes), maxShown)]
	lead := make([]rune, 0, at)
	for _, r := range runes[:min(at, len(runes))] {
		if r != '\t' {
			r = ' '
		}
		lead = append(lead, r)
	}
	return string(runes), string(lead)
}

// Errors is every mistake of a configuration, in the order of the file. It is never empty when returned as an error.
type Errors []Problem

// Error tells all problems, each as Problem.String does.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, p := range e {
		all[i] = p.String()
	}
	return strings.Join(all, "\n")
}

// wrong is what a value's parser says: what is wrong, and what to do about it.
type wrong struct {
	message, hint string
	hidden        bool // the line is not to be shown: it may hold a secret
}

// Error returns what is wrong, without the hint.
func (w wrong) Error() string { return w.message }

// wrongf makes a wrong with a formatted message.
func wrongf(hint, format string, args ...any) error {
	return wrong{message: fmt.Sprintf(format, args...), hint: hint}
}

// quoted shows text that somebody wrote: quoted, and cut if it is long.
func quoted(text string) string {
	const most = 40
	if strings.Contains(text, pemBegin) {
		return notShown
	}
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
