package e2e

import (
	"strings"

	"github.com/ringwall/ringwall/siptest"
)

// routed wants one Record-Route in m: the edge's own address of that side, loose, opaque.
func (r *rig) routed(m *siptest.Message, own, transport, other string) {
	r.Helper()
	if transport == "wss" {
		transport = "ws" // what URIs say of both (RFC 7118 §5.2)
	}
	routes := m.All("Record-Route")
	if len(routes) != 1 {
		r.Fatalf("%s: Record-Routes %q, want one", m.Start, routes)
	}
	uri := siptest.URI(routes[0])
	_, lr := siptest.Param(uri, "lr")
	addr, by, ok := siptest.Hop(uri)
	if !lr || !ok || addr.String() != own || by != transport {
		r.Errorf("%s: Record-Route %q, want lr, %s and %s", m.Start, routes[0], own, transport)
	}
	host, _, _ := strings.Cut(other, ":")
	if siptest.User(uri) == "" || strings.Contains(siptest.User(uri), host) {
		r.Errorf("%s: Record-Route %q is not opaque", m.Start, routes[0])
	}
}

// insideRouted and outsideRouted are routed for what the platform and what a phone gets.
func (r *rig) insideRouted(m *siptest.Message, phone *siptest.UA) {
	r.Helper()
	r.routed(m, r.edge.Inside.String(), r.way.in, phone.Addr.String())
}

func (r *rig) outsideRouted(m *siptest.Message) {
	r.Helper()
	r.routed(m, r.edge.Outside.String(), r.way.out, r.platform.Addr.String())
}

func p29(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	contact := r.register(reg, phone)
	for _, method := range []string{"INVITE", "SUBSCRIBE", "REFER", "NOTIFY"} {
		stranger := r.phone("carol")
		stranger.Send(stranger.Request(method, "sip:bob@example.com"))
		got := r.platform.Expect(method)
		r.insideRouted(got.Message, stranger)
		r.platform.Reply(got, 200)
		r.outsideRouted(stranger.Expect("200 " + method).Message)
		r.platform.Send(r.platform.Request(method, contact))
		got = phone.Expect(method)
		r.outsideRouted(got.Message)
		phone.Reply(got, 200)
		r.insideRouted(r.platform.Expect("200 "+method).Message, phone)
	}
}

func p30(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	contact := r.register(reg, phone)
	out := r.call(phone)
	r.insideRouted(out.got.Message, phone)
	in := r.callIn(contact, phone)
	r.outsideRouted(in.got.Message)
	for _, c := range []*call{out, in} {
		r.reinvite(c.phone, c.platform)
		r.reinvite(c.platform, c.phone)
	}
	r.bye(out.phone, out.platform)
	r.bye(in.platform, in.phone)
	in = r.callIn(contact, phone)
	r.bye(in.phone, in.platform)
	out = r.call(phone)
	r.bye(out.platform, out.phone)
}

// reinvite sends an INVITE in the dialog and ACKs its 200.
func (r *rig) reinvite(from, to *siptest.Dialog) {
	r.Helper()
	r.ask(from, to, from.Request("INVITE").WithBody("application/sdp", siptest.SDP))
	from.Send("ACK")
	to.UA.Expect("ACK")
}

// altered is a dialog whose first route has one character of its token changed.
func altered(d *siptest.Dialog) *siptest.Dialog {
	c := *d
	user := siptest.User(siptest.URI(d.Routes[0]))
	at := len(user) / 2
	change := byte('A')
	if user[at] == change {
		change = 'B'
	}
	c.Routes = []string{strings.Replace(d.Routes[0], user, user[:at]+string(change)+user[at+1:], 1)}
	return &c
}

func p31(r *rig) {
	phone := r.phone("alice")
	c, other := r.call(phone), r.call(phone)
	r.ask(c.phone, c.platform, c.phone.Request("INFO"))
	stolen := *c.phone
	stolen.Routes = other.phone.Routes // a token is bound to its dialog
	for _, bad := range []*siptest.Dialog{altered(c.phone), &stolen} {
		before := r.edge.Counter("ringwall_refused_total", "dialog.token")
		r.unknownDialog(phone, bad.Request("INFO"))
		if r.edge.Counted(before+1, "ringwall_refused_total", "dialog.token") != before+1 {
			r.Error("no event for a bad token")
		}
	}
	r.bye(c.phone, c.platform)
}

// unknownDialog sends m, which belongs to no dialog that the edge can verify, and wants 481, not a relayed request.
func (r *rig) unknownDialog(phone *siptest.UA, m *siptest.Message) {
	r.Helper()
	phone.SendTo(r.edge.Outside, r.way.out, m.String())
	phone.Expect("481 " + m.Method())
	r.platform.Silence(hush, m.Method())
}

// stray sends an ACK that belongs to no dialog and wants nothing at all.
func (r *rig) stray(phone *siptest.UA, m *siptest.Message) {
	r.Helper()
	phone.SendTo(r.edge.Outside, r.way.out, m.String())
	r.platform.Silence(hush, "ACK")
	phone.Silence(hush / 2)
}

// P32: strict routing (RFC 2543) is refused, as docs/rooms/proxy.md says. First half: a strict router behind the upstream.
// Second half: one in front of us, that put our URI into the Request-URI.
func p32(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	strict := "<sip:strict@" + siptest.HostPort(siptest.URI(r.platform.Contact())) + ">"
	r.platform.Reply(got, 200, func(m *siptest.Message) { m.Fields = withTop(m, "Record-Route", strict) })
	d := phone.NewCallerDialog(sent, phone.Expect("200"))
	phone.Send(d.Request("BYE"))
	phone.Expect("400 BYE")

	c := r.call(phone)
	m := c.phone.Request("BYE")
	m.Start = "BYE " + siptest.URI(c.phone.Routes[0]) + " SIP/2.0"
	phone.SendTo(r.edge.Outside, r.way.out, m.Set("Route", "<"+c.phone.Target+">").String())
	phone.Expect("481 BYE")
	r.platform.Silence(hush, "BYE")
	r.bye(c.phone, c.platform)
}

// withTop is the fields of m with a further one before the first of its name.
func withTop(m *siptest.Message, name, value string) (fields []siptest.Field) {
	done := false
	for _, f := range m.Fields {
		if f.Name == name && !done {
			fields, done = append(fields, siptest.Field{Name: name, Value: value}), true
		}
		fields = append(fields, f)
	}
	return fields
}

func p33(r *rig) {
	phone := r.phone("alice")
	c := r.call(phone)
	for _, route := range []string{"<sip:" + r.edge.Outside.String() + ";lr>", "<sip:192.0.2.1;lr>",
		"<sip:nonsense@" + r.edge.Outside.String() + ";lr>"} {
		wrong := *c.phone
		wrong.Routes = []string{route}
		r.unknownDialog(phone, wrong.Request("BYE"))
		r.stray(phone, wrong.Request("ACK"))
	}
	r.bye(c.phone, c.platform)
}

func p34(r *rig) {
	phone := r.phone("alice")
	for _, method := range []string{"BYE", "INVITE", "INFO", "NOTIFY"} {
		r.unknownDialog(phone, phone.Request(method, "sip:bob@example.com").Set("To", "<sip:bob@example.com>;tag=1"))
	}
	ack := phone.Request("ACK", "sip:bob@example.com").Set("To", "<sip:bob@example.com>;tag=1")
	r.stray(phone, ack)
}

// P35: a proxy inside forks; the edge relays each final response to an INVITE that it may (RFC 3261 §16.7 step 5).
func p35(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	tags := []string{"one", "two"}
	for _, status := range []int{180, 200} {
		for _, tag := range tags {
			r.platform.Reply(got, status, siptest.Tagged(tag))
		}
	}
	phone.Expect("180")
	phone.Expect("180")
	for _, tag := range tags {
		ok := phone.Expect("200 INVITE")
		if siptest.Tag(ok.Get("To")) != tag {
			r.Errorf("200 with tag %q, want %q", siptest.Tag(ok.Get("To")), tag)
		}
		d := phone.NewCallerDialog(sent, ok)
		d.Send("ACK")
		if ack := r.platform.Expect("ACK"); siptest.Tag(ack.Get("To")) != tag {
			r.Errorf("ACK with tag %q, want %q", siptest.Tag(ack.Get("To")), tag)
		}
		d.Send("BYE")
		r.platform.Reply(r.platform.Expect("BYE"), 200)
		phone.Expect("200 BYE")
	}
}
