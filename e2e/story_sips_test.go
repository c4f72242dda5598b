package e2e

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestSips: where every hop is encrypted sips works (RFC 5630). A phone registers so, is called so and calls so, each side speaks in the dialog and
// hangs up; what is shown of us is sips, too. P49 has what is refused.
func TestSips(t *testing.T) {
	t.Parallel()
	for _, hide := range []string{"false", "true"} {
		t.Run("hidden "+hide, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			e := startSecure(t, siptest.Keys{"topology": "{hide: " + hide + "}"}, s.upstream(s, s, ""))
			e.Outside = e.TLS
			r := &rig{T: t, edge: e, platform: s.platform, way: way{name: "tls", out: "tls", in: "tls"}, hidden: hide == "true"}
			r.platform.Proxy, r.platform.TLS = e.Inside, &tls.Config{InsecureSkipVerify: true}
			reg := siptest.NewRegistrar(r.platform, nil)
			phone := r.phone("alice")
			phone.Sips, r.platform.Sips = true, true
			for range 2 {
				m := phone.Send(phone.Register())
				if ok := phone.WaitIn(m.Get("Call-ID"), "200 REGISTER", siptest.Deadline); ok == nil || siptest.URI(ok.Get("Contact")) != siptest.URI(phone.Contact()) {
					t.Fatalf("registered %s, got %v", phone.Contact(), ok)
				}
			}
			all := reg.Contacts(phone.AOR())
			if len(all) != 1 || !strings.HasPrefix(all[0], "sips:") {
				t.Fatalf("the registrar has %q", all)
			}
			for _, pair := range [][2]*siptest.UA{{phone, r.platform}, {r.platform, phone}} {
				uri := "sips:bob@example.com"
				if pair[1] == phone {
					uri = all[0]
				}
				for calleeEnds := range 2 {
					a, b := r.securely(pair[0], pair[1], uri)
					r.ask(a, b, a.Request("INFO"))
					r.ask(b, a, b.Request("INFO"))
					if calleeEnds == 1 {
						a, b = b, a
					}
					r.bye(a, b)
				}
			}
		})
	}
}

// securely lets a call uri, and b answer, both as sips.
func (r *rig) securely(a, b *siptest.UA, uri string) (caller, callee *siptest.Dialog) {
	r.Helper()
	sent := a.Send(a.Request("INVITE", uri))
	got := b.Expect("INVITE")
	answer := b.Reply(got, 200)
	ok := a.Expect("200 INVITE")
	for what, shown := range map[string]string{
		"Request-URI": got.RequestURI(), "Contact of the INVITE": siptest.URI(got.Get("Contact")), "Contact of the answer": siptest.URI(ok.Get("Contact")),
		"Record-Route of the INVITE": siptest.URI(got.Get("Record-Route")), "Record-Route of the answer": siptest.URI(ok.Get("Record-Route")),
	} {
		if !strings.HasPrefix(shown, "sips:") {
			r.Errorf("%s to %s: %s is %s", a.User, b.User, what, shown)
		}
	}
	caller, callee = a.NewCallerDialog(sent, ok), b.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	b.Expect("ACK")
	return caller, callee
}
