package soft

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// book bans one source; flow spared is not refused.
type book struct {
	source edge.Source
	spared netip.AddrPort
	asked  int
}

func (b *book) Refuses(f edge.Flow, at time.Time) bool {
	b.asked++
	return b.Holds(f, at)
}

func (b *book) Holds(f edge.Flow, _ time.Time) bool {
	return b.source.Covers(f.Remote) && f.Remote != b.spared
}

// conns are open connections.
type conns []edge.Flow

func (c conns) CloseFrom(p netip.Prefix, match func(edge.Flow) bool) (n int) {
	for _, f := range c {
		if p.Contains(f.Remote.Addr()) && match(f) {
			n++
		}
	}
	return n
}

func flow(at string, t edge.Transport) edge.Flow {
	return edge.Flow{Remote: netip.MustParseAddrPort(at), Transport: t}
}

func TestGate(t *testing.T) {
	all, err := edge.ParseSource("198.51.100.0/24")
	if err != nil {
		t.Fatal(err)
	}
	b := &book{source: all, spared: netip.MustParseAddrPort("198.51.100.7:5060")}
	g := New(b)
	for f, want := range map[edge.Flow]bool{
		flow("198.51.100.7:1", edge.UDP):    true,
		flow("198.51.100.7:5060", edge.UDP): false,
		flow("198.51.100.8:1", edge.TLS):    true,
		flow("203.0.113.1:1", edge.UDP):     false,
	} {
		if g.Refuses(f, time.Time{}) != want {
			t.Errorf("%v refused: %t", f, !want)
		}
	}
	open := conns{flow("198.51.100.7:1", edge.TCP), flow("198.51.100.7:5060", edge.TCP), flow("198.51.100.9:1", edge.TLS), flow("203.0.113.1:1", edge.TCP)}
	one, _ := edge.ParseSource("198.51.100.7")
	if n := g.Enforce(open, one, time.Time{}); n != 1 {
		t.Errorf("closed %d connections of one address", n)
	}
	if n := g.Enforce(open, all, time.Time{}); n != 2 {
		t.Errorf("closed %d connections of the network", n)
	}
	b.spared = netip.AddrPort{}
	if n := g.Sweep(open, time.Time{}); n != 3 {
		t.Errorf("closed %d connections that nothing spares any more", n)
	}
	if got := g.Counters(); got != (Counters{Packets: 1, Connections: 1, Closed: 6}) || b.asked != 4 {
		t.Errorf("counted %+v, asked %d times", got, b.asked)
	}
}
