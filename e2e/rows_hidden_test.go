package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/ringwall/ringwall/siptest"
)

// away wants callID, of a dialog that began inside as own, to be another one outside.
func (r *rig) away(own, callID string) {
	r.Helper()
	if own == callID || len(callID) < 16 || strings.Contains(callID, own) {
		r.Errorf("outside knows %q as %q", own, callID)
	}
}

// P51: one mask inside a dialog, on both sides, over reload and restart; tags pass.
func p51(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	contact := r.register(reg, phone)
	c := r.callIn(contact, phone)
	r.away(c.sent.Get("Call-ID"), c.got.Get("Call-ID"))
	if siptest.Tag(c.got.Get("From")) != siptest.Tag(c.sent.Get("From")) {
		r.Errorf("From tag %q became %q", c.sent.Get("From"), c.got.Get("From"))
	}
	same := func() {
		r.Helper()
		for _, ends := range [][2]*siptest.Dialog{{c.phone, c.platform}, {c.platform, c.phone}} {
			from, to := ends[0], ends[1]
			got := r.ask(from, to, from.Request("INFO"))
			if got.Get("Call-ID") != to.CallID || siptest.Tag(got.Get("From")) != siptest.Tag(to.Remote) || siptest.Tag(got.Get("To")) != siptest.Tag(to.Local) {
				r.Errorf("%s does not know this dialog:\n%s", to.UA.User, got.Raw)
			}
			r.reinvite(from, to)
		}
	}
	same()
	r.rewrite("access:", "access: {unknown: [REGISTER, INVITE]}")
	if a := r.askReload(); !a.OK {
		r.Fatalf("%+v", a)
	}
	same()
	r.edge.Signal(syscall.SIGKILL)
	r.edge.WaitExit()
	r.edge.Start()
	if r.stream() {
		phone.Hangup()
	}
	r.register(reg, phone)
	same()
	r.bye(c.phone, c.platform)

	out := r.call(phone)
	if got := out.got.Get("Call-ID"); got != out.phone.CallID {
		r.Errorf("the Call-ID %s of a phone became %s", out.phone.CallID, got)
	}
	r.bye(out.platform, out.phone)
}

// replaces is the value of a Replaces header field that names the dialog as its own end d knows it (RFC 3891 §3: the far end's view of
// the tags, which is what a UA that is to be replaced compares).
func replaces(d *siptest.Dialog) string {
	return fmt.Sprintf("%s;to-tag=%s;from-tag=%s", d.CallID, siptest.Tag(d.Remote), siptest.Tag(d.Local))
}

// P52: fields that name a dialog, from outside and from inside, for dialogs that began on each side.
func p52(r *rig) {
	phone, contact := r.registered("alice")
	for _, c := range []*call{r.call(phone), r.callIn(contact, phone)} {
		for _, way := range []struct {
			from, to *siptest.UA
			uri      string
			knows    [2]*siptest.Dialog // by sender and receiver
		}{{phone, r.platform, "sip:carol@example.com", [2]*siptest.Dialog{c.phone, c.platform}},
			{r.platform, phone, contact, [2]*siptest.Dialog{c.platform, c.phone}}} {
			said, want := replaces(way.knows[0]), strings.Replace(replaces(way.knows[0]), way.knows[0].CallID, way.knows[1].CallID, 1)
			m := way.from.Request("INVITE", way.uri).Set("Replaces", said).Set("Join", said).Set("In-Reply-To", "unheard@of.example, "+way.knows[0].CallID)
			m.Set("Target-Dialog", strings.NewReplacer("to-tag", "remote-tag", "from-tag", "local-tag").Replace(said))
			m.Set("Refer-To", "<sip:carol@example.com?Replaces="+url.QueryEscape(said)+">")
			way.from.Send(m)
			got := way.to.Expect("INVITE")
			for _, name := range []string{"Replaces", "Join"} {
				if got.Get(name) != want {
					r.Errorf("%s at %s: %q, want %q", name, way.to.User, got.Get(name), want)
				}
			}
			named := strings.TrimSuffix(got.Get("Target-Dialog"), strings.TrimPrefix(m.Get("Target-Dialog"), way.knows[0].CallID))
			earlier := got.All("In-Reply-To")
			if named != way.knows[1].CallID || len(earlier) != 2 || earlier[1] != way.knows[1].CallID {
				r.Errorf("Target-Dialog %q, In-Reply-To %q at %s, want %s in both", got.Get("Target-Dialog"), earlier, way.to.User, way.knows[1].CallID)
			}
			_, query, _ := strings.Cut(siptest.URI(got.Get("Refer-To")), "?Replaces=")
			if text, err := url.QueryUnescape(query); err != nil || text != want {
				r.Errorf("Refer-To at %s: %q, want Replaces=%s", way.to.User, got.Get("Refer-To"), want)
			}
			way.to.Reply(got, 486)
			way.from.Send(siptest.AckOf(m, way.from.Expect("486")))
		}
		r.bye(c.phone, c.platform)
	}
}

// P53: nothing of the platform leaves in any message of any transaction that either side begins: that is looked for when the row ends.
func p53(r *rig) {
	phone, contact := r.registered("alice")
	for _, status := range []int{180, 181, 182, 183, 199} {
		sent, got := r.invite(phone)
		r.platform.Reply(got, status)
		phone.Expect(fmt.Sprint(status))
		phone.Send(siptest.CancelOf(sent))
		phone.Expect("200 CANCEL")
		r.platform.Reply(r.platform.Expect("CANCEL"), 200)
		r.platform.Reply(got, 487)
		phone.Send(siptest.AckOf(sent, phone.Expect("487")))
	}
	for _, status := range []int{301, 305, 380, 400, 403, 404, 408, 420, 421, 422, 480, 481, 484, 486, 488, 491, 500, 501, 503, 504, 600, 603, 606} {
		sent, got := r.invite(phone)
		r.platform.Reply(got, status)
		final := phone.WaitIn(sent.Get("Call-ID"), "final", siptest.Deadline) // and no copy of the one before
		if final == nil {
			r.Fatalf("no final comes for %d", status)
		}
		phone.Send(siptest.AckOf(sent, final))
		phone.Send(sent) // a retransmission gets what the first one got
	}
	for _, method := range []string{"MESSAGE", "OPTIONS", "SUBSCRIBE", "PUBLISH", "INFO", "REFER", "NOTIFY"} {
		uri := "sip:bob@example.com"
		for _, ends := range [][2]*siptest.UA{{phone, r.platform}, {r.platform, phone}} {
			for _, status := range []int{202, 404} {
				m := ends[0].Request(method, uri).Set("Event", "presence").Set("Refer-To", "<sip:carol@"+r.platform.Addr.String()+">")
				ends[0].Send(m)
				ends[1].Reply(ends[1].Expect(method), status)
				ends[0].Expect(fmt.Sprint(status, " ", method))
			}
			uri = contact
		}
	}
	sent := r.platform.Send(r.platform.Request("INVITE", contact))
	phone.Reply(phone.Expect("INVITE"), 180)
	r.platform.Expect("180")
	r.platform.Send(siptest.CancelOf(sent))
	phone.Expect("CANCEL")
}

// P54: what a redirection names works, and does not show where it is.
func p54(r *rig) {
	phone := r.phone("alice")
	at := siptest.HostPort(siptest.URI(r.platform.Contact()))
	uris := []string{"sip:carol@" + at, "sip:dave@" + at + ";mark-uri=1", "sip:" + at}
	if r.way.in == "tcp" {
		for i := range uris {
			uris[i] += ";transport=tcp"
		}
	}
	sent, got := r.invite(phone)
	r.platform.Reply(got, 302, func(m *siptest.Message) {
		m.Add("Contact", fmt.Sprintf(`"mark, one" <%s>;q=0.9, <%s>;q=0.5;mark-q="x,y"`, uris[0], uris[1])).Add("m", "<"+uris[2]+">")
	})
	moved := phone.Expect("302")
	phone.Send(siptest.AckOf(sent, moved))
	contacts := moved.All("Contact")
	if len(contacts) != 3 {
		r.Fatalf("Contacts %q", contacts)
	}
	if q, _ := siptest.Param(contacts[0], "q"); q != "0.9" {
		r.Errorf("Contact %q lost its q", contacts[0])
	}
	for i, contact := range contacts {
		if _, got := r.invite(phone, func(m *siptest.Message) { m.Start = "INVITE " + siptest.URI(contact) + " SIP/2.0" }); got.RequestURI() != uris[i] {
			r.Errorf("%s led to %s, not to %s", contact, got.RequestURI(), uris[i])
		}
	}
}

// P55: early dialogs of a fork inside, by ways of their own, are all usable, and each may become a call.
func p55(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	alter := r.platform.Alter
	var early []*siptest.Dialog
	var ways [][]string
	for i, tag := range []string{"one", "two", "three"} {
		last := fmt.Sprintf("<sip:10.77.0.%d;lr;did=mark-%s>", i+1, tag)
		r.platform.Alter = func(m *siptest.Message) {
			alter(m)
			m.Top("Record-Route", last)
		}
		ways = append(ways, append(slices.Clone(r.recorded), last))
		r.platform.Reply(got, 183, siptest.Tagged(tag), siptest.With("Require", "100rel"), siptest.With("RSeq", "1"))
		early = append(early, phone.NewCallerDialog(sent, phone.Expect("183")))
	}
	r.platform.Alter = alter
	for i, d := range early {
		for _, m := range []*siptest.Message{d.Request("PRACK").Set("RAck", "1 1 INVITE"), d.Request("UPDATE").WithBody("application/sdp", siptest.SDP)} {
			phone.Send(m)
			at := r.platform.Expect(m.Method())
			if siptest.Tag(at.Get("To")) != siptest.Tag(d.Remote) || !slices.Equal(at.All("Route"), ways[i]) || at.RequestURI() != siptest.URI(r.platform.Contact()) {
				r.Errorf("%s in early dialog %d:\n%s", m.Method(), i, at.Raw)
			}
			r.platform.Reply(at, 200)
			phone.Expect("200 " + m.Method())
		}
	}
	for i, tag := range []string{"three", "one"} {
		r.platform.Reply(got, 200, siptest.Tagged(tag))
		d := phone.NewCallerDialog(sent, phone.Expect("200 INVITE"))
		d.Send("ACK")
		if ack := r.platform.Expect("ACK"); siptest.Tag(ack.Get("To")) != tag {
			r.Errorf("ACK %d with tag %q, want %q", i, siptest.Tag(ack.Get("To")), tag)
		}
		d.Send("BYE")
		r.platform.Reply(r.platform.Expect("BYE"), 200)
		phone.Expect("200 BYE")
	}
}
