package challenge

import (
	"sync"
	"time"
)

const (
	paced    = 16          // answers of each kind that are remembered
	longHold = time.Second // nobody waits longer for the sake of looking the same
)

// A Pace knows how long the platform takes over answers of two kinds that are to look the same: those that it means, and those in place of which
// something else is sent.
type Pace struct {
	mu     sync.Mutex
	rounds [2]round
}

type round struct {
	took [paced]time.Duration
	n    int
	next int
	sum  time.Duration
}

// Wait takes note of an answer that took so long, and returns how much longer it is to be held back: until it has taken as long as one of
// the other kind, if those take longer. draw chooses which.
func (p *Pace) Wait(instead bool, took time.Duration, draw uint64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	own, other := &p.rounds[0], &p.rounds[1]
	if instead {
		own, other = other, own
	}
	own.add(took)
	if other.n == 0 || other.mean() <= own.mean() {
		return 0
	}
	return min(max(0, other.took[draw%uint64(other.n)]-took), longHold)
}

func (r *round) add(took time.Duration) {
	if r.n == paced {
		r.sum -= r.took[r.next]
	}
	r.took[r.next] = took
	r.sum += took
	r.next = (r.next + 1) % paced
	r.n = min(r.n+1, paced)
}

func (r *round) mean() time.Duration { return r.sum / time.Duration(max(r.n, 1)) }
