package e2e

import (
	"strings"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

func p37(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	for _, supported := range []string{"", "path"} {
		phone := r.phone("alice" + supported)
		m := phone.Register()
		if supported != "" {
			m.Set("Supported", supported)
		}
		phone.Send(m)
		ok := phone.Expect("200")
		if siptest.URI(ok.Get("Contact")) != siptest.URI(phone.Contact()) {
			r.Errorf("the 200 shows Contact %q", ok.Get("Contact"))
		}
		contact := reg.Contacts(phone.AOR())[0]
		if contact != siptest.URI(phone.Contact()) {
			r.Errorf("the registrar got Contact %q, want the phone's own", contact)
		}
		path := reg.Path(contact)
		_, lr := siptest.Param(siptest.URI(path), "lr")
		if addr, by, ok := siptest.Hop(siptest.URI(path)); !ok || !lr || addr != r.edge.Inside || by != r.way.in {
			r.Fatalf("Path %q", path)
		}
		sent := r.platform.Send(r.platform.Request("INVITE", contact).Set("Route", path))
		got := phone.Expect("INVITE")
		if got.RequestURI() != contact || got.Count("Route") != 0 {
			r.Errorf("INVITE at the phone:\n%s", got.Raw)
		}
		answer := phone.Reply(got, 200)
		caller := r.platform.NewCallerDialog(sent, r.platform.Expect("200 INVITE"))
		caller.Send("ACK")
		phone.Expect("ACK")
		callee := phone.NewCalleeDialog(got, answer)
		r.bye(callee, caller)
	}
}

func p38(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	reg.OnReply(func(_ *siptest.Received, reply *siptest.Message) {
		reply.Set("Contact", reply.Get("Contact")+";q=0.5").Add("Service-Route", "<sip:sr.example.com;lr>")
	})
	ok := phone.MustRegister()
	contact := reg.Contacts(phone.AOR())[0]
	addr, by, _ := siptest.Hop(contact)
	if len(siptest.User(contact)) != 16 || addr != r.edge.Inside || by != r.way.in {
		r.Errorf("the registrar got Contact %q, want 16 characters at %v over %s", contact, r.edge.Inside, r.way.in)
	}
	q, _ := siptest.Param(ok.Get("Contact"), "q")
	expires, _ := siptest.Param(ok.Get("Contact"), "expires")
	if siptest.URI(ok.Get("Contact")) != siptest.URI(phone.Contact()) || q != "0.5" || expires != "3600" {
		r.Errorf("the 200 shows Contact %q", ok.Get("Contact"))
	}
	if got := ok.Get("Service-Route"); !r.hidden && got != "<sip:sr.example.com;lr>" || r.hidden && got != "" {
		r.Errorf("Service-Route %q", got)
	}
	c := r.callIn(contact, phone)
	if want := siptest.URI(phone.Contact()); c.got.RequestURI() != want {
		r.Errorf("the phone is called as %s, want its own Contact %s", c.got.RequestURI(), want)
	}
	r.bye(c.platform, c.phone)

	reg.OnReply(func(_ *siptest.Received, reply *siptest.Message) { // grants one second only
		reply.Set("Contact", "<"+siptest.URI(reply.Get("Contact"))+">;expires=1")
	})
	phone.MustRegister()
	phone.Handle(func(m *siptest.Received) bool { // calls that come before it expires
		if m.Method() == "INVITE" {
			phone.Reply(m, 486)
		}
		return true
	})
	r.unreachable(contact, 2*siptest.Deadline)
}

// unreachable wants calls to contact refused by the edge before long. Calls that reach a phone which is busy don't count.
func (r *rig) unreachable(contact string, within time.Duration) {
	r.Helper()
	for end := time.Now().Add(within); ; {
		sent := r.platform.Send(r.platform.Request("INVITE", contact))
		final := r.platform.WaitIn(sent.Get("Call-ID"), "final", siptest.Deadline)
		if final == nil {
			r.Fatal("no final response")
		}
		r.platform.Send(siptest.AckOf(sent, final))
		if s := final.Status(); s != 486 {
			if s < 400 || s > 499 {
				r.Errorf("a call to nobody gets %d", s)
			}
			return
		}
		if time.Now().After(end) {
			r.Fatalf("calls to %s are not refused", contact)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// P43: over the connection that the phone made (it has no listener); when that is gone, 430 (RFC 5626 §5.3.1), at once for an INVITE that waits.
func p43(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	contact := r.register(reg, phone)
	own := phone.Connection(r.edge.Outside)
	c := r.callIn(contact, phone)
	if c.got.Conn != own {
		r.Error("the call came over another connection")
	}
	waits := r.platform.Send(r.platform.Request("INVITE", contact))
	phone.Expect("INVITE")
	phone.Hangup()
	r.platform.Send(siptest.AckOf(waits, r.platform.Expect("430 INVITE")))
	gone := func() bool {
		sent := r.platform.Send(r.platform.Request("INVITE", contact))
		final := r.platform.WaitIn(sent.Get("Call-ID"), "430", hush)
		if final != nil {
			r.platform.Send(siptest.AckOf(sent, final))
			return true
		}
		return false
	}
	if !siptest.Eventually(gone) {
		r.Error("no 430 for a call to a phone whose connection has ended")
	}
	c.platform.Send("BYE")
	r.platform.Expect("430 BYE")
	r.register(reg, phone) // and over a new connection it is back, its dialogs too
	c.platform.Send("BYE")
	phone.Reply(phone.Expect("BYE"), 200)
	r.platform.Expect("200 BYE")
}

func p40(r *rig) {
	phone := r.phone("alice")
	for range 3 {
		phone.SendTo(r.edge.Outside, r.way.out, "\r\n\r\n")
		phone.Expect("CRLF")
	}
	if phone.Got("CRLF") != 3 {
		r.Errorf("%d pongs for 3 pings", phone.Got("CRLF"))
	}
	r.works(phone)
}

// works shows that calls work as before.
func (r *rig) works(phone *siptest.UA) {
	r.Helper()
	c := r.call(phone)
	r.bye(c.phone, c.platform)
}

func p41(r *rig) {
	phone := r.phone("alice")
	before := r.edge.Counter("ringwall_refused_total")
	for _, alive := range []string{"\r\n\r\n", "\r\n", "\x00\x00\x00\x00"} {
		phone.SendTo(r.edge.Outside, "udp", alive)
	}
	phone.Silence(hush)
	r.platform.Silence(hush / 2)
	if r.edge.Counter("ringwall_refused_total") != before {
		r.Error("keep-alives count as refused")
	}
	r.works(phone)
}

// P64: NAT gives the phone a new port, its network a new connection; its Contact stays, or only its +sip.instance does.
func p64(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	for _, instance := range []string{"", ";+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\""} {
		user := "alice"
		if instance != "" {
			user = "bob"
		}
		phone := r.phone(user)
		m := phone.Register()
		m.Set("Contact", phone.Contact()+instance)
		phone.Send(m)
		phone.Expect("200")
		before := reg.Contacts(phone.AOR())
		moved := siptest.NewPhone(r.T, user, r.way.out, phone.Addr.Addr().String(), r.edge.Outside)
		m = siptest.Again(m)
		if instance != "" { // a phone that writes the new port into its Contact
			m.Set("Contact", moved.Contact()+instance)
		}
		moved.Send(m)
		ok := moved.Expect("200")
		if siptest.URI(ok.Get("Contact")) != siptest.URI(m.Get("Contact")) {
			r.Errorf("the 200 shows Contact %q, want %q", ok.Get("Contact"), m.Get("Contact"))
		}
		after := reg.Contacts(phone.AOR())
		if len(before) != 1 || len(after) != 1 || before[0] != after[0] {
			r.Fatalf("Contacts at the registrar: %q, then %q", before, after)
		}
		c := r.callIn(after[0], moved)
		phone.Silence(hush/2, "INVITE")
		r.bye(c.platform, c.phone)
	}
}

// P68: two devices of one user; the registrar lists both, the other's first, and with an odd expires.
func p68(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	desk, mobile := r.phone("alice"), r.phone("alice")
	r.register(reg, desk)
	reg.OnReply(func(_ *siptest.Received, reply *siptest.Message) {
		own := reply.All("Contact")
		reply.Del("Contact").Add("Contact", "<sip:alice@192.0.2.7>;expires=7")
		reply.Add("Contact", strings.Join(own, " , "))
		for i, f := range reply.Fields {
			reply.Fields[i].Value = strings.ReplaceAll(f.Value, ";expires=3600", "; EXPIRES = 1234")
		}
	})
	for _, phone := range []*siptest.UA{mobile, desk} {
		ok := phone.MustRegister()
		shown := ok.All("Contact")
		if len(shown) != 1 || siptest.URI(shown[0]) != siptest.URI(phone.Contact()) {
			r.Errorf("the 200 shows %q, want only %s", shown, phone.Contact())
		}
	}
	contacts := reg.Contacts(desk.AOR())
	if len(contacts) != 2 || contacts[0] == contacts[1] {
		r.Fatalf("Contacts at the registrar: %q", contacts)
	}
	reg.OnReply(nil)
	all := desk.Register().Set("Contact", "*").Set("Expires", "0")
	desk.Send(all)
	desk.Expect("200")
	if left := reg.Contacts(desk.AOR()); len(left) != 0 {
		r.Errorf("the registrar still has %q", left)
	}
	for _, contact := range contacts {
		r.unreachable(contact, siptest.Deadline)
	}
}
