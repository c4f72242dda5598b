package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// ends is how an upstream ends: so that the network says so, or so that it falls silent.
var ends = []struct {
	name      string
	end, rise func(*siptest.UA)
}{
	{"gone", (*siptest.UA).Close, (*siptest.UA).Reopen},
	{"silent", func(ua *siptest.UA) { ua.Mute(true) }, func(ua *siptest.UA) { ua.Mute(false) }},
}

// TestFailover ends one of two upstreams under calls: every INVITE is answered all the same, and every call that the living one has
// is complete. How long the slowest INVITE took is logged.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		for _, how := range ends {
			t.Run(w.in+" "+how.name, func(t *testing.T) {
				t.Parallel()
				failover(t, w.in, 10, 4*time.Second, how.end)
			})
		}
	}
}

// TestSlowFailover does it at 100 calls a second, and wants every INVITE answered within 2 s.
func TestSlowFailover(t *testing.T) {
	slow(t)
	for _, w := range both {
		for _, how := range ends {
			t.Run(w.in+" "+how.name, func(t *testing.T) {
				if slowest := failover(t, w.in, 25, 20*time.Second, how.end); slowest >= 2*time.Second {
					t.Errorf("an INVITE was answered after %v", slowest)
				}
			})
		}
	}
}

// failover lets callers phones make four calls a second each for a while, ends an upstream when a quarter is over, and returns how
// long the slowest INVITE took from then on.
func failover(t *testing.T, inside string, callers int, last time.Duration, end func(*siptest.UA)) time.Duration {
	p := newPool(t, inside)
	p.callers(t, callers, last)
	time.Sleep(last / 4)
	p.ended.Store(time.Now().UnixNano())
	end(p.first)
	p.running.Wait()
	p.report(t)
	if len(p.took) == 0 {
		t.Fatal("no INVITE after the end")
	}
	return p.took[len(p.took)-1]
}

// TestSlowFlapping lets an upstream come and go every 3 s for 90 s under 20 calls a second. It is taken out once and comes back once in
// 30 s at most, every INVITE is answered, and no call is lost that the steady one has.
func TestSlowFlapping(t *testing.T) {
	slow(t)
	for _, how := range ends {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			const flap, last = 3 * time.Second, 90 * time.Second
			p := newPool(t, "udp")
			p.callers(t, 5, last)
			p.ended.Store(time.Now().UnixNano())
			for range last / flap / 2 {
				how.end(p.first)
				time.Sleep(flap)
				how.rise(p.first)
				time.Sleep(flap)
			}
			p.running.Wait()
			p.report(t)
			if downs := p.downs(t, 30*time.Second); downs == 0 && how.name == "gone" { // 3 s of silence are too short to tell
				t.Error("it was never taken out")
			}
		})
	}
}

// downs counts how often the edge took an upstream out of the pool, as its log says, and wants that never twice within least.
func (p *pool) downs(t *testing.T, least time.Duration) (downs int) {
	t.Helper()
	var last time.Time
	for line := range strings.Lines(p.edge.Log()) {
		if !strings.Contains(line, "upstream sip:") {
			continue
		}
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "ts="), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			t.Fatalf("time of %q: %v", line, err)
		}
		t.Log(strings.TrimSpace(line))
		if !strings.Contains(line, " is down: ") {
			continue
		}
		if downs++; downs > 1 && at.Sub(last) < least {
			t.Errorf("down twice within %v", at.Sub(last))
		}
		last = at
	}
	return downs
}

// A pool is an edge with two upstreams of equal weight, and calls through it.
type pool struct {
	edge          *siptest.Edge
	first, second *siptest.UA
	running       sync.WaitGroup
	ended         atomic.Int64 // when the first was, in Unix nanoseconds
	astray        atomic.Int64 // requests in a call that came to the upstream that has it not

	mu       sync.Mutex
	took     []time.Duration // what INVITEs took that were answered after the end of the first
	complete int             // calls
	lost     int             // INVITEs that were not answered with 200
	broken   map[string]int  // calls whose BYE was not, by who had them
}

// newPool starts an edge that speaks the transport inside to its upstreams.
func newPool(t *testing.T, inside string) *pool {
	p := &pool{first: siptest.NewPlatform(t, inside, ""), second: siptest.NewPlatform(t, inside, ""), broken: map[string]int{}}
	p.first.User, p.second.User = "first", "second" // their tags begin with it
	for _, ua := range []*siptest.UA{p.first, p.second} {
		answer := serving(ua)
		ua.Handle(func(m *siptest.Received) bool {
			if tag := siptest.Tag(m.Get("To")); m.Method() != "" && tag != "" && !strings.HasPrefix(tag, ua.User+"-") {
				p.astray.Add(1)
			}
			return answer(m)
		})
	}
	uri := func(ua *siptest.UA) string { return fmt.Sprintf("sip:%v;transport=%s", ua.Addr, inside) }
	p.edge = siptest.StartEdge(t, siptest.Outlets{Upstream: []string{uri(p.first), uri(p.second)}}, busy)
	return p
}

// callers starts n phones that begin four calls a second each, whatever becomes of those before.
func (p *pool) callers(t *testing.T, n int, last time.Duration) {
	const pace = time.Second / 4
	for i := range n {
		phone := siptest.NewPhone(t, fmt.Sprint("caller", i), "udp", "", p.edge.Outside)
		p.running.Go(func() {
			time.Sleep(pace * time.Duration(i) / time.Duration(n)) // not all at once
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for range last / pace {
				p.running.Go(func() { p.call(phone) })
				<-tick.C
			}
		})
	}
}

// call makes a call, and notes what became of it.
func (p *pool) call(phone *siptest.UA) {
	began := time.Now()
	d := establish(phone)
	answered := time.Now()
	ok := d != nil && transact(phone, d.Request("BYE")) != nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if end := p.ended.Load(); end != 0 && answered.UnixNano() > end {
		p.took = append(p.took, answered.Sub(began))
	}
	switch {
	case d == nil:
		p.lost++
	case !ok:
		who, _, _ := strings.Cut(siptest.Tag(d.Remote), "-")
		p.broken[who]++
	default:
		p.complete++
	}
}

// report logs what became of the calls, and wants none lost but those that the first upstream had.
func (p *pool) report(t *testing.T) {
	t.Helper()
	slices.Sort(p.took)
	at := func(percent int) time.Duration {
		if len(p.took) == 0 {
			return 0
		}
		return p.took[(len(p.took)-1)*percent/100].Round(time.Millisecond / 10)
	}
	t.Logf("%d calls complete, %d INVITEs lost, calls that were not ended: %v; of %d INVITEs answered after the end p50 %v, p99 %v, p100 %v",
		p.complete, p.lost, p.broken, len(p.took), at(50), at(99), at(100))
	if n := p.astray.Load(); n > 0 {
		t.Errorf("%d requests in calls came to the other upstream", n)
	}
	if p.lost > 0 || p.broken["second"] > 0 {
		t.Errorf("%d INVITEs and %d calls of the living upstream lost\n%s", p.lost, p.broken["second"], p.edge.Log())
	}
}
