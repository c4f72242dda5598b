package sip

import (
	"fmt"
	"strings"
	"testing"
)

func TestNextAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`sip:a@b`, "[|sip:a@b|]"},
		{`sip:a@b;tag=1;x`, "[|sip:a@b|tag=1;x]"},
		{` "A, \"B\"" <sip:a@b;lr>;x="y,z" , <sip:c> ; q = 0.5`, `["A, \"B\"" <sip:a@b;lr>|x="y,z"][ <sip:c>| q = 0.5]`},
		{`A B.<sip:a>`, "[A B. <sip:a>|]"},
		{`*`, "[*]"},
		{`* <sip:a>`, "[* <sip:a>|]"},
		{`<sip:a?x=y,z>,sip:b,tel:1`, "!"},
		{`<sip:a>,sip:b,tel:1`, "[ <sip:a>|][|sip:b|][|tel:1|]"},
		{`<>`, "!"}, {``, "!"}, {`,`, "!"}, {`<sip:a>,`, "[ <sip:a>|]!"}, {`*,<sip:a>`, "!"}, {`*;x`, "!"}, {`**`, "!"},
		{`"a" sip:b`, "!"}, {`a <sip:b`, "!"}, {`a sip:b>`, "!"}, {`<sip:a> x`, "!"}, {`<sip:a>;x;X`, "!"}, {`<sip:a>;;`, "!"},
		{`<sip:a>;x="`, "!"}, {`<sip:a>;x=[::1]`, "[ <sip:a>|x=[::1]]"}, {`<sip:a>;x=[::g]`, "!"}, {`sip:a?b=c`, "!"}, {"Ü <sip:a>", "!"},
	} {
		if got := addresses([]byte(c.in)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func addresses(raw []byte) (got string) {
	rest := span(0, len(raw))
	for first := true; first || rest.Present(); first = false {
		a, after, err := NextAddress(raw, rest)
		if err != nil {
			return got + "!"
		}
		text := func(s Span) string { return string(s.Of(raw)) }
		switch {
		case a.Star:
			got += "[*]"
		case a.Angle:
			got += fmt.Sprintf("[%s <%s>|%s]", text(a.Display), text(a.URI), text(a.Params))
		default:
			got += fmt.Sprintf("[%s|%s|%s]", text(a.Display), text(a.URI), text(a.Params))
		}
		rest = after
	}
	return got
}

func TestAddressParam(t *testing.T) {
	raw := []byte(`<sip:a>;Expires=60;+sip.instance="<urn:uuid:1;2>" ; reg-id = 1;ob`)
	a, _, err := NextAddress(raw, span(0, len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"expires": "60", "+sip.instance": `"<urn:uuid:1;2>"`, "reg-id": "1", "ob": ""} {
		if v, ok := a.Param(raw, name); !ok || string(v.Of(raw)) != want {
			t.Errorf("%s: %q, %v", name, v.Of(raw), ok)
		}
	}
	if _, ok := a.Param(raw, "2"); ok {
		t.Error("parameter found inside a quoted string")
	}
}

func TestNextVia(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"SIP/2.0/UDP a", "[UDP a 0]"},
		{"SIP/2.0/TCP [::1]:5070;branch=z9hG4bKx;rport;received=192.0.2.1", "[TCP [::1] 5070 branch=z9hG4bKx received=192.0.2.1 rport@rport]"},
		{"sip / 2.0 / x  a : 1 ; BRANCH = b ; RPORT=99 , SIP/2.0/UDP c;maddr=d", "[x a 1 branch=b rport=99@RPORT=99][UDP c 0 maddr=d]"},
		{"SIP/2.0/UDP a;rport=;x=\"y,;z\"", "[UDP a 0 rport@rport=]"},
		{"SIP/2.0/TLS a;Alias;branch=b", "[TLS a 0 branch=b alias]"}, {"SIP/2.0/TLS a;alias=1", "[TLS a 0]"}, {"SIP/2.0/TLS a;x=\";alias\"", "[TLS a 0]"},
		{"SIP/2.0/UDP a;received=2001:db8::1;branch=b", "[UDP a 0 branch=b received=2001:db8::1]"},
		{"", "!"}, {"SIP/2.0/UDP", "!"}, {"SIP/2.0/UDP ", "!"}, {"SIP/3.0/UDP a", "!"}, {"HTTP/2.0/UDP a", "!"}, {"SIP/2.0/ a", "!"}, {"SIP/2.0 a", "!"},
		{"SIP/2.0/UDP a;branch=", "!"}, {"SIP/2.0/UDP a;branch", "!"}, {"SIP/2.0/UDP a;branch=z9hG4bK", "!"}, {"SIP/2.0/UDP a;branch=\"x\"", "!"},
		{"SIP/2.0/UDP a;branch=1;Branch=2", "!"}, {"SIP/2.0/UDP a;rport=0", "!"}, {"SIP/2.0/UDP a;rport=65536", "!"}, {"SIP/2.0/UDP a;received=b", "!"},
		{"SIP/2.0/UDP a;received=:1", "!"}, {"SIP/2.0/UDP a;maddr=-", "!"}, {"SIP/2.0/UDP a:", "!"}, {"SIP/2.0/UDP a b", "!"}, {"SIP/2.0/UDP a,", "[UDP a 0]!"}, {"SIP/2.0/UDP a;;x", "!"},
	} {
		if got := vias([]byte(c.in)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func vias(raw []byte) (got string) {
	rest := span(0, len(raw))
	for first := true; first || rest.Present(); first = false {
		v, after, err := NextVia(raw, rest)
		if err != nil {
			return got + "!"
		}
		got += fmt.Sprintf("[%s %s %d", v.Transport.Of(raw), v.Host.Of(raw), v.Port)
		for _, p := range []struct {
			name string
			at   Span
		}{{"branch", v.Branch}, {"received", v.Received}, {"maddr", v.MAddr}, {"rport", v.RPort}} {
			if p.at.Present() {
				got += " " + p.name + "=" + string(p.at.Of(raw))
			}
		}
		if v.HasRPort {
			if !v.RPort.Present() {
				got += " rport"
			}
			got += "@" + string(v.RPortAt.Of(raw))
		}
		if v.Alias {
			got += " alias"
		}
		got += "]"
		rest = after
	}
	return got
}

func TestParseDigest(t *testing.T) {
	raw := []byte(`dIGEST xrealm="trusted", realm="ro,\"gue" ,nonce="n=1",NC=00000001,qop=auth, uri="sip:a;b", username="",stale=FALSE`)
	d, ok, err := ParseDigest(raw, span(0, len(raw)))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, c := range []struct {
		at   Span
		want string
	}{{d.Realm, `ro,\"gue`}, {d.Nonce, "n=1"}, {d.NC, "00000001"}, {d.QOP, "auth"}, {d.URI, "sip:a;b"}, {d.Stale, "FALSE"}, {d.Username, ""}} {
		if !c.at.Present() || string(c.at.Of(raw)) != c.want {
			t.Errorf("got %q, want %q", c.at.Of(raw), c.want)
		}
	}
	if d.Opaque.Present() || d.Response.Present() {
		t.Error("absent values are present")
	}
	for _, s := range []string{"", "Basic x=y", "Digestx realm=a", "Digest,a=b"} {
		if _, ok, err := ParseDigest([]byte(s), span(0, len(s))); ok || err != nil {
			t.Errorf("%q: %v, %v", s, ok, err)
		}
	}
	for _, s := range []string{
		"Digest", "Digest ", `Digest realm="a`, `Digest realm="a\"`, `Digest realm="a", REALM="b"`, `Digest x=1, x=2`, `Digest realm`, `Digest realm=`,
		`Digest realm="a" nonce="b"`, `Digest realm="a",`, `Digest ,realm="a"`, `Digest realm="a",,nonce="b"`, `Digest realm="a";nonce="b"`, `Digest realm="a"x`,
		"Digest realm=\"a\x00\"", "Digest a" + strings.Repeat("=b,a", 3), "Digest " + numbered(MaxParams+1),
	} {
		if _, ok, err := ParseDigest([]byte(s), span(0, len(s))); !ok || err == nil {
			t.Errorf("%q accepted", s)
		}
	}
	if s := "Digest " + numbered(MaxParams); true {
		if _, _, err := ParseDigest([]byte(s), span(0, len(s))); err != nil {
			t.Errorf("%d parameters: %v", MaxParams, err)
		}
	}
}

// numbered is a list of n parameters.
func numbered(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("p%d=v", i))
	}
	return strings.Join(list, ", ")
}

func TestNameHash(t *testing.T) {
	for id := FieldOther + 1; id < fieldIDs; id++ {
		name := id.String()
		for _, s := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := FieldOf([]byte(s)); got != id {
				t.Errorf("%s: field %d, want %d", s, got, id)
			}
		}
		if c := fieldInfo[id].compact; c != 0 && (FieldOf([]byte{c}) != id || FieldOf([]byte{c - 32}) != id) {
			t.Errorf("compact form %c of %s", c, name)
		}
		for _, s := range []string{name + "x", name + "\x00", name + ":", name[1:], "x" + name, "", "\r" + name[1:], strings.ReplaceAll(name+"-", "-", "\r")} {
			if got := FieldOf([]byte(s)); got == id {
				t.Errorf("%q taken for %s", s, name)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	for m := INVITE; m < methods; m++ {
		if got := MethodOf([]byte(m.String())); got != m {
			t.Errorf("%v: %v", m, got)
		}
	}
	if MethodOf([]byte("invite")) != MethodOther || MethodOf(nil) != MethodOther {
		t.Error("methods are case-sensitive")
	}
}

func TestErrors(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Errors() {
		if id := e.ID(); seen[id] || !strings.HasPrefix(id, "malformed.") || len(id) == len("malformed.") || e.Error() == "" || e.Status() < 400 {
			t.Errorf("error %d: %q, %q, %d", e, id, e.Error(), e.Status())
		}
		seen[e.ID()] = true
	}
	if s := (defectsEnd - 1).String(); strings.Count(s, "+") != len(defectNames)-1 || 1<<len(defectNames) != defectsEnd {
		t.Errorf("defects %q", s)
	}
}

// FuzzVia asserts that whatever NextVia accepts is made of its parts, and that it agrees with the reference.
func FuzzVia(f *testing.F) {
	for _, s := range []string{"SIP/2.0/UDP a:5060;branch=z9hG4bK1;rport", "sip / 2.0 / TCP\t[::1] : 1 ; received = ::1 , SIP/2.0/UDP b", "SIP/2.0/UDP a;x=\"\\\"\";maddr=1.2.3.4"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.ContainsAny(string(b), "\r\n") { // Parse lets folds through only in order
			return
		}
		got := vias(b)
		err := new(slowMessage).vias([]string{string(b)})
		if strings.Count(got, "[") <= mostVias && strings.HasSuffix(got, "!") != (err != nil) {
			t.Fatalf("%q: %s; reference: %v", b, got, err)
		}
	})
}

// FuzzAddress does the same for addresses.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{`"a\"b" <sip:a@b;lr>;tag=1;x="y"`, `A B <tel:1>,sip:c;q=0.1 , <sip:d>`, `sip:a@[::1]:5060 ; x = [::2]`, `*`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := string(b); strings.ContainsAny(s, "\r\n") || strings.Trim(s, " \t") == "*" {
			return
		}
		got := addresses(b)
		_, _, err := slowAddresses(string(b), false)
		if strings.HasSuffix(got, "!") != (err != nil) {
			t.Fatalf("%q: %s; reference: %v", b, got, err)
		}
	})
}

// FuzzDigest asserts that values lie inside the field, hold no open quote, and come back when the field is written anew.
func FuzzDigest(f *testing.F) {
	f.Add([]byte(`Digest username="a", realm="b", nonce="c", uri="sip:d", response="e", algorithm=MD5, qop=auth, nc=00000001, cnonce="f"`))
	f.Add([]byte(`Digest xrealm="trusted", realm="rogue"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok, err := ParseDigest(b, span(0, len(b)))
		if !ok || err != nil {
			return
		}
		again := "Digest x=y"
		for _, p := range []struct {
			name string
			at   Span
		}{{"realm", d.Realm}, {"nonce", d.Nonce}, {"uri", d.URI}, {"username", d.Username}, {"response", d.Response}} {
			if p.at.Present() {
				again += ", " + p.name + "=\"" + string(p.at.Of(b)) + "\""
			}
		}
		raw := []byte(again)
		e, ok, err := ParseDigest(raw, span(0, len(raw)))
		if !ok || err != nil || string(e.Realm.Of(raw)) != string(d.Realm.Of(b)) || string(e.URI.Of(raw)) != string(d.URI.Of(b)) {
			t.Fatalf("%q became %q: %v", b, again, err)
		}
	})
}
