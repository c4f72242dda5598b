package meter

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Rates counts any number of keys against rates, in fixed memory, by GCRA (ITU-T I.371): for each key it keeps one time, the one at
// which the key has its whole burst again. Each row has a place for every key; in each row another neighbour shares it, and the kindest
// row decides, so that a key is held to what others did only where it meets a busy one in every row.
//
// Nothing is ever evicted: a key that was idle, or whose place a million others asked for, has no more budget than before. Sharing can
// only take budget away. All methods may be called by any goroutine and do not wait.
type Rates struct {
	rows  [2][]atomic.Int64
	mask  uint64
	clock Clock
}

// A Limit is a rate with a burst.
type Limit struct {
	Every time.Duration // between two, on average; 0: no limit
	Burst int           // how many may come at once, at least 1
}

// NewRates makes a Rates with that many places in each of its rows, rounded up to a power of two: 16 bytes of memory for each.
func NewRates(places int) *Rates {
	n := 1 << bits.Len(uint(max(places, 2)-1))
	r := &Rates{mask: uint64(n - 1)}
	for i := range r.rows {
		r.rows[i] = make([]atomic.Int64, n)
	}
	return r
}

// Take reports whether key, a keyed hash, may have one more at now, and counts it if so.
func (r *Rates) Take(key uint64, l Limit, now time.Time) bool {
	t, allowance := r.clock.Count(now), int64(max(l.Burst, 1)-1)*int64(l.Every)
	ok := false
	for i := range r.rows {
		place := r.place(i, key)
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
	for i := range r.rows {
		if place := r.place(i, key); place.Load() < full {
			place.Store(full)
		}
	}
}

// place is that of key in a row: each row reads other bits of it.
func (r *Rates) place(row int, key uint64) *atomic.Int64 {
	return &r.rows[row][bits.RotateLeft64(key, 32*row)&r.mask]
}
