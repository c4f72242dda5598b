package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/gate/soft"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

// openBans makes the ban book and the gate that enforces it.
func (s *service) openBans(context.Context) (err error) {
	s.bans, err = ban.New(ban.Config{First: s.cfg.Bans.First, Longest: s.cfg.Bans.Longest, Calls: s.cfg.Limits.Calls,
		Known: s.knows, KnownIn: s.knowsIn, Changed: s.banChanged})
	if err != nil {
		return err
	}
	s.gate = soft.New(s.bans)
	return nil
}

// openBanJournal brings the bans of the last run back and keeps them written from now on.
func (s *service) openBanJournal(ctx context.Context, db *sql.DB) error {
	journal, err := ban.OpenJournal(ctx, db, s.bans, s.since, state.Options{
		State: s.journalState("bans", reasonBans, &s.banError), Sound: s.file.Watch(), Repair: s.repair})
	if err != nil {
		return err
	}
	s.onClose(func() error { return journal.Close(context.Background()) })
	if restored, left := journal.Loaded(); restored+left > 0 {
		s.log.Info("bans are back", "event", event.State, "entries", restored, "left_out", left)
	}
	return nil
}

// repair is what a journal asks about an error of writing: true if the state file is another one now. A damaged one is moved aside; each
// journal writes into the new one what is in force.
func (s *service) repair(err error) bool {
	if errors.Is(err, statefile.ErrReplaced) {
		return true
	}
	if !statefile.Damaged(err) {
		return false
	}
	aside, rerr := s.file.Replace()
	e := edge.Event{At: time.Now(), Name: event.State, Reason: reasonDamaged, Message: "the state file was damaged: a new one is written",
		Detail: "moved to " + aside + ": " + err.Error()}
	if rerr != nil {
		e.Message, e.Detail = "the state file is damaged and cannot be replaced", rerr.Error()
	}
	s.ring.Add(e)
	return rerr == nil
}

// tendBans does once a second what the clock asks of the ban book, and looks now and then who is never to be banned.
func (s *service) tendBans(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	look := time.NewTicker(lookAround)
	defer look.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			if by := ban.Step(last, at); by != 0 {
				s.log.Warn("the clock was set: bans last as long as they were to", "event", event.Ban, "by", by.String())
				s.bans.Shift(by)
			}
			last = at
			s.bans.Tick(at)
			s.spare(at)
		case at := <-sweep.C:
			if s.bans.Stats().Hard > 0 {
				s.gate.Sweep(s.transport, at)
			}
		case <-look.C:
			s.protect(s.settings.Load())
		}
	}
}

// sweepEvery is how often connections are looked through for those that a ban spares no more.
const sweepEvery = 5 * time.Second

// banChanged enforces a change of the ban book and tells the log.
func (s *service) banChanged(c ban.Change) {
	b := &c.Ban
	e := edge.Event{At: c.At, Name: event.Unban, Reason: b.Reason}
	if b.Source.Port == 0 && b.Source.Prefix.IsSingleIP() {
		e.Source.Remote = netip.AddrPortFrom(b.Source.Prefix.Addr(), 0)
	}
	switch c.Kind {
	case ban.Banned, ban.Prolonged:
		e.Name, e.Message = event.Ban, blocking(b)
		e.Detail = "for " + b.Until.Sub(c.At).Round(time.Second).String()
		if c.Kind == ban.Prolonged {
			e.Detail += ", it was still sending"
		}
		if b.Hard {
			if n := s.gate.Enforce(s.transport, b.Source, c.At); n > 0 {
				e.Detail += ", closed " + count(n, "connection")
			}
		}
		if b.Text != "" {
			e.Detail += ": " + b.Text
		}
	case ban.Lifted:
		e.Message = "lifted the ban of " + b.Source.String()
	case ban.Evicted:
		e.Message = "gave up the ban of " + b.Source.String() + ": the ban book is full"
	case ban.Expired:
		e.Message = "the ban of " + b.Source.String() + " is over"
	}
	s.ring.Add(e)
}

// blocking is the line for the log. Its first form is what fail2ban and others act on: it is written only where all of the source is
// shut out on proof, so that acting on it earlier, in the kernel, harms nobody whom the ban spares.
func blocking(b *ban.Ban) string {
	switch {
	case !b.Hard:
		return "Blocking new requests from " + b.Source.String() + " (unproven)"
	case b.Source.Port != 0:
		return "Blocking the flow " + b.Source.String()
	case b.Spares:
		return "Blocking strangers at " + b.Source.String() + " (known phones and calls go on)"
	}
	return "Blocking traffic from " + b.Source.String()
}

// handleBans names the verbs of bans on the control socket.
func (s *service) handleBans() {
	s.admin.HandleStream("bans", s.listBans)
	s.admin.Handle("ban", answering(s.ban))
	s.admin.Handle("unban", answering(s.unban))
	s.admin.Handle("allow", answering(s.allow))
	s.admin.Handle("disallow", answering(s.disallow))
	s.admin.Handle("allowed", answering(func(struct{}) (allowLists, error) {
		return allowLists{s.bans.AllowList(), s.bans.Never()}, nil
	}))
	s.admin.Handle("explain", answering(s.explainSource))
}

// answering makes a Handler of f: it reads the arguments.
func answering[In, Out any](f func(In) (Out, error)) func(context.Context, json.RawMessage) (any, error) {
	return func(_ context.Context, raw json.RawMessage) (any, error) {
		var in In
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &in); err != nil {
				return nil, fmt.Errorf("read the arguments: %w", err)
			}
		}
		return f(in)
	}
}

// listed is how many bans one line of the answer to bans holds at most.
const listed = 1000

// listBans answers the verb bans: every ban in force, some at a time; an empty list is the end.
func (s *service) listBans(_ context.Context, _ json.RawMessage, send func(any) error) error {
	all := s.bans.Bans(time.Now())
	for len(all) > 0 {
		n := min(len(all), listed)
		if err := send(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return send(all)
}

// sourceArgs are the arguments of verbs about one source.
type sourceArgs struct {
	Source   string     `json:"source"`            // as the operator wrote it
	Operator netip.Addr `json:"operator,omitzero"` // where the caller is signed in from
	change
}

// asked reads the source, and notes where the operator is.
func (s *service) asked(a *sourceArgs) (edge.Source, error) {
	if a.Operator.IsValid() && s.operators.note(a.Operator, time.Now()) {
		s.protect(s.settings.Load())
	}
	return edge.ParseSource(a.Source)
}

// banArgs are the arguments of the verb ban.
type banArgs struct {
	sourceArgs
	For        time.Duration `json:"for,omitempty"` // 0: as the offences so far ask
	Soft       bool          `json:"soft,omitempty"`
	Everything bool          `json:"everything,omitempty"`
}

// ban answers the verb of that name.
func (s *service) ban(a banArgs) (b ban.Ban, err error) {
	source, err := s.asked(&a.sourceArgs)
	if err != nil {
		return b, err
	}
	s.protect(s.settings.Load())
	// What is written as one address means it, also where the ban is to be of the network around it.
	if why, never := s.bans.Exempt(source.Prefix.Addr()); never && source.Prefix.IsSingleIP() {
		err = &ban.ProtectedError{Source: source, By: why}
	} else if one, perr := netip.ParseAddr(a.Source); perr == nil {
		if why, never := s.bans.Exempt(one); never {
			err = &ban.ProtectedError{Source: source, By: why}
		}
	}
	order := ban.Order{Ban: edge.Ban{Source: source, Hard: !a.Soft, Reason: ban.ReasonOperator, For: a.For},
		By: ban.Operator, Text: a.Text, Everything: a.Everything}
	switch {
	case err == nil && a.Dry:
		return s.bans.Foresee(order, time.Now())
	case err == nil:
		b, _, err = s.bans.Add(order, time.Now())
	}
	if never := new(ban.ProtectedError); errors.As(err, &never) && !a.Dry {
		s.log.Warn("a ban was refused", "event", event.Ban, "source", source.String(), "why", never.By.Why, "by", string(ban.Operator))
	}
	return b, err
}

// unban answers the verb of that name with what was lifted.
func (s *service) unban(a sourceArgs) ([]ban.Ban, error) {
	source, err := s.asked(&a)
	if err != nil {
		return nil, err
	}
	if a.Dry {
		lifted := s.bans.Liftable(source, time.Now())
		if len(lifted) == 0 {
			err = s.notBanned(source, fmt.Errorf("%v %w", source, ban.ErrUnknown))
		}
		return lifted, err
	}
	lifted, err := s.bans.Lift(source, time.Now())
	pardoned := false
	if j := s.judge(); j != nil {
		pardoned = j.Pardon(source.Prefix.Addr())
	}
	if errors.Is(err, ban.ErrUnknown) {
		if pardoned {
			err = fmt.Errorf("%w, but points were held against it: they are forgotten", err)
		}
		err = s.notBanned(source, err)
	}
	if err == nil || pardoned {
		s.log.Info("an operator frees a source", "event", event.Unban, "source", source.String(), "bans", len(lifted), "why", a.Text)
	}
	return lifted, err
}

// notBanned is err, which says that source is not banned, or which other ban it meets and what would help.
func (s *service) notBanned(source edge.Source, err error) error {
	for _, b := range s.bans.About(source, time.Now()) {
		err = fmt.Errorf("%v is not banned itself, %v is: ringwall unban %v, or ringwall allow add %v", source, b.Source, b.Source, source)
	}
	return err
}

// allow answers the verb of that name with the bans that it lifted.
func (s *service) allow(a sourceArgs) ([]ban.Ban, error) {
	source, err := s.asked(&a)
	if err != nil {
		return nil, err
	}
	if a.Dry {
		return s.bans.Allowable(source, time.Now())
	}
	lifted, err := s.bans.Allow(source, a.Text, time.Now())
	if err == nil {
		s.log.Info("an operator puts a source on the allow list", "event", event.Allow, "source", source.String(), "bans", len(lifted), "why", a.Text)
	}
	return lifted, err
}

// disallow answers the verb of that name.
func (s *service) disallow(a sourceArgs) (struct{}, error) {
	source, err := s.asked(&a)
	if err == nil && a.Dry {
		if !slices.ContainsFunc(s.bans.AllowList(), func(on ban.Allowed) bool { return on.Source == source }) {
			err = fmt.Errorf("%v %w", source, ban.ErrNotAllowed)
		}
		return struct{}{}, err
	}
	if err == nil {
		err = s.bans.Disallow(source, time.Now())
	}
	if err == nil {
		s.gate.Sweep(s.transport, time.Now())
		s.log.Info("an operator takes a source off the allow list", "event", event.Allow, "source", source.String(), "why", a.Text)
	}
	return struct{}{}, err
}

// allowLists are the answer to the verb allowed.
type allowLists struct {
	Allowed []ban.Allowed   `json:"allowed"`
	Never   []ban.Exemption `json:"never"`
}
