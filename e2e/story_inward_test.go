package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestPartsComeBack: what a hidden platform names in the parts of a body is hidden, and what the phone sends back of it in such a body comes
// as the platform wrote it.
func TestPartsComeBack(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, w, concealed(nil))
			phone, contact := r.registered("alice")
			c := r.callIn(contact, phone)
			place := r.platform.Addr.String()
			names := []string{"call-id=\"mark-call@" + place + "\"", "<target uri=\"sip:carol@" + place + "\"", "Refer-To: <sip:dave@" + place + "?Replaces=mark-other"}
			info := "<?xml version=\"1.0\"?><dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" entity=\"sip:a@example.com\"><dialog id=\"1\" " +
				names[0] + "><remote>" + names[1] + "/></remote></dialog></dialog-info>"
			body := "--b\r\nContent-Type: application/dialog-info+xml\r\n\r\n" + info + "\r\n--b\r\nContent-Type: message/sipfrag\r\n\r\nREFER sip:x@example.com SIP/2.0\r\n" +
				names[2] + "%40h%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
			got := r.ask(c.platform, c.phone, c.platform.Request("INFO").WithBody("multipart/mixed;boundary=b", body)) // r searches it for marks
			for _, part := range []string{"call-id=\"", "<target uri=\"sip:.", "Refer-To: <sip:.", "hello"} {
				if !strings.Contains(got.Body, part) {
					t.Errorf("no %s in\n%s", part, got.Body)
				}
			}
			back := r.ask(c.phone, c.platform, c.phone.Request("INFO").WithBody(got.Get("Content-Type"), got.Body))
			for _, name := range names {
				if !strings.Contains(back.Body, name) {
					t.Errorf("%s did not come back:\n%s", name, back.Body)
				}
			}
			r.bye(c.phone, c.platform)
		})
	}
}

// TestEntityTagsOfPhones: a platform that sends PUBLISH on to phones shows them no entity-tag of its own servers, and gives them theirs back.
func TestEntityTagsOfPhones(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, w, concealed(open))
			phone, contact := r.registered("alice")
			publish := func(etag string) *siptest.Received {
				m := r.platform.Request("PUBLISH", contact).Set("Event", "presence")
				if etag != "" {
					m.Set("SIP-If-Match", etag)
				}
				r.platform.Send(m)
				return phone.Expect("PUBLISH")
			}
			if shown := publish("mark-1764000000.1").Get("SIP-If-Match"); shown == "" { // that it is not the platform's r finds
				t.Error("no SIP-If-Match")
			}
			known := ""
			for n := range 2 { // a refresh gives a new one
				own := fmt.Sprint("of-the-phone-", n)
				got := publish(known)
				if want := fmt.Sprint("of-the-phone-", n-1); n > 0 && got.Get("SIP-If-Match") != want {
					t.Errorf("SIP-If-Match %q, want %q", got.Get("SIP-If-Match"), want)
				}
				phone.Reply(got, 200, siptest.With("SIP-ETag", own))
				known = r.platform.Expect("200 PUBLISH").Get("SIP-ETag")
			}
			phone.Send(phone.Request("PUBLISH", phone.AOR()).Set("Event", "presence").Set("SIP-If-Match", "of-nobody"))
			if got := r.platform.Expect("PUBLISH").Get("SIP-If-Match"); got != "of-nobody" {
				t.Errorf("what is no token of ours came as %q", got)
			}
		})
	}
}
