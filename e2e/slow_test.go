package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestSlow lists what takes minutes: the waiting rows at the RFC's timer values, and the stories at full size.
func TestSlow(t *testing.T) {
	slow(t)
	t.Run("P20", func(t *testing.T) { t.Parallel(); timerC(newRig(t, udp, nil)) })
	t.Run("P21", func(t *testing.T) { t.Parallel(); timerB(newRig(t, udp, nil)) })
	t.Run("restart", func(t *testing.T) { restart(t, 10, 10, 20) })
	t.Run("leak", func(t *testing.T) { leak(t, 10000, 1000) })
	t.Run("calls", tenThousand)
}

// timerC: 180 and then nothing for Timer C, 185 s by default and more than 3 minutes by RFC 3261 §16.6 step 11.
func timerC(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	began := time.Now()
	cancel := r.platform.Wait("CANCEL", 200*time.Second)
	if waited := time.Since(began); cancel == nil || waited < 180*time.Second {
		r.Fatalf("CANCEL after %v: %v", waited, cancel)
	}
	r.platform.Reply(cancel, 200)
	r.platform.Reply(got, 487)
	phone.Send(siptest.AckOf(sent, phone.Expect("487")))
}

// timerB: an upstream that says nothing at all, 32 s.
func timerB(r *rig) {
	phone := r.phone("alice")
	sent, _ := r.invite(phone)
	began := time.Now()
	final := phone.Wait("408 INVITE", 40*time.Second)
	if waited := time.Since(began); final == nil || waited < 31*time.Second {
		r.Fatalf("408 after %v: %v", waited, final)
	}
	phone.Send(siptest.AckOf(sent, final))
	if n := r.platform.Got("INVITE"); n != 7 {
		r.Errorf("the INVITE was sent %d times, want 7 (Timer A, RFC 3261 §17.1.1.2)", n)
	}
}

// tenThousand: 10,000 calls through four workers, each complete. With RINGWALL_RACE=1 under the race detector.
func tenThousand(t *testing.T) {
	platform := siptest.NewPlatform(t, "udp", "")
	serve(platform)
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + platform.Addr.String()}, Env: []string{"GOMAXPROCS=4"}}, busy)
	var l load
	for i := range 20 {
		l.start(siptest.NewPhone(t, fmt.Sprint("caller", i), "udp", "", e.Outside), 500, 0, nil)
	}
	l.running.Wait()
	if l.complete.Load() != 10000 {
		t.Errorf("%d of 10,000 calls complete", l.complete.Load())
	}
}
