package proxy

import (
	"context"
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
