package event

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringwall/ringwall/edge"
)

// NewLogger makes a logger with the field dictionary of ringwall: ts, level and msg, then the fields of the record.
// Format is "text" (key=value) or "json"; text is what any other format gives.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: renameTime}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func renameTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Key = "ts"
	}
	return a
}

// A Budget bounds log lines: Burst at once, PerSecond on average after that.
type Budget struct {
	PerSecond float64
	Burst     int
}

// LogConfig bounds what a Log writes.
type LogConfig struct {
	Remote Budget // lines about what strangers can cause: refused messages, registrations, dead flows
	Own    Budget // lines about this machine and its platform
	Bans   Budget // lines about bans, which tools such as fail2ban act on
	Calls  Budget // lines about calls that are over
}

// DefaultLogConfig writes at most one line per second about what strangers can cause (after ten at once), so that no flood
// fills a disk, and ten per second about the rest, and about calls that are over. Bans need proof of a source, so what a log writes of them is what their table can take.
func DefaultLogConfig() LogConfig {
	return LogConfig{Remote: Budget{PerSecond: 1, Burst: 10}, Own: Budget{PerSecond: 10, Burst: 100}, Bans: Budget{PerSecond: 1000, Burst: 10_000},
		Calls: Budget{PerSecond: 10, Burst: 100}}
}

// pause is how long the sink rests between two looks at a ring that keeps filling: a flood costs it at most ten rounds
// per second, and the packet path never has to wake it.
const pause = 100 * time.Millisecond

// A Log writes the events of a ring as log lines.
type Log struct {
	ring       *Ring
	logger     *slog.Logger
	remote     allowance
	own        allowance
	bans       allowance
	calls      allowance
	suppressed uint64 // events since the last line that no line was written for
	dropped    uint64 // Ring.Dropped as far as suppressed accounts for it
}

// NewLog makes the log sink of ring; Run does its work.
func NewLog(ring *Ring, logger *slog.Logger, cfg LogConfig) *Log {
	return &Log{ring: ring, logger: logger, remote: allowance{Budget: cfg.Remote}, own: allowance{Budget: cfg.Own}, bans: allowance{Budget: cfg.Bans},
		calls: allowance{Budget: cfg.Calls}}
}

// Run writes events until ctx ends, then what is still in the ring. A line says how many events before it got none
// (suppressed); when a flood ends, a line of its own does.
func (l *Log) Run(ctx context.Context) {
	for ctx.Err() == nil {
		var quiet <-chan time.Time
		if l.suppressed > 0 {
			quiet = time.After(10 * pause)
		}
		switch l.ring.await(ctx.Done(), quiet) {
		case ringFilled:
			l.drain(time.Now())
			rest(ctx)
		case ringQuiet:
			l.summarize()
		}
	}
	l.drain(time.Now())
	l.summarize()
}

// rest lets the ring fill for a moment.
func rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// drain writes what the ring holds, at most one ringful: what arrives meanwhile waits for the next round.
func (l *Log) drain(now time.Time) {
	for range len(l.ring.slots) {
		e, ok := l.ring.Next()
		if !ok {
			break
		}
		if !l.budget(e.Name).take(now) {
			l.suppressed++
			continue
		}
		l.write(&e)
	}
	dropped := l.ring.Dropped()
	l.suppressed += dropped - l.dropped
	l.dropped = dropped
}

// budget is what events of that name are written from.
func (l *Log) budget(name string) *allowance {
	switch {
	case name == Ban || name == WouldBan || name == Unban:
		return &l.bans
	case name == Call:
		return &l.calls
	case remote(name):
		return &l.remote
	}
	return &l.own
}

// summarize accounts for events that no line was written for.
func (l *Log) summarize() {
	if l.suppressed > 0 {
		l.logger.Info("more events than the log takes", "event", "log", "suppressed", l.suppressed)
		l.suppressed = 0
	}
}

// write logs one event. Its level is info for what strangers can cause and for good news, warn for other events with a
// reason: nothing that arrives from the network is an error of ours.
func (l *Log) write(e *edge.Event) {
	level := slog.LevelInfo
	if !remote(e.Name) && e.Reason != "" {
		level = slog.LevelWarn
	}
	ctx := context.Background()
	if !l.logger.Enabled(ctx, level) {
		return
	}
	message := e.Message
	if message == "" {
		message = e.Name
	}
	record := slog.NewRecord(e.At, level, clean(message), 0)
	record.AddAttrs(attrs(e)...)
	if l.suppressed > 0 {
		record.AddAttrs(slog.Uint64("suppressed", l.suppressed))
		l.suppressed = 0
	}
	_ = l.logger.Handler().Handle(ctx, record) // a log that cannot be written has nowhere to say so
}

// attrs are the fields of e that are set, in the order of the dictionary.
func attrs(e *edge.Event) []slog.Attr {
	list := append(make([]slog.Attr, 0, 10), slog.String("event", e.Name))
	text := func(key, value string) {
		if value != "" {
			list = append(list, slog.String(key, clean(value)))
		}
	}
	text("reason", string(e.Reason))
	if e.Source.Remote.IsValid() {
		text("src_ip", address(e.Source.Remote.Addr()))
		if port := e.Source.Remote.Port(); port != 0 { // else it is about the whole address
			list = append(list, slog.Int("src_port", int(port)))
			text("transport", e.Source.Transport.String())
		}
	}
	text("method", e.Method)
	if e.Status != 0 {
		list = append(list, slog.Int("status", e.Status))
	}
	text("call_id", e.CallID)
	text("other_call_id", e.Other)
	text("detail", e.Detail)
	return list
}

// address spells an IPv4 address the same however the socket spelled it.
func address(a netip.Addr) string { return a.Unmap().String() }

// clean returns s with every byte that is not printable ASCII (and every backslash) replaced by \xNN, so that no
// line break, terminal sequence or direction mark of a stranger reaches a log reader.
func clean(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// printable reports whether s is plain ASCII without control characters or backslashes.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf-1 || c == '\\' {
			return false
		}
	}
	return true
}

// allowance is a budget in use: a bucket of tokens that refills with time.
type allowance struct {
	Budget
	tokens float64
	last   time.Time
}

// take reports whether one more line may be written now.
func (a *allowance) take(now time.Time) bool {
	if a.last.IsZero() {
		a.tokens = float64(a.Burst)
	} else {
		a.tokens = min(float64(a.Burst), a.tokens+now.Sub(a.last).Seconds()*a.PerSecond)
	}
	a.last = now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}
