//go:build !race

package event

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

func TestHotPathDoesNotAllocate(t *testing.T) {
	r, m := NewRing(64), NewMetrics()
	m.Reasons("access.method")
	raw := []byte("INVITEa84b4c76e66710@pc33.example.com-and-a-longer-tail")
	msg := &sip.Message{Raw: raw, MethodName: sip.Span{End: 6}, Method: sip.INVITE,
		CallID: sip.Span{Start: 6, End: uint32(len(raw))}}
	lane, at := m.Lane(), time.Now()
	allocs := testing.AllocsPerRun(1000, func() {
		r.AddOf(edge.Event{At: at, Name: Refused, Reason: "access.method", Status: 403}, msg)
		r.Add(edge.Event{At: at, Name: "binding"})
		lane.Received(edge.Flow{}, msg)
		lane.SentReply(edge.Flow{}, 403)
		lane.Refused("access.method")
	})
	if allocs != 0 {
		t.Errorf("%v allocations per message, want 0", allocs)
	}
}
