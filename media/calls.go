package media

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// What becomes of a message that Calls can't take. Errors of the relay (no ports) and of package sdp (bad syntax) come besides.
var (
	// ErrStray: the description is neither an offer nor an answer, or of a call that nothing is known of. It must not leave as it is.
	ErrStray = errors.New("a session description that is no offer and no answer")
	// ErrCalls: as many calls are on record as there may be.
	ErrCalls = errors.New("all calls that may have media are on record")
	// ErrShare: strangers whom the platform has not answered have as many calls as they may have.
	ErrShare = errors.New("strangers have all calls that they may have")
)

// A Party is who stands at one end, as signalling knows it.
type Party struct {
	Flow   edge.Flow // where its messages come from or go to
	Trust  edge.Trust
	Proven bool // it reads what is sent to that address
}

// A Message is a SIP message as far as media is concerned.
type Message struct {
	At       time.Time
	Key      uint64 // of the transaction of its request; 0: it has none (ACK)
	Dialog   uint64 // of the dialog that it belongs to or, a response, makes; 0: a request that begins one
	Method   sip.Method
	Status   int // of a response; 0: a request
	Reliable bool
	From     End         // who sent it; of a response Calls knows
	Parties  [Ends]Party // of a request
	Replier  Party       // of a response: who sent it
	Label    Label       // looked at where a call begins
	SDP      []byte      // the session description in it; nil: none

	// Clean reports whether text of a description may be shown to who gets the message; nil: all may. See sdp.Plan.
	Clean func(text []byte) bool
}

// A Label is what operators know a call by. Its texts are of the message, and copied where they are kept.
type Label struct {
	CallID         []byte // as inside knows it
	Other          []byte // as outside does, where that is another one
	Caller, Callee []byte
}

// An anchor moves the media of one call and says so in its descriptions. Its methods are called by one goroutine at a time.
type anchor interface {
	// offer appends an offer of from as the other end gets it, and returns what answer and rollback want to know of it.
	offer(dst []byte, m *described) (staged, []byte, error)
	// again appends an offer once more, and changes nothing.
	again(dst []byte, m *described, s staged) ([]byte, error)
	// answer appends an answer to s, and returns what choose wants to know of it. Media flows by it if m.apply is set.
	answer(dst []byte, m *described, s staged) (chosen, []byte, error)
	// choose lets media flow by an earlier answer again.
	choose(chosen)
	// rollback forgets an offer that was refused: all is as before.
	rollback(staged)
	// settled takes note that the answer to an offer is the last one, and frees what it has no use for.
	settled(staged)
	// departed frees what nobody but a dialog has that is over.
	departed(dialog uint64)
	// close ends all.
	close()
	// streams tells of what flows.
	streams() []StreamStatus
	// expected tells of which ends media is expected, as was agreed last.
	expected() [Ends]bool
	// heard is when media of each end was last accepted, as far as was known at a time; zero: nothing is known yet.
	heard(now time.Time) (last [Ends]time.Time, known time.Time)
	// proven takes note that signalling of an end comes from where it says.
	proven(End)
	// admitted takes note that the platform took the call.
	admitted()
	// empty reports whether there is nothing to move.
	empty() bool
}

// described is a description on its way.
type described struct {
	sdp     []byte
	from    End
	dialog  uint64 // that it belongs to; 0: the INVITE that begins a call
	parties *[Ends]Party
	apply   bool
	forks   bool // an offer by which one of several dialogs of an INVITE may begin
	clean   func([]byte) bool
}

type (
	staged any // by anchor.offer
	chosen any // by anchor.answer
)

// CallsConfig bounds calls.
type CallsConfig struct {
	Calls     int              // most at once; a call that passes the edge twice is two
	Strangers int              // of these, of unknown sources that the platform has not answered with 2xx
	Silence   Quiet            // until SetSilence says otherwise
	Lost      time.Duration    // after which a call is freed that is silent both ways and not on hold
	Life      time.Duration    // after which a call is freed that nothing at all is heard of
	Tell      func(edge.Event) // of calls; may be nil
}

// Quiet is what becomes of an end of a call that should send media, and does not.
type Quiet struct {
	After time.Duration // after which it is reported; 0: never
	End   bool          // then a call is also ended whose ends should both send
}

// DefaultCallsConfig returns the usual bounds.
func DefaultCallsConfig() CallsConfig {
	return CallsConfig{Calls: 10_000, Strangers: 3_000, Silence: Quiet{After: time.Minute}, Lost: 5 * time.Minute, Life: 4 * time.Hour}
}

const callShards = 16

// Calls are the calls whose media passes here: which messages belong to one, and what the offers and answers in them mean (RFC 3264,
// RFC 3262, RFC 3311, RFC 6337). It may be called from any goroutine. A shard's lock is held for a look-up only, and may be taken under a
// call's lock, never the other way round.
type Calls struct {
	cfg    CallsConfig
	anchor func() anchor
	waits  bool // anchors wait for others
	shards [callShards]struct {
		mu      sync.Mutex
		entries map[uint64]entry
	}
	next     atomic.Uint64
	silence  atomic.Pointer[Quiet] // in force
	journal  atomic.Pointer[Journal]
	all      sync.Mutex // guards the rest
	calls    map[uint64]*session
	unsure   int         // calls of strangers that were not answered
	silenced [][Ends]Leg // dialogs to be ended
}

// An entry is what a key leads to: the key of a transaction (x is set) or of a dialog (branch is).
type entry struct {
	call   *session
	x      *exchange
	branch *branch
}

func newCalls(cfg CallsConfig, a func() anchor) *Calls {
	c := &Calls{cfg: cfg, anchor: a, calls: map[uint64]*session{}}
	c.SetSilence(cfg.Silence)
	for i := range c.shards {
		c.shards[i].entries = map[uint64]entry{}
	}
	return c
}

// SetSilence puts to in force from the next Sweep on. A call whose ends the proxy was not told of (Keep), as nothing was to be ended when it began, is
// ended only after its next re-INVITE or UPDATE. It may be called at any time.
func (c *Calls) SetSilence(to Quiet) { c.silence.Store(&to) }

func (c *Calls) find(key uint64) entry {
	if key == 0 {
		return entry{}
	}
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[key]
}

func (c *Calls) enter(key uint64, e entry) {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[key] = e
}

// leave takes key off the record if it leads to one.
func (c *Calls) leave(key uint64, one *session) {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].call == one {
		delete(s.entries, key)
	}
}

// begin puts a new call on record.
func (c *Calls) begin(m *Message) (*session, error) {
	one := &session{calls: c, id: c.next.Add(1), begun: m.At, heardOf: m.At, parties: m.Parties, anchor: c.anchor(),
		callID: clip(m.Label.CallID), other: clip(m.Label.Other), caller: clip(m.Label.Caller), callee: clip(m.Label.Callee)}
	who := m.Parties[m.From]
	c.all.Lock()
	defer c.all.Unlock()
	if len(c.calls) >= c.cfg.Calls {
		return nil, ErrCalls
	}
	if m.Dialog == 0 && who.Flow.Side == edge.Outside && who.Trust == edge.Unknown {
		if c.unsure >= c.cfg.Strangers {
			return nil, ErrShare
		}
		c.unsure++
		one.unsure = true
	}
	c.calls[one.id] = one
	return one, nil
}

// longestLabel bounds what is kept of a Label's texts.
const longestLabel = 96

func clip(b []byte) string { return string(b[:min(len(b), longestLabel)]) }

// answered takes a call out of the share of strangers: the platform knows it.
func (c *Calls) answered(one *session) {
	c.all.Lock()
	defer c.all.Unlock()
	c.known(one)
}

// known is answered for who holds the lock.
func (c *Calls) known(one *session) {
	if one.unsure {
		one.unsure = false
		c.unsure--
	}
}

// forget takes a call off the record.
func (c *Calls) forget(one *session) {
	c.all.Lock()
	defer c.all.Unlock()
	c.known(one)
	delete(c.calls, one.id)
}

// Request takes a request on its way, and appends its description as the far end gets it; nothing if it has none.
func (c *Calls) Request(dst []byte, m *Message) ([]byte, error) {
	switch m.Method {
	case sip.INVITE, sip.UPDATE, sip.PRACK:
		return c.offered(dst, m)
	case sip.ACK:
		return c.acknowledged(dst, m)
	case sip.BYE:
		if e := c.find(m.Dialog); e.call != nil {
			e.call.leaving(m)
		}
	}
	return dst, strayIf(m.SDP != nil)
}

func strayIf(stray bool) error {
	if stray {
		return ErrStray
	}
	return nil
}

// offered takes a request that may hold an offer.
func (c *Calls) offered(dst []byte, m *Message) ([]byte, error) {
	e := c.find(m.Key)
	if e.call == nil {
		e = c.find(m.Dialog)
	}
	for {
		fresh := e.call == nil
		if fresh {
			if m.Method != sip.INVITE && m.SDP == nil {
				return dst, nil
			}
			one, err := c.begin(m)
			if err != nil {
				return dst, err
			}
			e = entry{call: one}
		}
		out, gone, err := e.call.request(dst, m, e.x)
		if fresh && err != nil {
			e.call.end()
		}
		if !gone {
			return out, err
		}
		e = entry{} // it ended just now
	}
}

// acknowledged takes an ACK of a 2xx.
func (c *Calls) acknowledged(dst []byte, m *Message) ([]byte, error) {
	e := c.find(m.Dialog)
	if e.call == nil {
		return dst, strayIf(m.SDP != nil)
	}
	return e.call.ack(dst, m)
}

// Response takes a response on its way, and appends its description as the client gets it.
func (c *Calls) Response(dst []byte, m *Message) ([]byte, error) {
	e := c.find(m.Key)
	if e.x == nil {
		return dst, strayIf(m.SDP != nil)
	}
	return e.call.response(dst, m, e.x)
}

// Over takes note that the request with that key got its final response: 2xx, another one, or none in time (408).
func (c *Calls) Over(key uint64, status int) {
	if e := c.find(key); e.x != nil {
		e.call.over(e.x, status)
	}
}

// Waits reports whether methods may take as long as an answer from another program, and so must not be called by who can't wait.
func (c *Calls) Waits() bool { return c.waits }

// Len is the number of calls on record.
func (c *Calls) Len() int {
	c.all.Lock()
	defer c.all.Unlock()
	return len(c.calls)
}

// Close ends the media of all calls.
func (c *Calls) Close() {
	for _, one := range c.list() {
		one.end()
	}
}

// list is a copy, in no order.
func (c *Calls) list() []*session {
	c.all.Lock()
	defer c.all.Unlock()
	all := make([]*session, 0, len(c.calls))
	for _, one := range c.calls {
		all = append(all, one)
	}
	return all
}
