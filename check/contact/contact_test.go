package contact

import (
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

func TestPlaces(t *testing.T) {
	c := New(Config{Own: []netip.Addr{netip.MustParseAddr("203.0.113.10")}}, checktest.Key)
	for _, row := range []struct {
		contact, method string
		reason          edge.Reason
	}{
		{"<sip:1@192.168.1.20:5060>", "REGISTER", ""},
		{"<sip:1@10.1.2.3>", "INVITE", ""},
		{"<sip:1@100.64.7.8>", "INVITE", ""},
		{"<sip:1@198.51.100.7:5060>", "INVITE", ""},
		{"<sip:1@phone.example.com>", "INVITE", ""},
		{"<sip:1@abc123.invalid;transport=ws>", "REGISTER", ""},
		{"*", "REGISTER", ""},
		{"<sip:1@[2001:db8::7]>", "INVITE", ""},
		{"<sip:1@[::1]>", "INVITE", "contact.place"},
		{"<sip:1@127.0.0.1:5060>", "INVITE", "contact.place"},
		{"<sip:1@127.0.0.1:5060>", "OPTIONS", ""},
		{"<sip:1@224.0.1.75>", "REGISTER", "contact.place"},
		{"<sip:1@255.255.255.255>", "REGISTER", "contact.place"},
		{"<sip:1@0.0.0.0>", "REGISTER", "contact.place"},
		{"<sip:1@203.0.113.10>", "INVITE", "contact.place"},
		{"<sip:1@192.0.2.99>", "INVITE", "contact.other"},
	} {
		v := checktest.Opinion(c.Inspect(checktest.Exchange(t, checktest.Request(row.method, "sip:example.com", "Contact: "+row.contact))))
		if v.Reason != row.reason {
			t.Errorf("%s in %s: %+v, want %q", row.contact, row.method, v, row.reason)
		}
	}
	x := checktest.Exchange(t, checktest.Request("INVITE", "sip:example.com", "Contact: <sip:1@127.0.0.1>"))
	x.From.Remote = netip.MustParseAddrPort("127.0.0.9:5060")
	if v := checktest.Opinion(c.Inspect(x)); v.Reason != "" {
		t.Errorf("of a phone on this machine: %+v", v)
	}
}
