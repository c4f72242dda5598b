package proxy

import (
	"strconv"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// TestAsideOrder: messages of one call are taken up in the order in which they came, however many goroutines take up what waits.
func TestAsideOrder(t *testing.T) {
	const calls, each = 10, 20
	a := newAside()
	got := [calls][]string{} // of each call by one goroutine at a time: the race detector says if not
	var workers, left sync.WaitGroup
	left.Add(calls * each)
	for range 4 {
		workers.Go(func() {
			for c := a.next(); c != nil; c = a.next() {
				for one, more := a.take(c); more; one, more = a.take(c) {
					got[c.key] = append(got[c.key], string(one.raw))
					left.Done()
				}
			}
		})
	}
	for i := range each {
		for call := range uint64(calls) {
			if !a.put(call, parked{raw: strconv.AppendInt(nil, int64(i), 10)}) {
				t.Fatal("no room")
			}
		}
	}
	left.Wait()
	a.close()
	workers.Wait()
	for call, list := range got {
		for i, text := range list {
			if text != strconv.Itoa(i) {
				t.Fatalf("call %d: %v", call, list)
			}
		}
	}
}

// TestAsideBounds: a call, strangers and all together have so much room; the end of a transaction always has.
func TestAsideBounds(t *testing.T) {
	a := newAside()
	fill := func(trust edge.Trust, calls uint64) (n int) {
		for call := range calls {
			for a.put(call, parked{raw: []byte("x"), trust: trust}) {
				n++
			}
		}
		return n
	}
	if n := fill(edge.Peer, 1); n != mostOfACall {
		t.Errorf("%d messages of one call", n)
	}
	if n := fill(edge.Unknown, mostAside); n != mostAside/2-mostOfACall {
		t.Errorf("%d messages of strangers", n)
	}
	if n := fill(edge.Known, mostAside); n != mostAside/2 {
		t.Errorf("%d more messages", n)
	}
	if !a.put(1, parked{ending: ending{1, 200}}) || !a.holds(1) || a.holds(mostAside) {
		t.Error("no room for an ending, or held by the wrong name")
	}
	a.close()
	if a.next() != nil {
		t.Error("something to do after the end")
	}
}
