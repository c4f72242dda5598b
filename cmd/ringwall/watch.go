package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// watchEvery is how long what --watch prints stands.
const watchEvery = 2 * time.Second

// watchable adds --watch to a verb that prints what is: it prints that anew until INT, TERM or an error ends it.
func watchable(cmd *cobra.Command) *cobra.Command {
	watch, once := false, cmd.RunE
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print it anew every 2 s until INT; on a terminal in the place of the last time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !watch {
			return once(cmd, args)
		}
		ctx, stop := until(cmd.Context(), 0)
		defer stop()
		cmd.SetContext(ctx)
		return again(ctx, cmd.OutOrStdout(), func() error { return once(cmd, args) })
	}
	return cmd
}

// again calls print every watchEvery until ctx ends, which is no failure, or print fails.
func again(ctx context.Context, out io.Writer, print func() error) error {
	next := time.NewTicker(watchEvery)
	defer next.Stop()
	for {
		clearTerminal(out)
		if err := print(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
	}
}

// clearTerminal empties a terminal, and nothing else.
func clearTerminal(out io.Writer) {
	if terminal(out) {
		fmt.Fprint(out, "\x1b[H\x1b[2J") // ECMA-48 CUP, ED
	}
}
