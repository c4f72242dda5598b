package e2e

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestCrowd is row F3, and F2's slow reading, in little: a table that strangers fill many times over.
func TestCrowd(t *testing.T) {
	crowd(t, siptest.Keys{"limits": "{memory: 512MiB, connections: 256}"}, 40, 15, 3*time.Second)
}

// TestSlowCrowd is TestCrowd with the default limits: 9,000 connections of one source, then 15,000 of 1,000 sources.
func TestSlowCrowd(t *testing.T) {
	slow(t)
	t.Run("one source", func(t *testing.T) { crowd(t, nil, 1, size(9000), 30*time.Second) })
	t.Run("1000 sources", func(t *testing.T) { crowd(t, nil, 1000, size(15000)/1000, 30*time.Second) })
	t.Run("1000 sources, all descriptors", func(t *testing.T) {
		crowd(t, siptest.Keys{"limits": "{memory: 512MiB, connections: 1000000}"}, 1000, size(15000)/1000, 30*time.Second)
	})
}

// crowd lets sources hold connections each, for a while: silent, with half a message, with one dripped byte by byte, with one whole one, with
// 60 KB of one. What is closed is made again.
func crowd(t *testing.T, keys siptest.Keys, sources, each int, during time.Duration) {
	s := newSiege(t, keys)
	held := make([]*holder, sources*each)
	for i := range held {
		held[i] = &holder{siege: s, ip: foreign(i % sources), kind: i / sources % 5}
	}
	s.watch()
	began := time.Now()
	made := 0
	for round := 0; round == 0 || time.Since(began) < during; round++ {
		many(len(held), func(i int) { held[i].keep() })
		if round == 0 {
			t.Logf("%d connections tried in %v", len(held), time.Since(began).Round(time.Millisecond))
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.relieve()
	alive := 0
	for _, h := range held {
		made += h.made
		if h.conn != nil {
			alive++
		}
	}
	t.Logf("%d connections made in all, %d stand; evicted %.0f, refused %.0f and for their source %.0f", made, alive,
		s.edge.Counter("connections_evicted_total"), s.edge.Counter("connections_refused_total"), s.edge.Counter("connections_refused_source_total"))
	many(len(held), func(i int) { held[i].drop(i%2 == 0) })
	s.recovered()
}

// A holder is one connection of a flood.
type holder struct {
	*siege
	ip   string
	kind int
	conn *net.TCPConn
	sent int
	made int
}

// large is a request of 60 KB.
var large = strings.Replace(string(plainRequest("OPTIONS", "tcp", "large", "")), "Content-Length: 0\r\n\r\n",
	"Content-Length: 60000\r\n\r\n"+strings.Repeat("x", 60000), 1)

// keep makes the connection, or sends what it sends slowly, and notices that it has been closed.
func (h *holder) keep() {
	if h.conn == nil {
		if h.conn = h.dial(h.ip); h.conn == nil {
			return
		}
		h.made++
		h.sent = 0
		var first string
		switch h.kind {
		case 1:
			first = large[:100]
		case 3:
			first = string(plainRequest("OPTIONS", "tcp", "quiet"+siptest.ID(), ""))
		case 4:
			first = large[:len(large)-1]
		}
		h.write(first)
		return
	}
	_ = h.conn.SetReadDeadline(time.Now().Add(time.Microsecond))
	if _, err := h.conn.Read(make([]byte, 4096)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		h.drop(true)
		return
	}
	if h.kind == 2 && h.sent < len(large) {
		h.write(large[h.sent : h.sent+1])
		h.sent++
	}
}

func (h *holder) write(text string) {
	_ = h.conn.SetWriteDeadline(time.Now().Add(siptest.Deadline))
	if _, err := h.conn.Write([]byte(text)); err != nil {
		h.drop(true)
	}
}

// drop closes the connection, with a reset or without.
func (h *holder) drop(reset bool) {
	if h.conn == nil {
		return
	}
	if reset {
		_ = h.conn.SetLinger(0)
	}
	h.conn.Close()
	h.conn = nil
}

// TestStorm is ES2020-02 in little: connections bring INVITEs and are reset.
func TestStorm(t *testing.T) { storm(t, 300) }

// TestSlowStorm: 10,000 connections, 10 INVITEs on each.
func TestSlowStorm(t *testing.T) {
	slow(t)
	storm(t, 10_000)
}

func storm(t *testing.T, connections int) {
	s := newSiege(t, nil)
	s.watch()
	many(connections, func(i int) {
		c := s.dial(foreign(i % 1000))
		if c == nil {
			return
		}
		var all bytes.Buffer
		for range 10 {
			all.Write(plainRequest("INVITE", "tcp", "storm"+siptest.ID(), ""))
		}
		_ = c.SetWriteDeadline(time.Now().Add(siptest.Deadline))
		_, _ = c.Write(all.Bytes())
		_ = c.SetLinger(0)
		c.Close()
	})
	s.relieve()
	t.Logf("%d INVITEs and others reached the platform, %.0f were refused for want of room", s.platform.got.Load(), s.edge.Counter(`reason="limit.transactions"`))
	s.recovered()
}

// TestBombs: header fields without end, and one of 64 KiB, over many connections at once.
func TestBombs(t *testing.T) { bombs(t, 100) }

// TestSlowBombs is TestBombs on 5,000 connections.
func TestSlowBombs(t *testing.T) {
	slow(t)
	bombs(t, size(5000))
}

func bombs(t *testing.T, connections int) {
	s := newSiege(t, nil)
	s.watch()
	start := large[:strings.Index(large, "Content-Length")]
	bomb := [...]string{
		start + strings.Repeat("X-Bomb: 1\r\n", 100_000),
		start + "X-Bomb: " + strings.Repeat("y", 1_000_000),
		start + strings.Repeat("Via: SIP/2.0/TCP a;branch=z9hG4bKb\r\n", 30_000),
		start + "Contact: <sip:a@b>" + strings.Repeat(",<sip:a@b>", 100_000),
		"INVITE sip:" + strings.Repeat("a", 1_000_000),
		strings.Repeat("\r\n", 500_000),
	}
	many(connections, func(i int) {
		c := s.dial(foreign(i % 1000))
		if c == nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(siptest.Deadline))
		_, _ = c.Write([]byte(bomb[i%len(bomb)])) // it is closed in the middle
	})
	s.relieve()
	s.recovered()
}

// TestWhoDoesNotRead is row F2: a client that asks 10,000 times and reads no answer stalls at most its own connection.
func TestWhoDoesNotRead(t *testing.T) {
	s := newSiege(t, nil)
	s.watch()
	c := s.dial(foreign(1))
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
		t.Error("the connection is still there")
	}
	s.relieve()
	c.Close()
	s.recovered()
}
