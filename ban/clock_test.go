package ban

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/state"
)

// TestStep: what time.Now gives knows when the clock was set, and a watch that goes a little wrong is none that was.
func TestStep(t *testing.T) {
	now := time.Now()
	if by := Step(now, now.Add(time.Hour)); by != 0 {
		t.Errorf("an hour that went by: %v", by)
	}
	if by := Step(start, start.Add(time.Hour)); by != 0 { // nothing but the clock tells of these
		t.Errorf("an hour on a capture's clock: %v", by)
	}
}

// TestClockSet: whichever way the clock is set, by however much, bans end when as much time has gone by as they were to last, offenders are remembered as long,
// and calls that were there before are spared as long.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{-365 * 24 * time.Hour, -time.Hour, time.Hour, 365 * 24 * time.Hour} {
		b := newBook(t, Config{First: 10 * time.Minute, Known: nil})
		call := from("198.51.100.8:5060")
		b.CallBegan(1, call.Remote, start)
		add(t, b, order("198.51.100.7", true), start)
		add(t, b, order("198.51.100.8", true), start)
		add(t, b, Order{Ban: edge.Ban{Source: source("203.0.113.0/24"), Hard: true, Reason: ReasonOperator, For: 48 * time.Hour}, By: Operator}, start)
		at := start.Add(5*time.Minute + by)
		b.Shift(by)
		b.Tick(at)
		for text, want := range map[string]bool{"198.51.100.7:5060": true, "203.0.113.9:5060": true, "198.51.100.8:5060": false, "198.51.100.8:5061": true} {
			if b.Refuses(from(text), at) != want {
				t.Errorf("set by %v: %s refused %t", by, text, !want)
			}
		}
		at = start.Add(10*time.Minute + time.Second + by)
		b.Tick(at)
		if b.Refuses(from("198.51.100.7:5060"), at) || !b.Refuses(from("203.0.113.9:5060"), at) {
			t.Errorf("set by %v: after ten minutes there are %v", by, b.Bans(at))
		}
		if again := add(t, b, order("198.51.100.7", true), at); again.Until.Sub(at) != time.Hour {
			t.Errorf("set by %v: the second ban lasts %v", by, again.Until.Sub(at))
		}
	}
}

// TestClockWasAhead: of bans that were written while the clock was ahead none lasts longer than it was to, however long that was.
func TestClockWasAhead(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		path := filepath.Join(t.TempDir(), "state.db")
		db := stateFile(t, path)
		b := newBook(t, Config{})
		j := journal(t, db, b, start, state.Options{})
		ahead := start.Add(by)
		add(t, b, order("198.51.100.7", true), ahead)
		add(t, b, order("198.51.100.8", true), ahead.Add(-time.Hour))
		b.Tick(ahead)
		add(t, b, Order{Ban: edge.Ban{Source: source("203.0.113.0/24"), Hard: true, Reason: ReasonOperator, For: 48 * time.Hour}, By: Operator}, ahead)
		if err := j.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b = newBook(t, Config{})
		journal(t, db, b, start, state.Options{})
		for text, length := range map[string]time.Duration{"198.51.100.7": 10 * time.Minute, "203.0.113.0/24": 48 * time.Hour} {
			if one, active, _ := b.Get(source(text), start); !active || one.Until.Sub(start) != length {
				t.Errorf("ahead by %v: the ban of %s lasts %v", by, text, one.Until.Sub(start))
			}
		}
		if one, active, _ := b.Get(source("198.51.100.8"), start); active || one.Offences != 1 {
			t.Errorf("ahead by %v: of who is free is remembered %+v", by, one)
		}
	}
}
