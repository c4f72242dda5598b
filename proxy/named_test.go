package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/topo"
)

// newKeen is a bench that hides its platform and knows what names it.
func newKeen(t testing.TB) *bench {
	return newBench(t, func(c *Config) {
		c.Hide, c.Guard = true, GuardLog
		c.Topology = topo.Config{CallID: true, Domain: "example.com"}
		c.Sources = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
	})
}

// TestRenamedParty: a platform says in mid-call who it is that talks now, in a dialog that outside began (RFC 4916).
func TestRenamedParty(t *testing.T) {
	b := newKeen(t)
	contact := fmt.Sprintf("Contact: <sip:%s>\r\n", b.inside.Remote)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.inside, answerOf(invite, "200 OK", contact))
	ok := b.expect(b.caller, "SIP/2.0 200")
	own, _, _ := strings.Cut(field(t, invite, "Record-Route"), ", ")
	from := "\"Carol\" <sip:carol@10.77.0.9:5080>;tag=b"
	b.send(b.inside, fmt.Appendf(nil, "UPDATE sip:alice@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKu;rport\r\nRoute: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: c1\r\n"+
		"CSeq: 7 UPDATE\r\n%sContent-Length: 0\r\n\r\n", addrOf(b.caller), b.inside.Remote, own, from, field(t, ok, "From"), contact))
	update := b.clean(b.expect(b.caller, "UPDATE"))
	if got := field(t, update, "From"); got != "\"Carol\" <sip:carol@example.com>;tag=b" {
		t.Errorf("From %s", got)
	}
	b.send(b.outside, answerOf(update, "200 OK", "Contact: <sip:alice@198.51.100.9>\r\n"))
	if got := field(t, b.expect(b.platform, "SIP/2.0 200"), "From"); got != from {
		t.Errorf("From comes back as %s", got)
	}
}

// TestRecordRouteBehindOurs: a proxy inside writes its Record-Route below ours.
func TestRecordRouteBehindOurs(t *testing.T) {
	b := newKeen(t)
	b.send(b.outside, newRequest("INVITE", 1))
	ok := answerOf(b.expect(b.platform, "INVITE"), "200 OK", fmt.Sprintf("Record-Route: <sip:10.77.0.1;lr>, <sip:198.51.100.1;lr>\r\nContact: <sip:%s>\r\n", b.inside.Remote))
	b.send(b.inside, ok)
	if got := field(t, b.clean(b.expect(b.caller, "SIP/2.0 200")), "Record-Route"); !strings.HasSuffix(got, ";lr>, <sip:198.51.100.1;lr>") || strings.Count(got, ",") != 1 {
		t.Errorf("Record-Route %s", got)
	}
}

// TestRedirectToToken: a phone redirects a call to what it knows by a token, or to take the place of a dialog.
func TestRedirectToToken(t *testing.T) {
	b := newKeen(t)
	uri := b.contactOf(1)
	b.send(b.inside, fmt.Appendf(nil, "INVITE sip:bob@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK1;rport\r\nFrom: <sip:alice@10.77.0.9>;tag=a1\r\n"+
		"To: <sip:bob@10.77.0.9>\r\nCall-ID: id@mark\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", addrOf(b.caller), b.inside.Remote))
	invite := b.clean(b.expect(b.caller, "INVITE"))
	callID := field(t, invite, "Call-ID")
	contacts := fmt.Sprintf("Contact: \"A\" <%s>;q=0.7, <sip:x@192.0.2.7>, <tel:42>\r\nContact: <sip:x@192.0.2.7?Replaces=%s%%3Bto-tag%%3D1&X=y>;q=1, <%s?Join=%[2]s>\r\n", uri, callID, uri)
	b.send(b.outside, answerOf(invite, "302 Moved Temporarily", contacts))
	moved := b.expect(b.platform, "SIP/2.0 302")
	inside := fmt.Sprintf("sip:mark@%s;x=1", b.inside.Remote)
	for _, want := range []string{"Contact: \"A\" <" + inside + ">;q=0.7, <sip:x@192.0.2.7>, <tel:42>\r\n",
		"Contact: <sip:x@192.0.2.7?Replaces=id%40mark%3Bto-tag%3D1>;q=1, <" + inside + "?Join=id%40mark>\r\n"} {
		if !strings.Contains(moved, want) {
			t.Errorf("no %s in\n%s", want, moved)
		}
	}
}
