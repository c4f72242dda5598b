package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// numSpellings is how many ways to write a field's name there are here: as it is known, in lower, upper and mixed case, and the compact
// form, if it has one, in both cases.
const numSpellings = 6

// spelled is name in way i of numSpellings.
func spelled(name string, i int) string {
	short := map[string]string{"Subject": "s", "Identity": "y", "Identity-Info": "n", "Supported": "k", "Session-Expires": "x", "Refer-To": "r"}
	if short[name] != "" && i > 3 {
		name = short[name]
	}
	switch i {
	case 0:
		return name
	case 1, 4:
		return strings.ToLower(name)
	case 2, 5:
		return strings.ToUpper(name)
	}
	mixed := []byte(strings.ToLower(name))
	for at := 1; at < len(mixed); at += 2 {
		mixed[at] = strings.ToUpper(name)[at]
	}
	return string(mixed)
}

// named is a policy whose own names are spelled in several ways.
var named = siptest.Keys{"access": "{unknown: any}",
	"headers": "{source: x-SOURCE, from_outside: {remove: [x-internal, s, ALERT-Info], allow: [p-preferred-identity, N]}}"}

// What that policy takes from everybody outside, what from all but peers, and what it leaves. Session-Expires is "x", and no X- field.
var (
	takenFromAll       = []string{"X-Internal", "Subject", "Alert-Info"}
	takenFromStrangers = []string{"X-Other", "P-Asserted-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Identity"}
	left               = []string{"P-Preferred-Identity", "Identity-Info", "Privacy", "Supported", "Session-Expires"}
)

// forge adds all those fields in spelling i, and one that says where the message comes from.
func forge(i int) func(*siptest.Message) {
	return func(m *siptest.Message) {
		for _, names := range [][]string{takenFromAll, takenFromStrangers, left} {
			for _, name := range names {
				m.Add(spelled(name, i), "300")
			}
		}
		m.Add(spelled("X-Source", i), "192.0.2.1:5060;transport=tls")
	}
}

// fields wants none of gone in m, and each of kept once.
func (r *rig) fields(m *siptest.Received, gone, kept []string) {
	r.Helper()
	for _, name := range gone {
		if m.Count(name) > 0 {
			r.Errorf("%s is there:\n%s", name, m.Raw)
		}
	}
	for _, name := range kept {
		if m.Count(name) != 1 || m.Get(name) != "300" {
			r.Errorf("%s is not there as it was sent:\n%s", name, m.Raw)
		}
	}
	for _, f := range m.Fields {
		if len(f.Name) == 1 {
			r.Errorf("a compact name left: %s:\n%s", f.Name, m.Raw)
		}
	}
}

// sourced wants the X-Source of m to be the edge's own, for ua.
func (r *rig) sourced(m *siptest.Received, ua *siptest.UA) {
	r.Helper()
	if at := m.Get("X-Source"); m.Count("X-Source") != 1 || !strings.HasPrefix(at, ua.Addr.Addr().String()+":") {
		r.Errorf("X-Source %q of %v", m.All("X-Source"), ua.Addr)
	}
}

// TestF18 is row F18 of the audit: what is decided by a field's name is decided for all its spellings. The edge decides nothing by a
// realm; who reads credentials is the demonstration platform, by sip.ParseDigest, whose tests have xrealm before realm.
func TestF18(t *testing.T) {
	t.Parallel()
	auditedWay(t, named, func(r *rig) {
		phone := r.phone("alice")
		for i := range numSpellings {
			sent, got := r.invite(phone, forge(i))
			r.fields(got, slices.Concat(takenFromStrangers, takenFromAll), left)
			r.sourced(got, phone)
			r.platform.Reply(got, 486)
			phone.Send(siptest.AckOf(sent, phone.Expect("486")))
			r.spelledWays(i)
		}
		for i := range 4 { // neither has a compact form
			m := phone.Request("INVITE", "sip:bob@example.com")
			r.refused(phone, m.Clone().Add(spelled("Proxy-Require", i), "teleport"), "420")
			r.refused(phone, siptest.Again(m).Del("Max-Forwards").Add(spelled("Max-Forwards", i), "0"), "483")
		}
		r.spelledReplies()
	})
	for _, w := range both {
		t.Run("peer-"+w.name, func(t *testing.T) {
			t.Parallel()
			r := newTrunk(t, w, "", siptest.Keys{"headers": named["headers"]})
			for i := range numSpellings {
				m := r.carrier.Request("INVITE", "sip:bob@example.com")
				forge(i)(m)
				r.carrier.Send(m)
				got := r.platform.Expect("INVITE")
				r.fields(got, takenFromAll, slices.Concat(takenFromStrangers, left))
				r.sourced(got, r.carrier)
				r.platform.Reply(got, 486)
				r.carrier.Send(siptest.AckOf(m, r.carrier.Expect("486")))
			}
		})
	}
}

// spelledWays: where a request is to go, and what hides in a URI, in spelling i.
func (r *rig) spelledWays(i int) {
	r.Helper()
	phone := r.phone("carol")
	m := phone.Request("REFER", "sip:bob@example.com").Add(spelled("Refer-To", i), "<sip:c@d?X-Internal=evil>")
	m.Add(spelled("Route", i), "<sip:192.0.2.1;lr>").Add(spelled("Record-Route", i), "<sip:192.0.2.2;lr>").Add(spelled("Path", i), "<sip:192.0.2.3;lr>")
	phone.SendTo(r.edge.Outside, r.way.out, m.String())
	got := r.platform.Expect("REFER")
	if got.Get("Refer-To") != "<sip:c@d>" || strings.Contains(got.Raw, "192.0.2.") || got.Count("Route")+got.Count("Path") > 0 {
		r.Errorf("ways and Refer-To in spelling %d:\n%s", i, got.Raw)
	}
	r.platform.Reply(got, 202)
	phone.Expect("202")
}

// spelledReplies: what a phone says in its answers.
func (r *rig) spelledReplies() {
	r.Helper()
	phone, contact := r.registered("dave")
	for i := range numSpellings {
		sent := r.platform.Send(r.platform.Request("INVITE", contact))
		got := phone.Expect("INVITE")
		phone.Reply(got, 180, forge(i))
		r.fields(r.platform.Expect("180 INVITE"), slices.Concat(takenFromStrangers, takenFromAll, []string{"X-Source"}), left)
		phone.Reply(got, 407, func(m *siptest.Message) { m.Add(spelled("Proxy-Authenticate", i), `Digest realm="x", nonce="y"`) })
		final := r.platform.Expect("403 INVITE")
		if final.Count("Proxy-Authenticate") > 0 {
			r.Errorf("a phone's challenge:\n%s", final.Raw)
		}
		r.platform.Send(siptest.AckOf(sent, final))
	}
}
