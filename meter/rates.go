package meter

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Rates counts any number of keys against rates, in fixed memory, by GCRA (ITU-T I.371): it keeps times, each of them the one at which a key has its
// whole burst again. A key has two places, both in the one line of a processor's cache that is its own and that of some others; in each place other
// neighbours share it, and the kinder place decides, so that a key is held to what others did only where it meets busy ones in both.
//
// Nothing is ever evicted: a key that was idle, or whose place a million others asked for, has no more budget than before. Sharing can
// only take budget away. All methods may be called by any goroutine and do not wait.
type Rates struct {
	lines []line
	mask  uint64
	clock Clock
}

// A line is 64 bytes, as many as a processor reads of memory at once.
type line [8]atomic.Int64

// A Limit is a rate with a burst.
type Limit struct {
	Every time.Duration // between two, on average; 0: no limit
	Burst int           // how many may come at once, at least 1
}

// NewRates makes a Rates with that many places for first and as many for second ones, rounded up to a power of two: 16 bytes of memory for each.
func NewRates(places int) *Rates {
	n := 1 << bits.Len(uint(max(places/4, 2)-1))
	return &Rates{lines: make([]line, n), mask: uint64(n - 1)}
}

// Take reports whether key, a keyed hash, may have one more at now, and counts it if so.
func (r *Rates) Take(key uint64, l Limit, now time.Time) bool {
	t, allowance := r.clock.Count(now), int64(max(l.Burst, 1)-1)*int64(l.Every)
	ok := false
	first, second := r.places(key)
	for _, place := range [...]*atomic.Int64{first, second} {
		if free := max(place.Load(), t); free-t <= allowance {
			place.Store(free + int64(l.Every)) // a race loses a count, no more
			ok = true
		}
	}
	return ok || l.Every == 0
}

// Shut leaves key no budget before until, whatever its limit.
func (r *Rates) Shut(key uint64, l Limit, until time.Time) {
	full := r.clock.Count(until) + int64(max(l.Burst, 1)-1)*int64(l.Every)
	first, second := r.places(key)
	for _, place := range [...]*atomic.Int64{first, second} {
		if place.Load() < full {
			place.Store(full)
		}
	}
}

// places are the two of key, never the same, which other bits of it choose than the line.
func (r *Rates) places(key uint64) (first, second *atomic.Int64) {
	l, i := &r.lines[key&r.mask], key>>61
	return &l[i], &l[(i+1+key>>32%7)&7]
}
