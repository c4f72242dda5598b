package media

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A CallStatus is what `ringwall calls` shows of a call.
type CallStatus struct {
	ID             uint64 // unique in this process
	CallID         string // as inside knows it
	Caller, Callee string // URIs of From and To, as the caller wrote them
	Begun          time.Time
	Connected      time.Time // zero: it was not answered yet
	Parties        [Ends]Party
	Silent         [Ends]bool // no media comes from that end, although it should
	Streams        []StreamStatus
}

// A StreamStatus is one media line of a call.
type StreamStatus struct {
	Kind string // "audio"
	Ends [Ends]EndStatus
}

// An EndStatus is one end of a media line.
type EndStatus struct {
	Port  netip.AddrPort // ours, that the end sends to
	Named netip.AddrPort // its own, as its description says
	Stats Stats
}

// List tells of all calls, the oldest first.
func (c *Calls) List() []CallStatus {
	calls := c.list()
	all := make([]CallStatus, 0, len(calls))
	for _, one := range calls {
		if s, ok := one.status(); ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b CallStatus) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (c *session) status() (CallStatus, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return CallStatus{}, false
	}
	return CallStatus{ID: c.id, CallID: c.callID, Caller: c.caller, Callee: c.callee, Begun: c.begun, Connected: c.connected,
		Parties: c.parties, Silent: c.told, Streams: c.anchor.streams()}, true
}

// Event names and reasons of calls.
const (
	eventMedia = "media"

	// ReasonSilent: no media comes from an end of a call, although it should.
	ReasonSilent edge.Reason = "media.silent"
	// ReasonServer: an rtpengine went down or came back.
	ReasonServer edge.Reason = "media.server"
	// ReasonLost: a call was freed without a BYE, because nothing was heard of it any more.
	ReasonLost edge.Reason = "media.lost"
)

// sweeps is how many calls of Sweep look at all calls.
const sweeps = 8

// Sweep reports silence, and frees calls that are over although nobody said so. It is to be called every second, and looks at a part of the
// calls each time.
func (c *Calls) Sweep(now time.Time) {
	part := uint64(now.Unix()) % sweeps
	for _, one := range c.list() {
		if one.id%sweeps == part {
			one.sweep(now)
		}
	}
}

func (c *session) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.connected.IsZero() && now.Sub(c.heardOf) < c.calls.cfg.Life {
		return // timers of its INVITE end it
	}
	last, expected := c.anchor.heard()
	quiet := [Ends]time.Duration{}
	newest := c.heardOf
	for e := range last {
		if last[e].After(newest) {
			newest = last[e]
		}
		quiet[e] = now.Sub(later(last[e], c.connected))
	}
	cfg := &c.calls.cfg
	for e := range quiet {
		c.quiet(End(e), expected[e] && cfg.Silence > 0 && quiet[e] >= cfg.Silence, quiet[e], now)
	}
	mute := expected[Caller] && expected[Callee]
	switch idle := now.Sub(newest); {
	case idle >= cfg.Life, mute && idle >= cfg.Lost:
		c.tell(now, ReasonLost, fmt.Sprintf("a call of %.64s to %.64s is freed: nothing was heard of it for %v", c.caller, c.callee, idle.Round(time.Second)))
		c.finish()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// quiet notes whether an end is silent, and tells when it falls silent.
func (c *session) quiet(e End, silent bool, since time.Duration, now time.Time) {
	if silent && !c.told[e] {
		who := c.caller
		if e == Callee {
			who = c.callee
		}
		c.tell(now, ReasonSilent, fmt.Sprintf("no media from %.96s for %v", who, since.Round(time.Second)))
	}
	c.told[e] = silent
}

func (c *session) tell(now time.Time, why edge.Reason, message string) {
	if c.calls.cfg.Tell != nil {
		c.calls.cfg.Tell(edge.Event{At: now, Name: eventMedia, Reason: why, Source: c.parties[Caller].Flow, CallID: c.callID, Message: message})
	}
}
