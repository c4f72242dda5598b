package media

import (
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// Bounds of one call.
const (
	mostBranches  = 16 // dialogs that its INVITE makes by forking, at once
	mostJoined    = 64 // and in all
	mostExchanges = 8  // transactions that are remembered
)

// A session is one INVITE that passes the edge, and the dialogs that it makes.
type session struct {
	calls  *Calls
	id     uint64
	unsure bool // begun by a stranger, and not answered yet; guarded by Calls.all

	callID, other, caller, callee string // constant

	mu        sync.Mutex // guards the rest
	ended     bool
	begun     time.Time
	heardOf   time.Time // by signalling
	connected time.Time // zero: no 2xx yet
	parties   [Ends]Party
	anchor    anchor
	branches  []*branch
	joined    int     // dialogs that it has had
	current   *branch // that media flows by
	exchanges []*exchange
	inviting  *exchange       // the INVITE that begins it, until its final response
	since     [Ends]time.Time // when media of each end was expected first; zero: it is not
	told      [Ends]bool      // silence of each end was reported
	hungUp    bool            // by hangUp

	marked  bool      // for the journal
	written time.Time // when it was marked by moved last
	place   uint64    // as moved found it
}

// A branch is one dialog of a call (RFC 3261 §12, early ones included).
type branch struct {
	dialog    uint64
	confirmed bool
	answer    uint64 // hash of the last answer to the INVITE that begins it
	chosen    chosen
	late      *exchange // its response holds an offer, which ACK or PRACK answers
	acked     uint64    // hash of the last answer in an ACK
	legs      legs
}

// An exchange is one transaction that may hold an offer and an answer.
type exchange struct {
	key     uint64
	method  sip.Method
	from    End     // of the request
	branch  *branch // nil: the INVITE that begins the call
	offer   uint64  // hash of the offer; 0: none yet
	inReply bool    // it came in a response
	staged  staged
	answer  uint64              // hash of the last answer
	over    bool                // its final response came
	server  atomic.Pointer[Leg] // by Keep: of who answered first
}

// sumOf tells descriptions apart. It is never 0.
func sumOf(sdp []byte) uint64 {
	h := fnv.New64a()
	h.Write(sdp)
	return h.Sum64() | 1
}

// meet notes where the sender of a message is now.
func (c *session) meet(m *Message, sender Party) {
	c.heardOf = m.At
	proven := sender.Proven && !c.parties[m.From].Proven
	c.parties[m.From] = sender
	if proven {
		c.anchor.proven(m.From)
	}
}

func (c *session) branch(dialog uint64) *branch {
	for _, b := range c.branches {
		if b.dialog == dialog {
			return b
		}
	}
	return nil
}

// taken reports whether b was answered with 2xx.
func (b *branch) taken() bool { return b.confirmed }

// waits reports whether an offer in a response of b has no answer yet.
func (b *branch) waits() bool { return b.late != nil && b.acked == 0 }

// join returns the branch of a dialog, made if need be; nil if there are too many.
func (c *session) join(dialog uint64) *branch {
	if b := c.branch(dialog); b != nil || dialog == 0 || len(c.branches) == mostBranches || c.joined == mostJoined {
		return b
	}
	c.joined++
	b := &branch{dialog: dialog}
	c.branches = append(c.branches, b)
	c.calls.enter(dialog, entry{call: c, branch: b})
	return b
}

// remember puts x on record. Of too many the oldest is forgotten that is over, else the oldest: its late responses have no place any more. The INVITE
// that begins the call is kept, since how it ends tells whether there is a call.
func (c *session) remember(x *exchange) {
	if len(c.exchanges) == mostExchanges {
		i := slices.IndexFunc(c.exchanges, func(o *exchange) bool { return o.over })
		if i < 0 {
			i = slices.IndexFunc(c.exchanges, func(o *exchange) bool { return o != c.inviting })
		}
		old := c.exchanges[i]
		c.calls.leave(old.key, c)
		c.exchanges = slices.Delete(c.exchanges, i, i+1)
		if !old.over && old.offer != 0 && old.answer == 0 {
			c.anchor.rollback(old.staged)
		}
	}
	c.exchanges = append(c.exchanges, x)
	c.calls.enter(x.key, entry{call: c, x: x})
}

// describe is m's description for the anchor.
func (c *session) describe(m *Message, b *branch, apply bool) *described {
	d := &described{sdp: m.SDP, from: m.From, parties: &c.parties, apply: apply, clean: m.Clean}
	if b != nil {
		d.dialog = b.dialog
	}
	return d
}

// request takes a request that may hold an offer or, PRACK, an answer. gone: the call has ended meanwhile. seen is the exchange of the
// request, if another lane was faster with it.
func (c *session) request(dst []byte, m *Message, seen *exchange) (out []byte, gone bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return dst, true, nil
	}
	c.meet(m, m.Parties[m.From])
	c.parties[m.From.Other()].Flow = m.Parties[m.From.Other()].Flow // it may have moved
	b := c.branch(m.Dialog)
	if b == nil && m.Dialog != 0 { // of a call before a restart
		if b = c.join(m.Dialog); b == nil {
			return dst, false, ErrStray
		}
		b.confirmed, c.current, c.connected = true, b, m.At
	}
	switch {
	case m.SDP == nil && m.Method != sip.INVITE:
		return dst, false, nil
	case m.Method == sip.PRACK && b != nil && b.waits() && m.SDP != nil:
		out, err = c.answerLate(dst, m, b)
	case seen != nil && m.SDP != nil:
		out, err = c.anchor.again(dst, c.describe(m, b, false), seen.staged)
	case seen != nil:
		out = dst
	default:
		out, err = c.open(dst, m, b)
	}
	return out, false, err
}

// open begins the exchange of a request.
func (c *session) open(dst []byte, m *Message, b *branch) (out []byte, err error) {
	x := &exchange{key: m.Key, method: m.Method, from: m.From, branch: b}
	if out = dst; m.SDP != nil {
		if x.staged, out, err = c.anchor.offer(dst, c.describe(m, b, true)); err != nil {
			return dst, err
		}
		x.offer = sumOf(m.SDP)
	}
	if b == nil {
		c.inviting = x
	}
	c.remember(x)
	return out, nil
}

// leaving takes a BYE: what becomes of it tells whether the dialog ends.
func (c *session) leaving(m *Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.branch(m.Dialog); b != nil && !c.ended {
		c.meet(m, m.Parties[m.From])
		c.remember(&exchange{key: m.Key, method: sip.BYE, from: m.From, branch: b})
	}
}

// ack takes an ACK of a 2xx, which answers an offer in that (RFC 3264 §4).
func (c *session) ack(dst []byte, m *Message) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.branch(m.Dialog)
	if c.ended || b == nil {
		return dst, strayIf(m.SDP != nil)
	}
	c.meet(m, m.Parties[m.From])
	if m.SDP == nil {
		return dst, nil
	}
	return c.answerLate(dst, m, b)
}

// answerLate takes an answer in an ACK or a PRACK. What comes again changes nothing.
func (c *session) answerLate(dst []byte, m *Message, b *branch) ([]byte, error) {
	h, x := sumOf(m.SDP), b.late
	if x == nil || b.acked != 0 && b.acked != h {
		return dst, ErrStray
	}
	fresh := b.acked != h
	taken := x.branch == nil && c.current != nil && c.current != b && c.current.confirmed && c.current.chosen != nil // by another fork
	d := c.describe(m, b, fresh && !taken)
	state, out, err := c.anchor.answer(dst, d, x.staged)
	if err != nil || !fresh {
		return out, err
	}
	if b.acked, b.chosen = h, state; d.apply {
		c.current = b
	}
	c.anchor.settled(x.staged)
	c.await(m.At)
	c.changed()
	return out, nil
}

// response takes a response to x.
func (c *session) response(dst []byte, m *Message, x *exchange) (out []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || m.Status <= 100 || m.Status >= 300 || x.method == sip.BYE {
		return dst, strayIf(m.SDP != nil)
	}
	m.From = x.from.Other()
	c.meet(m, m.Replier)
	b := x.branch
	if b == nil {
		b = c.join(m.Dialog)
	}
	if b == nil {
		return dst, strayIf(m.SDP != nil)
	}
	out = dst
	if m.SDP != nil {
		out, err = c.described(dst, m, x, b)
	}
	if err == nil && m.Status >= 200 {
		c.accepted(m, x, b)
		c.changed()
	}
	return out, err
}

// described takes the description in a response to x.
func (c *session) described(dst []byte, m *Message, x *exchange, b *branch) ([]byte, error) {
	h := sumOf(m.SDP)
	switch {
	case x.offer != 0 && !x.inReply:
		return c.answered(dst, m, x, b, h)
	case x.method != sip.INVITE:
		return dst, ErrStray
	}
	if b.late != nil && b.late.key == x.key && b.late.offer == h { // it comes again
		return c.anchor.again(dst, c.describe(m, b, false), b.late.staged)
	}
	if b.waits() {
		c.anchor.rollback(b.late.staged) // nobody answered it
		b.late = nil
	}
	late := &exchange{key: x.key, method: x.method, from: x.from, branch: x.branch, offer: h, inReply: true}
	d := c.describe(m, b, true)
	d.forks = x.branch == nil
	state, out, err := c.anchor.offer(dst, d)
	if err != nil {
		return dst, err
	}
	x.inReply = true
	late.staged, b.late, b.acked = state, late, 0
	return out, nil
}

// answered takes an answer to the offer in x. That of a branch that lost changes nothing, nor does one that comes again, though another branch has
// answered since.
func (c *session) answered(dst []byte, m *Message, x *exchange, b *branch, h uint64) ([]byte, error) {
	fresh, lost := x.answer != h, false
	if x.branch == nil {
		fresh, lost = b.answer != h, !b.confirmed && c.current != nil && c.current.confirmed
	}
	state, out, err := c.anchor.answer(dst, c.describe(m, b, fresh && !lost), x.staged)
	if err != nil {
		return dst, err
	}
	x.answer = h
	if x.branch == nil {
		b.answer = h
	}
	if fresh {
		b.chosen = state
	}
	if fresh && !lost {
		c.current = b
		c.await(m.At)
	}
	return out, nil
}

// await notes since when media of each end is expected: who comes back from hold is not silent for as long as that took.
func (c *session) await(now time.Time) {
	for e, expected := range c.anchor.expected() {
		switch {
		case !expected:
			c.since[e] = time.Time{}
		case c.since[e].IsZero():
			c.since[e] = now
		}
	}
}

// accepted takes note of a 2xx.
func (c *session) accepted(m *Message, x *exchange, b *branch) {
	if x.method == sip.INVITE && !b.confirmed {
		b.confirmed = true
		if c.connected.IsZero() {
			c.connected = m.At
			c.calls.answered(c)
			c.anchor.admitted()
		}
		if c.current != b && (c.current == nil || !c.current.confirmed) {
			c.turn(b)
		}
		c.dropLosers()
	}
	if !x.inReply {
		c.anchor.settled(x.staged)
	}
}
