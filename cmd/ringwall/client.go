package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/config"
)

// A target names the running service that a verb asks, as the operator does: by the configuration or the state folder that
// it was started with, or by its control socket.
type target struct{ file, state, socket string }

// flags adds the flags that name the service to cmd.
func (t *target) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&t.file, "config", "c", "", "configuration `FILE` of the service")
	f.StringVar(&t.state, "state", "", "`DIR` that the service keeps its state in")
	f.StringVar(&t.socket, "socket", "", "`PATH` of the control socket")
}

// call asks the service. A configuration that is broken just now does not hide one at the socket that it names all the same, or at the default one.
func (t *target) call(ctx context.Context, verb string, in, out any) error {
	socket, broken := t.find()
	err := admin.Call(ctx, socket, verb, in, out)
	if broken != nil && errors.Is(err, admin.ErrUnreachable) {
		return broken
	}
	return err
}

// find returns the path of the control socket, and why the configuration could not tell it.
func (t *target) find() (socket string, broken error) {
	if t.socket != "" {
		return t.socket, nil
	}
	var cfg *config.Config
	if t.state == "" {
		cfg, broken = readFile(t.file, config.LoadPartly)
	}
	if cfg == nil {
		cfg = config.Default()
	}
	if err := cfg.Override(config.Overrides{State: t.state}); err != nil {
		return "", err
	}
	return cfg.Admin.Socket, broken
}

func commas(list []string) string { return strings.Join(list, ",") }
