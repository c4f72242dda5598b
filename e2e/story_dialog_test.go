package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestDialogFlood: who sends without end in one dialog gets 2,000 requests through at once and 200 a second (flood.dialog); another call of his own goes on meanwhile,
// he is not banned for it, and a second later the first one goes on, too.
func TestDialogFlood(t *testing.T) {
	r := newRig(t, tcp, siptest.Keys{"checks": "{flood: {mode: enforce}}"})
	phone := r.phone("alice")
	floods, talks := r.call(phone), r.call(phone)
	var passed atomic.Int64
	r.platform.Handle(func(m *siptest.Received) bool {
		if m.Method() != "INFO" || m.Get("Call-ID") != floods.got.Get("Call-ID") {
			return false
		}
		passed.Add(1)
		r.platform.Reply(m, 200)
		return true
	})
	phone.Handle(func(m *siptest.Received) bool {
		return m.Get("Call-ID") == floods.sent.Get("Call-ID") && m.Status() == 200
	})
	const sent = 4000
	began := time.Now()
	for range sent {
		phone.Send(floods.phone.Request("INFO"))
	}
	r.ask(talks.phone, talks.platform, talks.phone.Request("INFO"))
	refused := func() int64 { return int64(r.edge.Counter("ringwall_refused_total", `"flood.dialog"`)) }
	if !siptest.Eventually(func() bool { return passed.Load()+refused() == sent }) {
		t.Fatalf("%d passed and %d were refused of %d", passed.Load(), refused(), sent)
	}
	if most := 2000 + 200*(time.Since(began).Seconds()+1); float64(passed.Load()) > most || passed.Load() < 2000 {
		t.Errorf("%d passed in %v", passed.Load(), time.Since(began))
	}
	r.ask(talks.platform, talks.phone, talks.platform.Request("INFO"))
	phone.Handle(nil)
	time.Sleep(time.Second)
	r.bye(floods.phone, floods.platform)
	r.bye(talks.platform, talks.phone)
}
