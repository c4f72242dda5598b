package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
)

// drainLook is how often `ringwall drain --for` asks what still goes on.
const drainLook = 200 * time.Millisecond

// A drainOrder is what the verb drain of the control socket takes.
type drainOrder struct {
	On bool `json:"on"`
	change
}

// A drained is what it answers.
type drained struct {
	Pending int `json:"pending"` // transactions without a final response
	Calls   int `json:"calls"`   // calls that are up
}

// ended reports whether nothing goes on any more.
func (d drained) ended() bool { return d.Pending == 0 && d.Calls == 0 }

// String is d for a reader.
func (d drained) String() string {
	return count(d.Pending, "transaction") + " pending, " + count(d.Calls, "call") + " up"
}

func newDrain() *cobra.Command {
	var of target
	var off bool
	var c change
	var limit span
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "let a running ringwall take no new work",
		Long: "drain lets the running service answer new work with 503 and Retry-After, and say 503 at /readyz, while what was begun\n" +
			"goes on: requests in calls that are up are relayed as before, and phones that have one keep their registration; other\n" +
			"registered phones get 503 at their next refresh, so that they move. With --for it waits until no transaction is pending and no\n" +
			"call is up, and exits 1 if some still are when the time is over. Calls are those of `ringwall calls`; where media is not\n" +
			"relayed, those that were accepted since the start and whose end nobody has seen. The service keeps refusing new work\n" +
			"until it ends or `ringwall drain --off`.",
		Example: "  ringwall drain --for 1h && systemctl stop ringwall",
		Args:    cobra.NoArgs,
	}
	of.flags(cmd)
	c.flags(cmd, "log")
	cmd.Flags().Var(&limit, "for", "wait this long (`TIME`) at most for pending transactions and calls, such as 1h")
	cmd.Flags().BoolVar(&off, "off", false, "take new work again")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit > 0 && off {
			return errors.New("--for and --off exclude one another")
		}
		return verb(func(cmd *cobra.Command, _ []string) error {
			return drain(cmd, &of, drainOrder{!off, c}, time.Duration(limit))
		})(cmd, args)
	}
	return cmd
}

// drain gives the order, tells what came of it and waits.
func drain(cmd *cobra.Command, of *target, order drainOrder, limit time.Duration) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	var d drained
	if err := of.call(ctx, "drain", order, &d); err != nil {
		return err
	}
	if !order.On {
		return order.say(out, "not draining: new work is taken again", "new work would be taken")
	}
	if err := order.say(out, "draining: new work gets 503, %v", "new work would get 503, %v", d); err != nil || limit == 0 || order.Dry {
		return err
	}
	if err := waitDrained(ctx, of, d, limit); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "no transaction is pending, no call is up")
	return err
}

// waitDrained returns when nothing goes on any more, or with an error when limit has passed. d is what went on when it was asked last.
func waitDrained(ctx context.Context, of *target, d drained, limit time.Duration) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(min(drainLook, limit))
	defer look.Stop()
	for !d.ended() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return fmt.Errorf("after %v: %v", limit, d)
		case <-look.C:
		}
		var s status
		if err := of.call(ctx, "status", nil, &s); err != nil {
			return err
		}
		if s.State != admin.Draining.String() {
			return errors.New("somebody ended the drain")
		}
		d = drained{s.Pending, s.Calls}
	}
	return nil
}

// handleDrain answers the verb of that name.
func (s *service) handleDrain(_ context.Context, args json.RawMessage) (any, error) {
	var order drainOrder
	if err := json.Unmarshal(args, &order); err != nil {
		return nil, fmt.Errorf("arguments of drain: %w", err)
	}
	d := drained{s.proxy.Pending(), s.callsUp()}
	if order.Dry {
		return d, nil
	}
	if err := s.drain(order.On, false); err != nil {
		return nil, err
	}
	s.log.Info("drain", "event", "drain", "on", order.On, "pending", d.Pending, "calls", d.Calls, "why", order.Text)
	return d, nil
}

// callsUp is how many answered calls go on: those whose media is relayed, which are known over a restart, or else those that the ban book knows.
func (s *service) callsUp() (n int) {
	if s.calls == nil {
		return s.bans.Calls()
	}
	for _, c := range s.calls.List() {
		if !c.Connected.IsZero() {
			n++
		}
	}
	return n
}

// drain lets new work be refused, or taken again. stop says that the process is about to end, after which nothing can undo it.
func (s *service) drain(on, stop bool) error {
	s.draining.Lock()
	defer s.draining.Unlock()
	if s.stopping && !stop {
		return errors.New("the service is ending: it takes no new work any more")
	}
	s.stopping = stop
	state := admin.Ready
	if on {
		state = admin.Draining
	}
	s.admin.SetState(state)
	s.proxy.Drain(on)
	return nil
}
