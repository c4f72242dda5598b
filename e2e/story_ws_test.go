package e2e

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestWebSocketCalls: two browsers' phones, and one of them and a phone on UDP, call each other through the platform.
func TestWebSocketCalls(t *testing.T) {
	for _, w := range webs {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			e := r.edge
			callEachOther(t, r, r.phone("alice"), r.phone("bob"))
			callEachOther(t, r, r.phone("carol"), siptest.NewPhone(t, "dave", "udp", e.UDP.Addr().String(), e.UDP))
		})
	}
}

// TestWebSocketReconnect: as TestTLSReconnect.
func TestWebSocketReconnect(t *testing.T) {
	for _, w := range webs[:2] {
		t.Run(w.name, func(t *testing.T) { reconnect(t, w) })
	}
}

// TestWebSocketFraming (S15, S33): a message without Content-Length is relayed, two in one WebSocket message are refused and end the
// connection, and other phones' calls go on.
func TestWebSocketFraming(t *testing.T) {
	r := newRig(t, webs[0], nil)
	alice, mallory := r.phone("alice"), r.phone("mallory")
	c := r.call(alice)
	bare := mallory.Request("INVITE", "sip:bob@example.com").Del("Content-Length").String()
	mallory.SendTo(r.edge.Outside, "ws", bare)
	if got := r.platform.Expect("INVITE"); got.Body != siptest.SDP {
		t.Errorf("body %q", got.Body)
	}
	conn := mallory.Connection(r.edge.Outside)
	two := mallory.Request("OPTIONS", "sip:bob@example.com").String()
	mallory.SendTo(r.edge.Outside, "ws", two+strings.Replace(two, "OPTIONS", "INVITE", 2))
	if !mallory.WaitClosed(conn, siptest.Deadline) {
		t.Error("the connection stays open")
	}
	r.platform.Silence(hush, "INVITE", "OPTIONS")
	r.bye(c.phone, c.platform)
}
