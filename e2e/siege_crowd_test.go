package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestCrowd is row F3 in little: a table that strangers fill several times over, with slow and half messages (F2).
func TestCrowd(t *testing.T) {
	crowd(t, siptest.Keys{"limits": "{memory: 512MiB, connections: 256}"}, 40, 15, 3)
}

// TestSlowCrowd: 9,000 connections of one source, then 15,000 of 1,000 sources, into the default table of this memory, and into one that has as
// many places as there are descriptors.
func TestSlowCrowd(t *testing.T) {
	slow(t)
	t.Run("one source", func(t *testing.T) { crowd(t, nil, 1, size(9000), 30) })
	t.Run("1000 sources", func(t *testing.T) { crowd(t, nil, 1000, size(15000)/1000, 30) })
	t.Run("1000 sources, all descriptors", func(t *testing.T) {
		crowd(t, siptest.Keys{"limits": "{memory: 512MiB, connections: 1000000}"}, 1000, size(15000)/1000, 30)
	})
}

func crowd(t *testing.T, keys siptest.Keys, sources, each, seconds int) {
	s := newSiege(t, keys)
	s.withstand(func() {
		t.Logf("evicted %.0f, refused %.0f and for their source %.0f", s.edge.Counter("connections_evicted_total"),
			s.edge.Counter("connections_refused_total"), s.edge.Counter("connections_refused_source_total"))
	}, "crowd", sources, each, seconds)
}

// TestStorm is ES2020-02 in little: connections bring ten INVITEs each and are reset.
func TestStorm(t *testing.T) { storm(t, 300) }

// TestSlowStorm: 10,000 connections.
func TestSlowStorm(t *testing.T) {
	slow(t)
	storm(t, 10_000)
}

func storm(t *testing.T, connections int) {
	s := newSiege(t, nil)
	s.withstand(func() {
		t.Logf("%d requests reached the platform, %.0f were refused for want of room", s.platform.got.Load(), s.edge.Counter(`reason="limit.transactions"`))
	}, "storm", connections)
}

// TestBombs: header fields without end, and their like.
func TestBombs(t *testing.T) { bombs(t, 100) }

// TestSlowBombs is TestBombs on 5,000 connections.
func TestSlowBombs(t *testing.T) {
	slow(t)
	bombs(t, 5000)
}

func bombs(t *testing.T, connections int) {
	newSiege(t, nil).withstand(func() {}, "bombs", connections)
}

// TestWhoDoesNotRead is row F2: a client that asks 10,000 times and reads no answer stalls at most its own connection.
func TestWhoDoesNotRead(t *testing.T) {
	s := newSiege(t, nil)
	s.watch()
	c := dialFrom(foreign(1), s.edge.Outside)
	if c == nil {
		t.Fatal("not connected")
	}
	defer c.Close()
	_ = c.SetReadBuffer(4096)
	padding := "Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bK" + strings.Repeat("p", 4000) + "\r\n" // comes back with each answer
	for range 10_000 {
		_ = c.SetWriteDeadline(time.Now().Add(siptest.Deadline))
		if _, err := c.Write(plainRequest("OPTIONS", "tcp", "deaf"+siptest.ID(), padding)); err != nil {
			break
		}
	}
	if !siptest.Eventually(func() bool { return s.edge.Counter("queue_overflows_total") == 1 }) {
		t.Errorf("%.0f connections were closed because nobody reads, %.0f writes failed", s.edge.Counter("queue_overflows_total"), s.edge.Counter("write_errors_total"))
	}
	s.relieve()
	c.Close()
	s.recovered()
}

// TestHalfHellos is row S34 with as much memory as a handshake can be made to take.
func TestHalfHellos(t *testing.T) { halfHellos(t, 200, 1) }

// TestSlowHalfHellos: 12,000 of them.
func TestSlowHalfHellos(t *testing.T) {
	slow(t)
	halfHellos(t, size(12_000), 8)
}

func halfHellos(t *testing.T, connections, seconds int) {
	s := newSiege(t, nil)
	s.withstand(func() {
		t.Logf("evicted %.0f, pressure %.0f", s.edge.Counter("connections_evicted_total"), s.edge.Counter("ringwall_memory_pressure "))
	}, "hellos", connections, seconds)
}
