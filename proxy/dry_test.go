//go:build !race

package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/topo"
)

// A dryCaller makes whole calls without sockets, as a refresher registers: seven messages into the lane, and as many out of it.
type dryCaller struct {
	*refresher
	invite, ask, reply, said []byte
	crowd                    uint32 // addresses that calls come from in turn; 0: one alone
}

const (
	dryInvite = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.1.0.1:5066;branch=z9hG4bKci10000000;rport\r\nMax-Forwards: 70\r\n" +
		"From: \"Alice Example\" <sip:alice@example.com>;tag=f10000000\r\nTo: <sip:bob@example.com>\r\nCall-ID: c10000000@caller.example.net\r\n" +
		"CSeq: 1 INVITE\r\nContact: <sip:alice@127.1.0.1:5066>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE, MESSAGE\r\n" +
		"Supported: replaces, timer, 100rel\r\nUser-Agent: Example Phone 7.2.1\r\nAllow-Events: talk, hold, conference\r\n" +
		"Accept: application/sdp, application/dtmf-relay\r\nSession-Expires: 1800\r\nMin-SE: 90\r\nContent-Type: application/sdp\r\n" + drySDP
	drySDP = "Content-Length: 410\r\n\r\nv=0\r\no=bench 2890844526 2890842807 IN IP4 127.1.0.1\r\ns=Example Phone call\r\nc=IN IP4 127.1.0.1\r\nt=0 0\r\n" +
		"m=audio 40000 RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n" +
		"a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\n" +
		"a=sendrecv\r\na=rtcp:40001 IN IP4 127.1.0.1\r\na=ssrc:314159 cname:alice@example.net\r\n"
	dryAsk = "%[3]s %[4]s SIP/2.0\r\nVia: SIP/2.0/UDP 127.1.0.1:5066;branch=z9hG4bKc%[3]s%[1]d;rport\r\nRoute: %[5]s\r\n" +
		"Max-Forwards: 70\r\nFrom: \"Alice Example\" <sip:alice@example.com>;tag=f%[1]d\r\nTo: <sip:bob@example.com>;tag=t%[1]d\r\n" +
		"Call-ID: c%[1]d@caller.example.net\r\nCSeq: %[2]d %[3]s\r\nUser-Agent: Example Phone 7.2.1\r\nContent-Length: 0\r\n\r\n"
)

// Ways to make calls: past a platform that is shown, one that is hidden, and one that is hidden while all checks look at a crowd of callers.
var dryWays = [...]string{"shown", "hidden", "judged"}

// hideDry hides the platform.
func hideDry(c *Config) {
	c.Guard, c.Hide, c.Topology = GuardLog, true, topo.Config{CallID: true, Domain: "example.com"}
	c.Sources = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
}

// newDryCaller makes one that makes calls in that way.
func newDryCaller(t testing.TB, way string) *dryCaller {
	c := &dryCaller{refresher: &refresher{n: 10_000_000}, invite: []byte(dryInvite)}
	switch way {
	case "shown":
		c.bench = newBench(t, nil)
	case "hidden":
		c.bench = newBench(t, hideDry)
	default:
		c.bench, c.crowd = newJudged(t, judge.Enforce, hideDry), 10_000
	}
	c.p.srv.Close()
	c.now = time.Now() // as what is received is dated: with the clock that nobody sets
	return c
}

// call makes one call, 40 µs after the one before: INVITE, 100, 180, 200, ACK, BYE, 200.
func (c *dryCaller) call() {
	if c.n++; c.n%256 == 0 {
		c.l.timers(c.now)
	}
	c.now = c.now.Add(40 * time.Microsecond)
	if c.crowd > 0 {
		i := uint32(c.n) % c.crowd
		c.outside.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(2 + i>>8), byte(i), 1}), 5066)
	}
	c.p.proofs.add(hashFlow(c.p.seed, c.outside), c.now)
	renumber(c.invite, c.n)
	head := bytes.Clone(c.through(c.invite, c.outside))
	_, head = c.cut(head, "\r\n")
	for _, status := range [...]string{"100 Trying", "180 Ringing", "200 OK"} {
		c.answer(head, status)
	}
	_, rest := c.cut(c.said, "\r\nRecord-Route: ")
	route, rest := c.cut(rest, "\r\n")
	_, rest = c.cut(rest, "\r\nContact: <")
	target, _ := c.cut(rest, ">")
	for i, method := range [...]string{"ACK", "BYE"} {
		c.ask = fmt.Appendf(c.ask[:0], dryAsk, c.n, i+1, method, target, route)
		head = append(head[:0], c.through(c.ask, c.outside)...)
	}
	_, head = c.cut(head, "\r\n")
	c.answer(head, "200 OK")
}

// answer is the platform's, to a request with these header fields; what the caller gets of it is in said.
func (c *dryCaller) answer(head []byte, status string) {
	vias, rest := c.cut(head, "Max-Forwards: 69\r\n")
	parties, rest := c.cut(rest, "\r\nCall-ID: ")
	id, rest := c.cut(rest, "\r\nCSeq: ")
	cseq, _ := c.cut(rest, "\r\n")
	tag, more := "", "Content-Length: 0\r\n\r\n"
	if !bytes.Contains(parties, []byte(";tag=t")) && status != "100 Trying" {
		tag = fmt.Sprintf(";tag=t%d", c.n)
		more = "Contact: <sip:bob@" + c.inside.Remote.String() + ">\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\nSupported: replaces, timer\r\n"
		if status == "200 OK" {
			more += "Content-Type: application/sdp\r\n" + drySDP
		} else {
			more += "Content-Length: 0\r\n\r\n"
		}
	}
	c.reply = fmt.Appendf(c.reply[:0], "SIP/2.0 %s\r\n%s%s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n%s", status, vias, parties, tag, id, cseq, more)
	c.said = append(c.said[:0], c.through(c.reply, c.inside)...)
	if !bytes.HasPrefix(c.said, []byte("SIP/2.0 "+status)) {
		c.t.Fatalf("instead of %s: %q", status, c.said)
	}
}

// TestDryCall: every message of a call comes out of the lane, or call ends the test.
func TestDryCall(t *testing.T) {
	for _, way := range dryWays {
		c := newDryCaller(t, way)
		for range 1000 {
			c.call()
		}
	}
}

// BenchmarkDryCall is what a call costs without the system calls.
func BenchmarkDryCall(b *testing.B) {
	for _, way := range dryWays {
		b.Run(way, func(b *testing.B) {
			c := newDryCaller(b, way)
			for range 20_000 {
				c.call()
			}
			b.ReportAllocs()
			for b.Loop() {
				c.call()
			}
		})
	}
}
