package judge

import (
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// KnownFor is how long the platform's accepting a user from a source is remembered.
const KnownFor = 30 * 24 * time.Hour

// A Pair is one user whom the platform accepted from one source. Both are keyed hashes: a state file of pairs tells nobody who called from where.
type Pair struct {
	User   uint64 // and source, together
	Source uint64
	Seen   time.Time // to the minute
}

// known remembers pairs, and how many each source has.
type known struct {
	pairs   *meter.Table[pair]
	homes   *meter.Table[home]
	mu      sync.Mutex
	changed []Pair // not yet fetched by Changed
}

type pair struct {
	source uint64
	day    uint32 // on which it was last told to Changed
	minute uint32 // on which it was last seen
}

// A home is a source that has pairs. Its worth in the table is how many.
type home struct {
	pairs  uint32
	minute uint32
}

// maxChanged is how many changed pairs wait for Changed. More are told again when they are seen the next day.
const maxChanged = 1 << 14

func (k *known) init(pairs int) {
	k.homes = meter.NewTable[home](pairs, nil)
	k.pairs = meter.NewTable(pairs, k.lost)
	k.changed = make([]Pair, 0, maxChanged)
}

// lost takes an evicted pair off its source.
func (k *known) lost(_ uint64, p *pair, now time.Time) {
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
		k.tell(Pair{User: h, Source: source, Seen: at})
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

func (k *known) tell(p Pair) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.changed) < maxChanged {
		k.changed = append(k.changed, p)
	}
}

// Changed appends to dst the pairs that are new, or were seen on another day, since the last call. Whoever keeps pairs over a restart calls
// it every few seconds, writes them and hands them to Restore at the next start.
func (j *Judge) Changed(dst []Pair) []Pair {
	k := &j.known
	k.mu.Lock()
	defer k.mu.Unlock()
	dst = append(dst, k.changed...)
	k.changed = k.changed[:0]
	return dst
}

// Restore brings pairs back that Changed gave in an earlier run, made with the same key. Those that are too old at now are left out.
func (j *Judge) Restore(list []Pair, now time.Time) {
	for _, p := range list {
		if age := now.Sub(p.Seen); age >= 0 && age <= KnownFor {
			j.known.add(p.User, p.Source, p.Seen)
		}
	}
	j.Changed(nil)
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
