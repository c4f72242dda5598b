package event

import (
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// TestTailIsBounded: a tail that nobody reads holds what it may and counts the rest, and those who read the ring and other tails notice nothing.
func TestTailIsBounded(t *testing.T) {
	r := NewRing(64)
	r.Add(edge.Event{Name: Refused, Method: "before"})
	r.Next()
	slow, err := r.Tail()
	if err != nil {
		t.Fatal(err)
	}
	quick, err := r.Tail()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * tailQueue {
		r.Add(edge.Event{Name: Refused, Status: i})
		if e, ok := r.Next(); !ok || e.Status != i {
			t.Fatalf("the ring's reader gets %+v", e)
		}
		if e := <-quick.C; e.Status != i {
			t.Fatalf("the tail that is read gets %+v", e)
		}
	}
	if n := slow.Dropped(); n != 2*tailQueue {
		t.Errorf("%d dropped, want %d", n, 2*tailQueue)
	}
	for i := range tailQueue {
		if e := <-slow.C; e.Status != i {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
	for range 200 { // what the ring itself has no room for
		r.Add(edge.Event{Name: Refused})
	}
	if n := quick.Dropped(); n != 200-32 {
		t.Errorf("%d dropped, want %d", n, 200-32)
	}
}

// TestTailsAreFew: so many may run and no more; one that has ended makes room.
func TestTailsAreFew(t *testing.T) {
	r := NewRing(64)
	var last *Tail
	for range maxTails {
		tail, err := r.Tail()
		if err != nil {
			t.Fatal(err)
		}
		last = tail
	}
	if _, err := r.Tail(); err != ErrTails {
		t.Errorf("one more: %v", err)
	}
	last.Close()
	last.Close()
	if r.Tails() != maxTails-1 {
		t.Errorf("%d tails", r.Tails())
	}
	again, err := r.Tail()
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
