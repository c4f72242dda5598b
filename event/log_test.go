package event

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringwall/ringwall/edge"
)

var source = edge.Flow{Remote: netip.MustParseAddrPort("[::ffff:192.0.2.7]:40001"), Transport: edge.TCP}

// runLog logs what add puts into a ring during the given time and returns the lines.
func runLog(t *testing.T, format string, during time.Duration, add func(*Ring)) []string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		ring := NewRing(1024)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			NewLog(ring, NewLogger(&out, format, slog.LevelInfo), DefaultLogConfig()).Run(ctx)
		}()
		add(ring)
		time.Sleep(during)
		cancel()
		<-done
	})
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func TestLogFields(t *testing.T) {
	e := edge.Event{
		At: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), Name: Refused, Reason: "access.method", Source: source,
		Method: "INVITE", Status: 403, CallID: "abc@phone", Message: "this source may not start an INVITE",
	}
	lines := runLog(t, "text", time.Second, func(r *Ring) { r.Add(e) })
	want := `ts=2026-05-01T12:00:00.000Z level=INFO msg="this source may not start an INVITE" event=refused reason=access.method ` +
		`src_ip=192.0.2.7 src_port=40001 transport=tcp method=INVITE status=403 call_id=abc@phone`
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("got  %s\nwant %s", lines, want)
	}
	lines = runLog(t, "json", time.Second, func(r *Ring) { r.Add(e) })
	var fields map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &fields); err != nil {
		t.Fatal(err)
	}
	if fields["ts"] == nil || fields["src_port"] != 40001.0 || fields["call_id"] != "abc@phone" {
		t.Errorf("json fields %v", fields)
	}
}

// TestLogEscapes feeds bytes that would start a new line, drive a terminal or turn the text around.
func TestLogEscapes(t *testing.T) {
	hostile := "a\r\nts=now level=ERROR\x1b[2J\x00\x7f\u202e\u0085\\\xff"
	for _, format := range []string{"text", "json"} {
		lines := runLog(t, format, time.Second, func(r *Ring) {
			r.Add(edge.Event{Name: Refused, Method: hostile, CallID: hostile, Message: hostile})
		})
		if len(lines) != 1 {
			t.Fatalf("%s: %d lines: %q", format, len(lines), lines)
		}
		for i := range len(lines[0]) {
			if c := lines[0][i]; c < ' ' || c >= 0x7f {
				t.Errorf("%s: byte %#x in %q", format, c, lines[0])
			}
		}
	}
}

func TestLogLevels(t *testing.T) {
	lines := runLog(t, "text", time.Second, func(r *Ring) {
		r.Add(edge.Event{Name: Refused, Reason: "malformed.start_line"})
		r.Add(edge.Event{Name: Upstream, Reason: "upstream.down", Message: "no answer"})
		r.Add(edge.Event{Name: Upstream, Message: "answers again"})
		r.Add(edge.Event{Name: Noted, Reason: "access.method"})
		r.Add(edge.Event{Name: "undelivered", Reason: "flow.dead"})
	})
	for i, level := range []string{"level=INFO", "level=WARN", "level=INFO", "level=INFO", "level=INFO"} {
		if !strings.Contains(lines[i], level) {
			t.Errorf("line %d is not %s: %s", i, level, lines[i])
		}
	}
}

// TestLogIsBounded is audit row F31: 100,000 refusals within 20 seconds give a bounded number of lines, none of them an
// error, and every event is accounted for.
func TestLogIsBounded(t *testing.T) {
	const events = 100_000
	lines := runLog(t, "text", 5*time.Second, func(r *Ring) {
		for i := range events {
			r.Add(edge.Event{Name: Refused, Reason: "malformed.start_line", Source: source, CallID: strings.Repeat("x", 10000)})
			if i%50 == 49 {
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
	if limit := 10 + 20 + 2; len(lines) > limit {
		t.Errorf("%d lines, want at most %d", len(lines), limit)
	}
	total := 0
	suppressed := regexp.MustCompile(` suppressed=(\d+)`)
	for _, line := range lines {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if strings.Contains(line, "ERROR") {
			t.Errorf("error level: %s", line)
		}
		if strings.Contains(line, "event=refused") {
			total++
		}
		if m := suppressed.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			total += n
		}
	}
	if total != events {
		t.Errorf("%d events accounted for, want %d", total, events)
	}
}

// TestFloodDoesNotHideOthers logs an operator's event in the middle of a flood.
func TestFloodDoesNotHideOthers(t *testing.T) {
	lines := runLog(t, "text", 2*time.Second, func(r *Ring) {
		for i := range 10_000 {
			r.Add(edge.Event{Name: Refused})
			if i == 5000 {
				r.Add(edge.Event{Name: Upstream, Reason: "upstream.down", Message: "platform is gone"})
			}
		}
	})
	if !strings.Contains(strings.Join(lines, "\n"), "platform is gone") {
		t.Errorf("not logged:\n%s", strings.Join(lines, "\n"))
	}
}

// TestCallsHideNothing: lines about calls that are over are bounded for themselves, and take no other line's place.
func TestCallsHideNothing(t *testing.T) {
	lines := runLog(t, "text", 2*time.Second, func(r *Ring) {
		for range 500 {
			r.Add(edge.Event{Name: Call, Message: "a call is over"})
		}
		r.Add(edge.Event{Name: Refused, Message: "a stranger"})
	})
	text := strings.Join(lines, "\n")
	if n := strings.Count(text, "a call is over"); n < 100 || n > 130 || !strings.Contains(text, "a stranger") {
		t.Errorf("%d lines about calls in\n%s", n, text)
	}
}

// TestBudgets: what tools act on, or operators wait for, is not written out of what strangers can use up.
func TestBudgets(t *testing.T) {
	l := NewLog(NewRing(4), slog.New(slog.DiscardHandler), DefaultLogConfig())
	for name, want := range map[string]*allowance{Ban: &l.bans, WouldBan: &l.bans, Unban: &l.bans, Call: &l.calls, Refused: &l.remote, State: &l.own, Upstream: &l.own} {
		if got := l.budget(name); got != want {
			t.Errorf("%s is written from another budget", name)
		}
	}
}
