package proxy

import (
	"hash/maphash"
	"strconv"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// TestAsideKeeps: what was found out about a message, the judge's note included, is there when it is taken up, and nothing of the lane's own memory.
func TestAsideKeeps(t *testing.T) {
	const raw = "INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"
	b := []byte(raw)
	l := &lane{p: &Proxy{aside: newAside(mostAside, mostOfACall), seed: maphash.MakeSeed()}}
	if err := l.msg.Parse(b, true); err != nil {
		t.Fatal(err)
	}
	l.park(&edge.Exchange{Msg: &l.msg, Trust: edge.Known, Asked: edge.Asked{Source: 7}}, l.p.aside, 1)
	clear(b)
	p, found := l.p.aside.take(l.p.aside.next())
	if !found || string(p.raw) != raw || p.x.Msg != nil || p.x.Trust != edge.Known || p.x.Asked.Source != 7 {
		t.Errorf("%v, %q, %+v", found, p.raw, p.x)
	}
}

// TestAsideOrder: messages of one call are taken up in the order in which they came, however many goroutines take up what waits.
func TestAsideOrder(t *testing.T) {
	const calls, each = 10, 20
	a := newAside(mostAside, mostOfACall)
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
	a := newAside(mostAside, mostOfACall)
	fill := func(trust edge.Trust, calls uint64) (n int) {
		for call := range calls {
			for a.put(call, parked{raw: []byte("x"), x: edge.Exchange{Trust: trust}}) {
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
