package media

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// spray has strangers send RTP with the call's own SSRC, RTCP, DTLS and junk to every port of the call, n rounds of it, and checks when the test ends that
// nothing came back to them. It returns when the relay has seen it all.
func spray(t *testing.T, c *call, n int) {
	t.Helper()
	var all []*phone
	for range 4 {
		all = append(all, newPhone(t, stranger))
	}
	before := [Ends]uint64{seen(c.Stats(Caller)), seen(c.Stats(Callee))}
	for i := range n {
		a := all[i%len(all)]
		a.ssrc, a.seq = c.phone.ssrc, c.phone.seq
		for _, e := range []End{Caller, Callee} {
			a.talk(c.Port(e), "sprayed")
			a.send(next(c.Port(e)), []byte{0x80, 200, 0, 1, 0, 0, 0, 0})
			a.send(c.Port(e), []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
			a.send(c.Port(e), []byte("junk"))
		}
	}
	for _, e := range []End{Caller, Callee} {
		settled(t, c.Stream, e, before[e]+uint64(4*n))
	}
	t.Cleanup(func() {
		for _, a := range all {
			a.deaf()
		}
	})
}

// In strict mode a sprayer before, during and after latching gets nothing, and nothing of his is forwarded (F22, ES2025-01).
func TestSprayer(t *testing.T) {
	r := newRelay(t, nil)
	for _, behindNAT := range []bool{false, true} {
		t.Run(fmt.Sprint("NAT ", behindNAT), func(t *testing.T) {
			c := newCall(t, r, func(m *Remote) {
				if behindNAT {
					m.RTP, m.RTCP, m.Signalling = netip.MustParseAddrPort("192.168.1.5:4000"), netip.AddrPort{}, phoneAddr
				}
			})
			spray(t, c, 50)
			c.platform.talk(c.Port(Callee), "early")
			settled(t, c.Stream, Callee, 201)
			for range 3 {
				c.both(t)
				spray(t, c, 50)
			}
			if st := c.Stats(Caller); st.Packets != 3 || st.Sent != 3 || st.Moves != 0 || st.Refused[RefusedSource] != 4*150 || st.Refused[RefusedFormat] != 4*50 {
				t.Errorf("caller %+v", st)
			}
			if st := c.Stats(Callee); st.Packets != 4 || st.Sent != 3 {
				t.Errorf("callee %+v", st)
			}
		})
	}
}

// Before signalling has said anything nobody is accepted, and after the end nobody is heard.
func TestNothingBeforeAndAfter(t *testing.T) {
	r := newRelay(t, nil)
	s := openStream(t, r, fromOutside)
	p := newPhone(t, phoneAddr)
	p.talk(s.Port(Caller), "too early")
	if st := settled(t, s, Caller, 1); st.Refused[RefusedEarly] != 1 {
		t.Errorf("%+v", st)
	}
	c := newCall(t, r, nil)
	c.both(t)
	port := c.Port(Callee)
	c.Close()
	_, _ = c.platform.conn.WriteToUDPAddrPort(c.platform.packet("too late"), port)
	unbound(t, port)
	c.phone.deaf()
}

// latchings is who is accepted as the caller, by what signalling said: the phone's description names phoneAddr unless change says otherwise.
var latchings = []struct {
	name   string
	change func(*Remote)
	from   string
	after  int // packets until the first is forwarded; 0: never
}{
	{"description", nil, "127.0.41.1", 1},
	{"signalling", func(m *Remote) { m.Signalling = netip.MustParseAddr("127.0.42.1") }, "127.0.42.1", 1},
	{"neighbour, strict", nil, "127.0.41.2", 0},
	{"neighbour", func(m *Remote) { m.Latch = Prefix24 }, "127.0.41.2", 3},
	{"neighbour of signalling", func(m *Remote) { m.Latch, m.Signalling = Prefix24, netip.MustParseAddr("127.0.42.1") }, "127.0.42.2", 3},
	{"description, prefix24", func(m *Remote) { m.Latch = Prefix24 }, "127.0.41.1", 1},
	{"stranger, prefix24", func(m *Remote) { m.Latch = Prefix24 }, "127.0.44.1", 0},
	{"stranger, any", func(m *Remote) { m.Latch = Any }, "127.0.44.1", 3},
	{"description, any", func(m *Remote) { m.Latch = Any }, "127.0.41.1", 1},
	{"stranger, any, peer", func(m *Remote) { m.Latch, m.Trusted = Any, true }, "127.0.44.1", 0},
	{"no description", func(m *Remote) { m.RTP, m.RTCP, m.Signalling = netip.AddrPort{}, netip.AddrPort{}, netip.Addr{} }, "127.0.41.1", 0},
}

func TestLatch(t *testing.T) {
	r := newRelay(t, nil)
	for _, l := range latchings {
		t.Run(l.name, func(t *testing.T) {
			c := newCall(t, r, l.change)
			p := newPhone(t, netip.MustParseAddr(l.from))
			for i := 1; i <= 5; i++ {
				p.talk(c.Port(Caller), fmt.Sprint("packet ", i))
				st := settled(t, c.Stream, Caller, uint64(i))
				if accepted := l.after > 0 && i >= l.after; accepted != (st.Source == p.addr()) {
					t.Fatalf("after packet %d the source is %v", i, st.Source)
				}
				if l.after > 0 && i >= l.after {
					c.platform.hears(c.Port(Callee), fmt.Sprint("packet ", i))
				}
			}
			c.platform.deaf()
		})
	}
}

// Where strangers are accepted, one who changes his SSRC, or is interrupted by another, does not add up; and the address that signalling named goes first.
func TestStreak(t *testing.T) {
	c := newCall(t, newRelay(t, nil), func(m *Remote) { m.Latch = Any })
	a, b := newPhone(t, stranger), newPhone(t, stranger)
	for range 10 {
		a.ssrc++
		a.talk(c.Port(Caller), "ever new")
	}
	settled(t, c.Stream, Caller, 10)
	for i := range uint64(10) { // in turns
		a.talk(c.Port(Caller), "one")
		settled(t, c.Stream, Caller, 11+2*i)
		b.talk(c.Port(Caller), "other")
		settled(t, c.Stream, Caller, 12+2*i)
	}
	c.platform.deaf()
	c.both(t)
	for range 5 {
		b.talk(c.Port(Caller), "latecomer")
	}
	if st := settled(t, c.Stream, Caller, 36); st.Source != c.phone.addr() || st.Packets != 1 {
		t.Errorf("%+v", st)
	}
}

// A NAT may choose another port in the middle: the same source goes on from there. Nobody else may, from that address or another.
func TestNATChangesPort(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	c.both(t)
	other := newPhone(t, phoneAddr)
	other.ssrc = 99
	other.talk(c.Port(Caller), "another source")
	other.ssrc, other.seq = c.phone.ssrc, c.phone.seq+2000
	other.talk(c.Port(Caller), "far ahead")
	other.seq = c.phone.seq - 1
	other.talk(c.Port(Caller), "a copy")
	thief := newPhone(t, stranger)
	thief.ssrc, thief.seq = c.phone.ssrc, c.phone.seq
	thief.talk(c.Port(Caller), "right source, wrong address")
	if st := settled(t, c.Stream, Caller, 5); st.Refused[RefusedSource] != 4 {
		t.Fatalf("%+v", st)
	}
	moved := newPhone(t, phoneAddr)
	moved.ssrc, moved.seq = c.phone.ssrc, c.phone.seq
	moved.talk(c.Port(Caller), "moved")
	c.platform.hears(c.Port(Callee), "moved")
	c.platform.talk(c.Port(Callee), "after it")
	moved.hears(c.Port(Caller), "after it")
	c.phone.talk(c.Port(Caller), "the old port")
	if st := settled(t, c.Stream, Caller, 7); st.Packets != 2 || st.Moves != 1 {
		t.Errorf("%+v", st)
	}
	thief.deaf()
}

// A re-INVITE moves either end (F24): to another address, to another port of the same one; late packets from the old one do not bring it back.
func TestSignallingMoves(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	c.both(t)
	old := c.phone
	moved := newPhone(t, netip.MustParseAddr("127.0.42.7"))
	c.Expect(Caller, Remote{RTP: moved.addr(), Signalling: phoneAddr})
	old.talk(c.Port(Caller), "late") // its signalling still comes from there
	c.platform.hears(c.Port(Callee), "late")
	moved.talk(c.Port(Caller), "moved")
	c.platform.hears(c.Port(Callee), "moved")
	old.talk(c.Port(Caller), "too late")
	settled(t, c.Stream, Caller, 4)
	c.phone = moved
	c.both(t)

	gateway := newPhone(t, platformAddr)
	c.Expect(Callee, Remote{RTP: gateway.addr(), Signalling: platformAddr, Trusted: true})
	c.phone.talk(c.Port(Caller), "to the new one")
	gateway.hears(c.Port(Callee), "to the new one")
	gateway.talk(c.Port(Callee), "from the new one")
	c.phone.hears(c.Port(Caller), "from the new one")
	c.platform.talk(c.Port(Callee), "from the old one")
	settled(t, c.Stream, Callee, 4)
	c.phone.deaf()
	old.deaf()
}

// An address that a description takes back is out at once.
func TestTakenBack(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	c.both(t)
	c.Expect(Caller, Remote{RTP: netip.MustParseAddrPort("127.0.42.9:4000"), Signalling: netip.MustParseAddr("127.0.42.9")})
	c.phone.talk(c.Port(Caller), "still here?")
	c.platform.talk(c.Port(Callee), "still there?")
	settled(t, c.Stream, Callee, 2)
	if st := settled(t, c.Stream, Caller, 2); st.Packets != 1 || st.Source.IsValid() || st.Waited != 1 {
		t.Errorf("%+v", st)
	}
	c.phone.deaf()
}

// Hold by address stops what is sent, not what is accepted (RFC 3264 §8.4), and all goes on afterwards without a packet from the phone.
func TestHold(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	c.both(t)
	c.Expect(Caller, Remote{RTP: netip.MustParseAddrPort("0.0.0.0:4000"), Signalling: phoneAddr})
	c.platform.talk(c.Port(Callee), "music")
	settled(t, c.Stream, Callee, 2)
	c.phone.deaf()
	c.phone.talk(c.Port(Caller), "music of the phone")
	c.platform.hears(c.Port(Callee), "music of the phone")
	c.Expect(Caller, Remote{RTP: c.phone.addr(), Signalling: phoneAddr})
	c.platform.talk(c.Port(Callee), "welcome back")
	c.phone.hears(c.Port(Caller), "welcome back")
}

// Early media reaches a phone that has not said a word where its signalling address is proven and its description names it; else it waits.
func TestEarlyMedia(t *testing.T) {
	c := newCall(t, newRelay(t, nil), nil)
	c.platform.talk(c.Port(Callee), "ringing")
	if settled(t, c.Stream, Callee, 1); c.Stats(Caller).Waited != 1 {
		t.Errorf("%+v", c.Stats(Caller))
	}
	c.phone.deaf()
	c.Prove(Caller)
	c.Prove(Caller)
	c.platform.talk(c.Port(Callee), "ringing again")
	c.phone.hears(c.Port(Caller), "ringing again")

	elsewhere := newCall(t, c.relay, func(m *Remote) { m.Signalling, m.Proven = netip.MustParseAddr("127.0.42.1"), true })
	elsewhere.platform.talk(elsewhere.Port(Callee), "to a victim?")
	settled(t, elsewhere.Stream, Callee, 1)
	elsewhere.phone.deaf()
}

// Two relays that both latch, back to back, do not wait for each other for ever: each is proven to the other by signalling.
func TestBackToBack(t *testing.T) {
	near := newRelay(t, nil)
	far := newRelay(t, func(c *RelayConfig) {
		c.Outside, c.Inside = []netip.Addr{netip.MustParseAddr("127.0.45.1")}, []netip.Addr{netip.MustParseAddr("127.0.45.2")}
	})
	a, b := newPhone(t, platformAddr), newPhone(t, platformAddr)
	out := openStream(t, near, Spec{Ends: [Ends]Place{{Side: edge.Inside}, {Side: edge.Outside}}})
	in := openStream(t, far, fromOutside)
	out.Expect(Caller, Remote{RTP: a.addr(), Trusted: true})
	in.Expect(Caller, Remote{RTP: out.Port(Callee), Signalling: outsideAddr})
	in.Expect(Callee, Remote{RTP: b.addr(), Trusted: true})
	// The answer proves the far relay's signalling address: it echoes our branch.
	out.Expect(Callee, Remote{RTP: in.Port(Caller), Signalling: in.Port(Caller).Addr(), Proven: true})
	a.talk(out.Port(Caller), "hello")
	b.hears(in.Port(Callee), "hello")
	b.talk(in.Port(Callee), "hello yourself")
	a.hears(out.Port(Caller), "hello yourself")
}

// Phone to phone through the platform without a media server there is two streams whose inside ends are each other's.
func TestInsideToInside(t *testing.T) {
	r := newRelay(t, nil)
	a, b := newPhone(t, phoneAddr), newPhone(t, stranger)
	first := openStream(t, r, fromOutside)
	second := openStream(t, r, Spec{Ends: [Ends]Place{{Side: edge.Inside}, {Side: edge.Outside}}})
	first.Expect(Caller, Remote{RTP: a.addr(), Signalling: phoneAddr})
	second.Expect(Caller, Remote{RTP: first.Port(Callee), Trusted: true})
	second.Expect(Callee, Remote{RTP: b.addr(), Signalling: stranger})
	first.Expect(Callee, Remote{RTP: second.Port(Caller), Trusted: true})
	b.talk(second.Port(Callee), "hello?") // both phones latch
	settled(t, first, Callee, 1)
	a.talk(first.Port(Caller), "hello")
	b.hears(second.Port(Callee), "hello")
	b.talk(second.Port(Callee), "hello yourself")
	a.hears(first.Port(Caller), "hello yourself")
}

// A phone on the relay's own machine may have a port of the relay's range.
func TestSameMachine(t *testing.T) {
	r := newRelay(t, nil)
	for port := r.cfg.First; ; port++ {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(outsideAddr, port)))
		if err != nil {
			continue // somebody's
		}
		defer conn.Close()
		at := netip.AddrPortFrom(outsideAddr, port)
		c := newCall(t, r, func(m *Remote) { m.RTP, m.Signalling, m.Proven = at, outsideAddr, true })
		if st := c.Stats(Caller); st.Sending != at {
			t.Errorf("sending to %v, want %v", st.Sending, at)
		}
		return
	}
}

// What a description names is never sent to where it cannot be right, even if proven or a peer's (F21).
func TestUnreachable(t *testing.T) {
	forbidden := netip.MustParseAddr("127.0.46.1")
	r := newRelay(t, func(c *RelayConfig) {
		c.Guard = func(a netip.AddrPort) error {
			if a.Addr() == forbidden {
				return errors.New("inside")
			}
			return nil
		}
	})
	own := newCall(t, r, nil)
	for _, a := range []netip.AddrPort{{}, netip.AddrPortFrom(forbidden, 4000), netip.MustParseAddrPort("0.0.0.0:4000"), netip.MustParseAddrPort("224.0.0.1:4000"),
		netip.MustParseAddrPort("[::1]:4000"), netip.AddrPortFrom(phoneAddr, 0), own.Port(Caller), own.Port(Callee), next(own.Port(Caller))} {
		for _, trusted := range []bool{false, true} {
			c := newCall(t, r, func(m *Remote) {
				m.RTP, m.RTCP, m.Proven, m.Trusted = a, a, true, trusted
				if a.Addr() != forbidden {
					m.Signalling = a.Addr()
				}
			})
			if st := c.Stats(Caller); st.Sending.IsValid() {
				t.Errorf("%v, trusted %v: sending to %v", a, trusted, st.Sending)
			}
		}
	}
	// The far end itself may be there: its signalling comes from there.
	c := newCall(t, r, func(m *Remote) { m.RTP, m.Signalling, m.Proven = netip.AddrPortFrom(forbidden, 4000), forbidden, true })
	if st := c.Stats(Caller); st.Sending.Addr() != forbidden {
		t.Errorf("sending to %v", st.Sending)
	}
	// A packet that pretends to come from there does not help.
	for _, latch := range []Latch{Strict, Prefix24, Any} {
		victim := newPhone(t, forbidden)
		c := newCall(t, r, func(m *Remote) { m.RTP, m.RTCP, m.Latch = victim.addr(), victim.addr(), latch })
		for range 5 {
			victim.talk(c.Port(Caller), "forged")
		}
		if st := settled(t, c.Stream, Caller, 5); st.Refused[RefusedSource] != 5 || st.Sending.IsValid() {
			t.Errorf("%v: %+v", latch, st)
		}
	}
}
