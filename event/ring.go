// Package event tells operators what the edge did: a bounded ring that the packet path fills without ever waiting, a log
// sink that writes a bounded number of lines from it, and a fixed set of counters for /metrics.
//
// Nothing in it grows with what the network sends: the ring has a fixed size, the log a line budget, and every label of
// every counter comes from a set that is closed before the first message arrives.
package event

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// Bounds of the texts that a ring keeps; longer ones are cut.
const (
	MaxMethod  = 24
	MaxCallID  = 96
	MaxMessage = 200
	MaxDetail  = 200
)

// Names of events (edge.Event.Name) that rooms agree on.
const (
	Refused = "refused" // a message was turned away
	Noted   = "noted"   // there is something to say of a message that passes; where a check only watches (mode: monitor), what would become of it

	Upstream = "upstream"  // the platform, seen from here
	Peer     = "peer"      // a carrier or another site, as configured
	Listener = "listener"  // a socket of ours
	State    = "state"     // the state file
	Fault    = "fault"     // a mistake in ringwall itself
	Ban      = "ban"       // a source is banned; one for each ban
	WouldBan = "would_ban" // a source would be banned, but for mode: monitor
	Unban    = "unban"     // a source is free again before its time, or is never to be banned
	Allow    = "allow"     // an operator changed the list of who is never banned
	Memory   = "memory"    // how short of it we are
	Trust    = "trust"     // an operator vouches for a user, or has one forgotten or unlocked
	Call     = "call"      // a call with media that was answered is over; one for each media line
)

// remote reports whether anybody on the internet can cause events of that name in any number. Such events may fill only half
// of a ring and have a log budget of their own. What is not known to be about this machine and its platform is remote.
func remote(name string) bool {
	return name != Upstream && name != Peer && name != Listener && name != State && name != Memory && name != Ban && name != WouldBan && name != Unban
}

// minRing is the smallest ring: with less, half of it would be too small to keep one batch of refusals.
const minRing = 64

// A Ring is a fixed-size queue of events between the packet path and its readers. All methods may be called by any
// goroutine. A full ring drops the new event and counts it; nothing ever waits for a reader.
type Ring struct {
	slots []slot
	mask  uint64

	_       [64]byte // the three positions are written by different goroutines
	tail    atomic.Uint64
	_       [56]byte
	head    atomic.Uint64
	_       [56]byte
	dropped atomic.Uint64
	waiting atomic.Bool
	wake    chan struct{}
	tails   Roster[*Tail] // who is shown what Next returns
}

// slot is one place of the ring. turn is its position while it is free for the writer of that position, and position+1
// while it holds that writer's event (the bounded queue of sequence numbers that Dmitry Vyukov described).
type slot struct {
	turn   atomic.Uint64
	at     time.Time
	name   string
	reason edge.Reason
	source edge.Flow
	status int

	methodLen, callIDLen, otherLen, messageLen, detailLen uint8

	method  [MaxMethod]byte
	callID  [MaxCallID]byte
	other   [MaxCallID]byte
	message [MaxMessage]byte
	detail  [MaxDetail]byte
}

// NewRing makes a ring of at least size events, rounded up to a power of two.
func NewRing(size int) *Ring {
	n := uint64(1) << bits.Len64(uint64(max(size, minRing)-1))
	r := &Ring{slots: make([]slot, n), mask: n - 1, wake: make(chan struct{}, 1)}
	for i := range r.slots {
		r.slots[i].turn.Store(uint64(i))
	}
	return r
}

// Add queues e, or counts it as dropped where the ring is full (one that strangers can cause: half full). It does not allocate and
// does not wait. Method, CallID, Message and Detail are copied up to their bounds; Name and Reason are kept as they are, so they must be
// constants, never text of a message.
func (r *Ring) Add(e edge.Event) { r.add(&e, nil, nil) }

// AddOf is Add for an event about m: the method (of a response: the one in CSeq) and the Call-ID are copied from it where
// e leaves them empty, without an allocation. m may be a message that Parse refused.
func (r *Ring) AddOf(e edge.Event, m *sip.Message) {
	var method, callID []byte
	if e.Method == "" {
		method = within(m.Raw, m.MethodName)
		if len(method) == 0 {
			method = within(m.Raw, m.CSeq.MethodName)
		}
	}
	if e.CallID == "" {
		callID = within(m.Raw, m.CallID)
	}
	r.add(&e, method, callID)
}

// within is the span's bytes, none where a parse that failed left a span beyond the message.
func within(raw []byte, s sip.Span) []byte {
	if s.Start > s.End || uint64(s.End) > uint64(len(raw)) {
		return nil
	}
	return s.Of(raw)
}

func (r *Ring) add(e *edge.Event, method, callID []byte) {
	s, at := r.claim(remote(e.Name))
	if s == nil {
		r.dropped.Add(1)
		return
	}
	s.at, s.name, s.reason, s.source, s.status = e.At, e.Name, e.Reason, e.Source, e.Status
	s.methodLen = copyText(s.method[:], method, e.Method)
	s.callIDLen = copyText(s.callID[:], callID, e.CallID)
	s.otherLen = copyText(s.other[:], nil, e.Other)
	s.messageLen = copyText(s.message[:], nil, e.Message)
	s.detailLen = copyText(s.detail[:], nil, e.Detail)
	s.turn.Store(at + 1)
	if r.waiting.Load() {
		select {
		case r.wake <- struct{}{}:
		default: // the reader is being woken already
		}
	}
}

// copyText copies b, or s where b is empty, as far as it fits, and returns how much that was.
func copyText(dst, b []byte, s string) uint8 {
	if len(b) > 0 {
		return uint8(copy(dst, b))
	}
	return uint8(copy(dst, s))
}

// claim takes the next free slot and its position, nil where there is none.
func (r *Ring) claim(remote bool) (*slot, uint64) {
	for {
		at := r.tail.Load()
		if remote && int64(at-r.head.Load()) > int64(r.mask/2) {
			return nil, 0
		}
		s := &r.slots[at&r.mask]
		switch turn := s.turn.Load(); {
		case turn == at:
			if r.tail.CompareAndSwap(at, at+1) {
				return s, at
			}
		case turn < at: // not read yet since its last use
			return nil, 0
		}
	}
}

// Next takes the oldest event out of the ring, and shows it to every Tail; ok is false where there is none. The strings of the event are its
// own.
func (r *Ring) Next() (e edge.Event, ok bool) {
	for {
		at := r.head.Load()
		s := &r.slots[at&r.mask]
		switch turn := s.turn.Load(); {
		case turn == at+1:
			if !r.head.CompareAndSwap(at, at+1) {
				continue
			}
			e = edge.Event{
				At: s.at, Name: s.name, Reason: s.reason, Source: s.source, Status: s.status,
				Method:  string(s.method[:s.methodLen]),
				CallID:  string(s.callID[:s.callIDLen]),
				Other:   string(s.other[:s.otherLen]),
				Message: string(s.message[:s.messageLen]),
				Detail:  string(s.detail[:s.detailLen]),
			}
			s.turn.Store(at + r.mask + 1)
			for _, t := range r.tails.All() {
				t.put(e)
			}
			return e, true
		case turn <= at:
			return edge.Event{}, false
		}
	}
}

// What await came back for.
const (
	ringFilled = iota // the ring may hold an event
	ringQuiet         // nothing came until quiet fired
	ringDone          // done was closed
)

// await waits for an event, a tick of quiet, or the end.
func (r *Ring) await(done <-chan struct{}, quiet <-chan time.Time) int {
	r.waiting.Store(true)
	defer r.waiting.Store(false)
	if r.tail.Load() != r.head.Load() {
		return ringFilled
	}
	select {
	case <-r.wake:
		return ringFilled
	case <-quiet:
		return ringQuiet
	case <-done:
		return ringDone
	}
}

// Dropped is the number of events that found the ring full since it was made.
func (r *Ring) Dropped() uint64 { return r.dropped.Load() }
