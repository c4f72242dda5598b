package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestRestart: kill -9 under load and a new start with the same files. Calls that are up can be ended from both sides,
// registered phones are reachable at once, without a refresh (UDP).
func TestRestart(t *testing.T) { restart(t, 5, 2, 4) }

// restart runs the story with this many callers, each making rate calls/s, and phones that are registered and in a call.
func restart(t *testing.T, callers, rate, phones int) {
	r := newRig(t, udp, busy)
	story := r.second(phones)
	stop := make(chan struct{})
	var l load
	for i := range callers {
		l.start(r.phone(fmt.Sprint("caller", i)), 1<<20, time.Second/time.Duration(rate), stop)
	}
	const loaded = 2 * time.Second // the journal may lose one second, and the disk may be slow
	time.Sleep(loaded)
	before := l.complete.Load()
	r.edge.Kill()
	time.Sleep(100 * time.Millisecond)
	r.edge.Start()
	restarted := time.Now()
	for _, s := range story {
		s.reachable(r)
	}
	took := time.Since(restarted)
	for i, s := range story {
		if from, to := s.out.phone, s.out.platform; i%2 == 0 {
			s.bye(r, from, to)
		} else {
			s.bye(r, to, from)
		}
		s.bye(r, s.in.phone, s.in.platform)
	}
	close(stop)
	l.running.Wait()
	t.Logf("%.0f calls/s before the kill; %d calls complete and %d lost around it; %d phones reached %v after the start",
		float64(before)/loaded.Seconds(), l.complete.Load(), l.failed.Load(), phones, took)
	if l.failed.Load() > int64(callers) {
		t.Errorf("%d calls failed: more than one of each caller", l.failed.Load())
	}
}

// A resident is a registered phone with a call that it made and one that it got. The platform end is a UA of its own, so
// that the platform itself can serve load by script.
type resident struct {
	phone   *siptest.UA
	contact string
	out, in *call
	desk    *siptest.UA
}

// second makes phones residents and then lets the platform serve load.
func (r *rig) second(phones int) (all []*resident) {
	r.Helper()
	reg := siptest.NewRegistrar(r.platform, nil)
	for i := range phones {
		phone := r.phone(fmt.Sprint("resident", i))
		s := &resident{phone: phone, contact: r.register(reg, phone), desk: r.platform}
		s.out, s.in = r.call(phone), r.callIn(s.contact, phone)
		all = append(all, s)
	}
	story := map[string]bool{}
	for _, s := range all {
		story[s.out.phone.CallID], story[s.in.phone.CallID] = true, true
	}
	r.platform.Handle(func(m *siptest.Received) bool {
		switch {
		case m.Method() == "" || story[m.Get("Call-ID")]:
			return false
		case m.Method() == "ACK":
		default:
			r.platform.Reply(m, 200)
		}
		return true
	})
	return all
}

// reachable lets the platform call the phone, which answers.
func (s *resident) reachable(r *rig) {
	r.Helper()
	sent := r.platform.Send(r.platform.Request("INVITE", s.contact))
	got := s.phone.Expect("INVITE")
	s.phone.Reply(got, 486)
	final := r.platform.WaitIn(sent.Get("Call-ID"), "486", siptest.Deadline)
	if final == nil {
		r.Fatal("no answer came back from a registered phone after the restart")
	}
	r.platform.Send(siptest.AckOf(sent, final))
}

// bye ends a call that was made before the restart.
func (s *resident) bye(r *rig, from, to *siptest.Dialog) {
	r.Helper()
	from.Send("BYE")
	got := to.UA.WaitIn(from.CallID, "BYE", siptest.Deadline)
	if got == nil {
		r.Fatalf("no BYE from %s reached %s after the restart", from.UA.User, to.UA.User)
	}
	to.UA.Reply(got, 200)
	if from.UA.WaitIn(from.CallID, "200 BYE", siptest.Deadline) == nil {
		r.Fatalf("%s got no 200 to its BYE", from.UA.User)
	}
}
