package proxy

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
)

// health is what is known of the upstream from traffic alone: heard, or failed since. It sends nothing.
type health struct {
	state atomic.Pointer[failureState]
	known atomic.Bool
}

type failureState struct {
	since time.Time
	why   string
}

// heard notes that the platform answers.
func (h *health) heard(x *edge.Exchange) {
	if x.From.Side != edge.Inside {
		return
	}
	if !h.known.Load() {
		h.known.Store(true)
	}
	if h.state.Load() != nil {
		h.state.Store(nil)
	}
}

// failed notes that the platform can't be reached, and tells the operator once.
func (h *health) failed(l *lane, to edge.Flow, err error, at time.Time) {
	down := &failureState{since: at, why: fmt.Sprintf("%v: %v", to.Remote, err)}
	if !h.state.CompareAndSwap(nil, down) {
		return
	}
	l.p.ring.Add(edge.Event{At: at, Name: event.Upstream, Reason: reasonUpstream, Source: to,
		Message: "the platform can't be reached, callers get 503 until it answers: " + down.why})
}

// silent notes that a request ran into its time-out.
func (h *health) silent(to edge.Flow, at time.Time) {
	if to.Side == edge.Inside {
		h.state.CompareAndSwap(nil, &failureState{since: at, why: "no answer before the transaction's time-out"})
	}
}

// String says it in words.
func (h *health) String() string {
	if f := h.state.Load(); f != nil {
		return fmt.Sprintf("down since %s: %s", f.since.UTC().Format(time.RFC3339), f.why)
	}
	if !h.known.Load() {
		return "not heard of yet"
	}
	return "up"
}
