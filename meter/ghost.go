package meter

import (
	"math"
	"math/bits"
	"time"
)

// A ghost is what is left of an entry that had to make room, so that its key is no beginner when it comes again: 32 bits of the key, how often it
// was noted, and when it was last seen. It says nothing of what the entry held.
type ghost uint64

const (
	ghostWays     = 8 // a line of the cache, in which a key has its ghost
	ghostsByEntry = 4
	ghostUnit     = 6 // of stamps: about a second
	ghostAges     = 1<<24 - 1
)

// haunt is the line of ghosts that key has its place in.
func (s *shard[V]) haunt(t *Table[V], key uint64) *[ghostWays]ghost {
	return &s.ghosts[int(bits.RotateLeft64(key, 13))&(len(s.ghosts)-1)]
}

// mark is what a ghost knows its key by: bits that choose neither shard nor bucket.
func mark(key uint64) uint32 { return max(uint32(key>>22), 1) }

// newGhost is the ghost of who has that worth and was last seen then.
func newGhost(key uint64, worth, seen uint32) ghost {
	uses := worth >> usesShift & mostUses
	if worth&provenBit != 0 {
		uses |= mostUses + 1
	}
	return ghost(mark(key))<<32 | ghost(uses)<<24 | ghost(seen>>ghostUnit&ghostAges)
}

// worth is that of an entry.
func (g ghost) worth() uint32 {
	worth := uint32(g>>24) & mostUses << usesShift
	if g>>24&(mostUses+1) != 0 {
		worth |= provenBit
	}
	return worth
}

// age is how long ago g was seen, in units of stamps.
func (g ghost) age(now uint32) uint32 {
	age := (now>>ghostUnit - uint32(g)) & ghostAges
	if age > ghostAges/2 { // by a clock that was set back
		return 0
	}
	return age << ghostUnit
}

// leave puts the ghost of a key into its line, in place of the one of least worth.
func (s *shard[V]) leave(t *Table[V], key uint64, worth, seen, now uint32) {
	line := s.haunt(t, key)
	g, worst := newGhost(key, worth, seen), 0
	lowest, oldest := uint64(1)<<63, uint32(0)
	for i, one := range line {
		if one>>32 == g>>32 || one == 0 {
			worst, lowest = i, 0
			break
		}
		age := one.age(now)
		if worth := t.faded(one.worth(), age); worth < lowest || worth == lowest && age > oldest {
			worst, lowest, oldest = i, worth, age
		}
	}
	line[worst] = g
}

// recall takes the ghost of key out and returns its worth, 0 if there is none or it is too old to mean anything.
func (s *shard[V]) recall(t *Table[V], key uint64, now uint32) uint32 {
	line := s.haunt(t, key)
	for i, one := range line {
		if uint32(one>>32) == mark(key) {
			line[i] = 0
			if one.age(now) >= t.life {
				return 0
			}
			return one.worth()
		}
	}
	return 0
}

// The worth of an entry of evidence: whether it is proven, and how often it was noted.
const (
	provenBit = 1 << 31
	usesShift = 16
	mostUses  = 127
	mostNoted = provenBit | (mostUses+1)<<usesShift - 1 // more has what is kept
)

// NewEvidence makes a table of what is known of sources and the like: entries are had from Note. One that nobody asked for in that time means nothing
// any more. An entry takes its V and 48 bytes; onEvict is as for NewTable.
func NewEvidence[V any](entries int, life time.Duration, onEvict func(key uint64, v *V, now time.Time)) *Table[V] {
	t := NewTable(entries, onEvict).Fade(life)
	t.evidence = true
	for i := range t.shards {
		t.shards[i].ghosts = make([][ghostWays]ghost, len(t.shards[i].values)*ghostsByEntry/ghostWays) // a power of two
	}
	return t
}

// Note is Enter for evidence; proven tells that it is no forgery. An entry is worth the more the more often it was noted, and more than any other if
// it is proven once; how often counts among proven ones, too, and fades over the life of the table. So who comes once, under a million names that he made up, pushes out nobody who was noted twice; one that was pushed out after
// its first time is known to have been there when it comes again. A proven one always finds a place, and loses it to nobody who is not; it returns nil
// to others only where all their places are held by who was noted more often, until they have been, too.
func (t *Table[V]) Note(key uint64, proven bool, now time.Time) (v *V, fresh bool) {
	key = named(key)
	s, stamp := t.shard(key), stampOf(now)
	s.mu.Lock()
	if at := s.find(t, key); at >= 0 {
		h := &s.heads[at/ways]
		h.seen[at%ways], h.worth[at%ways] = stamp, noted(h.worth[at%ways], proven)
		return &s.values[at], false
	}
	worth := noted(s.recall(t, key, stamp), proven)
	at, lowest := s.least(t, key, stamp)
	h, i := &s.heads[at/ways], at%ways
	switch {
	case h.keys[i] == 0:
		s.held++
	case lowest > uint64(worth) && worth&provenBit == 0:
		s.leave(t, key, worth, stamp, stamp)
		s.mu.Unlock()
		return nil, false
	default:
		s.leave(t, h.keys[i], h.worth[i], h.seen[i], stamp)
		if t.onEvict != nil {
			t.onEvict(h.keys[i], &s.values[at], now)
		}
	}
	h.keys[i], h.seen[i], h.worth[i] = key, stamp, worth
	v = &s.values[at]
	*v = *new(V)
	return v, true
}

// Keep has the entry of key, of a table of evidence, stay before all that were only noted, proven or not, for half the life of the table after it was last asked
// for: what it holds is acted on, and who fills the table is not to have it forgotten. Free ends that; it begins anew, as if it had been noted once.
func (t *Table[V]) Keep(key uint64) { t.Value(key, math.MaxUint32) }

// Free ends what Keep began.
func (t *Table[V]) Free(key uint64) { t.Value(key, noted(0, false)) }

// noted is worth after one more time.
func noted(worth uint32, proven bool) uint32 {
	if worth>>usesShift&mostUses < mostUses {
		worth += 1 << usesShift
	}
	if proven {
		worth |= provenBit
	}
	return worth
}
