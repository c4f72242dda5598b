package e2e

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// P1: the quickest of three 100s counts, so that a busy machine doesn't fail the row.
func p1(r *rig) {
	phone := r.phone("alice")
	quickest, branches := time.Hour, map[string]bool{}
	for range 3 {
		began := time.Now()
		sent, got := r.invite(phone)
		quickest = min(quickest, phone.Expect("100 INVITE").At.Sub(began))
		vias := got.All("Via")
		if len(vias) != 2 || !strings.HasPrefix(siptest.Branch(got.Message), "z9hG4bK") {
			r.Fatalf("Vias at the platform: %q", vias)
		}
		if theirs, _ := siptest.Param(vias[1], "branch"); theirs != siptest.Branch(sent) {
			r.Errorf("the phone's Via became %q", vias[1])
		}
		branches[siptest.Branch(got.Message)] = true
		if got.RequestURI() != sent.RequestURI() || !r.relayed && got.Body != sent.Body {
			r.Errorf("Request-URI or body changed:\n%s", got.Raw)
		}
		for _, name := range []string{"From", "To", "Call-ID", "CSeq", "Content-Type"} {
			r.equal(name, sent, got)
		}
	}
	if len(branches) != 3 {
		r.Errorf("branches are not unique: %v", branches)
	}
	if quickest > 200*time.Millisecond {
		r.Errorf("100 after %v", quickest)
	}
}

func p2(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone, set("User-Agent", strings.Repeat("x", 600))) // pays for a second 180 (docs/adr/0007)
	phone.Next("100")
	r.platform.Reply(got, 100)
	for _, status := range []int{180, 183, 180, 200} {
		r.platform.Reply(got, status, siptest.With("X-Nth", "1"))
	}
	for _, want := range []string{"180", "183", "180", "200"} {
		m := phone.Next(want)
		if vias := m.All("Via"); len(vias) != 1 || siptest.Branch(m.Message) != siptest.Branch(sent) {
			r.Errorf("%s came with Vias %q", want, vias)
		}
	}
	phone.Silence(hush, "100")
}

func p3(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 200)
	dialog := phone.NewCallerDialog(sent, phone.Expect("200"))
	if len(dialog.Routes) != 1 {
		r.Fatalf("route set %q", dialog.Routes)
	}
	ack := dialog.Send("ACK")
	at := r.platform.Expect("ACK")
	if at.RequestURI() != r.seen(ack.RequestURI(), r.platform) || !slices.Equal(at.All("Route"), r.recorded) {
		r.Errorf("ACK at the platform:\n%s", at.Raw)
	}
	if b := siptest.Branch(at.Message); b == siptest.Branch(got.Message) || b == siptest.Branch(ack) {
		r.Errorf("ACK has branch %q, which is not new", b)
	}
	for _, name := range []string{"To", "From", "CSeq"} {
		r.equal(name, ack, at)
	}
}

func p4(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	reply := r.platform.Reply(got, 486)
	ack := r.platform.Expect("ACK")
	if siptest.Branch(ack.Message) != siptest.Branch(got.Message) || ack.Get("To") != reply.Get("To") {
		r.Errorf("the edge's ACK does not belong to the INVITE:\n%s", ack.Raw)
	}
	phone.Send(siptest.AckOf(sent, phone.Expect("486")))
	r.platform.Silence(hush)
	phone.Silence(hush, "486")
}

func p5(r *rig) {
	phone := r.phone("alice")
	c := r.call(phone)
	r.bye(c.phone, c.platform)
	c = r.call(phone)
	r.bye(c.platform, c.phone)
}

func p6(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	phone.Expect("100")
	phone.Send(sent)
	phone.Expect("100")
	r.platform.Reply(got, 180)
	phone.Expect("180")
	phone.Send(sent)
	phone.Expect("180")
	r.platform.Silence(hush, "INVITE")
	r.platform.Reply(got, 486)
	phone.Send(siptest.AckOf(sent, phone.Expect("486")))
}

func p7(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone, body) // as phones do: an unproven caller is paid back in bytes (docs/adr/0007)
	for range 3 {
		r.platform.Reply(got, 200)
		phone.Expect("200")
	}
	answer := r.platform.Reply(got, 200)
	dialog := phone.NewCallerDialog(sent, phone.Expect("200"))
	dialog.Send("ACK")
	r.platform.Expect("ACK")
	r.platform.Reply(got, 200) // and one that crossed the ACK
	phone.Expect("200")
	dialog.Send("ACK")
	r.platform.Expect("ACK")
	phone.Send(sent) // a late retransmission is absorbed (RFC 6026 §7.1)
	r.platform.Silence(hush, "INVITE")
	r.bye(r.platform.NewCalleeDialog(got, answer), dialog)
}

func p8(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 486)
	r.platform.Expect("ACK")
	phone.Send(siptest.AckOf(sent, phone.Expect("486")))
	for range 3 {
		r.platform.Reply(got, 486)
		ack := r.platform.Expect("ACK")
		if siptest.Branch(ack.Message) != siptest.Branch(got.Message) {
			r.Errorf("ACK with another branch:\n%s", ack.Raw)
		}
	}
	phone.Silence(hush, "486")
}

func p9(r *rig) {
	phone := r.phone("alice")
	for in, want := range map[string]string{"70": "69", "1": "0", "255": "254"} {
		_, got := r.invite(phone, set("Max-Forwards", in))
		if got.Get("Max-Forwards") != want {
			r.Errorf("Max-Forwards %s became %s", in, got.Get("Max-Forwards"))
		}
	}
	phone = r.phone("carol") // nothing of the calls before in its queue
	r.refused(phone, phone.Request("INVITE", "sip:bob@example.com").Set("Max-Forwards", "0"), "483")
}

func p10(r *rig) {
	_, got := r.invite(r.phone("alice"), func(m *siptest.Message) { m.Del("Max-Forwards") })
	if got.Get("Max-Forwards") != "70" {
		r.Errorf("Max-Forwards %q", got.Get("Max-Forwards"))
	}
}

// again is a request as a further hop sends it on: its own Via on top.
func again(hop *siptest.UA, got *siptest.Received) *siptest.Message {
	m := got.Clone()
	return m.Top("Via", hop.Request("INVITE", "sip:x@y").Get("Via"))
}

func p11(r *rig) {
	_, got := r.invite(r.phone("alice"))
	mirror := r.phone("mirror")
	m := again(mirror, got)
	m.Del("Record-Route")
	r.refused(mirror, m, "482")
}

func p12(r *rig) {
	_, got := r.invite(r.phone("alice"))
	mirror := r.phone("mirror")
	m := again(mirror, got)
	m.Start = "INVITE sip:carol@example.com SIP/2.0"
	mirror.SendTo(r.edge.Outside, r.way.out, m.String())
	second := r.platform.Expect("INVITE")
	if len(second.All("Via")) != 4 || siptest.Branch(second.Message) == siptest.Branch(got.Message) {
		r.Errorf("the spiral's Vias: %q", second.All("Via"))
	}
	r.platform.Reply(second, 486)
	reply := mirror.Expect("486")
	if len(reply.All("Via")) != 3 {
		r.Errorf("the reply's Vias: %q", reply.All("Via"))
	}
}

// set changes a field of a request before it is sent.
func set(name, value string) func(*siptest.Message) {
	return func(m *siptest.Message) { m.Set(name, value) }
}

// placeText matches an IPv4 address with a port.
var placeText = regexp.MustCompile(`\b[0-9]+(\.[0-9]+){3}:[0-9]+`)

// longest is how many bytes m would have if its IPv4 addresses and their ports were as long as they can be.
func longest(m string) int {
	n := len(m)
	for _, place := range placeText.FindAllString(m, -1) {
		n += len("255.255.255.255:65535") - len(place)
	}
	return n
}

// p66: two passes through one edge: phone A outside, the proxy inside, phone B outside.
func p66(r *rig) {
	const came, most = 1000, 1300 // bytes, with the longest addresses
	reg := siptest.NewRegistrar(r.platform, nil)
	reg.ServeProxy()
	a, b := r.phone("alice"), r.phone("bob")
	r.register(reg, a)
	r.register(reg, b)
	padded := func(m *siptest.Message) {
		m.Set("Accept", "text/") // which leaves in every mode
		m.Set("Accept", "text/"+strings.Repeat("w", max(0, came-longest(m.String()))))
		if longest(m.String()) != came {
			r.Fatalf("a message of %d bytes, want %d", longest(m.String()), came)
		}
	}
	small := func(got *siptest.Received) *siptest.Received {
		r.Helper()
		at := longest(got.Raw) // whatever this machine has
		r.Logf("%s: %d bytes became %d", got.Start, came, at)
		if at >= most && !r.stream() { // a connection has no datagrams
			r.Errorf("%d bytes became %d with the longest addresses:\n%s", came, at, got.Raw)
		}
		if n := got.Count("Via"); got.IsRequest() && n != 1 || got.Count("X-Source") != 0 {
			r.Errorf("it shows who sent it:\n%s", got.Raw)
		}
		return got
	}
	sent := a.Request("INVITE", b.AOR())
	padded(sent)
	a.Send(sent)
	got := small(b.Expect("INVITE"))
	answer := b.Reply(got, 200, padded)
	ok := small(a.Expect("200 INVITE"))
	caller, callee := a.NewCallerDialog(sent, ok), b.NewCalleeDialog(got, answer)
	ack := caller.Request("ACK")
	padded(ack)
	a.Send(ack)
	small(b.Expect("ACK"))
	r.reinvite(caller, callee) // hold
	r.reinvite(callee, caller)
	r.ask(callee, caller, callee.Request("REFER").Set("Refer-To", "<sip:carol@example.com>"))
	r.ask(caller, callee, caller.Request("NOTIFY").Set("Event", "refer"))
	r.bye(callee, caller)
	if n := len(r.platform.Log()); n == 0 {
		r.Error("the platform saw nothing of it")
	}

	sent = a.Request("INVITE", b.AOR())
	a.Send(sent)
	got = b.Expect("INVITE")
	answer = b.Reply(got, 200)
	caller, callee = a.NewCallerDialog(sent, a.Expect("200 INVITE")), b.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	b.Expect("ACK")
	r.bye(caller, callee)
}
