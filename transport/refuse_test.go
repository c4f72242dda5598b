package transport

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TestRefuse: nothing of who is refused is read, over UDP or on a new connection, and CloseFrom ends the connections that are open.
func TestRefuse(t *testing.T) {
	var on atomic.Bool
	cfg := Config{Listen: []Listen{{Side: edge.Outside, Transport: edge.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")}, tcp(edge.Outside, "127.0.0.1:0")},
		Workers: 1, Refuse: func(f edge.Flow, _ time.Time) bool { return on.Load() && f.Side == edge.Outside }}
	st := &stage{}
	s := serve(t, cfg, st)
	at := s.Listeners()[1].Addr
	idle, other := dialTCP(t, at), dialTCP(t, at)
	eventually(t, "both are open", func() bool { return s.Counters().ConnectionsOpen == 2 })
	on.Store(true)
	if n := s.CloseFrom(netip.MustParsePrefix("192.0.2.0/24"), func(edge.Flow) bool { return true }); n != 0 {
		t.Errorf("closed %d connections of others", n)
	}
	remote := idle.LocalAddr().String()
	if n := s.CloseFrom(netip.MustParsePrefix("127.0.0.1/32"), func(f edge.Flow) bool { return f.Remote.String() == remote }); n != 1 {
		t.Errorf("closed %d connections", n)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("a closed connection is read from")
	}
	eventually(t, "one is left", func() bool { return s.Counters().ConnectionsOpen == 1 })
	if c, err := net.Dial("tcp", at.String()); err == nil { // the reset may be here before Dial is back
		defer c.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a refused connection is served")
		}
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if n := s.CloseFrom(netip.MustParsePrefix("127.0.0.0/8"), func(edge.Flow) bool { return true }); n != 1 {
		t.Errorf("closed %d connections of the network", n)
	}
	if _, err := other.Read(make([]byte, 1)); err == nil {
		t.Error("the other is open still")
	}
}
