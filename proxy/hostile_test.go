package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// answered lets the caller call, and the platform answer with status and this Contact and Record-Route lines (whole lines) on
// top; it returns the response that the caller got.
func (b *bench) answered(n int, status, lines string) string {
	b.t.Helper()
	b.send(b.outside, newRequest("INVITE", n))
	reply := string(replyTo(b.expect(b.platform, "INVITE"), status))
	head, rest, _ := strings.Cut(reply, "\r\n")
	kept := ""
	for line := range strings.SplitAfterSeq(rest, "\r\n") {
		if !strings.HasPrefix(line, "Contact:") {
			kept += line
		}
	}
	b.send(b.inside, []byte(head+"\r\n"+lines+kept))
	return b.expect(b.caller, "SIP/2.0 "+status)
}

const dialogRequest = "%m %u SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKd%m%n;rport\r\nRoute: %r\r\n" +
	"From: <sip:alice@example.com>;tag=a%n\r\nTo: <sip:echo@example.com>;tag=b\r\nCall-ID: c%n\r\nCSeq: 2 %m\r\nContent-Length: 0\r\n\r\n"

func within(method, uri, route, n string) []byte {
	return []byte(strings.NewReplacer("%m", method, "%u", uri, "%r", route, "%n", n).Replace(dialogRequest))
}

func TestDialogFollowsTheContactOfACaller(t *testing.T) {
	b := newBench(t, nil)
	second := socket(t)
	invite := "INVITE sip:phone@" + addrOf(b.caller).String() + " SIP/2.0\r\nVia: SIP/2.0/UDP " + addrOf(b.platform).String() + ";branch=z9hG4bK1\r\n" +
		"From: <sip:echo@example.com>;tag=b\r\nTo: <sip:alice@example.com>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:pbx@" +
		addrOf(second).String() + ">\r\nContent-Length: 0\r\n\r\n"
	b.send(b.inside, []byte(invite))
	got := b.expect(b.caller, "INVITE")
	b.send(b.outside, within("BYE", "sip:pbx@"+addrOf(second).String(), field(t, got, "Record-Route"), "1"))
	b.expect(second, "BYE")
}

// TestFailureTeachesNoToken: who was refused gets nothing that opens a way in.
func TestFailureTeachesNoToken(t *testing.T) {
	b := newBench(t, nil)
	if reply := b.answered(1, "401 Unauthorized", ""); strings.Contains(reply, "Record-Route") {
		t.Errorf("%s", reply)
	}
}

// TestACKIsNeverAnswered, whatever hinders it: here, that no inside listener has IPv6.
func TestACKIsNeverAnswered(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Monitor = true
		c.Upstreams[0].Addr = netip.MustParseAddrPort("[2001:db8::1]:5060")
	})
	b.send(b.outside, newRequest("ACK", 1))
	b.silence(b.caller)
}

// TestTokenKind: a token of one use is worth nothing in another, also where Call-ID and tags could be made to fit.
func TestTokenKind(t *testing.T) {
	b := newBench(t, nil)
	msg := strings.NewReplacer("tag=a1", "x=y", "Call-ID: c1", "Call-ID: "+string(pathAD)).Replace(string(within("INFO", "sip:x@h", "<sip:h>", "1")))
	if err := b.l.msg.Parse([]byte(msg), true); err != nil {
		t.Fatal(err)
	}
	r := route{Outside: b.outside, Inside: b.inside}
	token := appendToken(nil, b.p.keys, &r, edge.Outside, &b.l.msg, callIDIn(&b.l.msg))
	for _, kind := range []byte{fromOutside, fromInside, pathToken} {
		for _, side := range []edge.Side{edge.Outside, edge.Inside} {
			token[0] = kind
			if _, ok := openedToken(b.p.keys, token, side, &b.l.msg); ok && kind != fromOutside {
				t.Errorf("a token made with %q opens as %q on side %d", byte(fromOutside), kind, side)
			}
		}
	}
}

// TestTokenOfAnotherConfiguration: listeners are numbered anew at each start, a token's may be an inside one by now.
func TestTokenOfAnotherConfiguration(t *testing.T) {
	b := newBench(t, nil)
	for n, listener := range map[string]uint16{"1": 1, "2": 200} {
		if err := b.l.msg.Parse(within("BYE", "sip:alice@h", "<sip:h>", n), true); err != nil {
			t.Fatal(err)
		}
		old := b.outside
		old.Listener = listener
		token := appendToken(nil, b.p.keys, &route{Outside: old, Inside: b.inside}, edge.Inside, &b.l.msg, callIDIn(&b.l.msg))
		b.send(b.inside, within("BYE", "sip:alice@h", "<sip:"+string(token)+"@"+b.p.faces[1].host+";lr>", n))
		got := b.expect(b.caller, "BYE")
		if !strings.Contains(got, "Via: SIP/2.0/UDP "+b.p.faces[0].host+";") {
			t.Errorf("listener %d: sent from the inside listener: %s", listener, got)
		}
	}
}
