package meter

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A Sketch sums weights of any number of keys in fixed memory (count-min: each key has a counter in each of 4 rows, the smallest one
// counts). Sums halve with every half-life. A sum may be too high, where others share all counters of a key, and never too low. All methods
// may be called by any goroutine.
type Sketch struct {
	rows [4][]atomic.Uint32 // 16 bits of half-lives gone by, 16 bits of sum
	all  atomic.Uint64      // the same of everything added, 48 bits of sum
	mask uint64
	half int64
}

const (
	sumBits, sumMask = 16, 1<<16 - 1
	allBits, allMask = 48, 1<<48 - 1
)

// NewSketch makes a Sketch with that many counters in each row, rounded up to a power of two: 16 bytes of memory for each.
func NewSketch(counters int, half time.Duration) *Sketch {
	n := 1 << bits.Len(uint(max(counters, 2)-1))
	s := &Sketch{mask: uint64(n - 1), half: max(int64(half), 1)}
	for i := range s.rows {
		s.rows[i] = make([]atomic.Uint32, n)
	}
	return s
}

// Add adds n to the sum of key, a keyed hash, and returns the sum. It adds to the smallest counters only (conservative update), which
// keeps sums of others lower.
func (s *Sketch) Add(key uint64, n int, now time.Time) int {
	epoch, least := s.epoch(now), uint32(sumMask)
	var held [len(s.rows)]uint32
	for i := range s.rows {
		held[i] = aged(s.counter(i, key).Load(), epoch)
		least = min(least, held[i])
	}
	sum := min(least+uint32(n), sumMask)
	for i := range s.rows {
		if held[i] < sum {
			s.counter(i, key).Store(epoch<<sumBits | sum) // a race loses a count, no more
		}
	}
	s.all.Store(uint64(epoch)<<allBits | min(s.total(epoch)+uint64(n), allMask)) // a race loses a count, no more
	return int(sum)
}

// Noise is by how much a sum may be too high, about: what was added for others, spread over all counters of a row. A sum says something of its
// key only where it is well above.
func (s *Sketch) Noise(now time.Time) int { return int(s.total(s.epoch(now)) / (s.mask + 1)) }

func (s *Sketch) total(epoch uint32) uint64 {
	v := s.all.Load()
	age := (epoch - uint32(v>>allBits)) & sumMask
	return v & allMask >> min(age, allBits)
}

// Sum is the sum of key.
func (s *Sketch) Sum(key uint64, now time.Time) int { return int(s.sum(key, s.epoch(now))) }

func (s *Sketch) sum(key uint64, epoch uint32) uint32 {
	least := uint32(sumMask)
	for i := range s.rows {
		least = min(least, aged(s.counter(i, key).Load(), epoch))
	}
	return least
}

// Raise makes the sum of key at least n: who lost an entry of its own begins again where it was.
func (s *Sketch) Raise(key uint64, n int, now time.Time) {
	s.raise(key, uint32(min(n, sumMask)), s.epoch(now))
}

func (s *Sketch) raise(key uint64, want, epoch uint32) {
	for i := range s.rows {
		if c := s.counter(i, key); aged(c.Load(), epoch) < want {
			c.Store(epoch<<sumBits | want) // a race loses a count, no more
		}
	}
}

// aged is the sum of a counter by epoch.
func aged(v, epoch uint32) uint32 {
	age := (epoch - v>>sumBits) & sumMask
	return v & sumMask >> min(age, sumBits)
}

func (s *Sketch) epoch(now time.Time) uint32 { return uint32(now.UnixNano()/s.half) & sumMask }

func (s *Sketch) counter(row int, key uint64) *atomic.Uint32 {
	return &s.rows[row][bits.RotateLeft64(key, 16*row)&s.mask]
}
