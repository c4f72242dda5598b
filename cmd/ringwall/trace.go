package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/proxy"
)

// traceArgs are the arguments of the verb trace on the control socket.
type traceArgs struct {
	User   string     `json:"user,omitempty"`
	CallID string     `json:"call_id,omitempty"`
	Source netip.Addr `json:"source,omitzero"`
	Full   bool       `json:"full,omitempty"`
}

// traceFlags are the flags of `ringwall trace`.
type traceFlags struct {
	target
	as     output
	source string
	limit  span
	args   traceArgs
}

func newTrace() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "show messages as they pass, as a ladder",
		Long: "trace shows the messages that pass a running ringwall, live: a ladder of phone, edge and platform, with the time since\n" +
			"the first one, CSeq, transport and address of the far end. What is refused is shown with its reason (docs/reasons.md).\n" +
			"A call is followed from the first message that matches; --user, --call and --source together must all match.\n\n" +
			"It ends by INT or after --for. It never slows the service down: what comes faster than it can be shown is counted. With -o json each line is\n" +
			"an object.",
		Example: "  ringwall trace --user alice --for 30s\n" +
			"  ringwall trace --source 198.51.100.7 --full",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.args.User, "user", "", "`USER` of From, To or Request-URI")
	flags.StringVar(&f.args.CallID, "call", "", "`CALL-ID` of the call, as outside or the platform knows it")
	flags.StringVar(&f.source, "source", "", "`IP` address of the far end")
	flags.Var(&f.limit, "for", "end after this `TIME`, such as 30s")
	flags.BoolVar(&f.args.Full, "full", false, "show whole messages; answers to challenges and media keys are hidden")
	f.as.flag(cmd, "ladder", "json")
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return verb(func(cmd *cobra.Command, _ []string) error { return f.trace(cmd) })(cmd, args)
	}
	return cmd
}

// check refuses what no trace can be made of.
func (f *traceFlags) check() error {
	if f.source == "" {
		return nil
	}
	a, err := netip.ParseAddr(f.source)
	if err != nil {
		return fmt.Errorf("--source %q: want an IP address", f.source)
	}
	f.args.Source = a.Unmap()
	return nil
}

// trace shows what the service tells until INT, TERM or the limit.
func (f *traceFlags) trace(cmd *cobra.Command) error {
	ctx, stop := until(cmd.Context(), time.Duration(f.limit))
	defer stop()
	return f.stream(ctx, "trace", f.args, f.shower(cmd.OutOrStdout(), cmd.ErrOrStderr()))
}

// shower returns what shows one line.
func (f *traceFlags) shower(stdout, stderr io.Writer) func(json.RawMessage) error {
	l := &ladder{w: stdout}
	return func(raw json.RawMessage) error {
		var line traceLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return fmt.Errorf("read the trace: %w", err)
		}
		switch {
		case line.Event == "begun":
			fmt.Fprintf(stderr, "tracing %s\n", f.about())
			if f.as.form == "ladder" {
				l.heading()
			}
			return nil
		case f.as.form == "json":
			_, err := fmt.Fprintf(stdout, "%s\n", raw)
			return err
		}
		return l.add(line)
	}
}

// about says what is traced.
func (f *traceFlags) about() string {
	var parts []string
	for _, p := range [][2]string{{"user ", f.args.User}, {"call ", f.args.CallID}, {"source ", f.source}} {
		if p[1] != "" {
			parts = append(parts, p[0]+p[1])
		}
	}
	if len(parts) == 0 {
		parts = []string{"every message"}
	}
	if f.limit > 0 {
		parts = append(parts, "for "+f.limit.String())
	}
	return strings.Join(parts, ", ")
}

// stream is call for a verb with many answers: each is given every one.
func (t *target) stream(ctx context.Context, verb string, in any, each func(json.RawMessage) error) error {
	socket, broken := t.find()
	err := admin.Stream(ctx, socket, verb, in, each)
	if broken != nil && errors.Is(err, admin.ErrUnreachable) {
		return broken
	}
	return err
}

// trace answers the verb trace of the control socket: the messages that match, until the caller goes away.
func (s *service) trace(ctx context.Context, raw json.RawMessage, send func(any) error) error {
	var args traceArgs
	if err := json.Unmarshal(raw, &args); err != nil {
		return fmt.Errorf("arguments of trace: %w", err)
	}
	t, err := s.proxy.Trace(proxy.TraceFilter{User: args.User, CallID: args.CallID, Source: args.Source})
	if err != nil {
		return err
	}
	defer t.Close()
	if err := send(traceLine{At: time.Now(), Event: "begun"}); err != nil {
		return err
	}
	for {
		m, err := t.Next(ctx)
		if err != nil {
			return nil // the caller has seen enough, or the service ends
		}
		line := lineOf(m, args.Full)
		line.Dropped = t.Dropped()
		if err := send(line); err != nil {
			return err
		}
	}
}
