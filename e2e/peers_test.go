package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
)

// A trunk is a rig with a carrier outside, which is a peer.
type trunk struct {
	*rig
	carrier *siptest.UA
}

// newTrunk starts a carrier, a platform, and an edge between them. more stands in the carrier's entry of peers.
func newTrunk(t *testing.T, w way, more string, keys siptest.Keys) *trunk {
	t.Helper()
	all := maps.Clone(placeholder)
	maps.Copy(all, keys)
	return newRig(t, w, all).trunk(more)
}

// trunk gives a rig that was started with placeholder a carrier.
func (r *rig) trunk(more string) *trunk {
	r.Helper()
	carrier := siptest.NewPlatform(r.T, r.way.out, r.way.outIP)
	carrier.User = "carrier"
	r.outside = append(r.outside, carrier)
	carrier.Proxy, r.platform.Proxy = r.edge.Outside, r.edge.Inside
	r.rewrite("peers:", fmt.Sprintf("peers: [{name: carrier, uri: \"sip:%v\", transport: %s, match: [\"%v\"]%s}]",
		carrier.Addr, r.way.out, carrier.Addr.Addr(), more))
	if a := r.askReload(); !a.OK {
		r.Fatalf("%+v", a)
	}
	return &trunk{r, carrier}
}

// number is a number at the carrier.
func (r *trunk) number() string { return "sip:5551234@" + r.carrier.Addr.String() }

// callOut lets the platform call a number, and the carrier answer.
func (r *trunk) callOut() *call {
	r.Helper()
	sent := r.platform.Send(r.platform.Request("INVITE", r.number()))
	got := r.carrier.Expect("INVITE")
	if got.RequestURI() != r.number() {
		r.Errorf("Request-URI became %s", got.RequestURI())
	}
	answer := r.carrier.Reply(got, 200)
	c := &call{r.carrier.NewCalleeDialog(got, answer), r.platform.NewCallerDialog(sent, r.platform.Expect("200 INVITE")), sent, got}
	c.platform.Send("ACK")
	r.carrier.Expect("ACK")
	return c
}

// TestPeer: calls both ways between the platform and a carrier that is called by nobody's leave but the configuration's.
func TestPeer(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := newTrunk(t, w, "", nil)
			out := r.callOut()
			in := r.call(r.carrier)
			if got := in.got.Get("X-Source"); !strings.HasPrefix(got, r.carrier.Addr.Addr().String()+":") {
				t.Errorf("X-Source %q", got)
			}
			for _, c := range []*call{out, in} {
				r.ask(c.platform, c.phone, c.platform.Request("INFO"))
				r.ask(c.phone, c.platform, c.phone.Request("INFO"))
			}
			r.bye(out.phone, out.platform)
			r.bye(in.platform, in.phone)
			r.platform.Send(r.platform.Request("INVITE", "sip:5551234@elsewhere.invalid"))
			r.platform.Expect("404")
		})
	}
}

// TestPeerByHost: the platform names a carrier by the host of its uri, in a Route or in the Request-URI.
func TestPeerByHost(t *testing.T) {
	t.Parallel()
	r := newTrunk(t, udp, "", nil)
	local := siptest.NewPlatform(t, "udp", "127.0.0.1")
	r.rewrite("peers:", fmt.Sprintf("peers: [{name: carrier, uri: \"sip:localhost:%d\", match: [localhost]}]", local.Addr.Port()))
	if a := r.askReload(); !a.OK || len(a.Changed) != 1 || a.Changed[0] != "peers" {
		t.Fatalf("%+v", a)
	}
	sent := r.platform.Send(r.platform.Request("INVITE", "sip:5551234@LocalHost"))
	r.equal("Call-ID", sent, local.Expect("INVITE"))
	sent = r.platform.Request("INVITE", "sip:5551234@number.example.net")
	r.platform.SendTo(r.edge.Inside, "udp", sent.Set("Route", fmt.Sprintf("<sip:localhost:%d;lr>", local.Addr.Port())).String())
	if got := local.WaitIn(sent.Get("Call-ID"), "INVITE", siptest.Deadline); got == nil || got.Get("Route") == "" {
		t.Error("Route to a peer was not followed, or taken off")
	}
	local.Proxy = r.edge.Outside
	local.Send(local.Request("MESSAGE", "sip:bob@example.com"))
	r.platform.Expect("MESSAGE")
}

// TestPeerOnOtherTransport is F11: a peer on UDP is a stranger on TCP and TLS, and one on TLS is a stranger on UDP.
func TestPeerOnOtherTransport(t *testing.T) {
	t.Parallel()
	r := newTrunk(t, udp, "", nil)
	r.carrier.Send(r.carrier.Request("MESSAGE", "sip:bob@example.com"))
	r.platform.Reply(r.platform.Expect("MESSAGE"), 200)
	r.carrier.Expect("200")
	r.carrier.Transport = "tcp"
	r.carrier.Send(r.carrier.Request("MESSAGE", "sip:bob@example.com"))
	r.carrier.Expect("405")

	over := newTrunk(t, way{name: "tls", out: "tls", in: "udp"}, "", nil)
	over.carrier.Send(over.carrier.Request("MESSAGE", "sip:bob@example.com"))
	over.platform.Expect("MESSAGE")
	over.carrier.SendTo(over.edge.UDP, "udp", over.carrier.Request("MESSAGE", "sip:bob@example.com").String())
	over.carrier.Wait("405", hush)
	over.platform.Silence(hush, "MESSAGE")
}

// TestPeerOverTLS: a peer that is believed by its own authority, and wants a certificate of it from us; with another authority
// nothing is sent, and status says so.
func TestPeerOverTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t, way{name: "tls", out: "tls", in: "udp"}, placeholder)
	r.platform.Proxy = r.edge.Inside
	peer, other := newSite(t), newSite(t)
	entry := func(ca *site) {
		t.Helper()
		r.rewrite("peers:", fmt.Sprintf("peers: [{name: carrier, uri: \"sip:%v\", transport: tls, ca: %q, certificate: %q, key: %q}]",
			peer.platform.Addr, ca.file("ca.pem"), peer.file("client.pem"), peer.file("client.key")))
		if a := r.askReload(); !a.OK {
			t.Fatalf("%+v", a)
		}
	}
	number := "sip:5551234@" + peer.platform.Addr.String()
	entry(other)
	r.platform.Send(r.platform.Request("INVITE", number))
	r.platform.Expect("503")
	if text := status(t, r.edge); !strings.Contains(text, "tls.failed: ") || !strings.Contains(text, "peer.down: ") {
		t.Errorf("status says\n%s", text)
	}
	entry(peer)
	sent := r.platform.Send(r.platform.Request("INVITE", number))
	got := peer.platform.Expect("INVITE")
	answer := peer.platform.Reply(got, 200)
	caller, callee := r.platform.NewCallerDialog(sent, r.platform.Expect("200 INVITE")), peer.platform.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	peer.platform.Expect("ACK")
	r.bye(callee, caller)
}

// TestPeerShowsCertificate: where client_certificate is require nobody is the peer, or connects from its address at all, without it; status says why.
func TestPeerShowsCertificate(t *testing.T) {
	t.Parallel()
	r := newRig(t, way{name: "tls", out: "tls", in: "udp"}, placeholder)
	peer := newSite(t)
	r.rewrite("peers:", fmt.Sprintf("peers: [{name: carrier, uri: \"sip:%v\", transport: tls, ca: %q, certificate: %q, key: %q, client_certificate: require}]",
		peer.platform.Addr, peer.file("ca.pem"), peer.file("client.pem"), peer.file("client.key")))
	if a := r.askReload(); !a.OK {
		t.Fatalf("%+v", a)
	}
	carrier := siptest.NewPhone(t, "carrier", "tls", peer.platform.Addr.Addr().String(), r.edge.Outside)
	carrier.TrySend(r.edge.Outside, "tls", carrier.Request("MESSAGE", "sip:bob@example.com").String())
	said := func() string { return status(t, r.edge) }
	want := "tls.failed: TLS fails with the server " + peer.platform.Addr.Addr().String() + " ("
	if !siptest.Eventually(func() bool { return strings.Contains(said(), want) }) {
		t.Errorf("status says\n%s", said())
	}
	r.platform.Silence(hush, "MESSAGE")
	own, err := tls.LoadX509KeyPair(peer.issue(t, "peer", peer.platform.Addr.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	carrier.TLS.Certificates = []tls.Certificate{own}
	carrier.Send(carrier.Request("MESSAGE", "sip:bob@example.com"))
	r.platform.Reply(r.platform.Expect("MESSAGE"), 200)
	carrier.Expect("200 MESSAGE")
	if text := said(); strings.Contains(text, "tls.failed") {
		t.Errorf("status says\n%s", text)
	}
	other := r.phone("alice") // is asked for nothing
	other.Send(other.Request("OPTIONS", "sip:example.com"))
	other.Expect("405 OPTIONS") // placeholder grants nobody anything
}

// TestPlatformsAddressOutside is F10: who sends from the platform's address, but to the outside listener, is unknown.
func TestPlatformsAddressOutside(t *testing.T) {
	t.Parallel()
	r := newTrunk(t, udp, "", nil)
	liar := siptest.NewPhone(t, "liar", "udp", r.platform.Addr.Addr().String(), r.edge.Outside)
	liar.Send(liar.Request("MESSAGE", "sip:bob@example.com"))
	liar.Send(liar.Request("INVITE", r.number()))
	r.platform.Silence(hush)
	r.carrier.Silence(hush)
	r.carrier.SendTo(r.edge.Inside, "udp", r.carrier.Request("MESSAGE", "sip:bob@example.com").String()) // nor is a peer inside
	r.platform.Silence(hush)
}

// TestPeerLimits: the calls of a peer, as the caller, status and metrics see them.
func TestPeerLimits(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]siptest.Keys{"open": nil, "hidden": {"topology": "{hide: true}"}} {
		t.Run(name, func(t *testing.T) { peerLimits(newTrunk(t, udp, ", calls: 2", keys)) })
	}
}

func peerLimits(r *trunk) {
	t := r.T
	first, second := r.callOut(), r.call(r.carrier)
	r.overLimit(r.platform, r.number())
	r.overLimit(r.carrier, "sip:bob@example.com")
	if n := r.edge.Counted(2, "ringwall_refused_total", `"peer.calls"`); n != 2 {
		t.Errorf("%v calls over the limit counted", n)
	}
	if n := r.edge.Counter("ringwall_peer_calls", `peer="carrier"`); n != 2 {
		t.Errorf("%v calls counted", n)
	}
	var status struct {
		Peers []struct {
			Name, State  string
			Calls, Limit int
		}
		Attention []struct{ ID string }
	}
	if err := admin.Call(context.Background(), filepath.Join(r.edge.State, "ringwall.sock"), "status", nil, &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Peers) != 1 || status.Peers[0].State != "up" || status.Peers[0].Calls != 2 || status.Peers[0].Limit != 2 {
		t.Errorf("%+v", status.Peers)
	}
	if len(status.Attention) != 1 || status.Attention[0].ID != "peer.calls" {
		t.Errorf("%+v", status.Attention)
	}
	r.bye(first.phone, first.platform)
	r.bye(second.phone, second.platform)
	if n := r.edge.Counter("ringwall_peer_calls", `peer="carrier"`); n != 0 {
		t.Errorf("%v calls counted after their ends", n)
	}
}

// overLimit sends an INVITE that is refused because of a limit.
func (r *trunk) overLimit(ua *siptest.UA, uri string) {
	r.Helper()
	ua.Send(ua.Request("INVITE", uri))
	if final := ua.Expect("503 INVITE"); final.Get("Retry-After") == "" {
		r.Errorf("503 without Retry-After:\n%s", final.Raw)
	}
}

// TestPeerRate: both directions share a peer's rate, of which at least one call may come at once.
func TestPeerRate(t *testing.T) {
	t.Parallel()
	r := newTrunk(t, udp, ", rate: 1/h", nil)
	r.callOut()
	r.overLimit(r.platform, r.number())
	r.overLimit(r.carrier, "sip:bob@example.com")
	if n := r.edge.Counted(2, "ringwall_refused_total", `"peer.rate"`); n != 2 {
		t.Errorf("%v calls over the rate counted", n)
	}
}

// p65: the platform registers at a provider with digest, is called at what it registered, and calls.
func p65(rig *rig) {
	r := rig.trunk("")
	const password = "secret"
	r.platform.User, r.platform.Domain = "trunk", r.carrier.Addr.String()
	aor := r.platform.AOR()
	reg := siptest.NewRegistrar(r.carrier, map[string]string{"trunk": password})
	own := siptest.URI(r.platform.Contact())
	register := func(expires string) *siptest.Received {
		r.Helper()
		m := r.platform.Send(r.platform.Register().Set("Expires", expires))
		r.platform.Send(siptest.Authorize(m, r.platform.Expect("401"), "trunk", password))
		return r.platform.Expect("200 REGISTER")
	}
	reg.OnReply(func(_ *siptest.Received, reply *siptest.Message) {
		reply.Add("Contact", "<sip:someone@192.0.2.1>;expires=60")
	})
	ok := register("3600")
	if siptest.URI(ok.Get("Contact")) != own || len(ok.All("Contact")) != 1 {
		r.Errorf("the platform sees Contacts %q, not its own %s", ok.All("Contact"), own)
	}
	contact := reg.Contacts(aor)[0]
	at, by, _ := siptest.Hop(contact)
	if at != r.edge.Outside || by != r.way.out || strings.Contains(contact, r.platform.Addr.Addr().String()) {
		r.Errorf("the provider got Contact %s", contact)
	}
	register("3600")
	if all := reg.Contacts(aor); len(all) != 1 || all[0] != contact {
		r.Errorf("after a refresh the provider has %q", all)
	}
	r.edge.Stop()
	r.edge.Start()

	c := r.callToken(contact)
	if c.got.RequestURI() != own {
		r.Errorf("the platform is called as %s, not %s", c.got.RequestURI(), own)
	}
	r.ask(c.platform, c.phone, c.platform.Request("INFO"))
	r.bye(c.phone, c.platform)
	c = r.callToken(contact)
	r.bye(c.platform, c.phone)
	c = r.callOut()
	r.bye(c.phone, c.platform)

	r.refusedToken(contact)
	if ok := register("0"); len(reg.Contacts(aor)) != 0 || ok.Count("Contact") != 0 {
		r.Errorf("after its end the provider has %q, the platform sees %q", reg.Contacts(aor), ok.All("Contact"))
	}
}

// callToken lets the carrier call what the platform registered.
func (r *trunk) callToken(contact string) *call {
	r.Helper()
	sent := r.carrier.Request("INVITE", contact)
	r.carrier.Send(sent)
	return r.answer(r.carrier, sent, r.platform.Expect("INVITE"))
}

// refusedToken lets a stranger call it: a token gives no right that access does not give.
func (r *trunk) refusedToken(contact string) {
	r.Helper()
	stranger := r.phone("stranger")
	stranger.Send(stranger.Request("INVITE", contact))
	stranger.Expect("405")
	r.platform.Silence(hush/2, "INVITE")
}

// TestPeerLarge (P50): with large: tcp a request over 1,300 bytes goes to a peer over TCP, a small one, and every answer, the way that they ever went; the peer
// is then trusted on TCP, too.
func TestPeerLarge(t *testing.T) {
	t.Parallel()
	r := newTrunk(t, udp, ", large: tcp", nil)
	large := func(m *siptest.Message) *siptest.Message {
		return m.WithBody("text/plain", strings.Repeat("0123456789\r\n", 120))
	}
	sent := r.platform.Send(large(r.platform.Request("INVITE", r.number())))
	got := r.carrier.Expect("INVITE")
	if via := got.All("Via")[0]; got.Conn == nil || !strings.HasPrefix(via, "SIP/2.0/TCP ") || got.Body != sent.Body {
		t.Errorf("%d bytes came with Via %q, over a connection: %v", len(got.Raw), via, got.Conn != nil)
	}
	answer := r.carrier.Reply(got, 200)
	c := &call{r.carrier.NewCalleeDialog(got, answer), r.platform.NewCallerDialog(sent, r.platform.Expect("200 INVITE")), sent, got}
	c.platform.Send("ACK")
	if ack := r.carrier.Expect("ACK"); ack.Conn != nil {
		t.Error("a small ACK went over TCP")
	}
	if r.ask(c.platform, c.phone, large(c.platform.Request("INFO"))).Conn == nil {
		t.Error("a large request in the dialog went over UDP")
	}
	r.ask(c.phone, c.platform, c.phone.Request("INFO"))
	r.bye(c.phone, c.platform)
	r.carrier.SendTo(r.edge.Outside, "tcp", large(r.carrier.Request("MESSAGE", "sip:bob@example.com")).String())
	r.platform.Reply(r.platform.Expect("MESSAGE"), 200)
	r.carrier.Expect("200 MESSAGE")
}
