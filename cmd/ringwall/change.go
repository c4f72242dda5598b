package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// A change is what every verb that changes something takes: why, and whether it is only to tell what it would do.
type change struct {
	Text string `json:"text,omitempty"`
	Dry  bool   `json:"dry_run,omitempty"`
}

// flags adds the flags of c to cmd; text says where the reason is told.
func (c *change) flags(cmd *cobra.Command, text string) {
	cmd.Flags().StringVar(&c.Text, "reason", "", "`TEXT` for the "+text)
	cmd.Flags().BoolVarP(&c.Dry, "dry-run", "n", false, "tell what would change, and change nothing")
}

// say prints a sentence about what was done, or would be.
func (c *change) say(out io.Writer, done, would string, args ...any) error {
	if c.Dry {
		done = would
	}
	_, err := fmt.Fprintf(out, done+"\n", args...)
	return err
}
