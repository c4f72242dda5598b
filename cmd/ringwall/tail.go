package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
)

// tailArgs are the arguments of the verb tail on the control socket.
type tailArgs struct {
	Source string `json:"source,omitempty"` // as the operator wrote it; "": any
	Reason string `json:"reason,omitempty"` // how reasons begin
}

// tailFlags are the flags of `ringwall tail`.
type tailFlags struct {
	target
	as    output
	limit span
	args  tailArgs
}

func newTail() *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "show verdicts as they are given, a line each",
		Long: "tail shows what a running ringwall refuses, notes, bans and frees, live: a line for each verdict, with its reason (docs/reasons.md) and\n" +
			"source. What a source goes on sending is folded: once a second a line tells how many more verdicts of that kind there were. Packets of\n" +
			"banned sources, which nobody reads, are one number a second.\n\n" +
			"It ends by INT or after --for. It never slows the service down: what comes faster than it can be shown is counted. With -o json each line is\n" +
			"an object.",
		Example: "  ringwall tail\n" +
			"  ringwall tail --source 198.51.100.0/24 --for 1m\n" +
			"  ringwall tail --reason auth -o json",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.args.Source, "source", "", "`IP`, PREFIX or IP:PORT that it is about")
	flags.StringVar(&f.args.Reason, "reason", "", "`REASON`, or how it begins: scanner")
	flags.Var(&f.limit, "for", "end after this `TIME`, such as 30s")
	f.as.flag(cmd, "text", "json")
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return verb(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := until(cmd.Context(), time.Duration(f.limit))
			defer stop()
			return f.stream(ctx, "tail", f.args, f.shower(cmd.OutOrStdout(), cmd.ErrOrStderr()))
		})(cmd, args)
	}
	return cmd
}

// check refuses what nothing can be shown for.
func (f *tailFlags) check() error {
	if f.args.Source != "" {
		if _, err := edge.ParseSource(f.args.Source); err != nil {
			return fmt.Errorf("--source: %w", err)
		}
	}
	return nil
}

// until is ctx, but it ends by INT, by TERM, and after limit if that is above 0.
func until(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	if limit <= 0 {
		return ctx, stop
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, func() { cancel(); stop() }
}

// shower returns what shows one line.
func (f *tailFlags) shower(stdout, stderr io.Writer) func(json.RawMessage) error {
	dropped := uint64(0)
	return func(raw json.RawMessage) error {
		var line tailLine
		if err := json.Unmarshal(raw, &line); err != nil {
			return fmt.Errorf("read the verdicts: %w", err)
		}
		switch {
		case line.Event == "begun":
			_, err := fmt.Fprintln(stderr, "verdicts from now on")
			return err
		case f.as.form == "json":
			_, err := fmt.Fprintf(stdout, "%s\n", raw)
			return err
		}
		if line.Dropped > dropped {
			fmt.Fprintf(stdout, "(%s not shown: more came than could be)\n", count(int(line.Dropped-dropped), "event"))
			dropped = line.Dropped
		}
		return line.print(stdout)
	}
}

// foldEvery is how often what was folded is told.
const foldEvery = time.Second

// tail answers the verb tail of the control socket: the verdicts that match, until the caller goes away.
func (s *service) tail(ctx context.Context, raw json.RawMessage, send func(any) error) error {
	var args tailArgs
	if err := json.Unmarshal(raw, &args); err != nil {
		return fmt.Errorf("arguments of tail: %w", err)
	}
	wanted, err := args.filter()
	if err != nil {
		return err
	}
	t, err := s.ring.Tail()
	if err != nil {
		return err
	}
	defer t.Close()
	if err := send(tailLine{At: time.Now(), Event: "begun"}); err != nil {
		return err
	}
	f, noise := newFold(), s.noise(args)
	round := time.NewTicker(foldEvery)
	defer round.Stop()
	for {
		var lines []tailLine
		select {
		case <-ctx.Done():
			return nil // the caller has seen enough, or the service ends
		case e := <-t.C:
			if !wanted(&e) {
				continue
			}
			if line, now := f.take(&e); now {
				lines = append(lines, line)
			}
		case at := <-round.C:
			lines = f.round(at, noise())
		}
		for _, line := range lines {
			line.Dropped = t.Dropped()
			if err := send(line); err != nil {
				return err
			}
		}
	}
}

// filter is what a says of an event.
func (a *tailArgs) filter() (func(*edge.Event) bool, error) {
	source, err := edge.Source{}, error(nil)
	if a.Source != "" {
		if source, err = edge.ParseSource(a.Source); err != nil {
			return nil, err
		}
	}
	return func(e *edge.Event) bool {
		from := e.Source.Remote
		switch {
		case e.Name != event.Refused && e.Name != event.Noted && e.Name != event.Ban && e.Name != event.WouldBan && e.Name != event.Unban:
			return false
		case !strings.HasPrefix(string(e.Reason), a.Reason):
			return false
		case a.Source == "" || !from.IsValid(): // of no single address: the sentence says of which
			return true
		}
		return source.Covers(from) || from.Port() == 0 && source.Prefix.Contains(from.Addr())
	}, nil
}

// noise returns what says how many packets of banned sources were dropped unread since it was asked last; nothing where only some reasons are
// asked for.
func (s *service) noise(a tailArgs) func() uint64 {
	total := func() (n uint64) {
		if a.Source == "" {
			c := s.gate.Counters()
			return c.Packets + c.Connections
		}
		source, _ := edge.ParseSource(a.Source) // filter did
		for _, b := range s.bans.About(source, time.Now()) {
			n += b.Count
		}
		return n
	}
	last := total()
	return func() uint64 {
		now := total()
		grown := now - min(last, now) // a ban that is over counts no more
		last = now
		if a.Reason != "" {
			return 0
		}
		return grown
	}
}
