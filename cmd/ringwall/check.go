package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
)

func newCheck() *cobra.Command {
	var file string
	var as output
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a configuration file and print every mistake in it",
		Long: "check reads a configuration file (" + defaultConfig + " if none is named) and prints every mistake in it, with line\n" +
			"and caret. It opens the certificates, keys and authorities that the file names, too: so call it as the user that ringwall\n" +
			"runs as. It exits 0 if there is no mistake, and 78 if there are some. It opens no socket and changes nothing.",
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	as.flag(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			if file != "" {
				return errors.New("name the file once: as an argument or with --config") // usage, not a failure
			}
			file = args[0]
		}
		return verb(func(cmd *cobra.Command, _ []string) error { return check(cmd, file, as.form) })(cmd, args)
	}
	return cmd
}

// A checked is what `ringwall check -o json` prints. Its names are stable.
type checked struct {
	File     string        `json:"file"`
	OK       bool          `json:"ok"`
	Problems config.Errors `json:"problems"`
	Warnings []string      `json:"warnings"`
}

func check(cmd *cobra.Command, file, form string) error {
	if file == "" {
		file = defaultConfig
	}
	cfg, err := readFile(file, config.LoadPartly)
	problems, more := config.Errors{}, config.Errors{}
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	if cfg != nil && errors.As(checkCredentials(cfg, time.Now(), true), &more) {
		problems = append(problems, more...)
	}
	slices.SortStableFunc(problems, func(a, b config.Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col)) })
	said := checked{File: file, OK: len(problems) == 0, Problems: problems, Warnings: []string{}}
	if said.OK {
		said.Warnings = append(said.Warnings, cfg.Warnings()...)
	}
	if err := said.print(cmd.OutOrStdout(), form); err != nil || said.OK {
		return err
	}
	return problems
}

// print writes c as form asks. For people problems go to stderr, as those of every other verb do.
func (c *checked) print(out io.Writer, form string) error {
	if form == "json" {
		return printJSON(out, c)
	}
	for _, text := range c.Warnings {
		if _, err := fmt.Fprintf(out, "%s: %s\n", paint(out, amber, "warning"), text); err != nil {
			return err
		}
	}
	if !c.OK {
		return nil
	}
	_, err := fmt.Fprintf(out, "%s: %s\n", c.File, paint(out, green, "ok"))
	return err
}
