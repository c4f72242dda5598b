package e2e

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// newNamed is a server over TLS with a certificate for that name.
func newNamed(t *testing.T, name string) (*site, *siptest.UA) {
	t.Helper()
	s := &site{dir: t.TempDir()}
	var err error
	if s.authority, err = siptest.NewAuthority(); err == nil {
		err = s.authority.Write(s.file("ca.pem"))
	}
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(s.issue(t, "server", name))
	if err != nil {
		t.Fatal(err)
	}
	return s, siptest.NewTLSPlatform(t, &tls.Config{Certificates: []tls.Certificate{pair}})
}

// TestNamedUpstreamOverTLS: a server that SRV records lead to must show the certificate of the domain in the uri. One of the host that the
// DNS names will not do, for whoever writes DNS records could then be the platform (RFC 5922 §7.1).
func TestNamedUpstreamOverTLS(t *testing.T) {
	t.Parallel()
	for shows, good := range map[string]bool{"platform.example": true, "a.voice.example": false} {
		t.Run(shows, func(t *testing.T) {
			t.Parallel()
			s, platform := newNamed(t, shows)
			dns := siptest.NewNameserver(t, fmt.Sprintf("_sips._tcp.platform.example. 60 IN SRV 1 1 %d a.voice.example.", platform.Addr.Port()),
				fmt.Sprintf("a.voice.example. 60 IN A %v", platform.Addr.Addr()))
			inside, err := siptest.FreeAddr(siptest.OwnIP())
			if err != nil {
				t.Fatal(err)
			}
			e := siptest.StartEdge(t, siptest.Outlets{Secure: true, DNS: dns.Addr}, siptest.Keys{
				"upstreams": fmt.Sprintf("[{uri: \"sip:platform.example;transport=tls\", ca: %q}]", s.file("ca.pem")),
				"inside":    fmt.Sprintf("{listen: [\"tls:%v\"]}", inside)})
			e.Inside = inside
			r := &rig{T: t, edge: e, platform: platform, way: udp, hidden: true}
			if good {
				c := r.call(r.phone("alice"))
				r.bye(c.phone, c.platform)
				return
			}
			phone := r.phone("alice")
			phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
			e.WaitLog("its certificate is not for platform.example")
			platform.Silence(hush, "INVITE")
		})
	}
}

// TestPlatformCallsNames: the platform calls somebody at a domain that is no peer's, over UDP and over TLS (RFC 3263), and hangs up at the host that his
// Contact names. When the DNS is dead calls to what is known go on, and others get 503; what does not exist gets 404, what the domain's certificate is not for nothing.
func TestPlatformCallsNames(t *testing.T) {
	t.Parallel()
	s, secure := newNamed(t, "secure.example")
	far := siptest.NewPlatform(t, "udp", "")
	dns := siptest.NewNameserver(t,
		fmt.Sprintf("_sip._udp.far.example. 1 IN SRV 1 1 %d a.far.example.", far.Addr.Port()), fmt.Sprintf("a.far.example. 1 IN A %v", far.Addr.Addr()),
		`secure.example. 1 IN NAPTR 1 1 "s" "SIPS+D2T" "" _sips._tcp.secure.example.`,
		fmt.Sprintf("_sips._tcp.secure.example. 1 IN SRV 1 1 %d a.secure.example.", secure.Addr.Port()), fmt.Sprintf("a.secure.example. 1 IN A %v", secure.Addr.Addr()),
		fmt.Sprintf("_sips._tcp.other.example. 1 IN SRV 1 1 %d a.secure.example.", secure.Addr.Port()))
	platform := siptest.NewPlatform(t, "udp", "")
	e := siptest.StartEdge(t, siptest.Outlets{Secure: true, DNS: dns.Addr, Upstream: []string{"sip:" + platform.Addr.String()},
		Env: []string{"SSL_CERT_FILE=" + s.file("ca.pem")}}, nil)
	platform.Proxy, far.Proxy, secure.Proxy = e.Inside, e.Outside, e.TLS
	r := &rig{T: t, edge: e, platform: platform, way: udp, hidden: true}
	r.callName(far, "sip:bob@far.example", fmt.Sprintf("a.far.example:%d", far.Addr.Port()))
	r.callName(secure, "sip:carol@secure.example", fmt.Sprintf("secure.example:%d;transport=tls", secure.Addr.Port()))
	r.refusedName("sip:x@none.example", "404")
	r.refusedName("sip:x@other.example;transport=tls", "503") // secure.example's server, which is not other.example
	dns.Close()
	r.callName(far, "sip:bob@far.example", fmt.Sprintf("a.far.example:%d", far.Addr.Port()))
	r.refusedName("sip:x@later.example", "503")
	phone := r.phone("mallory")
	phone.SendTo(e.Outside, "udp", phone.Request("INVITE", "sip:x@never.example").Set("Route", "<sip:never.example;lr>").String())
	platform.Reply(platform.Expect("INVITE"), 486) // strangers reach the platform, not the DNS
}

// callName lets the platform call uri, whose host leads to far. far says in its Contact that it is at host, and the platform hangs up there.
func (r *rig) callName(far *siptest.UA, uri, host string) {
	r.Helper()
	sent := r.platform.Send(r.platform.Request("INVITE", uri))
	got := far.Expect("INVITE")
	if got.RequestURI() != uri {
		r.Errorf("Request-URI %s became %s", uri, got.RequestURI())
	}
	answer := far.Reply(got, 200, func(m *siptest.Message) { m.Set("Contact", "<sip:far@"+host+">") })
	caller, callee := r.platform.NewCallerDialog(sent, r.platform.Expect("200 INVITE")), far.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	far.Expect("ACK")
	r.ask(callee, caller, callee.Request("INFO"))
	caller.Send("BYE")
	far.Reply(far.Expect("BYE"), 200)
	r.platform.Expect("200 BYE")
}

// refusedName lets the platform call uri, which is refused.
func (r *rig) refusedName(uri, status string) {
	r.Helper()
	r.platform.Send(r.platform.Request("INVITE", uri))
	r.platform.Expect(status + " INVITE")
}

// TestPeerNames: each name of a peer that leads nowhere is one sentence in the log and in status, also where another one of its names failed before it, and
// the peer keeps the addresses that it had; each that leads somewhere again is told, too.
func TestPeerNames(t *testing.T) {
	t.Parallel()
	platform, carrier := siptest.NewPlatform(t, "udp", ""), siptest.NewPlatform(t, "udp", "")
	trunk := []string{fmt.Sprintf("_sip._udp.trunk.example. 1 IN SRV 1 1 %d a.trunk.example.", carrier.Addr.Port()),
		fmt.Sprintf("a.trunk.example. 1 IN A %v", carrier.Addr.Addr())}
	dns := siptest.NewNameserver(t, trunk...)
	e := siptest.StartEdge(t, siptest.Outlets{DNS: dns.Addr, Upstream: []string{"sip:" + platform.Addr.String()}},
		siptest.Keys{"peers": `[{name: carrier, uri: "sip:trunk.example", match: [from.example]}]`})
	platform.Proxy = e.Inside
	const lost, again = "peer carrier: the name %s.example has no address", "peer carrier: the look-up of the name %s.example works again"
	told := func(text string, name string) {
		t.Helper()
		if !patiently(func() bool { return strings.Contains(e.Log(), fmt.Sprintf(text, name)) }) {
			t.Fatalf("the log does not say "+text, name)
		}
	}
	concerned := func(names ...string) {
		t.Helper()
		said := status(t, e)
		for _, name := range []string{"trunk", "from"} {
			if strings.Contains(said, "  peer.name: "+fmt.Sprintf(lost, name)+"\n") != slices.Contains(names, name) {
				t.Errorf("status is to tell of %q:\n%s", names, said)
			}
		}
	}
	told(lost, "from")
	concerned("from")
	dns.Set()
	told(lost, "trunk")
	concerned("from", "trunk")
	platform.Send(platform.Request("INVITE", "sip:5551234@trunk.example"))
	carrier.Reply(carrier.Expect("INVITE"), 486) // where it was last
	platform.Expect("486 INVITE")
	dns.Set(append(trunk, fmt.Sprintf("from.example. 60 IN A %v", carrier.Addr.Addr()))...)
	told(again, "trunk")
	told(again, "from")
	concerned()
	if n := strings.Count(e.Log(), "reason=peer.name"); n != 2 {
		t.Errorf("the log tells %d times of two names:\n%s", n, e.Log())
	}
	carrier.Proxy = e.Outside
	carrier.Send(carrier.Request("MESSAGE", "sip:bob@example.com"))
	platform.Expect("MESSAGE")
}
