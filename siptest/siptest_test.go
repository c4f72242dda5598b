package siptest

import (
	"strings"
	"testing"
	"time"
)

// TestParse: what the reference reading refuses, since the edge must never send it.
func TestParse(t *testing.T) {
	good := "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bKx\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n" +
		"Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 2\r\n\r\nhi"
	if m, err := Parse(good); err != nil || m.String() != good {
		t.Fatalf("Parse: %v\n%q", err, m)
	}
	for name, bad := range map[string]string{
		"no empty line":           "OPTIONS sip:a@b SIP/2.0\r\n",
		"folding":                 strings.Replace(good, "To: ", "To:\r\n ", 1),
		"bare LF":                 strings.Replace(good, "\r\nTo", "\nTo", 1),
		"white space before ':'":  strings.Replace(good, "To:", "To :", 1),
		"Content-Length too big":  strings.Replace(good, "Length: 2", "Length: 3", 1),
		"Content-Length too low":  strings.Replace(good, "Length: 2", "Length: 1", 1),
		"Content-Length missing":  strings.Replace(good, "Content-Length: 2\r\n", "", 1),
		"two Call-IDs":            strings.Replace(good, "Call-ID: x\r\n", "Call-ID: x\r\ni: y\r\n", 1),
		"no Via":                  strings.Replace(good, "Via:", "Vla:", 1),
		"another version":         strings.Replace(good, "b SIP/2.0", "b SIP/3.0", 1),
		"NUL":                     strings.Replace(good, "Call-ID: x", "Call-ID: x\x00", 1),
		"line without a colon":    strings.Replace(good, "Call-ID: x", "Call-ID x", 1),
		"two From in other cases": strings.Replace(good, "To: ", "FROM: <sip:x@y>\r\nTo: ", 1),
	} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAddresses: the string helpers on the shapes that occur.
func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		`"A, <B>" <sip:a@b;lr>;tag=x`: "sip:a@b;lr",
		"<sip:a@[::1]:5060;lr>":       "sip:a@[::1]:5060;lr",
		"sip:a@b;tag=x":               "sip:a@b",
	} {
		if got := URI(in); got != want {
			t.Errorf("URI(%q) = %q, want %q", in, got, want)
		}
	}
	if got := splitList(`"a,b" <sip:c,d@e>;x="1,2", <sip:f@g>`); len(got) != 2 || got[1] != "<sip:f@g>" {
		t.Errorf("splitList: %q", got)
	}
	addr, transport, ok := Hop("sip:token@[::1]:5071;lr;transport=TCP")
	if !ok || addr.String() != "[::1]:5071" || transport != "tcp" {
		t.Errorf("Hop: %v %v %v", addr, transport, ok)
	}
	if v, ok := Param("SIP/2.0/UDP a;rport;branch=z", "rport"); !ok || v != "" {
		t.Errorf("Param: %q %v", v, ok)
	}
	if HostPort("sip:a@b:1;lr?x=y") != "b:1" || User("sip:a@b") != "a" || User("sip:b;x=@") != "" {
		t.Error("HostPort or User")
	}
}

// TestFields: list fields, compact names, Set and Del.
func TestFields(t *testing.T) {
	m := &Message{Start: "SIP/2.0 200 OK"}
	m.Add("v", "SIP/2.0/UDP a, SIP/2.0/UDP b").Add("Via", "SIP/2.0/UDP c").Add("X", "1").Add("x", "2").Add("Y", "3")
	if got := m.All("VIA"); len(got) != 3 || got[2] != "SIP/2.0/UDP c" {
		t.Errorf("All: %q", got)
	}
	if m.Set("via", "only"); m.Count("Via") != 1 || m.Get("v") != "only" || m.Get("Y") != "3" {
		t.Errorf("Set: %v", m.Fields)
	}
	if m.Del("Via"); m.Count("Via") != 0 || len(m.Fields) != 3 {
		t.Errorf("Del: %v", m.Fields)
	}
}

// TestCall: two user agents without an edge between them, over both transports and IPv6.
func TestCall(t *testing.T) {
	for _, c := range []struct{ transport, ip string }{{"udp", ""}, {"tcp", ""}, {"udp", "::1"}, {"tcp", "::1"}} {
		t.Run(c.transport+c.ip, func(t *testing.T) {
			b := NewPlatform(t, c.transport, c.ip)
			a := NewPhone(t, "alice", c.transport, c.ip, b.Addr)
			invite := a.Send(a.Request("INVITE", "sip:bob@example.com"))
			got := b.Next("INVITE")
			b.Reply(got, 180)
			ok := b.Reply(got, 200)
			a.Next("180")
			answer := a.Next("200 INVITE")
			caller, callee := a.NewCallerDialog(invite, answer), b.NewCalleeDialog(got, ok)
			a.SendTo(b.Addr, c.transport, caller.Request("ACK").String())
			b.Next("ACK")
			a.SendTo(b.Addr, c.transport, caller.Request("INFO").String())
			b.Reply(b.Next("INFO"), 200)
			a.Next("200 INFO")
			bye := callee.Request("BYE")
			if Tag(bye.Get("From")) != Tag(answer.Get("To")) || Tag(bye.Get("To")) != Tag(invite.Get("From")) {
				t.Errorf("tags of the callee's BYE:\n%s", bye)
			}
			b.SendTo(got.From, c.transport, bye.String())
			a.Reply(a.Next("BYE"), 200)
			b.Next("200 BYE")
			a.Silence(10 * time.Millisecond)
		})
	}
}

// TestCopies: a request that comes again is one more until it is answered finally, and an old one then, whatever method is waited for.
func TestCopies(t *testing.T) {
	platform := NewPlatform(t, "udp", "")
	phone := NewPhone(t, "alice", "udp", "", platform.Addr)
	first := phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	got := platform.Expect("INVITE")
	platform.Reply(got, 180)
	phone.Send(first)
	platform.Expect("INVITE")
	phone.Send(first)
	platform.Reply(got, 486)
	phone.Send(first)
	phone.Send(CancelOf(first))
	platform.Next("CANCEL")
	second := phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	if got := platform.Expect("INVITE"); got.Get("Call-ID") != second.Get("Call-ID") {
		t.Errorf("a copy of what was answered is the next INVITE")
	}
	if platform.Wait("INVITE", 20*time.Millisecond) != nil || platform.Got("INVITE") != 5 {
		t.Errorf("%d INVITEs came", platform.Got("INVITE"))
	}
}

// TestStrictRoute: the Request-URI is swapped with a first route without lr (RFC 3261 §12.2.1.1).
func TestStrictRoute(t *testing.T) {
	a := NewPhone(t, "alice", "udp", "", NewPlatform(t, "udp", "").Addr)
	d := &Dialog{UA: a, Target: "sip:bob@x", Routes: []string{"<sip:strict@y>", "<sip:loose@z;lr>"}, Local: "<sip:a@b>;tag=1"}
	m := d.Request("BYE")
	if m.RequestURI() != "sip:strict@y" || m.Get("Route") != "<sip:loose@z;lr>" || m.All("Route")[1] != "<sip:bob@x>" {
		t.Errorf("strict route:\n%s", m)
	}
}

// TestRegistrar: digest, refresh and removal.
func TestRegistrar(t *testing.T) {
	r := NewRegistrar(NewPlatform(t, "udp", ""), map[string]string{"alice": "secret"})
	a := NewPhone(t, "alice", "udp", "", r.Addr)
	m := a.Send(a.Register())
	challenge := a.Next("401")
	a.Send(Authorize(m, challenge, "alice", "wrong"))
	a.Next("401")
	again := a.Send(Authorize(m, challenge, "alice", "secret"))
	if ok := a.Next("200"); URI(ok.Get("Contact")) != URI(a.Contact()) {
		t.Errorf("200:\n%s", ok)
	}
	a.Send(Authorize(again, challenge, "alice", "secret").Set("Expires", "0"))
	a.Next("200")
	if left := r.Contacts(a.AOR()); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
