package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// with is a request with further lines.
func with(method string, n int, lines ...string) []byte {
	return []byte(strings.Replace(string(newRequest(method, n)), "Max-Forwards", strings.Join(append(lines, "Max-Forwards"), "\r\n"), 1))
}

// names are the field names of a message.
func names(msg string) (all []string) {
	head, _, _ := strings.Cut(msg, "\r\n\r\n")
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		all = append(all, name)
	}
	return all
}

// claims are lines that a stranger has no business with, and others.
var claims = []string{"P-Asserted-Identity: <sip:boss@x>", "p-preferred-identity : <sip:boss@x>", "P-CHARGING-VECTOR:icid-value=1", "x-internal: evil",
	"X-:", "X-Source: 10.0.0.1:5060;udp", "Remote-Party-ID: <sip:boss@x>", "DIVERSION\t: <sip:boss@x>", "History-Info:\r\n <sip:boss@x>", "y: abc", "n: <http://x>",
	"Relayed-Charge: x", "Record-Route: <sip:10.0.0.9;lr>", "path: <sip:10.0.0.9;lr>", "Service-Route: <sip:10.0.0.9;lr>", "Route: <sip:10.0.0.9;lr>"}

var harmless = []string{"Privacy: id", "Q: y", "P: q", "Px-Y: z", "Subject: X-Internal", "Session-ID: ab", "User-to-User: 00", "Zebra: 1", "Zebra: 2", "Priority: urgent"}

// kept are the fields of a relayed message that its sender chose.
func kept(msg string) []string {
	all := names(msg)
	return slices.DeleteFunc(all, func(name string) bool {
		return slices.Contains([]string{"Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Length", "Max-Breadth", "Record-Route", "X-Source"}, name)
	})
}

func bareNames(lines []string) (all []string) {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		all = append(all, name)
	}
	return all
}

// TestClaimsOfStrangers: identity, charging, P- and X- fields and ways of strangers and of registered phones are removed however they are
// spelled; all else passes in order (S27, S28, F18).
func TestClaimsOfStrangers(t *testing.T) {
	for _, known := range []bool{false, true} {
		b := newBench(t, nil)
		if known {
			b.bind("alice")
		}
		b.send(b.outside, with("INVITE", 1, slices.Concat(claims, harmless)...))
		got := b.expect(b.platform, "INVITE")
		if !slices.Equal(kept(got), bareNames(harmless)) {
			t.Errorf("%q is left", kept(got))
		}
		if strings.Contains(got, "10.0.0") || strings.Count(got, "Record-Route") != 1 || strings.Count(got, "X-Source") != 1 {
			t.Errorf("%s", got)
		}
	}
}

// TestClaimsOfPeers: a peer keeps them, but for what remove names; allow and remove mean fields, not spellings.
func TestClaimsOfPeers(t *testing.T) {
	lines := []string{"P-Asserted-Identity: <sip:a@x>", "Diversion: <sip:a@x>", "X-Internal: evil", "s: hello", "Identity: abc", "X-Ticket: 7"}
	for _, peer := range []bool{false, true} {
		b := newBench(t, func(c *Config) {
			c.Remove, c.Allow = []string{"x-internal", "Subject"}, []string{"x-ticket", "y"}
			if peer {
				c.Peers = []Peer{{Name: "p", Host: "h", Match: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
			}
		})
		b.send(b.outside, with("INVITE", 1, lines...))
		want := []string{"Identity", "X-Ticket"}
		if peer {
			want = []string{"P-Asserted-Identity", "Diversion", "Identity", "X-Ticket"}
		}
		if got := kept(b.expect(b.platform, "INVITE")); !slices.Equal(got, want) {
			t.Errorf("peer %v: %q is left", peer, got)
		}
	}
}

// call lets the platform send method to the caller, with lines, and returns what the caller got.
func (b *bench) callOut(method string, lines ...string) string {
	b.t.Helper()
	msg := strings.Join(append(lines, "Max-Forwards"), "\r\n")
	msg = strings.Replace(b.to(addrOf(b.caller).String(), method, 1), "Max-Forwards", msg, 1)
	b.send(b.inside, []byte(msg))
	return b.expect(b.caller, method)
}

// TestClaimsInResponses: what a phone answers is held to the same rules, and the Record-Route is what it was, with who stands outside of us in front.
func TestClaimsInResponses(t *testing.T) {
	b := newBench(t, nil)
	const inner = "<sip:10.0.0.1;lr;ftag=a>"
	invite := b.callOut("INVITE", "Record-Route: "+inner)
	routes := field(t, invite, "Record-Route") // in one line
	own, ok := strings.CutSuffix(routes, ", "+inner)
	if !ok {
		t.Fatalf("Record-Route %q", routes)
	}
	answer := string(replyTo(invite, "200 OK"))
	lines := strings.Join(slices.DeleteFunc(slices.Concat(claims, harmless), func(l string) bool { return strings.HasPrefix(l, "Re") || strings.HasPrefix(l, "Route") }), "\r\n")
	answer = strings.Replace(answer, "Record-Route: "+routes, "record-route: <sip:10.7.7.7;lr>\r\nRecord-Route: "+own+"\r\nRecord-Route: <sip:10.6.6.6;lr>,"+inner+"\r\n"+lines, 1)
	for range 2 { // repeated, too
		b.send(b.outside, []byte(answer))
		got := b.expect(b.platform, "SIP/2.0 200")
		if !slices.Equal(kept(got), bareNames(harmless)) {
			t.Errorf("%q is left", kept(got))
		}
		user, _, _ := strings.Cut(own, "@")
		if rr := field(t, got, "Record-Route"); rr != "<sip:10.7.7.7;lr>, "+user+"@"+b.p.faces[1].host+";lr>, "+inner || strings.Count(got, "Record-Route") != 1 {
			t.Errorf("Record-Route %q", rr)
		}
	}
}

// TestChallengeOfAStranger: who asks the platform for credentials does not get them (digest leak).
func TestChallengeOfAStranger(t *testing.T) {
	for _, method := range []string{"INVITE", "BYE", "REGISTER"} {
		for _, status := range []string{"401 Unauthorized", "407 Proxy Authentication Required"} {
			b := newBench(t, nil)
			got := b.callOut(method)
			answer := strings.Replace(string(replyTo(got, status)), "Content-Length", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nContent-Length", 1)
			b.send(b.outside, []byte(answer))
			if reply := b.expect(b.platform, "SIP/2.0 403 Forbidden"); strings.Contains(reply, "nonce") {
				t.Errorf("%s", reply)
			}
			if method == "INVITE" {
				b.expect(b.caller, "ACK")
			}
		}
	}
	b := newBench(t, nil)
	b.send(b.outside, []byte(strings.Replace(string(replyTo(b.callOut("INVITE"), "180 Ringing")), "Content-Length", "proxy-authenticate : Digest realm=\"r\", nonce=\"n\"\r\nContent-Length", 1)))
	if got := b.expect(b.platform, "SIP/2.0 180"); strings.Contains(got, "nonce") {
		t.Errorf("%s", got)
	}
}

// TestChallengeOfAPeer: a provider's challenge reaches the platform (P65).
func TestChallengeOfAPeer(t *testing.T) {
	b, first, _ := newTrunk(t, nil)
	b.send(b.inside, []byte(b.to(carrier, "REGISTER", 1)))
	answer := strings.Replace(string(replyTo(b.expect(first, "REGISTER"), "401 Unauthorized")), "Content-Length", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nContent-Length", 1)
	b.send(b.at(first), []byte(answer))
	if got := b.expect(b.platform, "SIP/2.0 401"); !strings.Contains(got, "nonce=\"n\"") {
		t.Errorf("%s", got)
	}
}

// TestHiddenFields: header fields in URIs are removed or refused (S24), but for those of a transfer.
func TestHiddenFields(t *testing.T) {
	const replaces = "Replaces=a%40b%3Bto-tag%3Dx%3Bfrom-tag%3Dy"
	for _, row := range []struct{ line, want string }{
		{"Refer-To: <sip:c@d?X-Internal=evil>", "Refer-To: <sip:c@d>"},
		{"r: <sip:c@d;method=INVITE?X-Internal=evil&" + replaces + "&body=b>;x=y", "Refer-To: <sip:c@d;method=INVITE?" + replaces + ">;x=y"},
		{"Refer-To: <sip:c@d?" + replaces + "&require=replaces>", "Refer-To: <sip:c@d?" + replaces + "&require=replaces>"},
		{"Refer-To: <sip:c@d?%52eplaces=a&Replace%73=b%0d%0aX-Internal:evil>", "Refer-To: <sip:c@d?%52eplaces=a>"},
		{"Refer-To: sip:c@d?X=y", ""},
		{"Refer-To: \"?\" <sip:c@d>", "Refer-To: \"?\" <sip:c@d>"},
		{"Refer-To: <http://c/d?X=y>", "Refer-To: <http://c/d?X=y>"},
		{"b: <sip:c@d?X-Internal=evil>;cid=\"?\"", "Referred-By: <sip:c@d>;cid=\"?\""},
		{"Reply-To: <sip:c@d?X-Internal=evil>", "Reply-To: <sip:c@d>"},
		{"Call-Info: <http://x?y>;purpose=icon, <sip:c@d?X-Internal=evil>;purpose=info", "Call-Info: <http://x?y>;purpose=icon, <sip:c@d>;purpose=info"},
		{"ALERT-INFO:\r\n <sip:c@d?X-Internal=evil>", "ALERT-INFO: <sip:c@d>"},
		{"m: <sip:c@d?X-Internal=evil>,\r\n <sip:e@f?" + replaces + ">;q=1", "Contact: <sip:c@d>, <sip:e@f>;q=1"},
	} {
		b := newBench(t, nil)
		msg := with("REFER", 1, row.line)
		if strings.HasPrefix(row.line, "m:") {
			msg = []byte(strings.Replace(string(msg), "Contact: <sip:alice@192.168.1.9:5060>\r\n", "", 1))
		}
		b.send(b.outside, msg)
		name, _, _ := strings.Cut(row.want, ":")
		switch got := b.expect(b.platform, "REFER"); {
		case row.want == "" && !strings.Contains(got, "Refer-To"):
		case row.want != "" && name+": "+field(t, got, name) == row.want:
		default:
			t.Errorf("%q became %s", row.line, got)
		}
	}
}

// TestHiddenInPlace: where nothing can be taken out the request is refused, a response dropped.
func TestHiddenInPlace(t *testing.T) {
	for _, to := range []string{"sip:echo@example.com SIP", "<sip:alice@example.com>", "<sip:echo@example.com>", "Max-Forwards"} {
		b := newBench(t, nil)
		b.bind("alice")
		msg := string(newRequest("MESSAGE", 1))
		if to == "Max-Forwards" {
			msg = strings.Replace(msg, to, "Route: <sip:a;lr>, <sip:b;lr?X-Internal=evil>\r\n"+to, 1)
		} else {
			msg = strings.Replace(msg, to, strings.Replace(to, ".com", ".com?X-Internal=evil", 1), 1)
		}
		b.send(b.outside, []byte(msg))
		b.expect(b.caller, "SIP/2.0 400")
		b.silence(b.platform)
	}
	b := newBench(t, nil)
	got := b.callOut("INVITE")
	b.send(b.outside, []byte(strings.Replace(string(replyTo(got, "200 OK")), "echo@example.com>", "echo@example.com?X-Internal=evil>", 1)))
	b.silence(b.platform)
}

// TestTransferFromInside: the platform's own Refer-To and redirections keep what a transfer needs and no more.
func TestTransferFromInside(t *testing.T) {
	b := newBench(t, nil)
	got := b.callOut("REFER", "Refer-To: <sip:c@d?Replaces=x&X-Internal=10.0.0.1>")
	if field(t, got, "Refer-To") != "<sip:c@d?Replaces=x>" {
		t.Errorf("%s", got)
	}
	reply := b.answered(2, "302 Moved", "Contact: <sip:c@d?Join=x&X-Internal=10.0.0.1>\r\n")
	if field(t, reply, "Contact") != "<sip:c@d?Join=x>" {
		t.Errorf("%s", reply)
	}
}

// TestLimits: each limit refuses what exceeds it, has a reason of its own, and lets pass what does not.
func TestLimits(t *testing.T) {
	many := func(n int, line string) string { return strings.Repeat(line, n) }
	for _, row := range []struct {
		limits  Limits
		ok, bad string // lines
		status  string
		reason  edge.Reason
	}{
		{Limits{Headers: 20}, many(11, "Zebra: 1\r\n"), many(12, "Zebra: 1\r\n"), "400", reasonHeaders},
		{Limits{Header: 100}, "Zebra: " + many(100, "1") + "\r\n", "Zebra: " + many(101, "1") + "\r\n", "400", reasonHeader},
		{Limits{URI: 50}, "Route: <sip:" + many(46, "a") + ">\r\n", "Route: <sip:" + many(47, "a") + ">\r\n", "414", reasonURI},
		{Limits{Vias: 4}, "Via: SIP/2.0/UDP a,SIP/2.0/UDP b;branch=z9hG4bKc\r\nv: SIP/2.0/TCP d\r\n", "Via: SIP/2.0/UDP a,SIP/2.0/UDP b;branch=z9hG4bKc\r\nv: SIP/2.0/TCP d, SIP/2.0/TCP e\r\n", "400", reasonVias},
		{Limits{Parameters: 3}, "Refer-To: <sip:a;b;c;d=e>;f;g;h\r\n", "Refer-To: <sip:a;b;c;d=e;f>\r\n", "400", reasonParameters},
		{Limits{Parameters: 3}, "Refer-To: <sip:a>\r\n", "Refer-To: <sip:a>;b;c;d;e\r\n", "400", reasonParameters},
		{Limits{Parameters: 3}, "", "v: SIP/2.0/UDP a;b;c;d;e\r\n", "400", reasonParameters},
	} {
		b := newBench(t, func(c *Config) { c.Limits = row.limits })
		b.bind("alice")
		b.send(b.outside, with("MESSAGE", 1, strings.TrimSuffix(row.ok+"P: q", "\r\n")))
		b.expect(b.platform, "MESSAGE")
		b.send(b.outside, with("MESSAGE", 2, strings.TrimSuffix(row.bad+"P: q", "\r\n")))
		b.expect(b.caller, "SIP/2.0 "+row.status)
		b.silence(b.platform)
		for {
			e, ok := b.p.ring.Next()
			if !ok {
				t.Errorf("%s is not told", row.reason)
			}
			if !ok || e.Reason == row.reason {
				break
			}
		}
		// An answer is held to it, too.
		got := b.callOut("MESSAGE")
		b.send(b.outside, []byte(strings.Replace(string(replyTo(got, "200 OK")), "Max-Forwards", row.bad+"Max-Forwards", 1)))
		b.silence(b.platform)
	}
}
