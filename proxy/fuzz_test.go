package proxy

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
)

// FuzzReceive hands the lane any bytes from either side. Whatever leaves parses, is canonical already, and none of it goes
// to the other side with a header the fuzzer smuggled under the source header's name.
func FuzzReceive(f *testing.F) {
	for _, method := range []string{"INVITE", "REGISTER", "ACK", "CANCEL", "OPTIONS", "BYE", "FOO"} {
		f.Add(newRequest(method, 1), false)
		f.Add(newRequest(method, 2), true)
	}
	f.Add([]byte("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n"), true)
	f.Add(bytes.Replace(newRequest("INVITE", 3), []byte("Max-F"), []byte("x-source :forged\r\nRoute: <sip:o1234@127.0.0.1;lr>\r\nMax-F"), 1), false)
	f.Add(bytes.Replace(newRequest("REGISTER", 4), []byte("Max-F"), []byte("m: *\r\nExpires: 0\r\nSupported: outbound\r\nMax-F"), 1), false)
	b, wary := newBench(f, func(c *Config) { c.Monitor = true }), newUnified(f, func(c *Config) { c.Challenge = judge.Enforce })
	f.Add([]byte(strings.Replace(string(newRequest("REGISTER", 5)), "Max-F", "Authorization: Digest nonce=\""+string(wary.p.nonces.Append(nil, wary.outside, epoch))+"\"\r\nMax-F", 1)), false)
	f.Fuzz(func(t *testing.T, msg []byte, inside bool) {
		receiveAny(t, b, msg, inside)
		receiveAny(t, wary, msg, inside)
	})
}

// receiveAny hands the lane of b a message from either side.
func receiveAny(t *testing.T, b *bench, msg []byte, inside bool) {
	b.t = t
	b.now = b.now.Add(time.Minute)
	b.l.timers(b.now)
	drainSocket(b.caller, b.buf[:])
	drainSocket(b.platform, b.buf[:])
	from := b.outside
	if inside {
		from = b.inside
	}
	b.send(from, msg)
	for _, c := range []*net.UDPConn{b.caller, b.platform} {
		checkSent(t, b, c)
	}
}

func drainSocket(c *net.UDPConn, buf []byte) {
	for {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func checkSent(t *testing.T, b *bench, c *net.UDPConn) {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := c.Read(b.buf[:])
	if err != nil {
		return
	}
	sent := b.buf[:n]
	var m sip.Message
	if err := m.Parse(sent, true); err != nil {
		t.Fatalf("sent what does not parse: %v: %q", err, sent)
	}
	var e sip.Edit
	e.Reset(&m)
	if again := e.AppendTo(nil); !bytes.Equal(again, sent) {
		t.Fatalf("sent what is not canonical:\n%q\n%q", sent, again)
	}
	if n := strings.Count(strings.ToLower(string(sent[:m.Body.Start])), "\r\nx-source:"); n > 1 || n == 1 && c == b.caller {
		t.Fatalf("%d source fields: %q", n, sent)
	}
}
