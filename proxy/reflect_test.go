package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TestCopiesOf2xx: a platform repeats its provisional and 2xx responses until they are acknowledged. A source that may be forged gets the first
// of each and further copies while they amount to no more than three times what it sent; its ACK proves it, and it gets them all (P7).
func TestCopiesOf2xx(t *testing.T) {
	b := newBench(t, nil)
	invite := newRequest("INVITE", 1)
	b.send(b.outside, invite)
	sent := b.expect(b.platform, "INVITE")
	repeat := func(status string) (messages, size int) {
		for range 12 {
			b.now = b.now.Add(time.Second)
			b.send(b.inside, replyTo(sent, status))
		}
		return b.drained()
	}
	ringing, size := repeat("180 Ringing")
	most := size / max(ringing, 1)
	answers, more := repeat("200 OK")
	if total := size + more; ringing < 1 || answers < 1 || total > 3*len(invite)+2*most {
		t.Errorf("%d and %d responses of %d bytes for %d", ringing, answers, total, len(invite))
	}
	b.send(b.inside, replyTo(sent, "200 OK"))
	b.silence(b.caller)
	b.send(b.outside, within("ACK", "sip:x@"+b.inside.Remote.String(), b.routeOf(2), "2")) // of another call
	if messages, _ := repeat("200 OK"); messages != 12 {
		t.Errorf("%d copies for who is proven", messages)
	}
}

// routeOf makes call n from outside and returns the Route of its requests.
func (b *bench) routeOf(n int) string {
	b.t.Helper()
	b.send(b.outside, newRequest("INVITE", n))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "200 OK"))
	return field(b.t, b.expect(b.caller, "SIP/2.0 200"), "Record-Route")
}

// unproven makes x an Exchange from source, and reports whether it is unproven.
func (b *bench) unproven(source edge.Flow) bool {
	return !b.l.proven(&edge.Exchange{From: source, At: b.now})
}

// TestProofs: what shows a return path, and what does not.
func TestProofs(t *testing.T) {
	other := func(b *bench) edge.Flow { return b.at(socket(t)) }
	refusedBy := func(b *bench, tag string) []byte {
		b.send(b.outside, newRequest("INVITE", 1))
		b.send(b.inside, []byte(strings.Replace(string(replyTo(b.expect(b.platform, "INVITE"), "486 Busy")), "tag=b", "tag="+tag, 1)))
		b.drained()
		return []byte(strings.Replace(string(newRequest("ACK", 1)), "To: <sip:echo@example.com>", "To: <sip:echo@example.com>;tag="+tag, 1))
	}
	for name, row := range map[string]struct {
		do     func(*bench)
		proves bool
	}{
		"nothing":                     {func(b *bench) {}, false},
		"INVITE":                      {func(b *bench) { b.send(b.outside, newRequest("INVITE", 1)) }, false},
		"route token":                 {func(b *bench) { b.send(b.outside, within("ACK", "sip:x@y", b.routeOf(2), "2")) }, true},
		"route token of another port": {func(b *bench) { b.send(other(b), within("ACK", "sip:x@y", b.routeOf(2), "2")) }, false},
		"forged token": {func(b *bench) {
			b.send(b.outside, within("ACK", "sip:x@y", strings.Replace(b.routeOf(2), "<sip:o", "<sip:oA", 1), "2"))
		}, false},
		"ACK of a refusal": {func(b *bench) { b.send(b.outside, refusedBy(b, "0123456789")) }, true},
		"ACK with another tag": {func(b *bench) {
			b.send(b.outside, []byte(strings.Replace(string(refusedBy(b, "0123456789")), "0123456789", "0123456780", 1)))
		}, false},
		"ACK with a tag that can be guessed": {func(b *bench) { b.send(b.outside, refusedBy(b, "1")) }, false},
		"ACK of our own refusal": {func(b *bench) {
			b.p.Drain(true)
			b.send(b.outside, newRequest("INVITE", 1))
			to := field(t, b.expect(b.caller, "SIP/2.0 503"), "To")
			b.p.Drain(false)
			b.send(b.outside, []byte(strings.Replace(string(newRequest("ACK", 1)), "<sip:echo@example.com>", to, 1)))
		}, true},
	} {
		b := newBench(t, nil)
		row.do(b)
		if b.unproven(b.outside) == row.proves {
			t.Errorf("%s: proves %v", name, !row.proves)
		}
		b.now = b.now.Add(markLife + 2*markUnit)
		if !b.unproven(b.outside) {
			t.Errorf("%s: for ever", name)
		}
	}
}

// TestOwnRepliesToUnprovenSources: 20 in a row, then 5 a second; 100 a second for a network. Others are not held to it.
func TestOwnRepliesToUnprovenSources(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Unknown = Methods{} })
	asked := func(times int, addr string) (answers int) {
		for range times {
			from := b.outside
			if addr != "" {
				from.Remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 40000)
			}
			before := b.l.mayAnswer(&edge.Exchange{From: from, At: b.now})
			if before {
				answers++
			}
		}
		return answers
	}
	if n := asked(50, ""); n != ownAnswers.Burst {
		t.Errorf("%d answers at once", n)
	}
	if n := asked(50, "127.0.1.2"); n != ownAnswers.Burst {
		t.Errorf("%d answers to a neighbour", n)
	}
	b.now = b.now.Add(time.Second)
	if n := asked(50, ""); n != 5 {
		t.Errorf("%d answers in a second", n)
	}
	total := 0
	for i := range 250 {
		total += asked(1, fmt.Sprintf("198.51.100.%d", i))
	}
	if total < 85 || total > netAnswers.Burst {
		t.Errorf("%d answers to a network", total)
	}
	b.send(b.outside, newRequest("MESSAGE", 1))
	if messages, _ := b.drained(); messages != 0 {
		t.Errorf("%d answers over the limit", messages)
	}
	b.p.proofs.add(hashFlow(b.p.seed, b.outside), b.now)
	for n := range 30 {
		b.send(b.outside, newRequest("MESSAGE", n))
		b.expect(b.caller, "SIP/2.0 405")
	}
}
