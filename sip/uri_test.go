package sip

import (
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"sip:a", "1 host a"},
		{"SIP:a@b", "1 user a host b"},
		{"sips:a:p@b.example.:5061;transport=tcp;lr?x=y&z=", "2 user a password p host b.example. port 5061 params transport=tcp;lr headers x=y&z="},
		{"sip:a:@b", "1 user a host b"},
		{"sip:a;b?c=d/e@f", "1 user a;b?c=d/e host f"},
		{"sip:[2001:db8::1]:5060;maddr=[::1]", "1 host [2001:db8::1] port 5060 params maddr=[::1]"},
		{"sip:192.0.2.1", "1 host 192.0.2.1"},
		{"sip:a_b.c-d.e1", "1 host a_b.c-d.e1"},
		{"sip:%00%0d%0a@b", "1 user %00%0d%0a host b"},
		{"tel:+1-555-0100;ext=7", "3 user +1-555-0100 params ext=7"},
		{"TEL:*21*#", "3 user *21*#"},
		{"urn:service:sos", "0"},
		{"http://[::1]/x?y", "0"},
	} {
		raw := []byte("<" + c.in + ">")
		u, err := ParseURI(raw, span(1, len(raw)-1))
		if got := describe(&u, raw); err != nil || got != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, got, err, c.want)
		}
		if string(u.Whole.Of(raw)) != c.in {
			t.Errorf("%q: whole %q", c.in, u.Whole.Of(raw))
		}
	}
}

func describe(u *URI, raw []byte) string {
	s := string('0' + u.Scheme)
	for _, p := range []struct {
		name string
		at   Span
	}{{"user", u.User}, {"password", u.Password}, {"host", u.Host}} {
		if p.at.Len() > 0 {
			s += " " + p.name + " " + string(p.at.Of(raw))
		}
	}
	if u.HasPort {
		s += " port " + string(raw[u.Host.End+1:u.Host.End+5])
	}
	if u.Params.Present() {
		s += " params " + string(u.Params.Of(raw))
	}
	if u.Headers.Present() {
		s += " headers " + string(u.Headers.Of(raw))
	}
	return s
}

func TestParseURIRefuses(t *testing.T) {
	for _, s := range []string{
		"", "sip", "sip:", "sip:@b", "sip:a@", "sip::p@b", "sip:a@b@c", "sip:a b@c", "sip:a@b:", "sip:a@b:0", "sip:a@b:65536",
		"sip:a@b:5060x", "sip:a@b;", "sip:a@b;;x", "sip:a@b;x=", "sip:a@b;=y", "sip:a@b;x=y=z", "sip:a@b;x;X=1", "sip:a@b?", "sip:a@b?x",
		"sip:a@b?=y", "sip:a@b?x=y&", "sip:a%@b", "sip:a%4@b", "sip:a%4g@b", "sip:a@b%41", "sip:a@-b", "sip:a@b-", "sip:a@b..c", "sip:a@.b",
		"sip:a@1.2.3", "sip:a@1.2.3.256", "sip:a@01.2.3.4", "sip:a@1.2.3.4.", "sip:a@b.1", "sip:2001:db8::1", "sip:[2001:db8::1", "sip:[::1%25eth0]",
		"sip:[1:2:3:4:5:6:7:8:9]", "sip:[1:2:3:4:5:6:7]", "sip:[::1::]", "sip:[12345::]", "sip:[:::]", "sip:[::1.2.3]", "sip:[]", "sip:[1.2.3.4]",
		"sip:[1:2:3:4:5:6:7:1.2.3.4]", "sip:[::1]x", "sip:a\"b@c", "sip:a#b@c", "sip:a@b;x=\"y\"", "tel:", "tel:+", "tel:x", "tel:+1?x=y", "tel:+1;",
		"1a:b", ":b", "a:", "a b:c", "isbn:<", "sip:\x00@b", "sip:a@b\r\n", "sip:\xc3\xa9@b", "sip:a@\xc3\xa9",
		"sip:a@b" + strings.Repeat(";x", MaxParams+1), "sip:" + strings.Repeat("a", MaxURI) + "@b",
	} {
		raw := []byte(s)
		if u, err := ParseURI(raw, span(0, len(raw))); err == nil {
			t.Errorf("%q accepted: %+v", s, u)
		}
	}
}

func TestParams(t *testing.T) {
	raw := []byte(`sip:a;LR;Transport=TCP;x=%41`)
	u, err := ParseURI(raw, span(0, len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		there       bool
	}{{"lr", "", true}, {"transport", "TCP", true}, {"x", "%41", true}, {"ransport", "", false}, {"y", "", false}} {
		v, ok := u.Param(raw, c.name)
		if ok != c.there || string(v.Of(raw)) != c.value {
			t.Errorf("%s: %q, %v", c.name, v.Of(raw), ok)
		}
	}
	var names []string
	for rest := u.Params; rest.Present(); {
		_, _, whole, after := NextParam(raw, rest)
		names, rest = append(names, string(whole.Of(raw))), after
	}
	if got := strings.Join(names, "|"); got != "LR|Transport=TCP|x=%41" {
		t.Errorf("parameters %q", got)
	}
}

// FuzzURI holds ParseURI against the reference and asserts that its parts put together are the URI.
func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a@b", "sips:a:b@[::1]:5061;x=y;lr?h=v&i=", "tel:+1-2;ext=3", "urn:x:y", "sip:1.2.3.4", "sip:%00@a_b."} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := ParseURI(b, span(0, len(b)))
		if slow := slowURI(string(b)); (err == nil) != (slow == nil) {
			t.Fatalf("parser: %v; reference: %v; %q", err, slow, b)
		}
		if err != nil || u.Scheme == SchemeOther {
			return
		}
		if got := rebuild(&u, b); got != string(b) {
			t.Fatalf("%q became %q", b, got)
		}
	})
}

// rebuild joins the parts of u.
func rebuild(u *URI, b []byte) string {
	text := func(s Span) string { return string(s.Of(b)) }
	scheme, _, _ := strings.Cut(string(b), ":")
	s := scheme + ":" + text(u.User)
	if u.Password.Present() {
		s += ":" + text(u.Password)
	}
	if u.User.Present() && u.Scheme != TEL {
		s += "@"
	}
	s += text(u.Host)
	if u.HasPort {
		rest := b[u.Host.End+1:]
		s += ":" + string(rest[:skip(rest, 0, len(rest), cDigit)])
	}
	if u.Params.Present() {
		s += ";" + text(u.Params)
	}
	if u.Headers.Present() {
		s += "?" + text(u.Headers)
	}
	return s
}
