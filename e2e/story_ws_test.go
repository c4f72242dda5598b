package e2e

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestWebSocketCalls: two browsers' phones, and one of them and a phone on UDP, call each other through the platform.
func TestWebSocketCalls(t *testing.T) {
	t.Parallel()
	for _, w := range webs {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			e := r.edge
			callEachOther(t, r, r.phone("alice"), r.phone("bob"))
			callEachOther(t, r, r.phone("carol"), siptest.NewPhone(t, "dave", "udp", e.UDP.Addr().String(), e.UDP))
		})
	}
}

// TestWebSocketToAll: a browser's phone on WSS and phones on every other transport, over both versions of IP, call each other.
func TestWebSocketToAll(t *testing.T) {
	t.Parallel()
	platform := siptest.NewPlatform(t, "udp", "")
	f := newFloor(t, siptest.Outlets{Upstream: []string{"sip:" + platform.Addr.String()}}, nil)
	r := &rig{T: t, edge: f.Edge, platform: platform, way: webs[1], hidden: true}
	for _, browser := range []netip.AddrPort{f.WSS, f.six["wss"]} {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			for _, six := range []bool{false, true} {
				server := f.server(line{transport: transport, six: six})
				t.Logf("WSS at %v and %s at %v", browser, transport, server)
				callEachOther(t, r, siptest.NewPhone(t, "browser", "wss", browser.Addr().String(), browser),
					siptest.NewPhone(t, "desk", transport, server.Addr().String(), server))
			}
		}
	}
	unsuspected(t, f.Edge)
}

// TestWebSocketReconnect: as TestTLSReconnect.
func TestWebSocketReconnect(t *testing.T) {
	t.Parallel()
	for _, w := range webs[:2] {
		t.Run(w.name, func(t *testing.T) { reconnect(t, w) })
	}
}

// TestWebSocketFraming (S15, S33): a message without Content-Length is relayed, two in one WebSocket message are refused and end the
// connection, and other phones' calls go on.
func TestWebSocketFraming(t *testing.T) {
	t.Parallel()
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
