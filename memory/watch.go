// Package memory watches how much memory the process uses of what it may (limits.memory), and says by that how short of it we are.
// Other rooms ask Pressure before they begin something; nothing else is asked per message.
package memory

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

const (
	// every is how often the watch looks. A look takes some microseconds.
	every = 100 * time.Millisecond
	// ease is how long one pressure lasts at least before a lower one follows.
	ease = 5 * time.Second
	// slack is how far below its threshold, in percent of the limit, memory must fall before a pressure ends.
	slack = 5
	// margin is how far below the next threshold, in percent of the limit, the runtime is told to stay.
	margin = 2
)

// thresholds are the shares of the limit, in percent, from which on each pressure holds.
var thresholds = [...]int64{edge.Tight: 70, edge.Scarce: 85, edge.Drought: 95}

// A Watch follows the memory of this process. It takes the runtime's memory limit over, and there is only one in a process.
//
// The runtime is told to stay a little below the next threshold: it collects as often as that takes, so what still is
// above a threshold is in use and no garbage.
type Watch struct {
	limit   atomic.Int64
	level   atomic.Uint32 // an edge.Pressure
	used    atomic.Int64
	told    func(edge.Pressure, int64, time.Time)
	read    func() int64 // bytes in use
	collect func()
	bound   func(int64) // the runtime
	since   time.Time   // when level was reached, or last found to be right
}

// New returns a Watch that lets the process use limit bytes. told is called by Run at each change, with the bytes in use; nil: nobody is.
func New(limit int64, told func(p edge.Pressure, used int64, at time.Time)) *Watch {
	w := &Watch{told: told, read: used, collect: runtime.GC, bound: func(n int64) { debug.SetMemoryLimit(n) }}
	w.SetLimit(limit)
	return w
}

// SetLimit changes the limit, from the next look on.
func (w *Watch) SetLimit(limit int64) {
	w.limit.Store(limit)
	w.guide(w.Pressure())
}

// Limit is the number of bytes that the process may use.
func (w *Watch) Limit() int64 { return w.limit.Load() }

// Used is the number of bytes that were in use at the last look.
func (w *Watch) Used() int64 { return w.used.Load() }

// Pressure is how short memory is: one atomic load.
func (w *Watch) Pressure() edge.Pressure { return edge.Pressure(w.level.Load()) }

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-look.C:
			w.look(at)
		}
	}
}

// look measures and sets the pressure. It rises at once, and falls a step at a time, each after a collection has shown that memory is
// free again.
func (w *Watch) look(at time.Time) {
	n, now := w.read(), w.Pressure()
	w.used.Store(n)
	if up := w.reached(n); up > now {
		w.set(up, n, at)
		return
	}
	if now == edge.Calm || at.Sub(w.since) < ease {
		return
	}
	w.collect()
	n = w.read()
	w.used.Store(n)
	w.since = at
	if n < w.limit.Load()/100*(thresholds[now]-slack) {
		w.set(now-1, n, at)
	}
}

// reached is the pressure that n bytes mean.
func (w *Watch) reached(n int64) edge.Pressure {
	p := edge.Calm
	for next := edge.Tight; next <= edge.Drought && n >= w.limit.Load()/100*thresholds[next]; next++ {
		p = next
	}
	return p
}

func (w *Watch) set(p edge.Pressure, n int64, at time.Time) {
	w.level.Store(uint32(p))
	w.since = at
	w.guide(p)
	if w.told != nil {
		w.told(p, n, at)
	}
}

// guide tells the runtime to stay below what comes after p.
func (w *Watch) guide(p edge.Pressure) {
	next := int64(100)
	if p < edge.Drought {
		next = thresholds[p+1] - margin
	}
	w.bound(w.limit.Load() / 100 * next)
}

// used is what the runtime has of the system, for heap, stacks and itself, without what it has given back or would use next.
func used() int64 {
	sample := [...]metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(sample[:])
	return int64(sample[0].Value.Uint64() - sample[1].Value.Uint64() - sample[2].Value.Uint64())
}
