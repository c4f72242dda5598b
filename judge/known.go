package judge

import (
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/state"
)

// KnownFor is how long the platform's accepting a user from a source is remembered.
const KnownFor = 30 * 24 * time.Hour

// known remembers pairs, and how many each source has.
type known struct {
	pairs   *meter.Table[pair] // by the hash of user and source together
	homes   *meter.Table[home]
	journal atomic.Pointer[state.Journal[uint64]] // nil: nobody keeps them
}

type pair struct {
	source uint64
	day    uint32 // on which the journal was last told
	minute uint32 // on which it was last seen
}

// A home is a source that has pairs. Its worth in the table is how many.
type home struct {
	pairs  uint32
	minute uint32
}

func (k *known) init(pairs int) {
	k.homes = meter.NewTable[home](pairs, nil)
	k.pairs = meter.NewTable(pairs, k.lost)
}

// lost takes an evicted pair off its source.
func (k *known) lost(key uint64, p *pair, now time.Time) {
	k.tell(key)
	if h := k.homes.Find(p.source, now); h != nil {
		h.pairs = max(h.pairs, 1) - 1
		k.homes.Leave(p.source)
	}
}

func minuteOf(at time.Time) uint32 { return uint32(at.Unix() / 60) }

// recent reports whether what was last seen at minute is remembered at at.
func recent(minute uint32, at time.Time) bool {
	return minuteOf(at)-minute <= uint32(KnownFor/time.Minute)
}

// at is how many users the source is known for.
func (k *known) at(source uint64, at time.Time) int {
	h := k.homes.Find(source, at)
	if h == nil {
		return 0
	}
	defer k.homes.Leave(source)
	if !recent(h.minute, at) {
		*h = home{}
	}
	return int(h.pairs)
}

// good reports whether the pair is known.
func (k *known) good(h uint64, at time.Time) bool {
	p := k.pairs.Find(h, at)
	if p == nil {
		return false
	}
	defer k.pairs.Leave(h)
	return recent(p.minute, at)
}

// add takes note that the platform accepted the pair h from source, and reports whether that is news.
func (k *known) add(h, source uint64, at time.Time) (fresh bool) {
	p, fresh := k.pairs.Enter(h, 0, at)
	if p == nil {
		return false
	}
	if !recent(p.minute, at) {
		fresh = true
	}
	now := minuteOf(at)
	tell := fresh || p.day != now/(24*60)
	*p = pair{source: source, day: now / (24 * 60), minute: now}
	k.pairs.Leave(h)
	if tell {
		k.tell(h)
	}
	if one, _ := k.homes.Enter(source, 0, at); one != nil {
		if fresh {
			one.pairs++
		}
		one.minute = now
		k.homes.Leave(source)
	}
	return fresh
}

// tell lets the journal know that the row of a pair is another one.
func (k *known) tell(key uint64) {
	if j := k.journal.Load(); j != nil {
		j.Mark(key)
	}
}

// pair is the pair of that hash, if there is one.
func (k *known) pair(h uint64) (pair, bool) {
	p := k.pairs.Peek(h)
	if p == nil {
		return pair{}, false
	}
	defer k.pairs.Leave(h)
	return *p, true
}

// learn takes what a final response says of who asked: the nonce of a challenge, and that the platform accepts the user from there.
func (j *Judge) learn(x *edge.Exchange) {
	a, status := &x.Asked, x.Msg.Status
	switch {
	case status == 401 || status == 407:
		x.Asked.Stale = j.challenged(x)
	case status/100 == 2 && a.Secret != 0 && a.User != 0 && (a.Method == sip.REGISTER || a.Method == sip.INVITE):
		if j.known.add(j.key.Words(a.User, a.Source), a.Source, x.At) {
			j.credit(a, x.At)
		}
	}
}
