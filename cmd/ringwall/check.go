package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
)

func newCheck() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a configuration file and print every mistake in it",
		Long: "check reads a configuration file (" + defaultConfig + " if none is named) and prints every mistake in it, with line\n" +
			"and caret. It opens the certificates, keys and authorities that the file names, too: so call it as the user that ringwall\n" +
			"runs as. It exits 0 if there is no mistake, and 78 if there are some. It opens no socket and changes nothing.",
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			if file != "" {
				return errors.New("name the file once: as an argument or with --config") // usage, not a failure
			}
			file = args[0]
		}
		return verb(func(cmd *cobra.Command, _ []string) error { return check(cmd, file) })(cmd, args)
	}
	return cmd
}

func check(cmd *cobra.Command, file string) error {
	if file == "" {
		file = defaultConfig
	}
	cfg, err := readFile(file, config.LoadPartly)
	var problems, more config.Errors
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	if cfg != nil && errors.As(checkCredentials(cfg, time.Now(), true), &more) {
		problems = append(problems, more...)
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b config.Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col)) })
		return problems
	}
	out := cmd.OutOrStdout()
	for _, text := range cfg.Warnings() {
		if _, err := fmt.Fprintf(out, "%s: %s\n", paint(out, amber, "warning"), text); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s: %s\n", file, paint(out, green, "ok"))
	return err
}
