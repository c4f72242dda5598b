package proxy

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestPanicLeavesNoLock: a message whose handling panics costs itself only; its transaction is not left locked.
func TestPanicLeavesNoLock(t *testing.T) {
	b := newBench(t, nil)
	keys := b.p.keys
	b.p.keys = nil
	func() {
		defer func() {
			if recover() == nil {
				t.Fatal("no panic: the test tests nothing")
			}
		}()
		b.send(b.outside, newRequest("INVITE", 1))
	}()
	b.p.keys = keys
	done := make(chan bool)
	go func() {
		b.send(b.outside, newRequest("INVITE", 1))
		close(done)
	}()
	select {
	case <-done:
		b.expect(b.platform, "INVITE")
	case <-time.After(5 * time.Second):
		t.Fatal("the same request, sent again, waits for a lock")
	}
	if b.p.table.Len() != 1 {
		t.Errorf("%d transactions", b.p.table.Len())
	}
}

// TestPanicOfATimer: the goroutine of the timers lives on.
func TestPanicOfATimer(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	b.p.ring = nil // what a time-out tells has nowhere to go
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan bool)
	go func() {
		b.p.Run(ctx)
		close(ended)
	}()
	for end := time.Now().Add(5 * time.Second); b.p.table.Len() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the transaction is not given up")
		}
	}
	cancel()
	<-ended
	if b.p.srv.Counters().DroppedPanic == 0 {
		t.Error("the panic is not counted")
	}
}

// TestPanicCostsOneMessage injects a fault at each step of a message's way: whoever waits for an answer gets 500, the event shows the
// message, and everything goes on (F33).
func TestPanicCostsOneMessage(t *testing.T) {
	for name, row := range map[string]struct {
		before func(*bench)        // what happened until then
		fault  func(*bench) func() // breaks something and returns how to mend it
		do     func(*bench)        // what panics
		shown  string              // in the event
	}{
		"a request, before it is on record": {
			fault: func(b *bench) func() { old := b.p.bindings; b.p.bindings = nil; return func() { b.p.bindings = old } },
			do:    func(b *bench) { b.send(b.outside, newRequest("INVITE", 1)) }, shown: "INVITE sip:echo"},
		"a request, on record": {
			fault: func(b *bench) func() { old := b.p.keys; b.p.keys = nil; return func() { b.p.keys = old } },
			do:    func(b *bench) { b.send(b.outside, newRequest("INVITE", 1)) }, shown: "INVITE sip:echo"},
		"a response": {
			before: func(b *bench) { b.send(b.outside, newRequest("INVITE", 1)) },
			fault:  func(b *bench) func() { old := b.p.faces; b.p.faces = nil; return func() { b.p.faces = old } },
			do:     func(b *bench) { b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "200 OK")) }, shown: "SIP/2.0 200 OK"},
		"a response to REGISTER": {
			before: func(b *bench) { b.send(b.outside, newRequest("REGISTER", 1)) },
			fault:  func(b *bench) func() { old := b.p.bindings; b.p.bindings = nil; return func() { b.p.bindings = old } },
			do:     func(b *bench) { b.send(b.inside, replyTo(b.expect(b.platform, "REGISTER"), "200 OK")) }, shown: "SIP/2.0 200 OK"},
	} {
		b := newBench(t, nil)
		if row.before != nil {
			row.before(b)
		}
		mend := row.fault(b)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic: the test tests nothing", name)
				}
			}()
			row.do(b)
		}()
		mend()
		if msg := b.got(b.caller); !strings.HasPrefix(msg, "SIP/2.0 500 ") {
			t.Errorf("%s: got %q", name, msg)
		}
		told := false
		for e, ok := b.p.ring.Next(); ok; e, ok = b.p.ring.Next() {
			told = told || e.Reason == reasonPanic && strings.Contains(e.Message, row.shown)
		}
		if !told {
			t.Errorf("%s: no event with the message", name)
		}
		for b.got(b.platform) != "" {
		}
		b.send(b.outside, newRequest("MESSAGE", 7))
		b.send(b.inside, replyTo(b.expect(b.platform, "MESSAGE"), "200 OK"))
		b.expect(b.caller, "SIP/2.0 200 OK")
	}
}

// TestPanicOfAKeepalive: what every second does goes on after one that failed.
func TestPanicOfAKeepalive(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Keepalive = time.Second })
	b.bind("alice")
	out := b.l.out
	b.l.out = nil
	func() {
		defer func() { recover() }()
		b.l.everySecond(b.now.Add(time.Minute))
		t.Error("no panic: the test tests nothing")
	}()
	b.l.out = out
	b.send(b.outside, newRequest("MESSAGE", 1))
	b.expect(b.platform, "MESSAGE")
}
