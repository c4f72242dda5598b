package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// The INVITE of a platform with one proxy in it: about 670 bytes at the callee, where it is not hidden.
const usualInvite = "INVITE sip:bob@%s SIP/2.0\r\nVia: SIP/2.0/UDP 10.77.0.1;branch=z9hG4bK77ef4c2312983.1\r\nVia: SIP/2.0/UDP 10.77.0.2:5080;branch=z9hG4bKnashds8\r\n" +
	"Record-Route: <sip:%s;lr>\r\nFrom: \"Alice\" <sip:alice@10.77.0.2>;tag=9fxced76sl\r\nTo: <sip:bob@example.com>\r\nCall-ID: 2xTb9vxSit55XU7p8@10.77.0.2\r\n" +
	"CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:alice@10.77.0.2:5080>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO\r\nUser-Agent: PBX 1.0\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s"

const usualSDP = "v=0\r\no=alice 1 1 IN IP4 192.0.2.101\r\ns=-\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\n"

// sizes makes a call from inside and returns how long its messages are outside, or at the platform where that is said.
func sizes(b *bench) map[string]int {
	n := map[string]int{}
	b.send(b.inside, fmt.Appendf(nil, usualInvite, addrOf(b.caller), b.inside.Remote, len(usualSDP), usualSDP))
	invite := b.expect(b.caller, "INVITE")
	n["INVITE to outside"] = len(invite)
	b.send(b.outside, answerOf(invite, "200 OK", "Contact: <sip:bob@198.51.100.9>\r\n"))
	n["200 to inside"] = len(b.expect(b.platform, "SIP/2.0 200"))
	routes := []string{field(b.t, invite, "Record-Route")}
	for line := range strings.SplitSeq(invite, "\r\n") {
		if route, found := strings.CutPrefix(line, "Record-Route: "); found && route != routes[0] {
			routes = append(routes, route)
		}
	}
	to := field(b.t, invite, "To") + ";tag=b"
	b.inDialog(b.outside, "BYE", target(field(b.t, invite, "Contact")), routes, to, field(b.t, invite, "From"), field(b.t, invite, "Call-ID"))
	bye := b.expect(b.platform, "BYE")
	n["BYE to inside"] = len(bye)
	b.send(b.inside, answerOf(bye, "200 OK", "Server: PBX 1.0\r\n"))
	n["200 to a BYE to outside"] = len(b.expect(b.caller, "SIP/2.0 200"))

	b.send(b.outside, newRequest("INVITE", 77))
	in := b.expect(b.platform, "INVITE")
	n["INVITE to inside"] = len(in)
	ok := strings.Replace(string(replyTo(in, "200 OK")), "Record-Route:", "Record-Route: <sip:10.77.0.1;lr>\r\nRecord-Route:", 1)
	ok = strings.Replace(ok, "Record-Route: <sip:10.77.0.1;lr>\r\n", "Contact: <sip:echo@10.77.0.2:5080>\r\nServer: PBX 1.0\r\nRecord-Route: <sip:10.77.0.1;lr>\r\n", 1)
	b.send(b.inside, []byte(ok))
	n["200 to outside"] = len(b.expect(b.caller, "SIP/2.0 200"))
	return n
}

// TestSizes tells how much hiding adds to the messages of a call, and holds that to what Kamailio's topoh adds: 142 bytes to an INVITE of
// 670 at the callee, 74 to a 200, 74 to a BYE.
func TestSizes(t *testing.T) {
	plain, hidden := sizes(newGuarded(t, GuardOff, false)), sizes(newHidden(t))
	most := map[string]int{"INVITE to outside": 142, "200 to outside": 74, "BYE to inside": 74, "200 to a BYE to outside": 74}
	for _, name := range []string{"INVITE to outside", "200 to outside", "BYE to inside", "200 to a BYE to outside", "INVITE to inside", "200 to inside"} {
		grown := hidden[name] - plain[name]
		t.Logf("%-24s %4d plain, %4d hidden, %+d", name, plain[name], hidden[name], grown)
		if limit, bound := most[name]; bound && grown > limit {
			t.Errorf("%s grows by %d bytes, topoh's by %d", name, grown, limit)
		}
	}
}
