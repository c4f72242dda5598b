package binding

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TestKeepalives lets an hour pass: each flow behind NAT gets one keep-alive in each interval, evenly spread.
func TestKeepalives(t *testing.T) {
	const phones, interval = 2000, 25 * time.Second
	table := newTable(t, Config{})
	for i := range phones {
		f := udp(fmt.Sprintf("198.51.%d.%d:%d", i/250, i%250+1, 1024+i))
		for line := range 2 { // two lines of one phone share its flow
			b := phone(table, fmt.Sprintf("user%d-%d@example.com", i, line), "sip:x@192.168.1.1", f, time.Hour)
			b.NAT = true
			put(t, table, b, start)
		}
	}
	quiet := map[string]Binding{
		"not behind NAT":   phone(table, "open@example.com", "sip:x@198.51.100.1", udp("203.0.113.1:5060"), time.Hour),
		"on a connection":  phone(table, "tcp@example.com", "sip:x@192.168.1.1", tcp("203.0.113.2:5060", 5), time.Hour),
		"expires too soon": phone(table, "short@example.com", "sip:x@192.168.1.1", udp("203.0.113.3:5060"), time.Nanosecond),
	}
	for what, b := range quiet {
		b.NAT = what != "not behind NAT"
		put(t, table, b, start)
	}
	last := map[edge.Flow]time.Time{}
	now := start
	for round := range 4 * 25 {
		sent := 0
		table.Keepalives(now, interval, func(f edge.Flow) {
			sent++
			for what, b := range quiet {
				if f == b.Flow {
					t.Fatalf("a keep-alive to a phone %s", what)
				}
			}
			if before, ok := last[f]; ok && (now.Sub(before) < interval-3*time.Second || now.Sub(before) > interval+2*time.Second) {
				t.Fatalf("keep-alives of %v after %v", f, now.Sub(before))
			}
			last[f] = now
		})
		if sent > phones/25*3 {
			t.Errorf("second %d: %d keep-alives, the share is %d", round, sent, phones/25)
		}
		if round == 26 && len(last) != phones {
			t.Errorf("%d of %d phones after one interval", len(last), phones)
		}
		now = now.Add(time.Second)
	}
}

// TestKeepalivesAfterPause: a stopped clock or a long pause gives no burst beyond one round.
func TestKeepalivesAfterPause(t *testing.T) {
	table := newTable(t, Config{})
	for i := range 100 {
		b := phone(table, fmt.Sprintf("user%d@example.com", i), "sip:x@192.168.1.1", udp(fmt.Sprintf("192.0.2.%d:5060", i)), 100*time.Hour)
		b.NAT = true
		put(t, table, b, start)
	}
	sent := 0
	call := func(after, interval time.Duration) int {
		sent = 0
		table.Keepalives(start.Add(after), interval, func(edge.Flow) { sent++ })
		return sent
	}
	for _, tt := range []struct {
		after, interval time.Duration
		want            int
	}{
		{0, 25 * time.Second, 0},
		{10 * time.Hour, 25 * time.Second, 100},
		{10 * time.Hour, 25 * time.Second, 0},
		{-time.Hour, 25 * time.Second, 0}, // the clock was set back: the walk starts anew
		{-time.Hour + 25*time.Second, 25 * time.Second, 100},
		{-time.Hour, 0, 0},
	} {
		if got := call(tt.after, tt.interval); got != tt.want {
			t.Errorf("at %v: %d keep-alives, want %d", tt.after, got, tt.want)
		}
	}
}
