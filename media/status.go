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
	Other          string // as outside does, where that is another one
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
	return CallStatus{ID: c.id, CallID: c.callID, Other: c.other, Caller: c.caller, Callee: c.callee, Begun: c.begun, Connected: c.connected,
		Parties: c.parties, Silent: c.told, Streams: c.anchor.streams()}, true
}

// Event names and reasons of calls.
const (
	eventMedia = "media"
	eventCall  = "call" // one for each media line of a call that was answered and is over

	// ReasonSilent: no media comes from an end of a call, although it should.
	ReasonSilent edge.Reason = "media.silent"
	// ReasonEnded: a call is ended by BYE to both ends, because no media comes from one of them.
	ReasonEnded edge.Reason = "media.ended"
	// ReasonServer: an rtpengine went down or came back.
	ReasonServer edge.Reason = "media.server"
	// ReasonLost: a call was freed without a BYE, because nothing was heard of it any more.
	ReasonLost edge.Reason = "media.lost"
)

// mostParts is how many calls of Sweep look at all calls, unless silence is to be seen sooner.
const mostParts = 8

// parts is how many parts of calls Sweep looks at in turn: a quarter of Silence.After may pass between two looks.
func (c *Calls) parts() uint64 {
	after := c.silence.Load().After
	if after == 0 {
		return mostParts
	}
	return uint64(min(max(after/(4*time.Second), 1), mostParts))
}

// Sweep reports silence, and ends calls that are over although nobody said so. It is to be called every second, and looks at a part of the
// calls each time.
func (c *Calls) Sweep(now time.Time) {
	parts := c.parts()
	part := uint64(now.Unix()) % parts
	for _, one := range c.list() {
		if one.id%parts == part {
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
	last, known := c.anchor.heard(now)
	c.await(now)
	c.moved(now)
	newest := c.heardOf
	for e := range last {
		newest = later(newest, last[e])
		c.quiet(End(e), later(last[e], later(c.connected, c.since[e])), known, now)
	}
	cfg := &c.calls.cfg
	if now.Sub(newest) >= cfg.Life || c.converses(known, 0) && known.Sub(newest) >= cfg.Lost {
		c.tell(now, ReasonLost, fmt.Sprintf("a call of %.64s to %.64s is freed: nothing was heard of it for %v", c.caller, c.callee, now.Sub(newest).Round(time.Second)))
		c.account(now)
		c.finish()
	}
}

// converses reports whether both ends should have sent for so long: neither was on hold, which an end may say by "sendonly" and then be silent.
func (c *session) converses(until time.Time, long time.Duration) bool {
	for _, since := range c.since {
		if since.IsZero() || until.Sub(since) < long {
			return false
		}
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// quiet notes that an end was heard last at a time, as far as was known at another. When it falls silent that is told, and the call may be ended.
func (c *session) quiet(e End, last, known, now time.Time) {
	due, long := c.calls.silence.Load(), known.Sub(last)
	silent := !c.since[e].IsZero() && due.After > 0 && long >= due.After
	if silent && !c.told[e] {
		c.tell(now, ReasonSilent, fmt.Sprintf("no media from %.96s for %v", c.name(e), long.Round(time.Second)))
	}
	if c.told[e] = silent; silent && due.End && c.converses(known, due.After) {
		c.hangUp(e, long, now)
	}
}

// name is what operators know an end by.
func (c *session) name(e End) string {
	if e == Callee {
		return c.callee
	}
	return c.caller
}

func (c *session) tell(now time.Time, why edge.Reason, message string) {
	if c.calls.cfg.Tell != nil {
		c.calls.cfg.Tell(edge.Event{At: now, Name: eventMedia, Reason: why, Source: c.parties[Caller].Flow, CallID: c.callID, Other: c.other, Message: message})
	}
}

// account tells what flowed in a call that was answered and is over: an event for each media line that it has in the end.
func (c *session) account(at time.Time) {
	if c.calls.cfg.Tell == nil || c.connected.IsZero() {
		return
	}
	e := edge.Event{At: at, Name: eventCall, Source: c.parties[Caller].Flow, CallID: c.callID, Other: c.other,
		Message: fmt.Sprintf("a call of %.64s to %.64s is over after %v", c.caller, c.callee, at.Sub(c.connected).Round(time.Second))}
	all := c.anchor.streams()
	for i := range all {
		s := &all[i]
		e.Detail = fmt.Sprintf("%.16s: caller %v; callee %v", s.Kind, &s.Ends[Caller].Stats, &s.Ends[Callee].Stats)
		c.calls.cfg.Tell(e)
	}
	if len(all) == 0 {
		c.calls.cfg.Tell(e)
	}
}

func (l *lines) streams() []StreamStatus {
	all := make([]StreamStatus, 0, len(l.all))
	for i := range l.all {
		ln := &l.all[i]
		if ln.stream == nil {
			continue
		}
		one := StreamStatus{Kind: ln.kind}
		for e := range End(Ends) {
			one.Ends[e] = EndStatus{Port: ln.stream.Port(e), Named: ln.ends[e].remote.RTP, Stats: ln.stream.Stats(e)}
		}
		all = append(all, one)
	}
	return all
}
