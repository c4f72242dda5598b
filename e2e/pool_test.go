package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestFailover ends one of two upstreams under calls, once so that the network says so and once so that it falls silent: every
// call that begins afterwards completes. The slowest answer is logged where it takes more than 2 s; only more than 4 s fails, for the
// machine may be busy.
func TestFailover(t *testing.T) { failover(t, 10, 5, 15) }

// TestSlowFailover does it at 100 calls a second.
func TestSlowFailover(t *testing.T) {
	slow(t)
	failover(t, 25, 4, 60)
}

func failover(t *testing.T, callers, rate, calls int) {
	for _, how := range []struct {
		name string
		end  func(*siptest.UA)
	}{
		{"gone", (*siptest.UA).Close},
		{"silent", func(ua *siptest.UA) { ua.Handle(func(*siptest.Received) bool { return true }) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			p := newPool(t)
			p.callers(t, callers, rate, calls)
			time.Sleep(time.Duration(calls/rate) * time.Second / 3)
			p.ended.Store(true)
			how.end(p.first)
			p.running.Wait()
			if p.failed.Load() > 0 || p.after.Load() == 0 {
				t.Errorf("%d calls that the living upstream should have had failed; %d began after the end of the other\n%s",
					p.failed.Load(), p.after.Load(), p.edge.Log())
			}
			if slowest := time.Duration(p.slowest.Load()); slowest > 2*time.Second {
				t.Logf("the slowest call was answered after %v", slowest)
				if !testing.Short() && slowest > 4*time.Second {
					t.Error("more than twice of what a silent upstream may cost")
				}
			}
		})
	}
}

// A pool is an edge with two upstreams of equal weight, and calls through it.
type pool struct {
	edge          *siptest.Edge
	first, second *siptest.UA
	running       sync.WaitGroup
	ended         atomic.Bool // the first is
	after, failed atomic.Int64
	slowest       atomic.Int64
}

func newPool(t *testing.T) *pool {
	p := &pool{first: siptest.NewPlatform(t, "udp", ""), second: siptest.NewPlatform(t, "udp", "")}
	serve(p.first)
	serve(p.second)
	p.edge = siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + p.first.Addr.String(), "sip:" + p.second.Addr.String()}}, nil)
	return p
}

// callers starts n phones that make rate calls a second each, calls in all.
func (p *pool) callers(t *testing.T, n, rate, calls int) {
	for i := range n {
		phone := siptest.NewPhone(t, fmt.Sprint("caller", i), "udp", "", p.edge.Outside)
		p.running.Go(func() {
			pace := time.NewTicker(time.Second / time.Duration(rate))
			defer pace.Stop()
			for range calls {
				p.call(phone)
				<-pace.C
			}
		})
	}
}

func (p *pool) call(phone *siptest.UA) {
	after := p.ended.Load()
	began := time.Now()
	d := establish(phone)
	if took := int64(time.Since(began)); after && took > p.slowest.Load() {
		p.slowest.Store(took)
	}
	if after {
		p.after.Add(1)
	}
	switch {
	case d == nil && after:
		p.failed.Add(1)
	case d != nil && transact(phone, d.Request("BYE")) == nil && after:
		p.failed.Add(1)
	}
}
