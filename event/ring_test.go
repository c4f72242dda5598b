package event

import (
	"strings"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

func TestRingKeepsOrderAndCopies(t *testing.T) {
	r := NewRing(100)
	if got := len(r.slots); got != 128 {
		t.Fatalf("ring of 100 has %d slots, want the next power of two", got)
	}
	callID := []byte("a84b4c76e66710")
	raw := append([]byte("INVITE"), callID...)
	m := &sip.Message{Raw: raw, MethodName: sip.Span{Start: 0, End: 6}, CallID: sip.Span{Start: 6, End: uint32(len(raw))}}
	r.AddOf(edge.Event{Name: Refused, Status: 403}, m)
	r.Add(edge.Event{Name: State, Message: strings.Repeat("x", 2*MaxMessage)})
	clear(raw) // the ring must not care

	first, ok := r.Next()
	if !ok || first.Method != "INVITE" || first.CallID != "a84b4c76e66710" || first.Status != 403 {
		t.Errorf("first event %+v, %v", first, ok)
	}
	second, ok := r.Next()
	if !ok || second.Name != State || len(second.Message) != MaxMessage {
		t.Errorf("second event %+v, %v", second, ok)
	}
	if _, ok := r.Next(); ok {
		t.Error("an empty ring gave an event")
	}
}

func TestAddOfBrokenMessage(t *testing.T) {
	r := NewRing(64)
	m := &sip.Message{Raw: []byte("short"), MethodName: sip.Span{Start: 3, End: 90}, CallID: sip.Span{Start: 4, End: 2}}
	r.AddOf(edge.Event{Name: Refused}, m)
	if e, ok := r.Next(); !ok || e.Method != "" || e.CallID != "" {
		t.Errorf("got %+v, %v", e, ok)
	}
}

// TestFloodLeavesRoom fills the ring with refusals: only half of it may go, and the operator's events still fit.
func TestFloodLeavesRoom(t *testing.T) {
	r := NewRing(64)
	for range 1000 {
		r.Add(edge.Event{Name: Refused})
	}
	if got := r.Dropped(); got != 1000-32 {
		t.Errorf("dropped %d, want %d", got, 1000-32)
	}
	for range 32 {
		r.Add(edge.Event{Name: Upstream})
	}
	if got := r.Dropped(); got != 1000-32 {
		t.Errorf("an operator's event was dropped while half of the ring was kept for it")
	}
	r.Add(edge.Event{Name: Upstream})
	if got := r.Dropped(); got != 1000-32+1 {
		t.Errorf("a full ring did not count its drop")
	}
	names := map[string]int{}
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		names[e.Name]++
	}
	if names[Refused] != 32 || names[Upstream] != 32 {
		t.Errorf("read %v", names)
	}
}

// TestManyWriters adds from several goroutines while two read: each event is read once or counted as dropped.
func TestManyWriters(t *testing.T) {
	const writers, each = 4, 20000
	r := NewRing(64)
	var write, read sync.WaitGroup
	done := make(chan struct{})
	seen := make([][]int, 2)
	for i := range seen {
		read.Go(func() {
			for {
				e, ok := r.Next()
				if ok {
					seen[i] = append(seen[i], e.Status)
					continue
				}
				if r.await(done, nil) == ringDone {
					return
				}
			}
		})
	}
	for w := range writers {
		write.Go(func() {
			for i := range each {
				r.Add(edge.Event{Name: State, Status: w*each + i, CallID: "x"})
			}
		})
	}
	write.Wait()
	close(done)
	read.Wait()
	counts := map[int]int{}
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		counts[e.Status]++
	}
	for _, list := range seen {
		for _, id := range list {
			counts[id]++
		}
	}
	for id, n := range counts {
		if n != 1 {
			t.Errorf("event %d read %d times", id, n)
		}
	}
	if got := uint64(len(counts)) + r.Dropped(); got != writers*each {
		t.Errorf("read %d and dropped %d, want %d together", len(counts), r.Dropped(), writers*each)
	}
}
