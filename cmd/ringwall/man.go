package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/docs"
)

// exitCodes are what exit codes mean.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done; of run: ended by TERM or INT"},
	{exitFailure, "it could not be done, or something was found that needs attention"},
	{exitUsage, "mistake on the command line"},
	{exitUnavailable, "no service answers at the control socket, or a server that is needed cannot be reached"},
	{exitPermission, "this user may not, or the file system is read-only"},
	{exitConfig, "mistake in the configuration"},
}

// A page is one manual page.
type page struct {
	name    string
	section int
	text    string
}

func newMan() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [PAGE]",
		Short: "print a manual page",
		Long: "man prints a page of the manual for man(1): ringwall, one for each verb such as ringwall-ban or ringwall-trust-add, or ringwall.yaml,\n" +
			"the configuration file. They are made of the same texts as the help and docs/config.md.",
		Example: "  ringwall man ringwall.yaml | man -l -\n" +
			"  ringwall man --dir /usr/local/share/man",
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write all pages below `DIR`, to man1 and man5")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all := manual(cmd.Root())
		if dir != "" && len(args) == 0 {
			return failed(writeManual(dir, all))
		}
		name := strings.Join(append(args, "ringwall")[:1], "")
		at := slices.IndexFunc(all, func(p page) bool { return p.name == name || p.name == "ringwall-"+name })
		if at < 0 || dir != "" {
			return fmt.Errorf("want one page, such as ringwall, ban or ringwall.yaml, or --dir DIR for all: there is no page %q", name)
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), all[at].text)
		return failed(err)
	}
	return cmd
}

// manual is every page.
func manual(root *cobra.Command) []page {
	all := []page{verbPage(root)}
	for _, cmd := range root.Commands() {
		all = append(all, manual(cmd)...)
	}
	if root.HasParent() {
		return all
	}
	r := title("ringwall.yaml", 5, "configuration file of ringwall")
	r.markdown(docs.Config)
	r.line("SH", "SEE ALSO")
	r.prose("ringwall(1), ringwall-check(1), ringwall-fmt(1), ringwall-reload(1)")
	return append(all, page{"ringwall.yaml", 5, r.String()})
}

// title begins a page.
func title(name string, section int, what string) *roff {
	r := new(roff)
	r.line("TH", strings.ToUpper(name), fmt.Sprint(section), "", "ringwall "+version(), "ringwall")
	r.line("SH", "NAME")
	r.WriteString(roffText(name) + ` \- ` + roffText(what) + "\n")
	return r
}

// verbPage is the page of a verb, or of ringwall itself: what its help tells, and a little more.
func verbPage(cmd *cobra.Command) page {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	r := title(name, 1, cmd.Short)
	r.line("SH", "SYNOPSIS")
	use := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		use = cmd.CommandPath() + " VERB"
	}
	r.line("B", use)
	r.line("SH", "DESCRIPTION")
	r.prose(cmp.Or(cmd.Long, cmd.Short+"."))
	r.verbs(cmd)
	if flags := cmd.LocalFlags().FlagUsages(); flags != "" {
		r.line("SH", "OPTIONS")
		r.literal(flags)
	}
	if cmd.Example != "" {
		r.line("SH", "EXAMPLES")
		r.literal(cmd.Example)
	}
	r.line("SH", "EXIT STATUS")
	for _, e := range exitCodes {
		fmt.Fprintf(r, ".TP\n%d\n%s\n", e.code, roffText(e.meaning))
	}
	also := "ringwall.yaml(5)"
	if !cmd.HasParent() {
		r.files()
	}
	r.line("SH", "SEE ALSO")
	if cmd.HasParent() {
		also = strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-") + "(1), " + also
	}
	r.prose(also)
	return page{name, 1, r.String()}
}

// files lists those that ringwall uses where nothing else is said.
func (r *roff) files() {
	d := config.Default()
	r.line("SH", "FILES")
	for _, f := range [...][2]string{
		{defaultConfig, "the configuration, ringwall.yaml(5)"},
		{d.State, "registrations, bans, known users, calls (SQLite)"},
		{d.Topology.KeyFile, "keys of tokens: secret, and worth a copy"},
		{d.Admin.Socket, "what the verbs ask the running service by"},
	} {
		fmt.Fprintf(r, ".TP\n%s\n%s\n", roffText(f[0]), roffText(f[1]))
	}
}

// verbs lists those below cmd.
func (r *roff) verbs(cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	r.line("SH", "VERBS")
	for _, sub := range cmd.Commands() {
		r.line("TP")
		r.line("B", sub.Name())
		r.WriteString(roffLine(roffText(sub.Short)) + "\n")
	}
}

// writeManual writes all pages to the folders of their sections below dir.
func writeManual(dir string, all []page) error {
	for _, p := range all {
		folder := filepath.Join(dir, fmt.Sprintf("man%d", p.section))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s.%d", p.name, p.section)), []byte(p.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
