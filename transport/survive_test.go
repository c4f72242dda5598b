package transport

import (
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// TestGoroutinesSurvive: a panic in a reader begins it anew, one in the goroutine of a connection closes that connection.
func TestGoroutinesSurvive(t *testing.T) {
	c := Default()
	c.Workers = 1
	c.Listen = []Listen{{Side: edge.Outside, Transport: edge.TCP, Addr: netip.MustParseAddrPort("127.0.0.1:0")}}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs := 0
	s.lasting(func() {
		if runs++; runs < 3 {
			panic("reader")
		}
	})()
	if runs != 3 || s.Counters().DroppedPanic != 2 {
		t.Errorf("%d runs, %d panics", runs, s.Counters().DroppedPanic)
	}
	one := s.newConn(0, netip.MustParseAddrPort("127.0.0.1:9"), false)
	one.guarded(func() { panic("connection") })()
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.state != closed {
		t.Error("the connection is not closed")
	}
}
