package proxy

import (
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// newPool is a bench with two servers: b.platform, which is asked first, and a second one.
func newPool(t *testing.T) (b *bench, second *net.UDPConn) {
	second = socket(t)
	b = newBench(t, func(c *Config) {
		c.Upstreams[0].Priority = 1
		c.Upstreams = append(c.Upstreams, Upstream{Addr: addrOf(second), Priority: 2})
	})
	return b, second
}

func (b *bench) flowOf(c *net.UDPConn) edge.Flow {
	f := b.inside
	f.Remote = addrOf(c)
	return f
}

// answerTwo completes a call that moved on to the second server, and checks that its BYE goes there.
func answerTwo(t *testing.T, b *bench, second *net.UDPConn, first string) {
	t.Helper()
	invite := b.expect(second, "INVITE")
	if field(t, invite, "Via") == field(t, first, "Via") {
		t.Error("the second server got the first one's branch")
	}
	if field(t, invite, "Record-Route") == field(t, first, "Record-Route") {
		t.Error("the second server got the first one's token")
	}
	b.send(b.flowOf(second), replyTo(invite, "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200 OK")
	bye := "BYE " + calleeURI + " SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bK2;rport\r\nRoute: " +
		field(t, ok, "Record-Route") + "\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:echo@example.com>;tag=b\r\nCall-ID: c1\r\n" +
		"CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"
	b.send(b.outside, []byte(bye))
	b.expect(second, "BYE")
	b.send(b.inside, replyTo(first, "180 Ringing")) // too late: nobody hears of it
	b.silence(b.caller)
}

func TestFailoverAfterICMP(t *testing.T) {
	b, second := newPool(t)
	b.send(b.outside, newRequest("INVITE", 1))
	first := b.expect(b.platform, "INVITE")
	b.l.Undelivered([]byte(first), b.inside, net.ErrClosed, b.now)
	b.l.out.Flush()
	answerTwo(t, b, second, first)
	b.send(b.outside, newRequest("INVITE", 3)) // the first is known to be down
	b.expect(second, "INVITE")
}

func TestFailoverAfter503(t *testing.T) {
	b, second := newPool(t)
	b.send(b.outside, newRequest("INVITE", 1))
	first := b.expect(b.platform, "INVITE")
	b.send(b.inside, replyTo(first, "503 Busy"))
	b.expect(b.platform, "ACK")
	b.silence(b.caller)
	answerTwo(t, b, second, first)
}

func TestFailoverFromSilence(t *testing.T) {
	b, second := newPool(t)
	b.send(b.outside, newRequest("INVITE", 1))
	first := b.expect(b.platform, "INVITE")
	b.now = b.now.Add(1100 * time.Millisecond)
	b.l.timers(b.now)
	b.expect(b.caller, "SIP/2.0 100")
	answerTwo(t, b, second, first)
}

// TestFailoverInAReload: which servers have had an INVITE is known whoever comes or goes meanwhile.
func TestFailoverInAReload(t *testing.T) {
	third := socket(t)
	for name, change := range map[string]func(a, b, c Upstream) []Upstream{
		"the first goes":         func(a, b, c Upstream) []Upstream { return []Upstream{b} },
		"another comes before":   func(a, b, c Upstream) []Upstream { return []Upstream{c, a, b} },
		"the first is exchanged": func(a, b, c Upstream) []Upstream { return []Upstream{b, c} },
	} {
		t.Run(name, func(t *testing.T) {
			b, second := newPool(t)
			b.send(b.outside, newRequest("INVITE", 1))
			first := b.expect(b.platform, "INVITE")
			cfg := b.p.cfg.Load().Config
			cfg.Upstreams = change(cfg.Upstreams[0], cfg.Upstreams[1], Upstream{Addr: addrOf(third), Priority: 3})
			if err := b.p.Apply(cfg); err != nil {
				t.Fatal(err)
			}
			b.now = b.now.Add(1100 * time.Millisecond)
			b.l.timers(b.now)
			b.expect(b.caller, "SIP/2.0 100")
			answerTwo(t, b, second, first)
		})
	}
}

// TestPlacesStay: a server that comes or goes changes the choice for those calls only that it wins, and no two have one place.
func TestPlacesStay(t *testing.T) {
	var all []Upstream
	for i := range maxTried {
		all = append(all, Upstream{Addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(5060+i)), Weight: 1})
	}
	seed := maphash.MakeSeed()
	old := makePool(all[:4], edge.Inside, "", pool{})
	fewer := makePool(all[1:4], edge.Inside, "", old)
	for i := range 1000 {
		key := fmt.Append(nil, i)
		was := old.servers[old.choose(seed, key, 0)]
		if is := fewer.servers[fewer.choose(seed, key, 0)]; was.Addr != all[0].Addr && is != was {
			t.Fatalf("call %d goes to %v, not %v", i, is, was)
		}
	}
	full := makePool(all, edge.Inside, "", fewer)
	var places uint32
	for _, s := range full.servers {
		places |= 1 << s.place
	}
	if places != 1<<maxTried-1 {
		t.Errorf("places %b", places)
	}
}

// TestStrangersTakeNoServerAway: INVITEs that a server leaves unanswered move on, but what counts is whether it answers OPTIONS.
func TestStrangersTakeNoServerAway(t *testing.T) {
	b, second := newPool(t)
	calls := 0
	live := func(c *net.UDPConn) { // answers OPTIONS, and nothing else
		for msg := b.got(c); msg != ""; msg = b.got(c) {
			if strings.HasPrefix(msg, "OPTIONS") {
				b.send(b.flowOf(c), replyTo(msg, "200 OK"))
			} else if c == second {
				calls++
			}
		}
	}
	for n := range 5 {
		b.send(b.outside, newRequest("INVITE", n))
		b.now = b.now.Add(1100 * time.Millisecond)
		b.l.timers(b.now)
		b.l.everySecond(b.now)
		live(b.platform)
		live(second)
		if s := b.p.cfg.Load().servers[0]; s.down.Load() {
			t.Fatalf("down after %d unanswered INVITEs", n+1)
		}
	}
	if calls < 5 {
		t.Errorf("%d of 5 calls moved on", calls)
	}
}

// TestNoFailover: what a server answered stands, 6xx above all; silence moves no other method (RFC 4320); a cancelled call stays.
func TestNoFailover(t *testing.T) {
	b, second := newPool(t)
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "603 Decline"))
	b.expect(b.caller, "SIP/2.0 603")
	b.send(b.outside, newRequest("MESSAGE", 2))
	b.expect(b.platform, "ACK")
	b.expect(b.platform, "MESSAGE")
	b.send(b.outside, newRequest("INVITE", 3))
	b.send(b.outside, newRequest("CANCEL", 3))
	b.now = b.now.Add(1100 * time.Millisecond)
	b.l.timers(b.now)
	b.silence(second)
}

// TestAllOverloaded: with nobody left the last 503 stands.
func TestAllOverloaded(t *testing.T) {
	b, second := newPool(t)
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "503 Busy\r\nRetry-After: 7"))
	b.send(b.flowOf(second), replyTo(b.expect(second, "INVITE"), "503 Busy\r\nRetry-After: 9"))
	if msg := b.expect(b.caller, "SIP/2.0 503"); field(t, msg, "Retry-After") != "9" {
		t.Error(msg)
	}
}

// TestPings: a server that answers no OPTIONS goes down after two, and comes back after two answers, not before 30 s.
func TestPings(t *testing.T) {
	b, second := newPool(t)
	s := b.p.cfg.Load().servers[0]
	step := func(answer bool) {
		for range 5 {
			b.now = b.now.Add(time.Second)
			b.l.everySecond(b.now)
			for _, c := range []*net.UDPConn{b.platform, second} {
				if msg := b.got(c); msg != "" && (answer || c == second) {
					b.send(b.flowOf(c), replyTo(msg, "405 Method Not Allowed"))
				}
			}
		}
	}
	step(true)
	if s.down.Load() || !strings.HasSuffix(b.p.Status().Upstream, " up") {
		t.Fatalf("after an answer: %s", b.p.Status().Upstream)
	}
	step(false)
	if s.down.Load() {
		t.Error("down after one failure")
	}
	step(false)
	if !s.down.Load() {
		t.Fatal("not down after two failures")
	}
	down := b.now
	for s.down.Load() && b.now.Sub(down) < time.Minute {
		step(true)
	}
	if away := b.now.Sub(down); s.down.Load() || away < steady-10*time.Second {
		t.Errorf("came back after %v", away)
	}
	b.silence(b.caller)
}

func TestChooseByWeight(t *testing.T) {
	cfg := Config{}
	for i, u := range []Upstream{{Weight: 3, Priority: 1}, {Weight: 1, Priority: 1}, {Weight: 9, Priority: 2}} {
		u.Addr = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(5060+i))
		cfg.Upstreams = append(cfg.Upstreams, u)
	}
	s, seed := newSettings(cfg, nil, nil), maphash.MakeSeed()
	var got [3]int
	const n = 8000
	for i := range n {
		key := fmt.Append(nil, i)
		first := s.choose(seed, key, 0)
		got[first]++
		if s.choose(seed, key, 0) != first {
			t.Fatal("not the same for the same Call-ID")
		}
		if second := s.choose(seed, key, 1<<first); second != 1-first {
			t.Fatalf("after %d comes %d", first, second)
		}
		if s.choose(seed, key, 3) != 2 || s.choose(seed, key, 7) != -1 {
			t.Fatal("the last is not the one of the next priority")
		}
	}
	if got[2] != 0 || got[0] < n*70/100 || got[0] > n*80/100 {
		t.Errorf("3:1 became %v", got)
	}
	s.servers[0].down.Store(true)
	s.servers[1].down.Store(true)
	if s.choose(seed, nil, 0) != 2 {
		t.Error("a server that is down is asked before one that is up")
	}
}

// TestHealthStays: another weight or priority keeps what is known of a server; another address is another server.
func TestHealthStays(t *testing.T) {
	one := Upstream{URI: "sip:pbx.example", Addr: netip.MustParseAddrPort("127.0.0.1:1"), Weight: 1}
	old := makePool([]Upstream{one}, edge.Inside, "", pool{})
	old.servers[0].down.Store(true)
	other := one
	other.Weight, other.Priority = 5, 7
	moved := one
	moved.Addr = netip.MustParseAddrPort("127.0.0.2:1")
	next := makePool([]Upstream{moved, other}, edge.Inside, "", old)
	if s := next.servers[1]; !s.down.Load() || s.Weight != 5 || s.String() != "sip:pbx.example (127.0.0.1:1)" {
		t.Errorf("the same server: down %v, weight %d, %s", s.down.Load(), s.Weight, s)
	}
	if next.servers[0].down.Load() {
		t.Error("another server is down, too")
	}
}

// TestPlacesOfANameStay: a look-up that finds a server gone and another come leaves the places of the rest, which INVITEs under way have noted as tried, and
// gives one that failed another chance.
func TestPlacesOfANameStay(t *testing.T) {
	a, b, c := Upstream{Addr: netip.MustParseAddrPort("127.0.0.1:1")}, Upstream{Addr: netip.MustParseAddrPort("127.0.0.2:1")}, Upstream{Addr: netip.MustParseAddrPort("127.0.0.3:1")}
	old := makePool([]Upstream{a, b}, edge.Outside, "", pool{})
	old.servers[1].down.Store(true)
	next := makePool([]Upstream{c, b}, edge.Outside, "", old.renewed())
	if came, stayed := next.servers[0], next.servers[1]; stayed.place != 1 || came.place != 0 || stayed.down.Load() || !old.servers[1].down.Load() {
		t.Errorf("places %d and %d, down %v; before: down %v", came.place, stayed.place, stayed.down.Load(), old.servers[1].down.Load())
	}
}

// TestSuspectedOften: a server that answers nothing, and is suspected all the time, is found out all the same.
func TestSuspectedOften(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := server{health: &health{}}
	late := 0
	for range 100 { // 10 s
		now = now.Add(100 * time.Millisecond)
		s.suspect(now)
		if s.ping(now) == pingLate {
			late++
		}
	}
	if late < downAfter {
		t.Errorf("%d of its OPTIONS were given up in 10 s, want %d", late, downAfter)
	}
}

// TestNamedInContact: a Contact in the usual form names a server, any other form is read in full.
func TestNamedInContact(t *testing.T) {
	s := server{Upstream: Upstream{Addr: netip.MustParseAddrPort("10.0.0.10:5060")}, text: []byte("10.0.0.10:5060")}
	for contact, want := range map[string]bool{
		"<sip:bob@10.0.0.10:5060>": true, "<sip:10.0.0.10:5060>": true, "<sip:bob@10.0.0.10:5060>;q=1": true, "<sip:a:b@10.0.0.10:5060>, <sip:bob@10.0.0.11:5060>": true,
		"": false, "*": false, "<sip:bob@10.0.0.10:5060": false, "<sip:bob@110.0.0.10:5060>": false, "<sip:x10.0.0.10:5060>": false, "<sip:x@y@10.0.0.10:5060>": false, "<sip:bob@10.0.0.10:50600>": false,
		"<sip:bob@10.0.0.10:5060;transport=tcp>": false, "<sips:bob@10.0.0.10:5060>": false, "<sip:bob@10.0.0.11:5060>, <sip:bob@10.0.0.10:5060>": false,
		"\"<sip:bob@10.0.0.10:5060>\" <sip:bob@10.0.0.11:5060>": false, "sip:bob@10.0.0.10:5060": false,
	} {
		if s.named([]byte(contact)) != want {
			t.Errorf("%q: %t", contact, !want)
		}
	}
	if s.Transport = edge.TCP; s.named([]byte("<sip:bob@10.0.0.10:5060>")) {
		t.Error("TCP is not the usual form")
	}
}
