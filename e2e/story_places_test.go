package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestHiddenPlaces: the platform names itself where nobody expects it: in names of people, in parameters of any field, in preloaded Routes, in GRUUs, in
// challenges of makers' schemes. Nothing of that leaves.
func TestHiddenPlaces(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, w, concealed(siptest.Keys{"media": relaying["media"], "topology": "{hide: true, guard: log}"}))
			r.recorded, r.platform.Alter = nil, nil
			phone, contact := r.registered("alice")
			r.placesOfCalls(phone, contact)
			r.placesOfChallenges(phone)
			r.placesOfRegistrations(phone)
		})
	}
}

// placesOfCalls: a call and a NOTIFY from inside.
func (r *rig) placesOfCalls(phone *siptest.UA, contact string) {
	at := r.platform.Addr.String()
	m := r.platform.Request("INVITE", contact).WithBody("application/sdp;pbx="+at, siptest.SDP)
	m.Set("From", fmt.Sprintf(`"PBX %s" <sip:desk@%s>;tag=1`, at, at))
	m.Add("Route", fmt.Sprintf("<sip:%v;lr>, <sip:%v;lr>", r.edge.Inside, r.platform.Addr)).Add("Route", "<sip:far@"+at+";lr>")
	m.Set("Content-Disposition", "session;pbx="+at).Set("Session-Expires", "90;refresher=uac;x="+at).Set("Accept-Language", at)
	r.platform.Send(m)
	got := phone.Expect("INVITE")
	if from := got.Get("From"); from != `"PBX example.com" <sip:desk@example.com>;tag=1` || got.Count("Route") > 0 {
		r.Errorf("From %q, Route %q", from, got.All("Route"))
	}
	answer := phone.Reply(got, 200)
	ok := r.platform.Expect("200 INVITE")
	r.equal("From", m, ok)
	c := &call{phone.NewCalleeDialog(got, answer), r.platform.NewCallerDialog(m, ok), m, got}
	c.platform.Send("ACK")
	phone.Expect("ACK")
	r.ask(c.phone, c.platform, c.phone.Request("INFO"))
	note := c.platform.Request("NOTIFY").Set("Event", "dialog;x="+at).Set("Subscription-State", "active;x="+at).Set("SIP-ETag", "mark-1764000000.1")
	r.ask(c.platform, c.phone, note)
	r.bye(c.platform, c.phone)
}

// placesOfChallenges: of any scheme.
func (r *rig) placesOfChallenges(phone *siptest.UA) {
	for challenge, want := range map[string]string{
		`NTLM realm="x", targetname="mark-server", version=4`:     `NTLM realm="x"`,
		`NTLM gssapi-data="mark", targetname="mark"`:              "",
		"Digest\trealm=\"x\", nonce=\"n\", domain=\"sip:mark-d\"": "Digest\trealm=\"x\", nonce=\"n\"",
	} {
		sent, got := r.invite(phone)
		r.platform.Reply(got, 407, siptest.With("Proxy-Authenticate", challenge))
		final := phone.Expect("407")
		if shown := final.Get("Proxy-Authenticate"); shown != want {
			r.Errorf("%s became %q", challenge, shown)
		}
		phone.Send(siptest.AckOf(sent, final))
	}
}

// placesOfRegistrations: what the registrar adds to the phone's own Contact, and an entity-tag that comes back.
func (r *rig) placesOfRegistrations(phone *siptest.UA) {
	at := r.platform.Addr.String()
	r.platform.Handle(nil)
	phone.Send(phone.Register().Set("Contact", phone.Contact()+`;+sip.instance="<urn:uuid:1>"`))
	got := r.platform.Expect("REGISTER")
	r.platform.Reply(got, 200, siptest.With("Contact", got.Get("Contact")+fmt.Sprintf(`;pub-gruu="sip:alice@%s;gr=1";temp-gruu="sip:t@%s;gr";+x.pbx="%s";expires=60`, at, at, at)))
	shown := phone.Expect("200 REGISTER").Get("Contact")
	if !strings.Contains(shown, `;pub-gruu="sip:alice@example.com;gr=1";temp-gruu="sip:t@example.com;gr";expires=`) {
		r.Errorf("Contact %q", shown)
	}
	const etag = "mark-1764000000.1"
	phone.Send(phone.Request("PUBLISH", phone.AOR()).Set("Event", "presence"))
	r.platform.Reply(r.platform.Expect("PUBLISH"), 200, siptest.With("SIP-ETag", etag))
	token := phone.Expect("200 PUBLISH").Get("SIP-ETag")
	phone.Send(phone.Request("PUBLISH", phone.AOR()).Set("Event", "presence").Set("SIP-If-Match", token))
	if back := r.platform.Expect("PUBLISH").Get("SIP-If-Match"); back != etag {
		r.Errorf("SIP-If-Match %q came as %q", token, back)
	}
}

// TestOneFace: whoever makes an answer or a request, the platform or the edge, outside sees the same Server and User-Agent.
func TestOneFace(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, concealed(siptest.Keys{"media": relaying["media"], "timers": "{t1: 20ms, drain: 300ms}", "identity": `{server: "Acme 1"}`}))
	phone, contact := r.registered("alice")
	c := r.callIn(contact, phone)
	r.ask(c.phone, c.platform, c.phone.Request("INFO"))
	forged := *c.phone
	forged.CallID = siptest.ID()
	phone.Send(forged.Request("INFO"))
	phone.Expect("481 INFO")
	phone.Send(phone.Request("OPTIONS", "sip:"+r.edge.Outside.String()))
	phone.Expect("200 OPTIONS")
	phone.Send(phone.Request("INVITE", "sip:bob@elsewhere.example"))
	phone.Expect("404")
	r.invite(phone)
	phone.Expect("100")
	phone.Expect("408") // the platform says nothing
	for _, got := range phone.Log() {
		name := "Server"
		if got.IsRequest() {
			name = "User-Agent"
		}
		if got.Method() != "ACK" && got.Get(name) != "Acme 1" {
			t.Errorf("another face:\n%s", got.Raw)
		}
	}
}
