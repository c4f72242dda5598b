package proxy

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// callLife is how long a call counts that nobody is heard of any more.
const callLife = 4 * time.Hour

// A quota counts the calls of one peer against its limits.
type quota struct {
	calls   atomic.Int64 // on record now
	clock   meter.Clock
	next    atomic.Int64 // when the next call is due if calls come evenly, by clock (GCRA)
	refused atomic.Uint64
}

// pace takes one new call at now, every apart, with one second's worth (at least one) at once; false: too soon.
func (q *quota) pace(every time.Duration, now time.Time) bool {
	ahead := max(0, int64(time.Second-every))
	for {
		due, at := q.next.Load(), q.clock.Count(now)
		if due-at > ahead {
			return false
		}
		if q.next.CompareAndSwap(due, max(due, at)+int64(every)) {
			return true
		}
	}
}

const callShards = 16

// calls are the calls of peers that have a limit of calls: by the keyed hash of peer, direction, Call-ID and the caller's tag.
// There are never more of them than the limits add up to.
type calls struct {
	shards [callShards]struct {
		mu    sync.Mutex
		calls map[uint64]call
	}
}

// A call is one entry of calls.
type call struct {
	quota   *quota
	heard   int64  // of it last, Unix seconds
	invites int    // that began it and have not failed: a forked or merged one counts once
	number  uint32 // their CSeq
	callee  uint64 // keyed hash of the tag of who answered; 0: nobody has
}

// again reports whether the call with key was begun by an INVITE with another CSeq number, which has not failed: one with this number is no copy of
// it, and begins another call.
func (c *calls) again(key uint64, number uint32) bool {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.calls[key]
	return known && one.number != number
}

// begin counts a call that an INVITE with this CSeq number begins; false: the peer has most of them already.
func (c *calls) begin(key uint64, number uint32, q *quota, most int, now time.Time) bool {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.calls[key]
	if !known {
		if q.calls.Add(1) > int64(most) {
			q.calls.Add(-1)
			return false
		}
		one.quota, one.number = q, number
	}
	one.heard, one.invites = now.Unix(), min(one.invites+1, math.MaxInt32)
	if s.calls == nil {
		s.calls = map[uint64]call{}
	}
	s.calls[key] = one
	return true
}

// touch notes that the call with key is still there.
func (c *calls) touch(key uint64, now time.Time) bool {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.calls[key]
	if known && one.heard != now.Unix() {
		one.heard = now.Unix()
		s.calls[key] = one
	}
	return known
}

// answered notes who answered the call with key first.
func (c *calls) answered(key, callee uint64) {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, known := s.calls[key]; known && one.callee == 0 {
		one.callee = callee
		s.calls[key] = one
	}
}

// with reports whether the call with key was answered by callee.
func (c *calls) with(key, callee uint64) bool {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.calls[key]
	return known && one.callee == callee
}

// failed notes that an INVITE of the call failed; with the last one the call ends.
func (c *calls) failed(key uint64) {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.calls[key]
	if one.invites--; known && one.invites > 0 {
		s.calls[key] = one
	} else if known {
		delete(s.calls, key)
		one.quota.calls.Add(-1)
	}
}

// end takes the call with key off the record.
func (c *calls) end(key uint64) {
	s := &c.shards[key%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, known := s.calls[key]; known {
		delete(s.calls, key)
		one.quota.calls.Add(-1)
	}
}

// sweep takes calls off the record that nobody was heard of for callLife, of one shard each second.
func (c *calls) sweep(now time.Time) {
	s := &c.shards[uint64(now.Unix())%callShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, one := range s.calls {
		if now.Unix()-one.heard >= int64(callLife/time.Second) {
			delete(s.calls, key)
			one.quota.calls.Add(-1)
		}
	}
}

// metered counts a new call of a peer against its limits, and notes what happens in one. The key is that of the call that
// the request begins or, if it is a BYE, ends; 0: it does neither.
func (l *lane) metered(x *edge.Exchange, to *hop) (key uint64, v edge.Verdict) {
	m := x.Msg
	if l.own.tokened {
		p := l.cfg.peerAt(l.own.route.Outside)
		if p == nil || p.Calls == 0 {
			return 0, v
		}
		callee := m.ToTag
		key = l.callKey(p, x.From.Side, m.FromTag)
		if !l.p.calls.touch(key, x.At) {
			callee = m.FromTag
			key = l.callKey(p, edge.Inside-x.From.Side, m.ToTag)
			l.p.calls.touch(key, x.At)
		}
		if m.Method != sip.BYE || !l.p.calls.with(key, l.tagHash(callee)) { // the token does not vouch for the tag of who was called
			key = 0
		}
		return key, v
	}
	if m.Method != sip.INVITE || m.ToTag.Present() {
		return 0, v
	}
	p := to.peer
	if x.From.Side == edge.Outside {
		p = l.cfg.peerFrom(x.From)
	}
	if p == nil {
		return 0, v
	}
	return l.afford(x, p)
}

// afford counts a new call against the limits of p.
func (l *lane) afford(x *edge.Exchange, p *peer) (key uint64, v edge.Verdict) {
	m := x.Msg
	if p.Calls > 0 {
		key = l.callKey(p, x.From.Side, m.FromTag)
		if l.p.calls.again(key, m.CSeq.Number) { // whoever writes one Call-ID on all his calls does not have one call
			key = maphash.Bytes(l.p.seed, appendNumber(binary.BigEndian.AppendUint64(l.hashed[:0], key), m)) | 1
		}
		if !l.p.calls.begin(key, m.CSeq.Number, p.quota, p.Calls, x.At) {
			p.quota.refused.Add(1)
			return 0, edge.Verdict{Action: edge.Reply, Reason: reasonPeerCalls, Status: 503}
		}
	}
	// Towards a peer the second INVITE that answers its challenge is no other call.
	again := x.From.Side == edge.Inside && (m.Find(sip.FieldProxyAuthorization) >= 0 || m.Find(sip.FieldAuthorization) >= 0)
	if p.Every > 0 && !again && !p.quota.pace(p.Every, x.At) {
		l.p.calls.failed(key)
		p.quota.refused.Add(1)
		return 0, edge.Verdict{Action: edge.Reply, Reason: reasonPeerRate, Status: 503}
	}
	return key, v
}

// callKey names a call of p that side began, by its Call-ID as inside knows it and the caller's tag. It is never 0.
func (l *lane) callKey(p *peer, side edge.Side, tag sip.Span) uint64 {
	b := append(append(l.hashed[:0], p.Name...), byte(side))
	l.hashed = appendParts(append(b, l.own.callID...), &l.msg, tag)
	return maphash.Bytes(l.p.seed, l.hashed) | 1
}

// tagHash is the keyed hash of a tag in the message at hand, never 0.
func (l *lane) tagHash(tag sip.Span) uint64 {
	return maphash.Bytes(l.p.seed, tag.Of(l.msg.Raw)) | 1
}

// ends reports whether a call is over whose BYE was answered with status: by the far end, or by nobody (RFC 3261 §15.1.1). Whoever refuses it goes on.
func ends(status int) bool {
	return status/100 == 2 || status == 481 || status == 408 || status == 430 || status == 503
}

// settle takes note of how the request of tx ended. tx is locked.
func (l *lane) settle(tx *transaction.Tx, status int) {
	l.over(tx, status)
	switch {
	case tx.Call == 0 || status < 200:
		return
	case tx.Method == sip.INVITE && status >= 300:
		l.p.calls.failed(tx.Call)
	case tx.Method == sip.BYE && ends(status):
		l.p.calls.end(tx.Call)
	}
	tx.Call = 0
}
