package e2e

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestRotate: keys rotate while calls are made and one of each side's is up. No call is lost, and the calls that are up keep their
// Call-ID outside.
func TestRotate(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, siptest.Keys{"topology": "{hide: true, guard: log}", "checks": busy["checks"]})
	reg := siptest.NewRegistrar(r.platform, nil)
	phone := r.phone("alice")
	contact := r.register(reg, phone)
	in, out := r.callIn(contact, phone), r.call(r.phone("carol"))
	known := in.phone.CallID
	if known == in.platform.CallID || len(known) < 20 {
		t.Fatalf("outside knows the call by %q, inside by %q", known, in.platform.CallID)
	}
	serve(r.platform)
	stop := make(chan struct{})
	var l load
	for i := range 4 {
		l.start(r.phone(fmt.Sprint("caller", i)), 1000, 20*time.Millisecond, stop)
	}
	for i := range 4 {
		key := r.rotate()
		if want := string(rune('b' + i)); key != want {
			t.Errorf("rotation %d: key %q, want %q", i, key, want)
		}
		time.Sleep(100 * time.Millisecond)
	}
	close(stop)
	l.running.Wait()
	t.Logf("%d calls complete, %d failed", l.complete.Load(), l.failed.Load())
	if l.failed.Load() > 0 || l.complete.Load() == 0 {
		t.Error("calls are lost")
	}
	in.platform.Send("INFO")
	info := phone.Expect("INFO")
	if id := info.Get("Call-ID"); id != known {
		t.Errorf("after the rotation outside knows the call by %q, not %q", id, known)
	}
	phone.Reply(info, 200)
	in.phone.Send("BYE")
	phone.Expect("200 BYE")
	out.phone.Send("BYE")
	out.phone.UA.Expect("200 BYE")
}

// rotate is `ringwall topology rotate`.
func (r *rig) rotate() string {
	r.Helper()
	out, err := exec.Command(siptest.Binary(r.T), "topology", "rotate", "--state", r.edge.State).CombinedOutput()
	if err != nil {
		r.Fatalf("%v: %s", err, out)
	}
	return between(string(out), "key ", " seals from now on; ")
}
