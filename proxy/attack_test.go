package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// rings begins a call of a stranger without a password, which the platform lets ring, and returns what the caller got: a token among it.
func (b *bench) rings() string {
	b.t.Helper()
	b.send(b.outside, newRequest("INVITE", 1))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "180 Ringing"))
	return b.expect(b.caller, "SIP/2.0 180")
}

// guess is a request in the dialog of ringing with password n of the user 100.
func guess(t *testing.T, method, ringing string, n int) []byte {
	answer := fmt.Sprintf(`Authorization: Digest username="100", realm="r", nonce="%024d", uri="sip:example.com", response="%032x"`, n, n)
	msg := string(inDialog(t, method, "sip:echo@example.com", ringing, fmt.Sprint("guess", n)))
	msg = strings.ReplaceAll(msg, "sip:alice@", "sip:100@")
	return []byte(strings.Replace(msg, "Content-Length", "Contact: <sip:100@192.168.1.20>\r\n"+answer+"\r\nContent-Length", 1))
}

// TestTokenIsNoLeaveToGuess: who holds a token of a dialog, which any call gives that rings, tries no passwords with it: no REGISTER is in a dialog, and
// what is meets the locks of users.
func TestTokenIsNoLeaveToGuess(t *testing.T) {
	t.Run("REGISTER", func(t *testing.T) {
		b := newJudged(t, judge.Enforce, nil)
		b.send(b.outside, guess(t, "REGISTER", b.rings(), 1))
		b.silence(b.platform)
	})
	t.Run("INVITE", func(t *testing.T) {
		b := newJudged(t, judge.Enforce, nil)
		ringing, tried := b.rings(), 0
		for n := range 20 {
			b.now = b.now.Add(time.Second)
			b.send(b.outside, guess(t, "INVITE", ringing, n))
			got := b.got(b.platform)
			if got == "" {
				continue
			}
			tried++
			_, rest, _ := strings.Cut(got, "\r\n")
			b.send(b.inside, fmt.Appendf(nil, "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"%024d\"\r\n%s", n+1, rest))
			b.expect(b.caller, "SIP/2.0 401")
			b.expect(b.platform, "ACK")
			b.drained()
		}
		if tried > 4 { // credentials for a nonce that nobody gave out count for nothing: the first
			t.Errorf("%d passwords got through", tried)
		}
		b.send(b.outside, inDialog(t, "BYE", calleeURI, ringing, "bye"))
		b.expect(b.platform, "BYE")
	})
}

// TestTagProvesWhoGotIt: the To tag of a refusal proves the return path of who was refused, not of whose address he writes on an ACK.
func TestTagProvesWhoGotIt(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Unknown = MethodSet() })
	b.send(b.outside, newRequest("INVITE", 1))
	refused := b.expect(b.caller, "SIP/2.0 405")
	_, tag, _ := strings.Cut(field(t, refused, "To"), ";tag=")
	ack := []byte(strings.Replace(string(newRequest("ACK", 1)), "To: <sip:echo@example.com>", "To: <sip:echo@example.com>;tag="+tag, 1))
	victim := b.outside
	victim.Remote = netip.MustParseAddrPort("127.0.0.99:5060")
	b.send(victim, ack)
	if !b.unproven(victim) {
		t.Error("somebody else's tag proves the victim's return path")
	}
	b.send(b.outside, ack)
	if b.unproven(b.outside) {
		t.Error("the tag proves nothing of who got it")
	}
}

// TestBannedCallerBeginsNothing: a hard ban spares the calls that were there before it, and nothing that their caller begins now, whatever he proves.
func TestBannedCallerBeginsNothing(t *testing.T) {
	for _, stream := range []bool{false, true} {
		b := newBench(t, nil)
		b.send(b.outside, newRequest("INVITE", 1))
		b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "200 OK"))
		ok := b.expect(b.caller, "SIP/2.0 200")
		b.now = b.now.Add(time.Second)
		order := ban.Order{Ban: edge.Ban{Source: edge.SourceOf(b.outside.Remote.Addr()), Hard: true, Reason: "test.reason"}, By: ban.Judge}
		if _, _, err := b.bans.Add(order, b.now); err != nil {
			t.Fatal(err)
		}
		if b.bans.Refuses(b.outside, b.now) {
			t.Fatal("the call is not spared")
		}
		scan := b.outside
		if stream {
			scan.Transport = edge.TCP
		}
		b.send(scan, newRequest("INVITE", 2))
		b.silence(b.platform)
		b.send(b.outside, inDialog(t, "BYE", calleeURI, ok, "bye"))
		b.expect(b.platform, "BYE")
	}
}

// TestOneCallIDIsNotOneCall: a peer that writes the same Call-ID and tag on all its calls has no more of them than its limit.
func TestOneCallIDIsNotOneCall(t *testing.T) {
	b, _, _ := newTrunk(t, func(p *Peer) { p.Calls = 2 })
	for n := 1; n <= 4; n++ {
		invite := strings.Replace(string(newRequest("INVITE", 1)), "branch=z9hG4bK1", fmt.Sprint("branch=z9hG4bKcall", n), 1)
		b.send(b.outside, []byte(strings.Replace(invite, "CSeq: 1 ", fmt.Sprintf("CSeq: %d ", n), 1)))
		if n > 2 {
			b.expect(b.caller, "SIP/2.0 503")
			b.silence(b.platform)
			continue
		}
		b.expect(b.platform, "INVITE")
	}
	fork := strings.Replace(string(newRequest("INVITE", 1)), "branch=z9hG4bK1", "branch=z9hG4bKfork", 1)
	b.send(b.outside, []byte(fork)) // of the first: it counts with that
	b.expect(b.platform, "INVITE")
}
