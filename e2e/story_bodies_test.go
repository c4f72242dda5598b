package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestHiddenPickup: a phone learns from a NOTIFY that another one is in a call, and takes that call over, by the target and the Call-ID that
// it was shown. Then bodies of each kind come from the platform. The guard looks at everything, and finds nothing to keep back.
func TestHiddenPickup(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, concealed(relaying))
	reg := siptest.NewRegistrar(r.platform, nil)
	alice, carol := r.phone("alice"), r.phone("carol")
	contact, other := r.register(reg, alice), r.register(reg, carol)
	c := r.callIn(contact, alice)

	target := "sip:desk@" + r.platform.Addr.String() + ";x=mark-x"
	place := r.platform.Addr.String()
	got := r.notify(carol, other, "application/dialog-info+xml", fmt.Sprintf("<dialog-info entity=\"sip:alice@%[1]s\"><dialog call-id=\"%[2]s\" "+
		"local-tag=\"1\" remote-tag=\"2\"><local><target uri=\"%[3]s\"/></local><remote><identity>sip:x@mark-pbx.example</identity></remote></dialog>"+
		"<!-- %[1]s --></dialog-info>", place, c.platform.CallID, target))
	id := between(got, `call-id="`, `"`)
	if id != c.phone.CallID {
		r.Errorf("carol is told of call %q, which alice knows as %q", id, c.phone.CallID)
	}
	take := carol.Request("INVITE", between(got, `<target uri="`, `"`)).Set("Replaces", id+";to-tag=1;from-tag=2")
	carol.Send(take)
	at := r.platform.Expect("INVITE")
	if at.RequestURI() != target || at.Get("Replaces") != c.platform.CallID+";to-tag=1;from-tag=2" {
		r.Errorf("the platform is asked for %s, Replaces %s", at.RequestURI(), at.Get("Replaces"))
	}
	answer := r.platform.Reply(at, 200)
	taken := carol.NewCallerDialog(take, carol.Expect("200 INVITE"))
	taken.Send("ACK")
	r.platform.Expect("ACK")
	r.bye(taken, r.platform.NewCalleeDialog(at, answer))
	r.bye(c.platform, c.phone)

	got = r.notify(carol, other, "message/sipfrag;version=2.0", "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP "+place+"\r\nContact: <"+target+">\r\nServer: mark-server\r\n")
	if !strings.HasPrefix(got, "SIP/2.0 200 OK\r\nContact: <sip:") {
		r.Errorf("the fragment became %q", got)
	}
	if got = r.notify(carol, other, "application/mark-unknown", "mark-body"); got != "" {
		r.Errorf("an unknown body leaves: %q", got)
	}
	got = r.notify(carol, other, "multipart/mixed;boundary=mark", "--mark\r\nContent-Type: text/plain\r\n\r\nI am at "+place+"\r\n--mark\r\nContent-Type: application/mark\r\n\r\nmark-part\r\n--mark--\r\n")
	delimiter, _, _ := strings.Cut(got, "\r\n") // not the platform's
	if want := delimiter + "\r\nContent-Type: text/plain\r\n\r\nI am at example.com\r\n" + delimiter + "--\r\n"; got != want || delimiter == "--mark" {
		r.Errorf("the parts became %q", got)
	}
	if n := r.edge.Counter(`ringwall_refused_total`, `topology.leak`); n > 0 {
		r.Errorf("the guard kept %v messages back", n)
	}
	if n := r.edge.Counted(1, `topology.body`); n != 1 {
		r.Errorf("%v bodies are counted as taken out", n)
	}
}

// notify lets the platform send a NOTIFY with that body to a phone, and returns the body as it came.
func (r *rig) notify(phone *siptest.UA, contact, contentType, body string) string {
	r.Helper()
	r.platform.Send(r.platform.Request("NOTIFY", contact).Set("Event", "dialog").WithBody(contentType, body))
	got := phone.Expect("NOTIFY")
	phone.Reply(got, 200)
	r.platform.Expect("200 NOTIFY")
	return got.Body
}

// between is what stands between two texts.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}
