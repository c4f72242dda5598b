package media

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Addresses of tests, all on loopback.
var (
	outsideAddr  = netip.MustParseAddr("127.0.40.1") // the relay's
	insideAddr   = netip.MustParseAddr("127.0.40.2")
	phoneAddr    = netip.MustParseAddr("127.0.41.1")
	platformAddr = netip.MustParseAddr("127.0.43.1")
	stranger     = netip.MustParseAddr("127.0.44.1")
)

// patience is how long a test waits for what must come.
const patience = 5 * time.Second

// A clock is a relay's time, which tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newRelay starts a relay on loopback that ends with the test; change may alter its configuration.
func newRelay(t testing.TB, change func(*RelayConfig)) *Relay {
	t.Helper()
	cfg := RelayConfig{Outside: []netip.Addr{outsideAddr}, Inside: []netip.Addr{insideAddr}}
	if change != nil {
		change(&cfg)
	}
	r, err := NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// fromOutside is a call that comes from outside.
var fromOutside = Spec{Ends: [Ends]Place{{Side: edge.Outside}, {Side: edge.Inside}}}

func openStream(t testing.TB, r *Relay, spec Spec) *Stream {
	t.Helper()
	s, err := r.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A phone is a UDP socket of a test.
type phone struct {
	t    testing.TB
	conn *net.UDPConn
	ssrc uint32
	seq  uint16
}

func newPhone(t testing.TB, addr netip.Addr) *phone {
	return newPhoneAt(t, netip.AddrPortFrom(addr, 0))
}

func newPhoneAt(t testing.TB, at netip.AddrPort) *phone {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &phone{t: t, conn: conn, ssrc: rand.Uint32()}
}

func (p *phone) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// packet is p's next RTP packet.
func (p *phone) packet(payload string) []byte {
	p.seq++
	b := []byte{0x80, 0, byte(p.seq >> 8), byte(p.seq), 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], uint32(p.seq)*160)
	binary.BigEndian.PutUint32(b[8:], p.ssrc)
	return append(b, payload...)
}

func (p *phone) send(to netip.AddrPort, b []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(b, to); err != nil {
		p.t.Fatal(err)
	}
}

// talk sends an RTP packet.
func (p *phone) talk(to netip.AddrPort, payload string) { p.t.Helper(); p.send(to, p.packet(payload)) }

// read returns the next packet, and where it came from.
func (p *phone) read() ([]byte, netip.AddrPort) {
	p.t.Helper()
	b := make([]byte, 64<<10)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		p.t.Fatalf("nothing came to %v: %v", p.addr(), err)
	}
	return b[:n], from
}

// hears reads an RTP packet and checks where it came from and what it carries.
func (p *phone) hears(from netip.AddrPort, payload string) {
	p.t.Helper()
	b, got := p.read()
	if got != from || len(b) < rtpHeader || string(b[rtpHeader:]) != payload {
		p.t.Fatalf("%v got %q from %v, want %q from %v", p.addr(), b, got, payload, from)
	}
}

// deaf checks that nothing is there; whatever was to come has had its time.
func (p *phone) deaf() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	b := make([]byte, 2048)
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err == nil || !os.IsTimeout(err) {
		p.t.Fatalf("%v got %q from %v (%v), want nothing", p.addr(), b[:n], from, err)
	}
}

// settled waits until the relay has looked at n packets from e, accepted or refused, so that what must not come has had its chance.
func settled(t testing.TB, s *Stream, e End, n uint64) Stats {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		st := s.Stats(e)
		if seen(st) >= n {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("the relay saw %d packets from %d, want %d", seen(st), e, n)
		}
	}
}

// seen is how many packets st tells of.
func seen(st Stats) uint64 {
	n := st.Packets + st.RTCP
	for _, r := range st.Refused {
		n += r
	}
	return n
}

// A call is a stream between a phone outside and the platform inside, both expected.
type call struct {
	*Stream
	phone, platform *phone
}

// newCall opens a stream; the phone's description names its own address, and its signalling comes from there. change may alter that.
func newCall(t testing.TB, r *Relay, change func(*Remote)) *call {
	t.Helper()
	c := &call{Stream: openStream(t, r, fromOutside), phone: newPhone(t, phoneAddr), platform: newPhone(t, platformAddr)}
	remote := Remote{RTP: c.phone.addr(), RTCP: next(c.phone.addr()), Signalling: phoneAddr}
	if change != nil {
		change(&remote)
	}
	c.Expect(Caller, remote)
	c.Expect(Callee, Remote{RTP: c.platform.addr(), RTCP: next(c.platform.addr()), Signalling: platformAddr, Trusted: true})
	return c
}

func next(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), a.Port()+1) }

// both checks that media flows both ways; the phone speaks first.
func (c *call) both(t testing.TB) {
	t.Helper()
	c.phone.talk(c.Port(Caller), "from the phone")
	c.platform.hears(c.Port(Callee), "from the phone")
	c.platform.talk(c.Port(Callee), "from the platform")
	c.phone.hears(c.Port(Caller), "from the platform")
}
