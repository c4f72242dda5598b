package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// hiddenStories are run with a hidden platform that tells of itself everywhere; what the phones got is searched for it at the end.
var hiddenStories = []struct {
	name string
	run  func(*rig)
}{
	{"blind transfer by the phone", transferByPhone},
	{"blind transfer by the platform", transferByPlatform},
	{"attended transfer by the phone", attendedByPhone},
	{"attended transfer by the platform", attendedByPlatform},
	{"pickup", pickup},
	{"challenges", challenges},
	{"bodies", bodies},
	{"local numbers", localNumbers},
	{"session timers", p48},
	{"other node", otherNode},
	{"switched off and on", switched},
	{"unlinkable", unlinkable},
}

// TestHidden: what people do on phones, with the platform hidden and media relayed.
func TestHidden(t *testing.T) {
	t.Parallel()
	for _, s := range hiddenStories {
		t.Run(s.name, func(t *testing.T) {
			for _, w := range both {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					s.run(newRig(t, w, concealed(relaying)))
				})
			}
		})
	}
}

// refer sends a REFER in the dialog from, which to accepts, and tells of its progress to the end. It returns the REFER as it came.
func (r *rig) refer(from, to *siptest.Dialog, target string) *siptest.Received {
	r.Helper()
	from.UA.Send(from.Request("REFER").Set("Refer-To", "<"+target+">"))
	got := to.UA.Expect("REFER")
	to.UA.Reply(got, 202)
	from.UA.Expect("202 REFER")
	for _, status := range []string{"100 Trying", "200 OK"} {
		m := to.Request("NOTIFY").Set("Event", "refer").Set("Subscription-State", "active")
		m.WithBody("message/sipfrag;version=2.0", "SIP/2.0 "+status+"\r\n")
		if note := r.ask(to, from, m); !strings.HasPrefix(note.Body, "SIP/2.0 "+status) {
			r.Errorf("NOTIFY came with %q", note.Body)
		}
	}
	return got
}

func transferByPhone(r *rig) {
	phone, contact := r.registered("alice")
	for _, c := range []*call{r.call(phone), r.callIn(contact, phone)} {
		got := r.refer(c.phone, c.platform, "sip:carol@example.com")
		if got.Get("Refer-To") != "<sip:carol@example.com>" {
			r.Errorf("Refer-To %q", got.Get("Refer-To"))
		}
		r.bye(c.platform, c.phone)
	}
}

// transferByPlatform: the phone calls a desk inside that it never learns the address of.
func transferByPlatform(r *rig) {
	phone, contact := r.registered("alice")
	desk := strings.Replace(siptest.URI(r.platform.Contact()), "platform@", "desk@", 1)
	for _, c := range []*call{r.call(phone), r.callIn(contact, phone)} {
		got := r.refer(c.platform, c.phone, desk+"?Referred-By=%3Csip%3Amark-referrer%4010.77.0.6%3E&Require=replaces")
		target, headers, _ := strings.Cut(siptest.URI(got.Get("Refer-To")), "?")
		if headers != "Require=replaces" {
			r.Errorf("Refer-To came with %q", headers)
		}
		_, at := r.invite(phone, func(m *siptest.Message) { m.Start = "INVITE " + target + " SIP/2.0" })
		if at.RequestURI() != desk {
			r.Errorf("%s led to %s, not to %s", target, at.RequestURI(), desk)
		}
		r.platform.Reply(at, 486)
		phone.Expect("486")
		r.bye(c.phone, c.platform)
	}
}

// dialogNamed is the Call-ID in the Replaces of a Refer-To.
func (r *rig) dialogNamed(referTo string) string {
	r.Helper()
	_, query, _ := strings.Cut(siptest.URI(referTo), "?Replaces=")
	text, err := url.QueryUnescape(query)
	if err != nil || text == "" {
		r.Fatalf("no Replaces in Refer-To %q", referTo)
	}
	id, _, _ := strings.Cut(text, ";")
	return id
}

// attendedByPhone: of two calls that it has with the platform the phone connects one with the other.
func attendedByPhone(r *rig) {
	phone, contact := r.registered("alice")
	begin := []func() *call{func() *call { return r.call(phone) }, func() *call { return r.callIn(contact, phone) }}
	for _, one := range begin {
		for _, other := range begin {
			a, b := one(), other()
			got := r.refer(a.phone, a.platform, b.phone.Target+"?Replaces="+url.QueryEscape(replaces(b.phone)))
			if id := r.dialogNamed(got.Get("Refer-To")); id != b.platform.CallID {
				r.Errorf("the platform is to replace %s, not %s", id, b.platform.CallID)
			}
			if target, _, _ := strings.Cut(siptest.URI(got.Get("Refer-To")), "?"); target != siptest.URI(r.platform.Contact()) {
				r.Errorf("Refer-To %q", got.Get("Refer-To"))
			}
			r.bye(a.platform, a.phone)
			r.bye(b.phone, b.platform)
		}
	}
}

// attendedByPlatform: a desk inside has calls with alice and bob, and connects them. Alice calls bob by way of the platform, and bob's phone
// must know the dialog that hers is to replace.
func attendedByPlatform(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	alice, bob := r.phone("alice"), r.phone("bob")
	aliceAt, bobAt := r.register(reg, alice), r.register(reg, bob)
	for i := range 4 {
		var a, b *call
		if a = r.callIn(aliceAt, alice); i%2 == 1 {
			a = r.call(alice)
		}
		if b = r.callIn(bobAt, bob); i/2 == 1 {
			b = r.call(bob)
		}
		got := r.refer(a.platform, a.phone, bobAt+"?Replaces="+url.QueryEscape(replaces(b.platform)))
		target, query, _ := strings.Cut(siptest.URI(got.Get("Refer-To")), "?Replaces=")
		said, err := url.QueryUnescape(query)
		if err != nil {
			r.Fatal(err)
		}
		sent, at := r.invite(alice, func(m *siptest.Message) {
			m.Start = "INVITE " + target + " SIP/2.0"
			m.Set("Replaces", said)
		})
		if id, _, _ := strings.Cut(at.Get("Replaces"), ";"); at.RequestURI() != bobAt || id != b.platform.CallID {
			r.Errorf("INVITE %s, Replaces %q, want %s and %s", at.RequestURI(), at.Get("Replaces"), bobAt, b.platform.CallID)
		}
		on := r.platform.Send(r.platform.Request("INVITE", at.RequestURI()).Set("Replaces", at.Get("Replaces")))
		final := bob.Expect("INVITE")
		if id, _, _ := strings.Cut(final.Get("Replaces"), ";"); id != b.phone.CallID {
			r.Errorf("bob is to replace %s, which he knows as %s", id, b.phone.CallID)
		}
		bob.Reply(final, 486)
		r.platform.Send(siptest.AckOf(on, r.platform.Expect("486")))
		r.platform.Reply(at, 486)
		alice.Send(siptest.AckOf(sent, alice.Expect("486")))
		r.bye(b.platform, b.phone)
		r.bye(a.phone, a.platform)
	}
}

// pickup: carol watches a desk inside, and takes the call that rings there.
func pickup(r *rig) {
	carol := r.registeredAs("carol")
	sent := carol.Send(carol.Request("SUBSCRIBE", "sip:desk@example.com").Set("Event", "dialog").Set("Expires", "600"))
	got := r.platform.Expect("SUBSCRIBE")
	answer := r.platform.Reply(got, 200)
	watcher, watched := carol.NewCallerDialog(sent, carol.Expect("200 SUBSCRIBE")), r.platform.NewCalleeDialog(got, answer)
	const ringing = "mark-ringing@10.77.0.6"
	note := watched.Request("NOTIFY").Set("Event", "dialog").Set("Subscription-State", "active")
	note.WithBody("application/dialog-info+xml", `<?xml version="1.0"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full" entity="sip:desk@pbx.mark-domain.example">
<dialog id="1" call-id="`+ringing+`" local-tag="l1" remote-tag="r1" direction="recipient"><state>early</state>
<local><identity>sip:desk@pbx.mark-domain.example</identity><target uri="sip:desk@10.77.0.6:5060"/></local>
<remote><target uri="`+siptest.URI(r.platform.Contact())+`"/></remote></dialog></dialog-info>
`)
	told := r.ask(watched, watcher, note)
	id := regexp.MustCompile(`call-id="([^"]+)"`).FindStringSubmatch(told.Body)
	if id == nil {
		r.Fatalf("no call-id in\n%s", told.Raw)
	}
	_, at := r.invite(carol, set("Replaces", id[1]+";to-tag=l1;from-tag=r1;early-only"))
	if want := ringing + ";to-tag=l1;from-tag=r1;early-only"; at.Get("Replaces") != want {
		r.Errorf("Replaces %q, want %q", at.Get("Replaces"), want)
	}
	uris := regexp.MustCompile(`target uri="([^"]+)"`).FindAllStringSubmatch(told.Body, -1)
	if len(uris) != 2 {
		r.Fatalf("targets %q in\n%s", uris, told.Raw)
	}
	if _, at = r.invite(carol, func(m *siptest.Message) { m.Start = "INVITE " + uris[1][1] + " SIP/2.0" }); at.RequestURI() != siptest.URI(r.platform.Contact()) {
		r.Errorf("%s led to %s", uris[1][1], at.RequestURI())
	}
}

// registeredAs is a registered phone.
func (r *rig) registeredAs(user string) *siptest.UA {
	phone, _ := r.registered(user)
	return phone
}

// challenges pass byte for byte but for what no digest is computed over.
func challenges(r *rig) {
	const challenge = `Digest realm="example.com", nonce="abc", opaque="def", algorithm=MD5, qop="auth"`
	phone := r.phone("alice")
	for _, c := range []struct {
		method, field string
		status        int
	}{{"INVITE", "Proxy-Authenticate", 407}, {"REGISTER", "WWW-Authenticate", 401}} {
		for _, more := range []string{"", `, domain="sip:mark-domain.example"`} {
			m := phone.Request(c.method, "sip:example.com")
			phone.Send(m)
			r.platform.Reply(r.platform.Expect(c.method), c.status, siptest.With(c.field, challenge+more))
			final := phone.Expect(fmt.Sprint(c.status, " ", c.method))
			if final.Get(c.field) != challenge {
				r.Errorf("%s became %q", c.field, final.Get(c.field))
			}
			if c.method == "INVITE" {
				phone.Send(siptest.AckOf(m, final))
			}
		}
	}
}

// bodies of all kinds name the platform in requests and responses, in a dialog and outside; what arrives does not.
func bodies(r *rig) {
	phone, contact := r.registered("alice")
	c := r.call(phone)
	at := r.platform.Addr.String()
	frag := "SIP/2.0 486 mark-frag\r\nVia: SIP/2.0/UDP " + at + ";branch=z9hG4bK1\r\nContact: <sip:desk@" + at + ">\r\nServer: mark-server\r\nCall-ID: mark-id@" + at + "\r\n"
	for _, b := range [][2]string{
		{"message/sipfrag", frag},
		{"message/sipfrag;version=2.0", "SIP/2.0 200 OK\r\nTo: <sip:desk@" + at + ">;tag=1\r\n"},
		{"application/simple-message-summary", "Messages-Waiting: yes\r\nMessage-Account: sip:desk@" + at + "\r\nVoice-Message: 2/8 (0/2)\r\n"},
		{"application/dialog-info+xml", `<dialog-info entity="sip:desk@` + at + `"><dialog id="1" call-id="mark-1@` + at + `"><remote><target uri="sip:desk@` + at + `"/></remote></dialog></dialog-info>`},
		{"application/reginfo+xml", `<reginfo><registration aor="sip:desk@` + at + `" id="a" state="active"><contact id="1" state="active" event="registered"><uri>sip:desk@` + at + `</uri></contact></registration></reginfo>`},
		{"application/pidf+xml", `<presence entity="pres:desk@` + at + `"><tuple id="1"><contact>sip:desk@` + at + `</contact></tuple></presence>`},
		{"text/plain", "call sip:desk@" + at + " back"},
		{"application/sdp", siptest.SDP}, // neither offer nor answer in any of these
		{"application/json", `{"host":"` + at + `"}`},
		{"application/x-mark", "at " + at},
		{"application/isup;version=mark", "\x01\x02" + at},
		{"multipart/mixed;boundary=b", "--b\r\nContent-Type: message/sipfrag\r\n\r\n" + frag + "\r\n--b\r\nContent-Type: application/x-mark\r\n\r\n" + at + "\r\n--b--\r\n"},
	} {
		info := c.platform.Request("INFO").WithBody(b[0], b[1])
		r.ask(c.platform, c.phone, info)
		r.platform.Send(r.platform.Request("MESSAGE", contact).WithBody(b[0], b[1]))
		phone.Reply(phone.Expect("MESSAGE"), 200)
		r.platform.Expect("200 MESSAGE")
		phone.Send(c.phone.Request("INFO"))
		r.platform.Reply(r.platform.Expect("INFO"), 200, func(m *siptest.Message) { m.WithBody(b[0], b[1]) })
		phone.Expect("200 INFO")
		sent, got := r.invite(phone)
		r.platform.Reply(got, 404, func(m *siptest.Message) { m.WithBody(b[0], b[1]) })
		phone.Send(siptest.AckOf(sent, phone.Expect("404")))
	}
	r.bye(c.phone, c.platform)
}

// localNumbers: a desk calls that is known by a number of the platform's own, and names a server where nobody looks.
func localNumbers(r *rig) {
	phone, contact := r.registered("alice")
	sent := r.platform.Request("INVITE", contact)
	sent.Set("From", `"Desk" <tel:42;phone-context=mark-context.example>;tag=1`).Set("To", "<sip:alice@example.com;maddr=10.77.0.6>")
	r.platform.Send(sent)
	got := phone.Expect("INVITE")
	answer := phone.Reply(got, 200)
	ok := r.platform.Expect("200 INVITE")
	if ok.Get("From") != sent.Get("From") || !strings.HasPrefix(ok.Get("To"), sent.Get("To")+";tag=") {
		r.Errorf("From %q and To %q came back as %q and %q", sent.Get("From"), sent.Get("To"), ok.Get("From"), ok.Get("To"))
	}
	a, b := r.platform.NewCallerDialog(sent, ok), phone.NewCalleeDialog(got, answer)
	a.Send("ACK")
	phone.Expect("ACK")
	r.ask(a, b, a.Request("INFO"))
	r.ask(b, a, b.Request("INFO"))
	r.reinvite(a, b)
	r.bye(a, b)
}
