package e2e

import (
	"strings"

	"github.com/ringwall/ringwall/siptest"
)

// P39: +sip.instance and GRUU pass; without Path reg-id and the option tag outbound end here (RFC 5626, RFC 5627).
func p39(r *rig) {
	const instance = `+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"`
	phone := r.phone("alice")
	m := phone.Register().Set("Supported", "gruu, outbound, path")
	m.Set("Contact", phone.Contact()+";"+instance+";reg-id=1")
	phone.Send(m)
	got := r.platform.Expect("REGISTER")
	contact := got.Get("Contact")
	if !strings.Contains(contact, instance) || strings.Contains(contact, "reg-id") {
		r.Errorf("the platform got Contact %q", contact)
	}
	if s := got.Get("Supported"); s != "gruu, path" {
		r.Errorf("the platform got Supported %q", s)
	}
	gruu := `;pub-gruu="sip:alice@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`
	r.platform.Reply(got, 200, siptest.With("Contact", contact+gruu+";expires=600"))
	shown := phone.Expect("200").Get("Contact")
	if !strings.Contains(shown, gruu) || siptest.URI(shown) != siptest.URI(phone.Contact()) {
		r.Errorf("the phone is shown Contact %q", shown)
	}
}

// P42: a STUN Binding request (RFC 5389) where SIP is expected gets nothing, and calls go on.
func p42(r *rig) {
	phone := r.phone("alice")
	phone.SendTo(r.edge.Outside, "udp", "\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes")
	phone.Silence(hush)
	r.platform.Silence(hush / 2)
	r.works(phone)
}

// P49: from a hop that is not encrypted sips is refused with 416, towards one with 480; the platform here is on UDP or TCP.
func p49(r *rig) {
	phone := r.phone("alice")
	status := "416"
	if r.way.out == "tls" || r.way.out == "wss" {
		status = "480"
	}
	r.refused(phone, phone.Request("INVITE", "sips:bob@example.com"), status)
	phone.Flush()
	phone, contact := r.registered("carol")
	m := r.platform.Request("INVITE", strings.Replace(contact, "sip:", "sips:", 1))
	r.platform.SendTo(r.edge.Inside, r.way.in, m.String())
	r.platform.Expect("416 INVITE")
	phone.Silence(hush, "INVITE")
}

// P60: RFC 7118. Via and Contact name hosts that nobody can look up; everything goes over the connection.
func p60(r *rig) {
	phone, contact := r.registered("alice")
	name := strings.ToUpper(r.way.out)
	for range 2 {
		c := r.call(phone)
		if via := c.got.All("Via")[1]; !strings.HasPrefix(via, "SIP/2.0/"+name+" alice-") || !strings.Contains(via, ".invalid;") {
			r.Errorf("Via of the phone %q", via)
		}
		if contact := c.got.Get("Contact"); !strings.Contains(contact, ".invalid;transport=ws") {
			r.Errorf("Contact of the phone %q", contact)
		}
		r.reinvite(c.platform, c.phone)
		r.bye(c.platform, c.phone)
		c = r.callIn(contact, phone)
		if via := c.got.All("Via")[0]; !strings.HasPrefix(via, "SIP/2.0/"+name+" "+r.edge.Outside.String()) {
			r.Errorf("Via %q", via)
		}
		if route := c.got.Get("Record-Route"); !strings.Contains(route, r.edge.Outside.String()+";transport=ws;lr>") {
			r.Errorf("Record-Route %q", route)
		}
		if got := c.got.RequestURI(); got != siptest.URI(phone.Contact()) {
			r.Errorf("the phone is called as %s", got)
		}
		r.bye(c.phone, c.platform)
	}
}
