package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/docs"
)

// macros are those of man(7) that pages may use.
var macros = []string{"TH", "SH", "SS", "PP", "TP", "IP", "B", "nf", "fi", "RS", "RE", "br"}

// TestManual: every verb has a page with its flags, the page of the configuration file has every key, and no line is taken for a macro that is none.
func TestManual(t *testing.T) {
	pages := map[string]string{}
	for _, p := range manual(newRoot()) {
		pages[p.name] = p.text
		for line := range strings.SplitSeq(p.text, "\n") {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "."), " ")
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !slices.Contains(macros, name) {
				t.Errorf("%s: %q is no macro", p.name, line)
			}
		}
		for _, want := range []string{".TH ", ".SH \"NAME\"", ".SH \"SEE ALSO\""} {
			if !strings.Contains(p.text, want) {
				t.Errorf("%s has no %s", p.name, want)
			}
		}
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		text, found := pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")]
		if !found || !strings.Contains(text, roffText(cmd.Short)) {
			t.Errorf("%s has no page that says %q", cmd.CommandPath(), cmd.Short)
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(cmd.LocalFlags().FlagUsages(), -1) {
			if !strings.Contains(text, roffText(flag)) {
				t.Errorf("the page of %s lacks %s", cmd.CommandPath(), flag)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
	keys := regexp.MustCompile("(?m)^\\| `([a-z][^`]*)`").FindAllStringSubmatch(docs.Config, -1)
	if len(keys) < 60 {
		t.Errorf("docs/config.md has %d keys: has its form changed?", len(keys))
	}
	for _, key := range keys {
		if !strings.Contains(pages["ringwall.yaml"], `\fB`+roffText(key[1])+`\fR`) {
			t.Errorf("ringwall.yaml(5) lacks %s", key[1])
		}
	}
}

// TestMarkdownToRoff: what means something to roff stands for itself, and marks of Markdown do not stand.
func TestMarkdownToRoff(t *testing.T) {
	var r roff
	r.markdown("# Title\n\n.dot and 'quote' at `a-b\\c`, see [there](x.md#y) **now**\n.again\n\n```\n.x\n```\n\n| a | b | c |\n|---|---|---|\n| `k` | v | what it is |\n")
	want := ".SH \"DESCRIPTION\"\n.PP\n\\&.dot and 'quote' at \\fBa\\-b\\ec\\fR, see there \\fBnow\\fR\n\\&.again\n.PP\n.PP\n.nf\n.RS 4\n\\&.x\n.RE\n.fi\n.PP\n.TP\n\\fBk\\fR\nb: v\n.br\nwhat it is\n.PP\n"
	if got := r.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
