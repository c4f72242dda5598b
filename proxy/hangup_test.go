package proxy

import (
	"math"
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// TestListed: a flow of a process that had other listeners gets one of these, of its side, transport and version of IP.
func TestListed(t *testing.T) {
	listener := func(side edge.Side, kind edge.Transport, at string) face {
		return face{Listener: transport.Listener{Side: side, Transport: kind, Addr: netip.MustParseAddrPort(at)}}
	}
	p := &Proxy{faces: []face{listener(edge.Outside, edge.UDP, "192.0.2.1:5060"), listener(edge.Outside, edge.TCP, "192.0.2.1:5060"),
		listener(edge.Outside, edge.UDP, "[2001:db8::1]:5060"), listener(edge.Inside, edge.UDP, "10.0.0.1:5070"), listener(edge.Inside, edge.UDP, "10.0.0.2:5070")}}
	four, six := netip.MustParseAddrPort("198.51.100.7:5060"), netip.MustParseAddrPort("[2001:db8::7]:5060")
	for _, c := range []struct {
		flow edge.Flow
		want uint16
		ok   bool
	}{
		{edge.Flow{Remote: four, Listener: 0}, 0, true},
		{edge.Flow{Remote: four, Listener: 77}, 0, true},
		{edge.Flow{Remote: four, Listener: 3}, 0, true},
		{edge.Flow{Remote: four, Listener: 4, Side: edge.Inside}, 4, true},
		{edge.Flow{Remote: four, Listener: 0, Side: edge.Inside}, 3, true},
		{edge.Flow{Remote: six, Listener: 0}, 2, true},
		{edge.Flow{Remote: four, Listener: 9, Transport: edge.TCP}, 1, true},
		{edge.Flow{Remote: six, Listener: 9, Transport: edge.TCP}, 0, false},
		{edge.Flow{Remote: four, Transport: edge.WSS}, 0, false},
	} {
		flow := c.flow
		if ok := p.listed(&flow); ok != c.ok || ok && flow.Listener != c.want {
			t.Errorf("%+v: listener %d, %v, want %d, %v", c.flow, flow.Listener, ok, c.want, c.ok)
		}
	}
}

// TestAhead: our own numbers are above those of the end, and always ones that CSeq may have.
func TestAhead(t *testing.T) {
	for number, want := range map[uint32]uint32{0: farCSeq, 5: 5 + farCSeq, 1<<31 - 1 - farCSeq: 1<<31 - 1, 1<<31 - 2: 1<<31 - 1, math.MaxUint32: 1<<31 - 1} {
		if got := ahead(number); got != want {
			t.Errorf("after %d comes %d, want %d", number, got, want)
		}
	}
}

// TestOwnRequestsAreNobodysBusiness: who did not send a request gets no response to it, also where the edge gives it up.
func TestOwnRequestsAreNobodysBusiness(t *testing.T) {
	b := newBench(t, nil)
	order := func(n int) *transaction.Tx {
		b.l.order(newRequest("INVITE", n), b.outside, b.now)
		b.l.out.Flush()
		id, _, ok := b.l.firstBranch([]byte(b.expect(b.platform, "INVITE")))
		tx := b.p.table.FindID(id)
		if b.l.held = tx; !ok || tx == nil {
			t.Fatal("it is not on record")
		}
		return tx
	}
	b.l.giveUp(order(1), 500, b.now)
	b.l.leave([]byte("SIP/2.0 500 Server Internal Error\r\n\r\n"), order(2))
	b.l.out.Flush()
	b.silence(b.caller)
}

// TestOrdersEndWithTheirMessage: what was to be sent after a message is not sent after the next one if its handling panicked.
func TestOrdersEndWithTheirMessage(t *testing.T) {
	b := newBench(t, nil)
	b.l.orders, b.l.orderer = newRequest("INVITE", 1), b.outside
	b.l.ended = false
	b.l.survive(b.now)
	b.send(b.outside, newRequest("OPTIONS", 2))
	b.expect(b.caller, "SIP/2.0 200")
	b.silence(b.platform)
}
