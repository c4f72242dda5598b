package event

import (
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

func BenchmarkAdd(b *testing.B) {
	r := NewRing(1024)
	for b.Loop() {
		r.Add(edge.Event{Name: "binding", CallID: "a84b4c76e66710@pc33.example.com", Method: "INVITE"})
		r.head.Store(r.head.Load() + 1) // stands for a reader, without what reading costs
		at := r.head.Load() - 1
		r.slots[at&r.mask].turn.Store(at + r.mask + 1)
	}
}

func BenchmarkAddWhenFull(b *testing.B) {
	r := NewRing(1024)
	for b.Loop() {
		r.Add(edge.Event{Name: Refused, CallID: "a84b4c76e66710@pc33.example.com", Method: "INVITE"})
	}
}

func BenchmarkCounters(b *testing.B) {
	m := NewMetrics()
	m.Reasons("access.method")
	lane := m.Lane()
	msg := &sip.Message{Method: sip.INVITE}
	for b.Loop() {
		lane.Received(edge.Flow{}, msg)
		lane.Refused("access.method")
	}
}
