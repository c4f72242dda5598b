package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// carrier is the peer of newTrunk: two targets, the first of which is asked first.
const carrier = "trunk.example.net"

// newTrunk is a bench with a peer over UDP of that name, at two sockets; its requests come from 127.0.0.1.
func newTrunk(t testing.TB, change func(*Peer)) (b *bench, first, second *net.UDPConn) {
	first, second = socket(t), socket(t)
	b = newBench(t, func(c *Config) {
		p := Peer{Name: "carrier", Host: carrier, Port: 5060, Match: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24")},
			Targets: []Upstream{{Addr: addrOf(first), Priority: 1}, {Addr: addrOf(second), Priority: 2}}}
		if change != nil {
			change(&p)
		}
		c.Peers = []Peer{p}
		c.Unknown = MethodSet(sip.REGISTER)
	})
	return b, first, second
}

// to is a request from inside to host.
func (b *bench) to(host, method string, n int) string {
	msg := strings.Replace(string(newRequest(method, n)), "sip:echo@example.com SIP/2.0", "sip:5551234@"+host+" SIP/2.0", 1)
	return strings.ReplaceAll(msg, "192.168.1.9:5060", b.inside.Remote.String())
}

func (b *bench) at(c *net.UDPConn) edge.Flow {
	f := b.outside
	f.Remote = addrOf(c)
	return f
}

func TestPeerIsTrustedOnItsOwnTransport(t *testing.T) {
	b, _, _ := newTrunk(t, nil)
	b.send(b.outside, newRequest("MESSAGE", 1))
	b.expect(b.platform, "MESSAGE")
	for name, change := range map[string]func(*edge.Flow){
		"tcp":           func(f *edge.Flow) { f.Transport = edge.TCP },
		"tls":           func(f *edge.Flow) { f.Transport = edge.TLS },
		"ws":            func(f *edge.Flow) { f.Transport = edge.WS },
		"other address": func(f *edge.Flow) { f.Remote = netip.MustParseAddrPort("127.0.1.1:5060") },
	} {
		from := b.outside
		change(&from)
		b.send(from, newRequest("MESSAGE", 2))
		if msg := b.got(b.platform); msg != "" {
			t.Errorf("%s: relayed %q", name, msg)
		}
	}
	bad := strings.Replace(string(newRequest("INVITE", 3)), "Max-Forwards: 70", "Max-Forwards: 0", 1)
	b.send(b.outside, []byte(bad)) // a peer is proven
	b.expect(b.caller, "SIP/2.0 483")
	b.send(b.outside, []byte(strings.Replace(string(newRequest("INVITE", 4)), "Max-Forwards: 70", "Max-Forwards: x", 1)))
	b.expect(b.caller, "SIP/2.0 400")
}

func TestWaysToPeer(t *testing.T) {
	b, first, second := newTrunk(t, nil)
	for i, host := range []string{carrier, "TRUNK.example.NET", carrier + ":5060", addrOf(first).String(), addrOf(second).String()} {
		b.send(b.inside, []byte(b.to(host, "INVITE", i)))
		if got := b.expect(first, "INVITE sip:5551234@"+host+" SIP/2.0"); !strings.Contains(got, "\r\nVia: SIP/2.0/UDP "+b.p.faces[0].host+";") {
			t.Errorf("%s", got)
		}
	}
	routed := strings.Replace(b.to("192.0.2.77", "INVITE", 10), "\r\nFrom:", "\r\nRoute: <sip:"+carrier+";lr>\r\nFrom:", 1)
	b.send(b.inside, []byte(routed))
	if got := b.expect(first, "INVITE sip:5551234@192.0.2.77"); !strings.Contains(got, "\r\nRoute: <sip:"+carrier+";lr>") {
		t.Errorf("the peer's Route is lost: %s", got)
	}
	for i, host := range []string{carrier + ":5080", "other.example.net", "sub." + carrier} {
		b.send(b.inside, []byte(b.to(host, "INVITE", 20+i)))
		b.expect(b.platform, "SIP/2.0 404")
	}
	b.silence(second)
}

// TestPeerWithoutAddress: its name has none.
func TestPeerWithoutAddress(t *testing.T) {
	b, _, _ := newTrunk(t, func(p *Peer) { p.Targets = nil })
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 1)))
	b.expect(b.platform, "SIP/2.0 503")
	if s := b.p.Status().Peers; len(s) != 1 || s[0].State != "no address" || s[0].Up {
		t.Errorf("%+v", s)
	}
}

// TestPeerOfHost: of several peers with one host the one with the smallest priority that is up.
func TestPeerOfHost(t *testing.T) {
	first, second := socket(t), socket(t)
	b := newBench(t, func(c *Config) {
		for i, s := range []*net.UDPConn{first, second} {
			c.Peers = append(c.Peers, Peer{Name: fmt.Sprint("p", i), Host: carrier, Port: 5060, Priority: i + 1, Targets: []Upstream{{Addr: addrOf(s)}}})
		}
	})
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 1)))
	sent := b.expect(first, "INVITE")
	b.l.Undelivered([]byte(sent), b.at(first), net.ErrClosed, b.now)
	b.l.out.Flush()
	b.expect(b.platform, "SIP/2.0 503")
	if s := b.p.Status().Peers[0]; !strings.HasPrefix(s.State, "down since") || s.Up {
		t.Errorf("%+v", s)
	}
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 2)))
	b.expect(second, "INVITE")
}

// TestPeerFailover: a call to a peer moves on as one to the platform does, and its dialog stays where it went.
func TestPeerFailover(t *testing.T) {
	for name, fail := range map[string]func(b *bench, first *net.UDPConn, invite string){
		"icmp": func(b *bench, first *net.UDPConn, invite string) {
			b.l.Undelivered([]byte(invite), b.at(first), net.ErrClosed, b.now)
			b.l.out.Flush()
		},
		"503": func(b *bench, first *net.UDPConn, invite string) {
			b.send(b.at(first), replyTo(invite, "503 Busy"))
			b.expect(first, "ACK")
		},
		"silence": func(b *bench, _ *net.UDPConn, _ string) {
			b.now = b.now.Add(1100 * time.Millisecond)
			b.l.timers(b.now)
			b.expect(b.platform, "SIP/2.0 100")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, first, second := newTrunk(t, nil)
			b.send(b.inside, []byte(b.to(carrier, "INVITE", 1)))
			invite := b.expect(first, "INVITE")
			fail(b, first, invite)
			again := b.expect(second, "INVITE")
			b.send(b.at(second), replyTo(again, "200 OK"))
			ok := b.expect(b.platform, "SIP/2.0 200")
			b.dialog("BYE", field(t, ok, "Record-Route"), "a1", "b", "sip:gw@192.0.2.50", b.inside)
			b.expect(second, "BYE sip:gw@192.0.2.50")
			b.dialog("INFO", field(t, again, "Record-Route"), "b", "a1", "sip:"+b.inside.Remote.String(), b.at(second))
			b.expect(b.platform, "INFO")
		})
	}
}

// dialog sends a request within the dialog of call 1.
func (b *bench) dialog(method, route, from, to, target string, by edge.Flow) {
	b.send(by, fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKd%s%s;rport\r\nRoute: %s\r\n"+
		"From: <sip:a@example.com>;tag=%s\r\nTo: <sip:b@example.com>;tag=%s\r\nCall-ID: c1\r\nCSeq: 2 %s\r\nContent-Length: 0\r\n\r\n",
		method, target, method, from, route, from, to, method))
}

// TestDialogFollowsPeer: within a dialog the peer's own addresses are followed, and nobody else's.
func TestDialogFollowsPeer(t *testing.T) {
	b, first, second := newTrunk(t, nil)
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 1)))
	b.send(b.at(first), replyTo(b.expect(first, "INVITE"), "200 OK"))
	route := field(t, b.expect(b.platform, "SIP/2.0 200"), "Record-Route")
	b.dialog("INFO", route, "a1", "b", "sip:gw@"+addrOf(second).String(), b.inside)
	b.expect(second, "INFO")
	b.dialog("UPDATE", route, "a1", "b", "sip:gw@192.0.2.99", b.inside)
	b.expect(first, "UPDATE")
	b.dialog("BYE", route+", <sip:"+addrOf(second).String()+";lr>", "a1", "b", "sip:gw@192.0.2.99", b.inside)
	b.expect(second, "BYE")
}

// TestPeersArePinged: a peer with several targets is asked with OPTIONS, as the platform is.
func TestPeersArePinged(t *testing.T) {
	b, first, second := newTrunk(t, nil)
	b.now = b.now.Add(time.Second)
	b.l.everySecond(b.now)
	b.send(b.at(first), replyTo(b.expect(first, "OPTIONS"), "200 OK"))
	forged := b.at(second)
	forged.Remote = netip.MustParseAddrPort("127.0.0.9:5060")
	b.send(forged, replyTo(b.expect(second, "OPTIONS"), "200 OK"))
	if s := b.p.Status().Peers[0].State; !strings.Contains(s, addrOf(first).String()+" up") || !strings.Contains(s, addrOf(second).String()+" not heard") {
		t.Error(s)
	}
	b.silence(b.platform)
}

// TestOrigin: an address has the origin of every prefix that contains it, and of no other.
func TestOrigin(t *testing.T) {
	var list []netip.Addr
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.3.1", "193.0.2.1", "0.0.0.0", "255.255.255.255",
		"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db9::1", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		list = append(list, netip.MustParseAddr(a))
	}
	for _, a := range list {
		for bits := range a.BitLen() + 1 {
			p, _ := a.Prefix(bits)
			o := newOrigin(p.Addr(), bits, edge.TLS)
			for _, b := range list {
				if b.Is4() == a.Is4() && (newOrigin(b, bits, edge.TLS) == o) != p.Contains(b) {
					t.Fatalf("%v in %v: %v", b, p, p.Contains(b))
				}
			}
		}
	}
}

func TestDirectory(t *testing.T) {
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, p := range list {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	s := newSettings(Config{Peers: []Peer{
		{Name: "wide", Match: prefixes("192.0.2.0/24", "2001:db8::/32"), Transport: edge.UDP},
		{Name: "one", Match: prefixes("192.0.2.7/32"), Transport: edge.UDP},
		{Name: "tls", Match: prefixes("192.0.2.0/24"), Transport: edge.TLS},
		{Name: "large", Match: prefixes("198.51.100.0/24"), Targets: []Upstream{{Addr: netip.MustParseAddrPort("203.0.113.1:5060"), Large: true}}},
	}}, nil, nil)
	for _, c := range []struct {
		from string
		by   edge.Transport
		want string
	}{
		{"192.0.2.1:1", edge.UDP, "wide"}, {"192.0.2.7:1", edge.UDP, "one"}, {"192.0.2.7:1", edge.TLS, "tls"}, {"192.0.2.7:1", edge.TCP, ""},
		{"192.0.2.7:1", edge.WSS, ""}, {"192.0.3.7:1", edge.UDP, ""}, {"[2001:db8:ffff::1]:1", edge.UDP, "wide"}, {"[2001:db9::1]:1", edge.UDP, ""},
		{"198.51.100.9:1", edge.UDP, "large"}, {"198.51.100.9:1", edge.TCP, "large"}, {"198.51.100.9:1", edge.TLS, ""}, {"203.0.113.1:5060", edge.UDP, ""},
	} {
		p, name := s.peerFrom(edge.Flow{Remote: netip.MustParseAddrPort(c.from), Transport: c.by}), ""
		if p != nil {
			name = p.Name
		}
		if name != c.want {
			t.Errorf("%s over %v is %q, want %q", c.from, c.by, name, c.want)
		}
	}
	if p := s.peerAt(edge.Flow{Remote: netip.MustParseAddrPort("203.0.113.1:5060"), Transport: edge.TCP}); p == nil || p.Name != "large" {
		t.Error("a target is not found")
	}
}

// TestPeersKeepWhatIsKnown: a reload forgets neither health nor calls.
func TestPeersKeepWhatIsKnown(t *testing.T) {
	cfg := Config{Peers: []Peer{{Name: "a", Targets: []Upstream{{Addr: netip.MustParseAddrPort("192.0.2.1:5060")}}}}}
	old := newSettings(cfg, nil, nil)
	old.peers[0].servers[0].down.Store(true)
	old.peers[0].quota.calls.Store(3)
	cfg.Peers = append([]Peer{{Name: "b", Targets: cfg.Peers[0].Targets}}, cfg.Peers...)
	next := newSettings(cfg, nil, old)
	if next.peers[1].up() || next.peers[1].quota.calls.Load() != 3 || !next.peers[0].up() {
		t.Errorf("%+v", next.peerStatus())
	}
}

func TestPeerValidation(t *testing.T) {
	ok := Peer{Name: "a", Host: "h"}
	if err := ok.validate(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]Peer{
		"name":    {Host: "h"},
		"host":    {Name: "a"},
		"targets": {Name: "a", Host: "h", Targets: make([]Upstream, maxTried+1)},
		"address": {Name: "a", Host: "h", Targets: make([]Upstream, 1)},
		"match":   {Name: "a", Host: "h", Match: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
	} {
		if bad.validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
