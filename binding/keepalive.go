package binding

import (
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// keepaliveWalk is where Keepalives is on its way around the table.
type keepaliveWalk struct {
	mu      sync.Mutex
	started time.Time
	done    int64 // shards visited since started
	due     []edge.Flow
}

// Keepalives calls fn for each UDP flow that holds a live binding behind NAT and is due for a keep-alive (CRLFCRLF):
// once in an interval, however many bindings it has. It is meant to be called about once a second; each call looks
// into as many shards as are due for the time gone by, so that one interval goes once around the table and the load is
// spread evenly. fn is called without a lock. The first call only starts the walk.
func (t *Table) Keepalives(now time.Time, interval time.Duration, fn func(edge.Flow)) {
	now = t.clock.at(now)
	w := &t.walk
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started.IsZero() || interval <= 0 || now.Before(w.started) {
		w.started, w.done = now, 0
		return
	}
	all := int64(len(t.shards))
	due := int64(float64(now.Sub(w.started)) / float64(interval) * float64(all))
	w.done = max(w.done, due-all) // after a pause every shard is visited once, not more
	for ; w.done < due; w.done++ {
		w.due = t.dueIn(&t.shards[w.done%all], w.due[:0], now, interval)
		for _, f := range w.due {
			fn(f)
		}
	}
}

// dueIn appends the flows of a shard that are due for a keep-alive.
func (t *Table) dueIn(s *shard, to []edge.Flow, now time.Time, interval time.Duration) []edge.Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.UnixNano()
	for i := range s.entries {
		e := &s.entries[i]
		if e.nat() && e.expires > at && !e.transport().Stream() && t.sources.keep(e.flow(), now, interval) {
			to = append(to, e.flow())
		}
	}
	return to
}
