package meter

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// A Table holds entries of type V for keys, keyed hashes, in fixed memory. A key has one of 8 places, in two buckets of 4. Where all are
// taken, a new key takes the place of the entry that is worth least, of several of one worth the one that was not asked for longest; an
// entry of more worth than the new key stays. So who makes up a million keys of little worth takes no place from anybody who matters, and
// finds no shelter behind them.
//
// Worth is what the caller says with Enter; a table whose callers say 0 is a plain one with least recently used eviction. What an evicted
// entry held is lost, unless the table has an OnEvict, which is called under the lock of the shard. In a table of NewEvidence worth is counted by
// the table itself.
type Table[V any] struct {
	shards   []shard[V]
	mask     uint64
	onEvict  func(key uint64, v *V, now time.Time)
	life     uint32 // of worth, in units of stamps; 0: for ever
	evidence bool   // made by NewEvidence
}

const (
	ways   = 4
	shards = 64
)

type shard[V any] struct {
	mu     sync.Mutex
	held   int
	heads  []head // of buckets
	values []V    // the four of each bucket
	ghosts [][ghostWays]ghost
}

// A head tells which entries a bucket has. It is one line of a processor's cache: whoever looks for a key reads nothing else of entries that are not his.
type head struct {
	keys  [ways]uint64 // 0: free
	seen  [ways]uint32 // by stampOf
	worth [ways]uint32
}

// stampOf is the time in units of about 17 ms. Of two stamps within a year the later one is known, whatever their numbers.
func stampOf(at time.Time) uint32 { return uint32(at.UnixNano() >> stampShift) }

const stampShift = 24

// NewTable makes a table of at least that many entries, which take 16 bytes each and their V; onEvict may be nil.
func NewTable[V any](entries int, onEvict func(key uint64, v *V, now time.Time)) *Table[V] {
	buckets := 1 << bits.Len(uint(max((entries+ways*shards-1)/(ways*shards), 2)-1))
	t := &Table[V]{shards: make([]shard[V], shards), mask: uint64(buckets - 1), onEvict: onEvict}
	for i := range t.shards {
		t.shards[i].heads, t.shards[i].values = make([]head, buckets), make([]V, buckets*ways)
	}
	return t
}

// Fade has worth grow less while nobody asks for an entry, in equal steps, until after that time it is none. It returns t, and is to be called before
// anybody uses t.
func (t *Table[V]) Fade(life time.Duration) *Table[V] {
	t.life = uint32(max(life>>stampShift, 1))
	return t
}

// faded is worth after a time without anybody asking, in units of stamps.
func (t *Table[V]) faded(worth, age uint32) uint64 {
	switch {
	case t.life == 0:
		return uint64(worth)
	case age >= t.life:
		return 0
	case t.evidence && worth&provenBit != 0 && worth <= mostNoted: // fading would make nothing of how often that was noted
		return provenBit | uint64(worth&^provenBit)*uint64(t.life-age)/uint64(t.life)
	}
	return uint64(worth) * uint64(t.life-age) / uint64(t.life)
}

// Find returns the entry of key, locked, or nil, not locked, if there is none. The caller reads or changes it and calls Leave.
func (t *Table[V]) Find(key uint64, now time.Time) *V {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	if at := s.find(t, key); at >= 0 {
		s.heads[at/ways].seen[at%ways] = stampOf(now)
		return &s.values[at]
	}
	s.mu.Unlock()
	return nil
}

// Peek is Find by who has no part in the traffic: the entry counts as no younger for it.
func (t *Table[V]) Peek(key uint64) *V {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	if at := s.find(t, key); at >= 0 {
		return &s.values[at]
	}
	s.mu.Unlock()
	return nil
}

// Copy returns the entry of key as it is now; like Peek it has no part in the traffic. False: there is none.
func (t *Table[V]) Copy(key uint64) (v V, found bool) {
	p := t.Peek(key)
	if p == nil {
		return v, false
	}
	defer t.Leave(key)
	return *p, true
}

// Enter returns the entry of key, locked, and whether it is new and so zero; an entry of key that is there already gets this worth. It
// returns nil, not locked, where all places of key are held by entries of more worth. The caller calls Leave.
func (t *Table[V]) Enter(key uint64, worth uint32, now time.Time) (v *V, fresh bool) {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	if at := s.find(t, key); at >= 0 {
		h := &s.heads[at/ways]
		h.seen[at%ways], h.worth[at%ways] = stampOf(now), worth
		return &s.values[at], false
	}
	at, lowest := s.least(t, key, stampOf(now))
	h, i := &s.heads[at/ways], at%ways
	v = &s.values[at]
	switch {
	case h.keys[i] == 0:
		s.held++
	case lowest > uint64(worth):
		s.mu.Unlock()
		return nil, false
	case t.onEvict != nil:
		t.onEvict(h.keys[i], v, now)
	}
	h.keys[i], h.seen[i], h.worth[i] = key, stampOf(now), worth
	*v = *new(V)
	return v, true
}

// Value gives the entry of key, if there is one, another worth.
func (t *Table[V]) Value(key uint64, worth uint32) {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.find(t, key); at >= 0 {
		s.heads[at/ways].worth[at%ways] = worth
	}
}

// Leave unlocks what Find or Enter returned for key.
func (t *Table[V]) Leave(key uint64) { t.shard(named(key)).mu.Unlock() }

// Delete takes the entry of key out.
func (t *Table[V]) Delete(key uint64) {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.find(t, key); at >= 0 {
		s.heads[at/ways].keys[at%ways] = 0
		s.held--
	}
}

// All calls do for every entry, with the lock of its shard held; do must not come back to the table. It stops where do returns false.
func (t *Table[V]) All(do func(key uint64, v *V) bool) {
	for i := range t.shards {
		if !t.shards[i].all(do) {
			return
		}
	}
}

func (s *shard[V]) all(do func(key uint64, v *V) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.values {
		if key := s.heads[at/ways].keys[at%ways]; key != 0 && !do(key, &s.values[at]) {
			return false
		}
	}
	return true
}

// Len is how many entries there are.
func (t *Table[V]) Len() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.held
		s.mu.Unlock()
	}
	return n
}

// named is key, but never 0, which marks a free place.
func named(key uint64) uint64 { return max(key, 1) }

func (t *Table[V]) shard(key uint64) *shard[V] { return &t.shards[key>>58] }

// bucket is the number of one of the two buckets of key.
func (t *Table[V]) bucket(key uint64, which int) int {
	return int(bits.RotateLeft64(key, 29*which) & t.mask)
}

// find is where the entry of key is, -1 if there is none.
func (s *shard[V]) find(t *Table[V], key uint64) int {
	if s.held == 0 {
		return -1
	}
	for which := range 2 {
		b := t.bucket(key, which)
		for i, k := range &s.heads[b].keys {
			if k == key {
				return b*ways + i
			}
		}
	}
	return -1
}

// least is the free place of key, or that of the entry of least worth, of these the one longest unused at now; and that worth.
func (s *shard[V]) least(t *Table[V], key uint64, now uint32) (worst int, lowest uint64) {
	lowest, oldest := uint64(math.MaxUint64), uint32(0)
	for which := range 2 {
		b := t.bucket(key, which)
		h := &s.heads[b]
		for i := range h.keys {
			if h.keys[i] == 0 {
				return b*ways + i, 0
			}
			age := uint32(max(int32(now-h.seen[i]), 0)) // the clock may have been set back
			worth := t.faded(h.worth[i], age)
			if worth < lowest || worth == lowest && age > oldest {
				worst, lowest, oldest = b*ways+i, worth, age
			}
		}
	}
	return worst, lowest
}
