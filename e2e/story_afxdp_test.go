package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestAFXDP: on a machine with interfaces of its own, calls of phones that make many go past the sockets, both ways and on both sides, and nothing of them is lost when the kernel
// forgets the neighbours, or when the edge is killed and started again. A phone that says little is served beside them.
func TestAFXDP(t *testing.T) {
	if !inRealWorld(t) {
		return
	}
	w := newWorld(t)
	platform := w.host("platform", "inside", "10.77.0.10").platform("platform")
	serve(platform)
	edge := siptest.StartEdge(t, siptest.Outlets{Outside: worldOutside, Inside: worldInside, Upstream: []string{"sip:" + platform.Addr.String()}},
		siptest.Keys{"checks": busy["checks"], "af_xdp": "{interfaces: [outside, inside]}"})
	var phones []*siptest.UA
	for i := range 3 {
		h := w.host(fmt.Sprintf("office%d", i), "outside", fmt.Sprintf("203.0.113.%d", 20+i))
		phones = append(phones, h.phone(fmt.Sprintf("office%d", i), "udp", edge.Outside))
	}
	quiet := w.host("home", "outside", "203.0.113.30").phone("home", "udp", edge.Outside)

	partners := func() float64 { return edge.Counter("ringwall_af_xdp_partners", "") }
	frames := func() float64 { return edge.Counter("ringwall_transport_frames_in_total", "") }
	var l load
	calling := func() (stop func()) {
		end := make(chan struct{})
		for _, p := range phones {
			l.start(p, 1<<30, 2*time.Millisecond, end)
		}
		return func() {
			close(end)
			l.running.Wait()
		}
	}
	busyAgain := func(when string) {
		t.Helper()
		before := frames()
		if !siptest.Eventually(func() bool { return partners() >= 4 && frames() > before+200 }) {
			t.Fatalf("%s: %v partners, %v frames more", when, partners(), frames()-before)
		}
	}
	stop := calling()
	busyAgain("at first")
	for range 5 {
		if !complete(quiet) {
			t.Error("a phone that says little is not served")
		}
	}
	w.run("ip neigh flush dev outside")
	w.run("ip neigh flush dev inside")
	busyAgain("after the neighbours were forgotten")
	stop()
	in, out := frames(), edge.Counter("ringwall_transport_frames_out_total", "")
	if out < 300 {
		t.Errorf("%v datagrams went past the sockets, while %v came so", out, in)
	}
	edge.Kill()
	edge.Start()
	stop = calling()
	busyAgain("after a kill -9")
	stop()
	if bad := edge.Counter("ringwall_transport_frames_bad_total", ""); l.failed.Load() > 0 || bad > 0 {
		t.Errorf("%d calls failed, %v bad frames", l.failed.Load(), bad)
	}
	t.Logf("%d calls, %v datagrams came past the sockets before the kill", l.complete.Load(), in)
}
