package transport

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Who must show a certificate shows it or does not connect; nobody else is asked. The narrowest prefix counts, and why somebody was refused is told.
func TestCallers(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	s := serve(t, oneTLS(t, ours, "127.0.0.1:0"), &stage{on: echo})
	must := Identity{ServerName: "carrier.example", CA: theirs.file(t)}
	set := func(all ...Caller) {
		t.Helper()
		if err := s.SetCallers(all); err != nil {
			t.Fatal(err)
		}
	}
	from := func(prefix string, id Identity) Caller { return Caller{netip.MustParsePrefix(prefix), id} }
	for _, c := range []struct {
		what   string
		all    []Caller
		client *tls.Config
		want   bool
	}{
		{"nobody is expected", nil, &tls.Config{}, true},
		{"somebody is expected elsewhere", []Caller{from("127.0.0.2/32", must)}, &tls.Config{}, true},
		{"no certificate", []Caller{from("127.0.0.0/8", must)}, &tls.Config{}, false},
		{"of another authority", []Caller{from("127.0.0.0/8", must)}, showing(t, ours, "dns:carrier.example"), false},
		{"for another name", []Caller{from("127.0.0.0/8", must)}, showing(t, theirs, "dns:other.example"), false},
		{"by wildcard", []Caller{from("127.0.0.0/8", must)}, showing(t, theirs, "dns:*.example"), false},
		{"the right one", []Caller{from("127.0.0.0/8", must)}, showing(t, theirs, "dns:carrier.example"), true},
		{"a narrower one need not", []Caller{from("127.0.0.0/8", must), from("127.0.0.1/32", Identity{})}, &tls.Config{}, true},
		{"a narrower one must", []Caller{from("127.0.0.0/8", Identity{}), from("127.0.0.1/32", must)}, &tls.Config{}, false},
	} {
		set(c.all...)
		if accepted(t, ours, s, c.client) != c.want {
			t.Errorf("%s: accepted is %v", c.what, !c.want)
		}
		eventually(t, c.what+" is told", func() bool {
			told := s.Distrusted()
			return c.want || len(told) == 1 && strings.HasPrefix(told[0], "carrier.example (127.0.0.1): ")
		})
	}
}

// A connection of before is not that of who must show a certificate from now on.
func TestCallersEndConnections(t *testing.T) {
	a := newAuthority(t)
	s := serve(t, oneTLS(t, a, "127.0.0.1:0"), &stage{on: echo})
	c, err := dialTLS(t, a, s.Listeners()[0].Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "\r\n\r\n")
	if _, err := c.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"127.0.0.2/32", "127.0.0.1/32"} {
		err := s.SetCallers([]Caller{{netip.MustParsePrefix(prefix), Identity{ServerName: "carrier.example", CA: a.file(t)}}})
		if err != nil {
			t.Fatal(err)
		}
		if prefix == "127.0.0.2/32" {
			fmt.Fprint(c, "\r\n\r\n")
		}
		if _, err := c.Read(make([]byte, 2)); (err == nil) != (prefix == "127.0.0.2/32") {
			t.Errorf("%s: %v", prefix, err)
		}
	}
	if err := s.SetCallers([]Caller{{netip.MustParsePrefix("127.0.0.1/32"), Identity{ServerName: "x", CA: File("/nowhere")}}}); err == nil {
		t.Error("authorities that are nowhere are accepted")
	}
}
