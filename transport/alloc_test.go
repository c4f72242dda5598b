//go:build !race

package transport

import (
	"net"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// A datagram from outside that goes inside, and one back, allocate nothing once the queues are there.
func TestNoAllocations(t *testing.T) {
	sink, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	inside := sink.LocalAddr().(*net.UDPAddr).AddrPort()
	s := serve(t, Config{Listen: []Listen{udp(edge.Outside, "127.0.0.1:0"), udp(edge.Inside, "127.0.0.1:0")}, Workers: 2}, &stage{on: func(o *Out, b []byte, from edge.Flow) {
		to, _ := o.Route(edge.Inside, edge.UDP, inside)
		_ = o.Send(append(o.Buffer(), b...), to)
		echo(o, b, from)
	}})
	c := dialUDP(t, s.Listeners()[0].Addr)
	m, b := []byte("a message of some length"), make([]byte, 100)
	o := s.NewOut()
	f := edge.Flow{Remote: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = c.Write(m)
		_, _ = c.Read(b)
		_, _, _ = sink.ReadFromUDPAddrPort(b)
		_ = o.Send(m, f)
		o.Flush()
		_, _ = c.Read(b)
	}); n != 0 {
		t.Errorf("%v allocations per round", n)
	}
}
