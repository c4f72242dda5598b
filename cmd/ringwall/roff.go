package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A roff writes a manual page in the macros of man(7).
type roff struct{ strings.Builder }

// line writes a macro with its arguments, which may hold anything.
func (r *roff) line(macro string, args ...string) {
	r.WriteString("." + macro)
	for _, a := range args {
		r.WriteString(` "` + strings.ReplaceAll(roffText(a), `"`, `""`) + `"`)
	}
	r.WriteString("\n")
}

// literal writes text as it stands, such as an example.
func (r *roff) literal(text string) {
	r.line("PP")
	r.line("nf")
	r.line("RS 4")
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		r.WriteString(roffLine(roffText(line)) + "\n")
	}
	r.line("RE")
	r.line("fi")
}

// prose writes paragraphs of plain text, which empty lines part.
func (r *roff) prose(text string) {
	for para := range strings.SplitSeq(text, "\n\n") {
		r.line("PP")
		for line := range strings.SplitSeq(para, "\n") {
			r.WriteString(roffLine(marked(line)) + "\n")
		}
	}
}

// roffText makes text of which every character stands for itself.
func roffText(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
}

// roffLine keeps a line of text from being taken for a macro.
func roffLine(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// What Markdown marks within a line.
var (
	mdCode = regexp.MustCompile("`([^`]*)`")
	mdBold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	mdLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// marked is a line of Markdown in roff: code and what is bold are bold, links are their text.
func marked(line string) string {
	line = roffText(mdLink.ReplaceAllString(line, "$1"))
	line = mdCode.ReplaceAllString(line, `\fB$1\fR`)
	return mdBold.ReplaceAllString(line, `\fB$1\fR`)
}

// markdown writes a page of docs: headings, paragraphs, lists, examples and tables, of which each row is an entry with what its columns say.
func (r *roff) markdown(text string) {
	var heads, example []string
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```") && fenced:
			r.literal(strings.Join(example, "\n"))
			fenced, example = false, nil
		case strings.HasPrefix(line, "```"):
			fenced = true
		case fenced:
			example = append(example, line)
		case strings.HasPrefix(line, "|"):
			heads = r.row(heads, line)
			continue
		default:
			r.text(line)
		}
		heads = nil
	}
}

// text writes one line of Markdown outside of tables and examples.
func (r *roff) text(line string) {
	heading := strings.TrimLeft(line, "#")
	switch level := len(line) - len(heading); {
	case level == 1:
		r.line("SH", "DESCRIPTION")
	case level == 2:
		r.line("SH", strings.ToUpper(strings.TrimSpace(heading)))
	case level > 2:
		r.line("SS", strings.TrimSpace(heading))
	case strings.TrimSpace(line) == "":
		r.line("PP")
	case strings.HasPrefix(line, "- "):
		r.WriteString(".IP \\(bu 2\n" + roffLine(marked(line[2:])) + "\n")
	default:
		r.WriteString(roffLine(marked(strings.TrimSpace(line))) + "\n")
	}
}

// row writes one row of a table under heads, and returns them. The first row is the heads, the second one only lines.
func (r *roff) row(heads []string, line string) []string {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	if heads == nil || strings.HasPrefix(cells[0], "---") {
		if heads == nil {
			heads = cells
		}
		return heads
	}
	fmt.Fprintf(r, ".TP\n%s\n", roffLine(marked(cells[0])))
	for i, cell := range cells[1:] {
		last := i == len(cells)-2
		if text := marked(cell); last {
			r.WriteString(roffLine(text) + "\n")
		} else if cell != "" {
			fmt.Fprintf(r, "%s: %s\n.br\n", marked(heads[min(i+1, len(heads)-1)]), text)
		}
	}
	return heads
}
