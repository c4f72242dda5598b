package proxy

import (
	"net"
	"strings"
	"testing"
	"time"
)

// movedOn is a pool that is hidden or not, whose first server has left an INVITE unanswered for so long that the second got it.
func movedOn(t *testing.T, hide bool) (b *bench, second *net.UDPConn, first, next string) {
	t.Helper()
	second = socket(t)
	b = newBench(t, func(c *Config) {
		c.Hide = hide
		c.Upstreams[0].Priority = 1
		c.Upstreams = append(c.Upstreams, Upstream{Addr: addrOf(second), Priority: 2})
	})
	b.send(b.outside, newRequest("INVITE", 1))
	first = b.expect(b.platform, "INVITE")
	b.now = b.now.Add(1100 * time.Millisecond)
	b.l.timers(b.now)
	b.expect(b.caller, "SIP/2.0 100")
	return b, second, first, b.expect(second, "INVITE")
}

// belongs wants msg to be what follows invite on its hop.
func belongs(t *testing.T, msg, invite string) {
	t.Helper()
	for _, name := range []string{"From", "Call-ID"} {
		if field(t, msg, name) != field(t, invite, name) {
			t.Errorf("%s differs:\n%s\n%s", name, invite, msg)
		}
	}
	_, uri, _ := strings.Cut(invite, " ")
	uri, _, _ = strings.Cut(uri, "\r\n")
	via, _, _ := strings.Cut(field(t, invite, "Via"), ", ")
	if !strings.Contains(strings.SplitN(msg, "\r\n", 2)[0], uri) || field(t, msg, "Via") != via {
		t.Errorf("not of this hop:\n%s\n%s", invite, msg)
	}
}

// accepted is the 200 of c to invite, with a Contact of its own.
func accepted(c *net.UDPConn, invite, tag string) []byte {
	answer := string(replyTo(invite, "200 OK"))
	answer = strings.Replace(answer, ";tag=b", ";tag="+tag, 1)
	return []byte(strings.Replace(answer, "Contact: <sip:alice@192.168.1.9:5060>", "Contact: <sip:pbx@"+addrOf(c).String()+">", 1))
}

// hangsUp lets the caller end the dialog of ok.
func hangsUp(t *testing.T, b *bench, ok string) {
	t.Helper()
	to := field(t, ok, "To")
	uri := strings.Trim(field(t, ok, "Contact"), "<>")
	b.send(b.outside, []byte("BYE "+uri+" SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKbye;rport\r\nRoute: "+
		field(t, ok, "Record-Route")+"\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: "+to+"\r\nCall-ID: c1\r\n"+
		"CSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
}

// TestServerWakesUp: what a server still says of an INVITE that another one has got meanwhile. It is to ring nobody, and is not left waiting for its ACK.
func TestServerWakesUp(t *testing.T) {
	b, second, first, next := movedOn(t, false)
	for _, status := range []string{"100 Trying", "180 Ringing"} {
		b.send(b.inside, replyTo(first, status))
		cancel := b.expect(b.platform, "CANCEL sip:echo@example.com SIP/2.0")
		belongs(t, cancel, first)
		if field(t, cancel, "To") != field(t, first, "To") || field(t, cancel, "CSeq") != "1 CANCEL" {
			t.Error(cancel)
		}
		b.send(b.inside, replyTo(cancel, "200 OK"))
	}
	b.send(b.inside, replyTo(first, "487 Request Terminated"))
	ack := b.expect(b.platform, "ACK sip:echo@example.com SIP/2.0")
	belongs(t, ack, first)
	if field(t, ack, "To") != field(t, first, "To")+";tag=b" {
		t.Error(ack)
	}
	b.silence(b.caller)
	b.send(b.flowOf(second), accepted(second, next, "two"))
	b.expect(b.caller, "SIP/2.0 200")
	b.send(b.inside, replyTo(first, "183 Session Progress")) // the transaction is over
	belongs(t, b.expect(b.platform, "CANCEL"), first)
	b.silence(b.caller)
}

// TestServerWakesUpAfterARefusal: the second server has refused the call, which is over for the caller.
func TestServerWakesUpAfterARefusal(t *testing.T) {
	b, second, first, next := movedOn(t, false)
	b.send(b.flowOf(second), replyTo(next, "486 Busy Here"))
	b.expect(b.caller, "SIP/2.0 486")
	b.expect(second, "ACK")
	b.send(b.inside, replyTo(first, "180 Ringing"))
	cancel := b.expect(b.platform, "CANCEL")
	belongs(t, cancel, first)
	if field(t, cancel, "To") != field(t, first, "To") {
		t.Error(cancel)
	}
	b.silence(b.caller)
}

// TestServerAcceptsLate: the first server accepts the INVITE after all. The caller gets that, in a dialog with that server, and the second one gives up.
func TestServerAcceptsLate(t *testing.T) {
	for _, hide := range []bool{false, true} {
		b, second, first, next := movedOn(t, hide)
		b.send(b.flowOf(second), replyTo(next, "180 Ringing"))
		b.expect(b.caller, "SIP/2.0 180")
		for range 2 {
			b.send(b.inside, accepted(b.platform, first, "one"))
			ok := b.expect(b.caller, "SIP/2.0 200")
			hangsUp(t, b, ok)
		}
		belongs(t, b.expect(second, "CANCEL"), next)
		b.expect(b.platform, "BYE")
		b.send(b.flowOf(second), replyTo(next, "487 Request Terminated"))
		belongs(t, b.expect(second, "ACK"), next)
		b.silence(b.caller)
	}
}

// TestBothServersAccept: each 2xx is a dialog of its own, as with forks.
func TestBothServersAccept(t *testing.T) {
	for _, hide := range []bool{false, true} {
		b, second, first, next := movedOn(t, hide)
		b.send(b.inside, accepted(b.platform, first, "one"))
		b.expect(b.caller, "SIP/2.0 200")
		b.silence(second) // no CANCEL before a response
		b.send(b.flowOf(second), replyTo(next, "180 Ringing"))
		belongs(t, b.expect(second, "CANCEL"), next)
		b.send(b.flowOf(second), accepted(second, next, "two"))
		ok := b.expect(b.caller, "SIP/2.0 200")
		hangsUp(t, b, ok)
		b.expect(second, "BYE")
		b.silence(b.platform)
	}
}

// TestLateFromElsewhere: who is none of the platform's servers answers for none.
func TestLateFromElsewhere(t *testing.T) {
	b, _, first, _ := movedOn(t, false)
	for _, status := range []string{"180 Ringing", "200 OK", "486 Busy Here"} {
		b.send(b.outside, replyTo(first, status))
	}
	b.silence(b.caller)
	b.silence(b.platform)
}
