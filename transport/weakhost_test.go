package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

func TestWeakHostRule(t *testing.T) {
	ip := netip.MustParseAddr
	w := newWeakHost([]Listen{udp(edge.Outside, "203.0.113.5:5060"), udp(edge.Outside, "127.0.0.1:5060"), udp(edge.Inside, "10.0.0.1:5060"), udp(edge.Inside, "10.1.0.1:5060")})
	asked := 0
	now := map[int]hostInterface{
		1: {loopback: true, addrs: []netip.Addr{ip("127.0.0.1")}},
		2: {addrs: []netip.Addr{ip("203.0.113.5")}},
		3: {addrs: []netip.Addr{ip("10.0.0.1")}},
		4: {addrs: []netip.Addr{ip("203.0.113.5"), ip("10.1.0.1")}}, // one cable for both
		5: {addrs: []netip.Addr{ip("192.0.2.9")}},
		6: {},
	}
	w.interfaces = func() (map[int]hostInterface, error) { asked++; return now, nil }
	for index, want := range map[int]bool{1: true, 2: false, 3: true, 4: true, 5: true, 6: true} {
		if got := w.admits(index); got != want {
			t.Errorf("interface %d: %v", index, got)
		}
	}
	if asked != 1 {
		t.Errorf("looked up %d times", asked)
	}
	now[7] = hostInterface{addrs: []netip.Addr{ip("203.0.113.5")}} // the outside line was dialled again
	if w.admits(7) || w.admits(99) || !w.admits(3) {
		t.Error("after a new interface came")
	}
	w.interfaces = func() (map[int]hostInterface, error) { return nil, errors.New("no") }
	if w.admits(8) {
		t.Error("admitted without knowing the interfaces")
	}
}

func TestInterfaceIndexOfJunk(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 8), make([]byte, 16), make([]byte, 20), make([]byte, 64)} {
		if got := interfaceIndex(b); got != 0 {
			t.Errorf("%d bytes: %d", len(b), got)
		}
	}
}

// The kernel names the interface of each inside datagram, and what came by an outside one never reaches a lane. The loopback
// interface plays the outside one here.
func TestWeakHostDrops(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			st := &stage{}
			s, err := Open(Config{Listen: []Listen{udp(edge.Outside, at), udp(edge.Inside, at)}, Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			outside := netip.MustParseAddr("203.0.113.5")
			s.weak.outside, s.weak.inside = map[netip.Addr]bool{outside: true}, nil
			s.weak.interfaces = func() (map[int]hostInterface, error) {
				return map[int]hostInterface{lo.Index: {addrs: []netip.Addr{outside}}}, nil
			}
			st.calls = make(chan seen, 100)
			s.Serve(func(o *Out) Lane { return &fakeLane{st, o} })
			for _, l := range s.Listeners()[1:] {
				fmt.Fprint(dialUDP(t, l.Addr), "not from inside")
			}
			fmt.Fprint(dialUDP(t, s.Listeners()[0].Addr), "to the outside listener")
			if got := st.next(t, "receive"); got.bytes != "to the outside listener" {
				t.Errorf("lane got %q", got.bytes)
			}
			eventually(t, "drops counted", func() bool { return s.Counters().DroppedWeakHost == 3 })
			if len(st.calls) != 0 {
				t.Errorf("%d more datagrams reached a lane", len(st.calls))
			}
		})
	}
}

func TestControlJunk(t *testing.T) {
	for _, b := range [][]byte{nil, {1}, make([]byte, 16), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), {17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 1}} {
		if errno, ok := icmpErrno(b); ok {
			t.Errorf("%x: %v", b, errno)
		}
	}
}
