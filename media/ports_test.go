package media

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sdp"
)

// A few ports: when they are gone Open says so, streams that run go on, and ports rest before another call gets them.
func TestPortsRunOutAndRest(t *testing.T) {
	now := newClock()
	r := newRelay(t, func(c *RelayConfig) { c.First, c.Last, c.Now = 31000, 31007, now.Now })
	first := newCall(t, r, nil)
	var more []*call
	for range 3 {
		more = append(more, newCall(t, r, nil))
	}
	if _, err := r.Open(fromOutside); !errors.Is(err, ErrNoPorts) {
		t.Fatalf("the fifth stream of four pairs: %v", err)
	}
	first.both(t)
	old := more[0].Port(Caller)
	more[0].Close()
	more[0].Close()
	free(t, r, 1)
	now.advance(4 * time.Second)
	if _, err := r.Open(fromOutside); !errors.Is(err, ErrNoPorts) {
		t.Fatalf("a port that rests was given out: %v", err)
	}
	now.advance(time.Second)
	if s := openStream(t, r, fromOutside); s.Port(Caller) != old {
		t.Errorf("got %v, want %v", s.Port(Caller), old)
	}
	first.both(t)
}

// TestUnknownPortsDoNotRest: a pair that was in no answer is given out again as soon as its sockets are closed.
func TestUnknownPortsDoNotRest(t *testing.T) {
	r := newRelay(t, func(c *RelayConfig) { c.First, c.Last, c.Now = 31000, 31003, newClock().Now })
	known, unknown := newCall(t, r, nil), openStream(t, r, fromOutside)
	unknown.Expect(Caller, Remote{RTP: known.phone.addr(), Signalling: phoneAddr})
	known.Close()
	unknown.Close()
	free(t, r, 2)
	again, err := r.Open(fromOutside)
	if err != nil || again.Port(Caller) != unknown.Port(Caller) || again.Port(Callee) != unknown.Port(Callee) {
		t.Errorf("got %v, %v, want the ports %v and %v", again, err, unknown.Port(Caller), unknown.Port(Callee))
	}
}

// unbound waits until the loop has closed the socket of a port.
func unbound(t *testing.T, at netip.AddrPort) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if fd, err := openSocket(at); err == nil {
			unix.Close(fd)
			return
		}
	}
	t.Fatalf("%v is still open", at)
}

// free waits until n pairs of each address are free, resting ones included: the loop closes sockets when it holds none of them.
func free(t *testing.T, r *Relay, n int) {
	t.Helper()
	for a, pool := range r.ports {
		count := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(pool.unused) + len(pool.rests)
		}
		for end := time.Now().Add(patience); count() != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d pairs of %v are free, want %d", count(), a, n)
			}
		}
	}
}

// A source that nobody has authenticated holds no more than its share (F9); an IPv6 network of 64 bits is one source.
func TestOwnerCap(t *testing.T) {
	r := newRelay(t, func(c *RelayConfig) { c.PerOwner = 3 })
	owned := func(a string) Spec {
		s := fromOutside
		s.Owner = netip.MustParseAddr(a)
		return s
	}
	var held []*Stream
	for range 3 {
		held = append(held, openStream(t, r, owned("192.0.2.1")))
		openStream(t, r, owned("2001:db8::1"))
	}
	for _, a := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::ffff"} {
		if _, err := r.Open(owned(a)); !errors.Is(err, ErrOwner) {
			t.Errorf("%s: %v, want the cap", a, err)
		}
	}
	openStream(t, r, owned("192.0.2.2"))
	held[0].Admit()
	held[0].Admit()
	held[1].Close()
	openStream(t, r, owned("192.0.2.1"))
	openStream(t, r, owned("192.0.2.1"))
	if _, err := r.Open(owned("192.0.2.1")); !errors.Is(err, ErrOwner) {
		t.Errorf("%v, want the cap", err)
	}
}

// TestOwnersTogether: row F9. All sources together that nobody has authenticated hold no more than their share, resting ports included.
func TestOwnersTogether(t *testing.T) {
	now := newClock()
	r := newRelay(t, func(c *RelayConfig) { c.PerOwner, c.Owned, c.Now = 2, 3, now.Now })
	open := func(last byte) (*Stream, error) {
		s := fromOutside
		s.Owner = netip.AddrFrom4([4]byte{192, 0, 2, last})
		return r.Open(s)
	}
	var held []*Stream
	for i := range byte(3) {
		s, err := open(i)
		if err != nil {
			t.Fatal(err)
		}
		for e := range End(Ends) {
			s.Expect(e, Remote{RTP: netip.AddrPortFrom(phoneAddr, 4000), Signalling: phoneAddr})
		}
		held = append(held, s)
	}
	refused := func() {
		t.Helper()
		if _, err := open(9); !errors.Is(err, ErrOwner) {
			t.Errorf("%v, want the cap", err)
		}
		openStream(t, r, fromOutside)
	}
	refused()
	held[0].Close()
	refused()
	now.advance(5 * time.Second)
	if _, err := open(9); err != nil {
		t.Error(err)
	}
	refused()
	held[1].Admit()
	if _, err := open(9); err != nil {
		t.Error(err)
	}
	refused()
}

func TestStreamLimit(t *testing.T) {
	r := newRelay(t, func(c *RelayConfig) { c.Streams = 2 })
	s := openStream(t, r, fromOutside)
	openStream(t, r, fromOutside)
	if _, err := r.Open(fromOutside); !errors.Is(err, ErrLimit) {
		t.Errorf("%v, want the limit", err)
	}
	s.Close()
	openStream(t, r, fromOutside)
}

// Ports that another process holds are passed over.
func TestForeignPorts(t *testing.T) {
	for port := uint16(31100); port < 31106; port += 2 {
		newPhoneAt(t, netip.AddrPortFrom(outsideAddr, port))
	}
	newPhoneAt(t, netip.AddrPortFrom(insideAddr, 31101)) // the RTCP port of the first pair
	r := newRelay(t, func(c *RelayConfig) { c.First, c.Last = 31100, 31107 })
	for range 8 { // by chance all four may be tried before the free one
		if s, err := r.Open(fromOutside); err == nil {
			if s.Port(Caller).Port() != 31106 {
				t.Errorf("got %v", s.Port(Caller))
			}
			s.Close()
			return
		}
	}
	t.Error("the one free port was never found")
}

// Ports come at random: a run of neighbours is next to impossible.
func TestPortsAreRandom(t *testing.T) {
	p := newPortPool(30001, 39999, 0)
	if len(p.unused) != 4999 {
		t.Errorf("%d pairs", len(p.unused))
	}
	neighbours, last := 0, uint16(0)
	seen := map[uint16]bool{}
	for range 500 {
		port, ok := p.take(0, time.Time{})
		if !ok || port%2 != 0 || port < 30002 || port > 39998 || seen[port] {
			t.Fatalf("got %d %v", port, ok)
		}
		if port == last+2 {
			neighbours++
		}
		seen[port], last = true, port
	}
	if neighbours > 10 {
		t.Errorf("%d of 500 came right after their neighbour", neighbours)
	}
}

// TestDescriptors: a stream takes as many descriptors as others reckon with, and gives all of them back.
func TestDescriptors(t *testing.T) {
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	r := newRelay(t, nil)
	before := count()
	var all []*Stream
	for range 50 {
		all = append(all, openStream(t, r, fromOutside))
	}
	if n := count() - before; n != 50*Descriptors {
		t.Errorf("50 streams take %d descriptors, want %d", n, 50*Descriptors)
	}
	closeAll(all)
	for end := time.Now().Add(patience); count() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, %d before", count(), before)
		}
	}
}

// TestRateOfCalls: an end outside that is no peer is held to the configured pace; the platform is not.
func TestRateOfCalls(t *testing.T) {
	l := &lines{to: &BuiltIn{}}
	l.to.Accept(Acceptance{Rate: 70})
	var s sdp.Session
	if err := s.Parse(newPhone(t, phoneAddr).sdp("sendrecv")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		side  edge.Side
		trust edge.Trust
		want  int
	}{{edge.Outside, edge.Unknown, 70}, {edge.Outside, edge.Known, 70}, {edge.Outside, edge.Peer, 0}, {edge.Inside, edge.Peer, 0}} {
		m := &described{parties: &[Ends]Party{{Flow: edge.Flow{Side: c.side}, Trust: c.trust}}}
		if got := l.remote(&s, &s.Media[0], m); got.Rate != c.want {
			t.Errorf("side %v, trust %v: %d packets a second, want %d", c.side, c.trust, got.Rate, c.want)
		}
	}
}
