package meter

import (
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
// entry held is lost, unless the table has an OnEvict, which is called under the lock of the shard.
type Table[V any] struct {
	shards  []shard[V]
	mask    uint64
	onEvict func(key uint64, v *V, now time.Time)
}

const (
	ways   = 4
	shards = 64
)

type shard[V any] struct {
	mu    sync.Mutex
	slots []slot[V]
	held  int
	_     [32]byte // the next lock is on another cache line
}

type slot[V any] struct {
	key   uint64 // 0: free
	seen  int64  // nanoseconds
	worth uint32
	v     V
}

// NewTable makes a table of at least that many entries; onEvict may be nil.
func NewTable[V any](entries int, onEvict func(key uint64, v *V, now time.Time)) *Table[V] {
	buckets := 1 << bits.Len(uint(max((entries+ways*shards-1)/(ways*shards), 2)-1))
	t := &Table[V]{shards: make([]shard[V], shards), mask: uint64(buckets - 1), onEvict: onEvict}
	for i := range t.shards {
		t.shards[i].slots = make([]slot[V], buckets*ways)
	}
	return t
}

// Find returns the entry of key, locked, or nil, not locked, if there is none. The caller reads or changes it and calls Leave.
func (t *Table[V]) Find(key uint64, now time.Time) *V {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	if found := s.find(t, key); found != nil {
		found.seen = now.UnixNano()
		return &found.v
	}
	s.mu.Unlock()
	return nil
}

// Peek is Find by who has no part in the traffic: the entry counts as no younger for it.
func (t *Table[V]) Peek(key uint64) *V {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	if found := s.find(t, key); found != nil {
		return &found.v
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
	if found := s.find(t, key); found != nil {
		found.seen, found.worth = now.UnixNano(), worth
		return &found.v, false
	}
	victim := s.least(t, key)
	switch {
	case victim.key == 0:
		s.held++
	case victim.worth > worth:
		s.mu.Unlock()
		return nil, false
	case t.onEvict != nil:
		t.onEvict(victim.key, &victim.v, now)
	}
	*victim = slot[V]{key: key, seen: now.UnixNano(), worth: worth}
	return &victim.v, true
}

// Value gives the entry of key, if there is one, another worth.
func (t *Table[V]) Value(key uint64, worth uint32) {
	key = named(key)
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(t, key); found != nil {
		found.worth = worth
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
	if found := s.find(t, key); found != nil {
		*found = slot[V]{}
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
	for i := range s.slots {
		if one := &s.slots[i]; one.key != 0 && !do(one.key, &one.v) {
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

// bucket is one of the two places of key.
func (s *shard[V]) bucket(t *Table[V], key uint64, which int) []slot[V] {
	i := bits.RotateLeft64(key, 29*which) & t.mask * ways
	return s.slots[i : i+ways]
}

func (s *shard[V]) find(t *Table[V], key uint64) *slot[V] {
	for which := range 2 {
		b := s.bucket(t, key, which)
		for i := range b {
			if b[i].key == key {
				return &b[i]
			}
		}
	}
	return nil
}

// least is the free slot of key, or the one of least worth, of these the one longest unused.
func (s *shard[V]) least(t *Table[V], key uint64) (worst *slot[V]) {
	for which := range 2 {
		b := s.bucket(t, key, which)
		for i := range b {
			one := &b[i]
			if one.key == 0 {
				return one
			}
			if worst == nil || one.worth < worst.worth || one.worth == worst.worth && one.seen < worst.seen {
				worst = one
			}
		}
	}
	return worst
}
