package route

import (
	"net/netip"
	"testing"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

func TestRoutes(t *testing.T) {
	c := New(Config{Own: []netip.Addr{netip.MustParseAddr("203.0.113.10")}, Names: []string{"sbc.example.com"}}, checktest.Key)
	for field, want := range map[string]edge.Reason{
		"Route: <sip:203.0.113.10;lr>":                       "",
		"Route: <sip:SBC.example.com;lr>,<sip:192.0.2.5;lr>": "",
		"Route: <sip:192.0.2.5;lr>":                          "route.foreign",
		"Route: <sip:other.example.net;lr>":                  "route.foreign",
		"Record-Route: <sip:203.0.113.1;lr>":                 "route.record",
		"P-Asserted-Identity: <sip:boss@example.com>":        "route.identity",
		"remote-party-id: <sip:boss@example.com>":            "route.identity",
		"Diversion: <sip:boss@example.com>":                  "route.identity",
		"P-Preferred-Identity: <sip:1001@example.com>":       "",
		"Date: Sun, 22 Nov 2026 20:00:00 GMT":                "",
	} {
		v := checktest.Opinion(c.Inspect(checktest.Exchange(t, checktest.Request("INVITE", "sip:2002@example.com", field))))
		if v.Reason != want || want != "" && v.Action != edge.Note {
			t.Errorf("%s: %+v", field, v)
		}
		register := checktest.Request("REGISTER", "sip:example.com", field)
		if v := checktest.Opinion(c.Inspect(checktest.Exchange(t, register))); v.Reason == "route.foreign" {
			t.Errorf("%s in a REGISTER: %+v", field, v)
		}
		within := checktest.Request("INVITE", "sip:2002@example.com", field, "To: <sip:2002@example.com>;tag=b")
		if v := checktest.Opinion(c.Inspect(checktest.Exchange(t, within))); v.Reason != "" {
			t.Errorf("%s in a dialog: %+v", field, v)
		}
	}
}
