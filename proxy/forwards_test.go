package proxy

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/topo"
)

// on is msg as somebody sends it on: to uri, with a Via of his own and the Vias that he leaves, and Max-Forwards one less.
func (b *bench) on(by edge.Flow, msg, uri string, n int, vias string) {
	b.t.Helper()
	left, err := strconv.Atoi(field(b.t, msg, "Max-Forwards"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.send(by, fmt.Appendf(nil, "MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKon%d;rport\r\n%sMax-Forwards: %d\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\n"+
		"CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n", uri, by.Remote, n, vias, left-1, field(b.t, msg, "From"), field(b.t, msg, "To"), field(b.t, msg, "Call-ID")))
}

// TestForwardsTellNothing: what leaves a hidden platform has a Max-Forwards that does not tell how many proxies it passed inside, and never one
// that is higher than RFC 3261 §16.6 has it.
func TestForwardsTellNothing(t *testing.T) {
	b := newHidden(t)
	for i, c := range []struct{ came, leaves string }{{"70", "60"}, {"69", "60"}, {"61", "60"}, {"255", "60"}, {"", "60"}, {"60", "50"}, {"51", "50"}, {"12", "10"}, {"11", "10"},
		{"10", "9"}, {"2", "1"}, {"1", "0"}} {
		msg := b.to(addrOf(b.caller).String(), "MESSAGE", i)
		b.send(b.inside, []byte(strings.Replace(msg, "Max-Forwards: 70\r\n", map[bool]string{true: "Max-Forwards: " + c.came + "\r\n"}[c.came != ""], 1)))
		if got := field(t, b.expect(b.caller, "MESSAGE"), "Max-Forwards"); got != c.leaves {
			t.Errorf("%q leaves as %s, want %s", c.came, got, c.leaves)
		}
	}
}

// TestLoopThroughTheOutsideEnds: a request that somebody outside sends back, and the platform out again, over and over. Our Vias end it the
// second time if both leave them, Max-Forwards if both take them off.
func TestLoopThroughTheOutsideEnds(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Hide, c.Unknown.Any = true, true
		c.Topology = topo.Config{CallID: true, Domain: "example.com"}
	})
	out := "sip:bob@" + addrOf(b.caller).String()
	b.send(b.inside, []byte(strings.Replace(b.to(addrOf(b.caller).String(), "MESSAGE", 1), "5551234", "bob", 1)))
	left := 70
	for n := range 40 {
		msg := b.expect(b.caller, "MESSAGE")
		if now, _ := strconv.Atoi(field(t, msg, "Max-Forwards")); now >= left {
			t.Fatalf("Max-Forwards %d after %d", now, left)
		} else if left = now; left < 4 { // not enough for another round
			t.Logf("ends after %d rounds", n+1)
			break
		}
		b.on(b.outside, msg, "sip:bob@example.com", 2*n, "")
		b.on(b.inside, b.expect(b.platform, "MESSAGE"), out, 2*n+1, "")
	}
	if left >= 4 {
		t.Error("it goes on")
	}

	b.send(b.inside, []byte(strings.Replace(b.to(addrOf(b.caller).String(), "MESSAGE", 2), "5551234", "bob", 1)))
	msg := b.expect(b.caller, "MESSAGE")
	b.on(b.outside, msg, "sip:bob@example.com", 100, vias(msg))
	msg = b.expect(b.platform, "MESSAGE")
	b.on(b.inside, msg, out, 101, vias(msg))
	b.expect(b.platform, "SIP/2.0 482")
}

// vias are the Vias of msg.
func vias(msg string) (lines string) {
	for line := range strings.SplitSeq(msg, "\r\n") {
		if strings.HasPrefix(line, "Via: ") {
			lines += line + "\r\n"
		}
	}
	return lines
}
