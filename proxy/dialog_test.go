package proxy

import (
	"net/netip"
	"strings"
	"testing"
)

// calleeURI is the Contact of what replyTo makes.
const calleeURI = "sip:alice@192.168.1.9:5060"

// inDialog is a request of the caller in the call that ok answered.
func inDialog(t *testing.T, method, uri, ok, branch string) []byte {
	return []byte(method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bK" + branch + ";rport\r\nRoute: " +
		field(t, ok, "Record-Route") + "\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:echo@example.com>;tag=b\r\nCall-ID: c1\r\n" +
		"CSeq: 1 " + method + "\r\nContent-Length: 0\r\n\r\n")
}

// TestCallerDoesNotChooseTheServer: who holds a route token reaches the server of that dialog, whatever address inside stands in
// the Request-URI or in a further Route.
func TestCallerDoesNotChooseTheServer(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Sources = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	victim := socket(t)
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200")
	uri := "sip:admin@" + addrOf(victim).String()
	b.send(b.outside, inDialog(t, "INFO", uri, ok, "x1"))
	b.expect(b.caller, "SIP/2.0 403")
	further := strings.Replace(string(inDialog(t, "INFO", calleeURI, ok, "x2")), ";lr>\r\n", ";lr>, <"+uri+";lr>\r\n", 1)
	b.send(b.outside, []byte(further))
	b.expect(b.caller, "SIP/2.0 403")
	b.silence(b.platform)
	b.silence(victim)
	b.send(b.outside, inDialog(t, "INFO", calleeURI, ok, "x3"))
	b.expect(b.platform, "INFO "+calleeURI)
}

// TestDialogFollowsThePlatform: another server of the platform answers; it says so in its Contact or Record-Route, and the dialog is
// with it.
func TestDialogFollowsThePlatform(t *testing.T) {
	for _, name := range []string{"Contact", "Record-Route"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.Sources = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
			other := socket(t)
			b.send(b.outside, newRequest("INVITE", 1))
			invite := b.expect(b.platform, "INVITE")
			uri := "<sip:pbx@" + addrOf(other).String() + ";lr>"
			reply, target := string(replyTo(invite, "200 OK")), calleeURI
			if name == "Contact" {
				target = "sip:pbx@" + addrOf(other).String()
				reply = strings.Replace(reply, "Contact: <sip:alice@192.168.1.9:5060>", "Contact: "+uri, 1)
			} else {
				reply = strings.Replace(reply, "Record-Route: ", "Record-Route: "+uri+", ", 1)
			}
			b.send(b.inside, []byte(reply))
			ok := b.expect(b.caller, "SIP/2.0 200")
			if name == "Record-Route" {
				_, ours, _ := strings.Cut(ok, "Record-Route: "+uri+", ")
				ok = "Record-Route: " + ours
			}
			b.send(b.outside, inDialog(t, "INFO", target, ok, "x1"))
			b.expect(other, "INFO")
			b.silence(b.platform)
		})
	}
}

// TestACKWithTheBranchOfItsINVITE: old phones acknowledge a 2xx so.
func TestACKWithTheBranchOfItsINVITE(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "200 OK"))
	ok := b.expect(b.caller, "SIP/2.0 200")
	b.send(b.outside, inDialog(t, "ACK", calleeURI, ok, "1"))
	b.expect(b.platform, "ACK")
}

// TestAnswersDoNotOutgrowRequests: nobody gains by forging a source.
func TestAnswersDoNotOutgrowRequests(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Unknown = MethodSet() })
	small := "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bKa\r\nf:<sip:a>;tag=1\r\nt:<sip:a>\r\ni:1\r\nCSeq:1 OPTIONS\r\nl:0\r\n\r\n"
	for _, msg := range []string{small, strings.ReplaceAll(small, "OPTIONS", "MESSAGE"), string(newRequest("OPTIONS", 1)), string(newRequest("INVITE", 2))} {
		b.send(b.outside, []byte(msg))
		if got := b.got(b.caller); 10*len(got) > 13*len(msg) {
			t.Errorf("%d bytes for %d: %s", len(got), len(msg), got)
		} else if len(msg) > 300 && got == "" {
			t.Errorf("no answer to %s", msg)
		}
	}
}
