package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// newHidden is a bench that hides its platform. What must not be seen outside holds "mark" or the port of the platform.
func newHidden(t testing.TB) *bench {
	return newBench(t, func(c *Config) {
		c.Hide = true
		c.Topology = topo.Config{CallID: true, Domain: "example.com"}
		c.Sources = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
	})
}

// clean fails the test if msg, which left for outside, shows anything of the inside.
func (b *bench) clean(msg string) string {
	b.t.Helper()
	port := fmt.Sprint(b.inside.Remote.Port())
	for _, mark := range []string{"mark", "10.77.", ":" + port, "SecretPBX"} {
		if strings.Contains(msg, mark) {
			b.t.Errorf("%s leaves:\n%s", mark, msg)
		}
	}
	for _, name := range []string{"\r\nVia: ", "\r\nRecord-Route: "} {
		if strings.Count(msg, name) > 1 {
			b.t.Errorf("more than one %s leaves:\n%s", name[2:], msg)
		}
	}
	return msg
}

// marked adds what platforms put into messages.
func (b *bench) marked(msg string) []byte {
	extra := fmt.Sprintf("Record-Route: <sip:%s;lr;did=mark1>\r\nRecord-Route: <sip:10.77.0.1;lr>\r\nContact: \"mark\" <sip:mark@%[1]s;x=1>;+sip.instance=\"<urn:mark>\"\r\n"+
		"Server: SecretPBX\r\nUser-Agent: SecretPBX\r\nWarning: 399 mark \"mark\"\r\nReason: Q.850;cause=16;text=\"mark\"\r\nX-Mark: mark\r\nP-Asserted-Identity: <sip:mark@mark>\r\n"+
		"Organization: mark\r\nSubject: mark\r\n", b.inside.Remote)
	if strings.HasPrefix(msg, "SIP/2.0 ") { // the nearest to us is the last
		near, rest, _ := strings.Cut(extra, "\r\n")
		far, rest, _ := strings.Cut(rest, "\r\n")
		extra = far + "\r\n" + near + "\r\n" + rest
	}
	lines := strings.Split(msg, "\r\n")
	var kept []string
	routed := false
	for _, line := range lines {
		if strings.HasPrefix(line, "Contact:") {
			continue
		}
		if strings.HasPrefix(line, "Record-Route:") { // those of the platform stand before ours
			kept = append(kept, strings.Split(strings.TrimSuffix(extra, "\r\n"), "\r\n")...)
			routed = true
		}
		kept = append(kept, line)
	}
	out := strings.Join(kept, "\r\n")
	if !routed {
		out = strings.Replace(out, "\r\nContent-Length:", "\r\n"+extra+"Content-Length:", 1)
	}
	return []byte(out)
}

func (b *bench) inDialog(by edge.Flow, method, target string, routes []string, from, to, callID string) {
	b.send(by, fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKd%s%s;rport\r\nRoute: %s\r\n"+
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 2 %s\r\nContent-Length: 0\r\n\r\n",
		method, target, method, from[len(from)-1:], strings.Join(routes, ", "), from, to, callID, method))
}

func target(contact string) string {
	_, after, _ := strings.Cut(contact, "<")
	uri, _, _ := strings.Cut(after, ">")
	return uri
}

func TestHiddenCallFromOutside(t *testing.T) {
	b := newHidden(t)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.inside, b.marked(string(replyTo(invite, "180 Ringing"))))
	b.clean(b.expect(b.caller, "SIP/2.0 180"))
	b.send(b.inside, b.marked(string(replyTo(invite, "200 OK"))))
	ok := b.clean(b.expect(b.caller, "SIP/2.0 200"))
	contact, route := field(t, ok, "Contact"), field(t, ok, "Record-Route")

	b.inDialog(b.outside, "BYE", target(contact), []string{route}, field(t, ok, "From"), field(t, ok, "To"), "c1")
	bye := b.expect(b.platform, fmt.Sprintf("BYE sip:mark@%s;x=1 SIP/2.0", b.inside.Remote))
	var routes []string
	for line := range strings.SplitSeq(bye, "\r\n") {
		if v, ok := strings.CutPrefix(line, "Route: "); ok {
			routes = append(routes, v)
		}
	}
	if want := fmt.Sprintf("<sip:%s;lr;did=mark1>|<sip:10.77.0.1;lr>", b.inside.Remote); strings.Join(routes, "|") != want {
		t.Errorf("Route %q, want %s", routes, want)
	}
}

// TestHiddenForgery: an altered token is refused, one of another dialog too, and a target token in a new request gives no right.
func TestHiddenForgery(t *testing.T) {
	b := newHidden(t)
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, b.marked(string(replyTo(b.expect(b.platform, "INVITE"), "200 OK"))))
	ok := b.expect(b.caller, "SIP/2.0 200")
	contact, route := field(t, ok, "Contact"), field(t, ok, "Record-Route")
	b.inDialog(b.outside, "BYE", target(contact), []string{route}, field(t, ok, "From"), field(t, ok, "To"), "another")
	b.expect(b.caller, "SIP/2.0 481")
	bent := strings.Replace(route, route[10:12], "zz", 1)
	b.inDialog(b.outside, "INFO", target(contact), []string{bent}, field(t, ok, "From"), field(t, ok, "To"), "c1")
	b.expect(b.caller, "SIP/2.0 481")
	b.silence(b.platform)
	again := strings.Replace(string(newRequest("INVITE", 2)), "sip:echo@example.com SIP/2.0", target(contact)+" SIP/2.0", 1)
	b.send(b.outside, []byte(again))
	b.expect(b.platform, fmt.Sprintf("INVITE sip:mark@%s;x=1 SIP/2.0", b.inside.Remote))
}

// contactOf lets a caller call, and returns the Contact that it gets of the platform.
func (b *bench) contactOf(n int) string {
	b.t.Helper()
	b.send(b.outside, newRequest("INVITE", n))
	b.send(b.inside, b.marked(string(replyTo(b.expect(b.platform, "INVITE"), "200 OK"))))
	return target(field(b.t, b.expect(b.caller, "SIP/2.0 200"), "Contact"))
}

// asking is a request for uri.
func asking(method, uri string, n int) []byte {
	return []byte(strings.Replace(string(newRequest(method, n)), "sip:echo@example.com SIP", uri+" SIP", 1))
}

// TestBentTarget: who asks for a target token that was altered, cut, or put together of two is refused with a reason, in every mode, and users
// with odd names are not.
func TestBentTarget(t *testing.T) {
	b := newHidden(t)
	b.p.Apply(func() Config { c := b.p.cfg.Load().Config; c.Monitor = true; return c }())
	uri, other := b.contactOf(1), b.contactOf(2)
	_, host, _ := strings.Cut(uri, "@")
	b.reasons()
	for i, bent := range []string{strings.Replace(uri, uri[20:22], "zz", 1), uri[:40] + "@" + host, uri[:30] + other[30:], uri[:len(uri)-len(host)-1] + "A@" + host,
		"sip:.." + uri[4:], "sip:." + strings.Repeat("A", topo.LeastTarget) + "@" + host} {
		b.send(b.outside, asking("INVITE", bent, 10+i))
		b.expect(b.caller, "SIP/2.0 404")
		b.only("topology.token")
		b.send(b.outside, asking("ACK", bent, 100+i))
		b.silence(b.caller)
		b.only("topology.token")
	}
	for i, user := range []string{"bob", ".bob", "..b", "conference-room-of-the-engineering-department", "5f1c0f6e-8a3b-4c1d-9e2f-0a1b2c3d4e5f", "." + strings.Repeat("A", topo.LeastTarget-2)} {
		b.send(b.outside, asking("INVITE", "sip:"+user+"@"+host, 50+i))
		b.expect(b.platform, "INVITE sip:"+user+"@"+host+" SIP/2.0")
	}
	b.send(b.outside, asking("INVITE", strings.Replace(uri, uri[20:22], "zz", 1)[:len(uri)-len(host)]+"elsewhere.example", 70))
	b.expect(b.platform, "INVITE sip:.") // at another host it is that host's user
	b.only()
	b.now = b.now.Add(50 * 24 * time.Hour)
	b.send(b.outside, asking("INVITE", uri, 80))
	b.expect(b.caller, "SIP/2.0 404")
	b.only("topology.expired")
}

// FuzzTargetUser asks for any user at our address. What has the shape of a token is refused, and any other user gets to the platform as it is;
// nothing is routed by what was not sealed here.
func FuzzTargetUser(f *testing.F) {
	b := newHidden(f)
	token, host, _ := strings.Cut(strings.TrimPrefix(b.contactOf(1), "sip:"), "@")
	for _, user := range []string{token, token[1:], token[:30], token + "A", ".." + token, "bob", ".", "+15551234", "a.b.c-d_e~f!g*h'i(j)k&l=m+n$o,p;q?r/s"} {
		f.Add(user)
	}
	n := 1000
	f.Fuzz(func(t *testing.T, user string) {
		b.t = t
		b.now = b.now.Add(time.Minute)
		b.l.timers(b.now)
		drainSocket(b.caller, b.buf[:])
		drainSocket(b.platform, b.buf[:])
		n++
		msg := asking("MESSAGE", "sip:"+user+"@"+host, n)
		var m sip.Message
		if m.Parse(msg, true) != nil || m.URI.User.Len() != len(user) || user == token {
			return
		}
		b.p.proofs.add(hashFlow(b.p.seed, b.outside), b.now)
		b.send(b.outside, msg)
		if len(user) >= topo.LeastTarget && user[0] == topo.TargetMark {
			if got := b.got(b.caller); !strings.HasPrefix(got, "SIP/2.0 404") {
				t.Fatalf("%q: %q, want 404", user, got)
			}
			b.silence(b.platform)
		} else if got := b.got(b.platform); got != "" && !strings.HasPrefix(got, "MESSAGE sip:"+user+"@"+host+" SIP/2.0\r\n") {
			t.Fatalf("%q became %q", user, got)
		}
	})
}

// TestHiddenRouteOfStranger: a Route that a caller adds behind our token does not reach the platform.
func TestHiddenRouteOfStranger(t *testing.T) {
	b := newHidden(t)
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200")
	routes := []string{field(t, ok, "Record-Route"), "<sip:10.77.0.66;lr>"}
	b.inDialog(b.outside, "BYE", "sip:echo@example.com", routes, field(t, ok, "From"), field(t, ok, "To"), "c1")
	if bye := b.expect(b.platform, "BYE"); strings.Contains(bye, "Route:") {
		t.Errorf("%s", bye)
	}
}

func TestHiddenCallFromInside(t *testing.T) {
	b := newHidden(t)
	invite := "INVITE sip:bob@" + addrOf(b.caller).String() + " SIP/2.0\r\nVia: SIP/2.0/UDP " + b.inside.Remote.String() + ";branch=z9hG4bK1;rport\r\n" +
		"Via: SIP/2.0/UDP mark.example;branch=z9hG4bK0\r\nFrom: \"Alice\" <sip:alice@pbx.mark:5080>;tag=a1\r\nTo: <sip:bob@10.77.0.9>\r\nCall-ID: id@mark\r\n" +
		"CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
	b.send(b.inside, b.marked(invite))
	out := b.clean(b.expect(b.caller, "INVITE sip:bob@"))
	if field(t, out, "From") != "\"Alice\" <sip:alice@example.com>;tag=a1" || field(t, out, "To") != "<sip:bob@example.com>" {
		t.Errorf("%s", out)
	}
	b.send(b.outside, hundred(out))
	trying := b.expect(b.platform, "SIP/2.0 100")
	for _, want := range []string{"Call-ID: id@mark\r\n", "From: \"Alice\" <sip:alice@pbx.mark:5080>;tag=a1\r\n", "To: <sip:bob@10.77.0.9>\r\n"} {
		if !strings.Contains(trying, want) {
			t.Errorf("100 without %q:\n%s", want, trying)
		}
	}
	b.send(b.outside, answerOf(out, "200 OK", "Contact: <sip:bob@198.51.100.9>\r\n"))
	ok := b.expect(b.platform, "SIP/2.0 200")
	for _, want := range []string{"Call-ID: id@mark\r\n", "From: \"Alice\" <sip:alice@pbx.mark:5080>;tag=a1\r\n", "To: <sip:bob@10.77.0.9>;tag=b\r\n",
		"\r\nVia: SIP/2.0/UDP mark.example;branch=z9hG4bK0\r\n", ";lr;did=mark1>, <sip:10.77.0.1;lr>\r\n", "Contact: <sip:bob@198.51.100.9>\r\n"} {
		if !strings.Contains(ok, want) {
			t.Errorf("200 without %q:\n%s", want, ok)
		}
	}
	b.inDialog(b.outside, "BYE", target(field(t, out, "Contact")), []string{field(t, out, "Record-Route")}, "<sip:bob@example.com>;tag=b",
		field(t, out, "From"), field(t, out, "Call-ID"))
	bye := b.expect(b.platform, fmt.Sprintf("BYE sip:mark@%s;x=1 SIP/2.0", b.inside.Remote))
	for _, want := range []string{"Call-ID: id@mark\r\n", "To: \"Alice\" <sip:alice@pbx.mark:5080>;tag=a1\r\n", "From: <sip:bob@10.77.0.9>;tag=b\r\n",
		fmt.Sprintf("\r\nRoute: <sip:%s;lr;did=mark1>\r\nRoute: <sip:10.77.0.1;lr>\r\n", b.inside.Remote)} {
		if !strings.Contains(bye, want) {
			t.Errorf("BYE without %q:\n%s", want, bye)
		}
	}
	b.send(b.inside, answerOf(bye, "200 OK", "Server: SecretPBX\r\n"))
	done := b.clean(b.expect(b.caller, "SIP/2.0 200"))
	for name, want := range map[string]string{"Call-ID": field(t, out, "Call-ID"), "From": "<sip:bob@example.com>;tag=b", "To": field(t, out, "From")} {
		if got := field(t, done, name); got != want {
			t.Errorf("%s came back as %q, want %q", name, got, want)
		}
	}
	var own string // the platform's copy of our Record-Route
	for line := range strings.SplitSeq(ok, "\r\n") {
		if v, found := strings.CutPrefix(line, "Record-Route: "); found && own == "" {
			own, _, _ = strings.Cut(v, ", ")
		}
	}
	b.inDialog(b.inside, "UPDATE", "sip:bob@"+addrOf(b.caller).String(), []string{own}, "\"Alice\" <sip:alice@pbx.mark:5080>;tag=a1", "<sip:bob@10.77.0.9>;tag=b", "id@mark")
	update := b.clean(b.expect(b.caller, "UPDATE"))
	if field(t, update, "Call-ID") != field(t, out, "Call-ID") || field(t, update, "From") != field(t, out, "From") {
		t.Errorf("another dialog: %s", update)
	}
}

func hundred(msg string) []byte { return answerOf(msg, "100 Trying", "") }

// answerOf makes a response with a To tag out of a request as it was received.
func answerOf(msg, status, extra string) []byte {
	var lines []string
	for i, line := range strings.Split(strings.TrimSuffix(msg, "\r\n\r\n"), "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch {
		case i == 0:
			lines = append(lines, "SIP/2.0 "+status)
		case name == "To" && !strings.Contains(line, ";tag=") && !strings.HasPrefix(status, "100"):
			lines = append(lines, line+";tag=b")
		case name == "Via", name == "From", name == "To", name == "Call-ID", name == "CSeq", name == "Record-Route":
			lines = append(lines, line)
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n" + extra + "Content-Length: 0\r\n\r\n")
}
