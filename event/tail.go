package event

import (
	"errors"
	"sync/atomic"

	"github.com/ringwall/ringwall/edge"
)

// Bounds of tails. One that its reader does not follow loses events, and counts them; nobody ever waits for it.
const (
	maxTails  = 4    // at once
	tailQueue = 1024 // events that may wait for the reader, 1 MiB at most
)

// ErrTails says that as many tails follow a ring as may.
var ErrTails = errors.New("4 tails run already; end one of them first")

// A Tail gets a copy of every event that the reader of a ring takes out of it, the log's own budget apart.
type Tail struct {
	C <-chan edge.Event // the events, in their order; it is never closed

	ring    *Ring
	queue   chan edge.Event
	before  uint64 // what the ring had lost when the tail began
	dropped atomic.Uint64
}

// Tail follows what is taken out of the ring from now on. The error is ErrTails. Close must be called.
func (r *Ring) Tail() (*Tail, error) {
	queue := make(chan edge.Event, tailQueue)
	t := &Tail{C: queue, ring: r, queue: queue, before: r.Dropped()}
	if !r.tails.Join(t, maxTails) {
		return nil, ErrTails
	}
	return t, nil
}

// Tails is how many follow the ring.
func (r *Ring) Tails() int { return len(r.tails.All()) }

// Close ends the tail. It may be called more than once.
func (t *Tail) Close() { t.ring.tails.Leave(t) }

// Dropped is how many events the tail has not got: its reader was too slow, or the ring was full.
func (t *Tail) Dropped() uint64 { return t.dropped.Load() + t.ring.Dropped() - t.before }

// put queues e, or counts it where there is no room.
func (t *Tail) put(e edge.Event) {
	select {
	case t.queue <- e:
	default:
		t.dropped.Add(1)
	}
}
