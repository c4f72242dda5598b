package e2e

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/ringwall/ringwall/siptest"
)

func p36(r *rig) {
	const challenge = `Digest  realm="Example, \"Inc\"", nonce="b64+/==",opaque="", algorithm=SHA-256, qop="auth", stale=FALSE`
	const credentials = `Digest username="alice",realm="Example, \"Inc\"", nonce="b64+/==", uri="sip:bob@example.com",` +
		` response="0123456789abcdef0123456789abcdef", opaque="", qop=auth, nc=00000001, cnonce="c"`
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 407, siptest.With("Proxy-Authenticate", challenge))
	final := phone.Expect("407")
	if final.Get("Proxy-Authenticate") != challenge {
		r.Errorf("challenge became %q", final.Get("Proxy-Authenticate"))
	}
	phone.Send(siptest.AckOf(sent, final))
	retry := siptest.Again(sent).Set("Proxy-Authorization", credentials)
	phone.Send(retry)
	got = r.platform.Expect("INVITE")
	r.equal("Proxy-Authorization", retry, got)
	r.platform.Reply(got, 486)
	phone.Send(siptest.AckOf(retry, phone.Expect("486")))

	register := phone.Send(phone.Register())
	r.platform.Reply(r.platform.Expect("REGISTER"), 401, siptest.With("WWW-Authenticate", challenge))
	if final = phone.Expect("401"); final.Get("WWW-Authenticate") != challenge {
		r.Errorf("challenge became %q", final.Get("WWW-Authenticate"))
	}
	retry = phone.Send(siptest.Again(register).Set("Authorization", credentials))
	got = r.platform.Expect("REGISTER")
	r.equal("Authorization", retry, got)
	if got.RequestURI() != register.RequestURI() {
		r.Errorf("Request-URI became %s", got.RequestURI())
	}
}

func p45(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone, set("Supported", "100rel"))
	r.equal("Supported", sent, got)
	early := r.platform.Reply(got, 183, siptest.With("Require", "100rel"), siptest.With("RSeq", "4711"))
	progress := phone.Expect("183")
	if progress.Get("Require") != "100rel" || progress.Get("RSeq") != "4711" {
		r.Errorf("183 lost its Require or RSeq:\n%s", progress.Raw)
	}
	d := phone.NewCallerDialog(sent, progress)
	prack := d.Request("PRACK").Set("RAck", "4711 1 INVITE")
	at := r.ask(d, r.platform.NewCalleeDialog(got, early), prack)
	r.equal("RAck", prack, at)
	r.platform.Reply(got, 200)
	phone.Expect("200 INVITE")
	d.CSeq = 1
	d.Send("ACK")
	r.platform.Expect("ACK")
}

func p46(r *rig) {
	phone := r.phone("alice")
	c := r.call(phone)
	for _, method := range []string{"UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE", "PUBLISH", "MESSAGE"} {
		for _, ends := range [][2]*siptest.Dialog{{c.phone, c.platform}, {c.platform, c.phone}} {
			m := ends[0].Request(method).Set("Event", "refer").Set("Refer-To", "<sip:carol@example.com>")
			m.WithBody("text/plain", "line one\r\n\r\nline two \x00\xff\n")
			if r.hidden { // where only text leaves as text
				m.WithBody("text/plain", "line one\r\n\r\nline two \n")
			}
			got := r.ask(ends[0], ends[1], m)
			for _, name := range []string{"Event", "Refer-To", "Content-Type", "From", "To", "CSeq"} {
				r.equal(name, m, got)
			}
			if got.Body != m.Body {
				r.Errorf("%s: body changed: %q", method, got.Body)
			}
		}
	}
	r.reinvite(c.phone, c.platform)
	r.reinvite(c.platform, c.phone)
	r.bye(c.platform, c.phone)
}

func p48(r *rig) {
	phone := r.phone("alice")
	timer := func(m *siptest.Message) {
		m.Set("Session-Expires", "90;refresher=uac").Set("Min-SE", "90").Set("Supported", "timer")
	}
	sent, got := r.invite(phone, timer)
	for _, name := range []string{"Session-Expires", "Min-SE", "Supported"} {
		r.equal(name, sent, got)
	}
	r.platform.Reply(got, 422, siptest.With("Min-SE", "1800"))
	final := phone.Expect("422")
	if final.Get("Min-SE") != "1800" {
		r.Errorf("422 lost its Min-SE:\n%s", final.Raw)
	}
	phone.Send(siptest.AckOf(sent, final))
	_, got = r.invite(phone, func(m *siptest.Message) { m.Set("Session-Expires", "1800").Set("Min-SE", "1800") })
	r.platform.Reply(got, 200, siptest.With("Session-Expires", "1800;refresher=uas"), siptest.With("Require", "timer"))
	ok := phone.Expect("200 INVITE")
	if ok.Get("Session-Expires") != "1800;refresher=uas" || ok.Get("Require") != "timer" {
		r.Errorf("200 lost its session timer:\n%s", ok.Raw)
	}
}

func p50(r *rig) {
	large := func(m *siptest.Message) { m.WithBody("text/plain", strings.Repeat("0123456789\r\n", 120)) }
	upstream := func(ua *siptest.UA) {
		r.rewrite("upstreams:", fmt.Sprintf("upstreams: [{uri: \"sip:%v\", large: tcp}]", ua.Addr))
		if a := r.askReload(); !a.OK {
			r.Fatalf("%+v", a)
		}
	}
	phone := r.phone("alice")
	if _, got := r.invite(phone, large); got.Conn != nil {
		r.Error("large, and not configured, and yet over TCP")
	}
	upstream(r.platform)
	if c := r.call(phone); c.got.Conn != nil {
		r.Error("a small request went over TCP")
	}
	sent, got := r.invite(phone, large)
	if via := got.All("Via")[0]; got.Conn == nil || !strings.HasPrefix(via, "SIP/2.0/TCP ") {
		r.Errorf("%d bytes came with Via %q, over a connection: %v", len(got.Raw), via, got.Conn != nil)
	}
	if got.Body != sent.Body || strings.Contains(got.Get("Record-Route"), "transport") {
		r.Errorf("the body changed, or the dialog is to stay on TCP: %s", got.Get("Record-Route"))
	}
	answer := r.platform.Reply(got, 200, large)
	ok := phone.Expect("200 INVITE")
	if ok.Body != answer.Body {
		r.Errorf("%d bytes of the reply's body are left of %d", len(ok.Body), len(answer.Body))
	}
	c := &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
	c.phone.Send("ACK")
	if ack := r.platform.Expect("ACK"); ack.Conn != nil {
		r.Error("a small ACK went over TCP")
	}
	info := c.phone.Request("INFO")
	large(info)
	if r.ask(c.phone, c.platform, info).Conn == nil {
		r.Error("a large request in the dialog went over UDP")
	}
	r.bye(c.platform, c.phone)

	deaf := siptest.NewPhone(r.T, "platform", "udp", "", r.edge.Inside) // hears UDP only
	upstream(deaf)
	m := phone.Request("INVITE", "sip:bob@example.com")
	large(m)
	phone.Send(m)
	got = deaf.Expect("INVITE")
	if via := got.All("Via")[0]; !strings.HasPrefix(via, "SIP/2.0/UDP ") {
		r.Errorf("after a refused connection: Via %q", via)
	}
	deaf.Reply(got, 486)
	phone.Expect("486")
}

func p58(r *rig) {
	p5(r)
	p64(r)
	p13Six(r)
}

// p13Six: received in a Via is written without brackets (RFC 5118 §4.5 allows both; RFC 3261's grammar has none).
func p13Six(r *rig) {
	phone := r.phone("bob")
	_, got := r.invite(phone, set("Via", fmt.Sprintf("SIP/2.0/%s [2001:db8::9]:5060;rport;branch=%s", "UDP", siptest.NewBranch())))
	received, _ := siptest.Param(got.All("Via")[1], "received")
	if received != "::1" && received != "[::1]" {
		r.Errorf("received %q", received)
	}
	r.platform.Reply(got, 180)
	phone.Expect("180")
}

// P62: TERM while one call rings and another is up.
func p62(r *rig) {
	phone := r.phone("alice")
	up := r.call(phone)
	ringing, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	r.edge.Signal(syscall.SIGTERM)
	r.edge.WaitLog("drain")
	phone.Flush()
	refused := func() bool {
		late := phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
		final := phone.WaitIn(late.Get("Call-ID"), "503", hush)
		if final != nil && final.Get("Retry-After") == "" {
			r.Errorf("503 without Retry-After:\n%s", final.Raw)
		}
		return final != nil
	}
	if !siptest.Eventually(refused) {
		r.Error("a new INVITE gets no 503 while draining")
	}
	for slipped := r.platform.Wait("INVITE", 0); slipped != nil; slipped = r.platform.Wait("INVITE", 0) {
		r.platform.Reply(slipped, 486) // came in just before the drain began
	}
	r.bye(up.phone, up.platform)
	r.platform.Reply(got, 486)
	final := phone.WaitIn(ringing.Get("Call-ID"), "486", siptest.Deadline)
	if final == nil {
		r.Fatal("the pending call got no final response")
	}
	phone.Send(siptest.AckOf(ringing, final))
	if code := r.edge.WaitExit(); code != 0 {
		r.Errorf("exit code %d", code)
	}
}

func p67(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	merged := sent.Clone().Set("Via", phone.Request("INVITE", "sip:x@y").Get("Via"))
	phone.Send(merged)
	if second := r.platform.Wait("INVITE", hush); second != nil {
		r.platform.Reply(second, 482)
	}
	phone.Send(siptest.AckOf(merged, phone.Expect("482")))
	first := r.answer(phone, sent, got)
	sent, got = r.invite(phone, set("Call-ID", sent.Get("Call-ID")))
	second := r.answer(phone, sent, got)
	r.bye(first.phone, first.platform)
	r.bye(second.platform, second.phone)
}

// answer answers an INVITE that the platform got, and ACKs.
func (r *rig) answer(phone *siptest.UA, sent *siptest.Message, got *siptest.Received) *call {
	r.Helper()
	answer := r.platform.Reply(got, 200)
	c := &call{phone.NewCallerDialog(sent, phone.Expect("200 INVITE")), r.platform.NewCalleeDialog(got, answer), sent, got}
	c.phone.Send("ACK")
	r.platform.Expect("ACK")
	return c
}
