package e2e

import (
	"time"

	"github.com/ringwall/ringwall/siptest"
)

func p15(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	phone.Expect("100 INVITE")
	phone.Send(siptest.CancelOf(sent))
	phone.Expect("200 CANCEL")
	r.platform.Silence(hush, "CANCEL")
	r.platform.Reply(got, 100)
	r.cancelled(phone, sent, got)
}

// cancelled lets the platform get its CANCEL and end the INVITE with 487.
func (r *rig) cancelled(phone *siptest.UA, sent *siptest.Message, got *siptest.Received) {
	r.Helper()
	cancel := r.platform.Expect("CANCEL")
	if siptest.Branch(cancel.Message) != siptest.Branch(got.Message) || cancel.RequestURI() != got.RequestURI() ||
		len(cancel.All("Via")) != 1 || cancel.Get("To") != got.Get("To") {
		r.Errorf("CANCEL does not belong to the INVITE:\n%s\n%s", got.Raw, cancel.Raw)
	}
	r.platform.Reply(cancel, 200)
	r.platform.Reply(got, 487)
	r.platform.Expect("ACK")
	phone.Send(siptest.AckOf(sent, phone.Expect("487 INVITE")))
}

func p16(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	phone.Send(siptest.CancelOf(sent))
	phone.Expect("200 CANCEL") // at once: before the platform says anything
	r.cancelled(phone, sent, got)
	r.platform.Silence(hush)
}

func p17(r *rig) {
	phone := r.phone("alice")
	c := r.call(phone)
	phone.Send(siptest.CancelOf(c.sent))
	phone.Expect("200 CANCEL")
	r.platform.Silence(hush, "CANCEL")
	r.bye(c.phone, c.platform)
}

func p18(r *rig) {
	phone := r.phone("alice")
	cancel := siptest.CancelOf(phone.Request("INVITE", "sip:bob@example.com"))
	phone.Send(cancel)
	if r.stream() {
		phone.Expect("481 CANCEL")
	} else {
		phone.Silence(hush)
	}
	r.platform.Silence(hush, "CANCEL")
}

// P19: from another address refused, from another port or connection of the same address obeyed.
func p19(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	stranger := r.phone("mallory")
	stranger.Send(siptest.CancelOf(sent))
	r.platform.Silence(hush, "CANCEL")
	if stranger.Wait("200", hush/2) != nil {
		r.Error("a CANCEL from another address was taken")
	}
	moved := siptest.NewPhone(r.T, "alice", r.way.out, phone.Addr.Addr().String(), r.edge.Outside)
	moved.Send(siptest.CancelOf(sent))
	moved.Expect("200 CANCEL")
	r.cancelled(phone, sent, got)
}

// P20: Timer C is 1 s here, 101 to 199 start it anew, 100 doesn't.
func p20(r *rig) {
	r.timerCAnswered()
	r.timerCUnanswered()
}

func (r *rig) timerCAnswered() {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	rang := time.Now()
	r.platform.Reply(got, 180)
	time.Sleep(300 * time.Millisecond)
	reset := time.Now()
	r.platform.Reply(got, 183)
	time.Sleep(300 * time.Millisecond)
	r.platform.Reply(got, 100)
	cancel := r.platform.Expect("CANCEL")
	if waited := cancel.At.Sub(reset); waited < 900*time.Millisecond && reset.Sub(rang) < 700*time.Millisecond { // on a busy machine the 183 may be too late
		r.Errorf("CANCEL %v after the last provisional, want about 1s", waited)
	}
	r.platform.Reply(cancel, 200)
	r.platform.Reply(got, 487)
	phone.Send(siptest.AckOf(sent, phone.Expect("487 INVITE")))
}

func (r *rig) timerCUnanswered() {
	phone := r.phone("carol")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	r.platform.Expect("CANCEL")
	phone.Send(siptest.AckOf(sent, phone.Expect("408 INVITE")))
}

// P21: an upstream that is silent, then one that is gone.
func p21(r *rig) {
	phone := r.phone("alice")
	sent, _ := r.invite(phone)
	phone.Send(siptest.AckOf(sent, phone.Expect("408 INVITE"))) // Timer B
	r.platform.Flush()
	began := time.Now()
	register := phone.Send(phone.Register())
	r.platform.Expect("REGISTER")
	if got := phone.WaitIn(register.Get("Call-ID"), "100", 10*time.Second); got == nil || got.At.Sub(began) < 140*time.Millisecond {
		r.Errorf("100 when Timer E is at T2 (RFC 4320 §4.1): %v", got)
	}
	for time.Since(began) < 1500*time.Millisecond { // past Timer F, 1.28 s (RFC 4320 §4.2)
		if got := phone.WaitIn(register.Get("Call-ID"), "", 100*time.Millisecond); got != nil {
			r.Errorf("reply to a timed-out non-INVITE:\n%s", got.Raw)
		}
	}
	r.platform.Close()
	gone := r.phone("carol")
	sent = gone.Send(gone.Request("INVITE", "sip:bob@example.com"))
	final := gone.Expect("final")
	gone.Send(siptest.AckOf(sent, final))
	if s := final.Status(); s != 408 && s != 500 && s != 503 {
		r.Errorf("%d with the upstream gone", s)
	}
}

// P22 with one upstream: its 503 is not passed on as it is (RFC 3261 §16.7 step 6).
func p22(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 503, siptest.With("Retry-After", "7"))
	final := phone.Expect("503 INVITE")
	if final.Get("Retry-After") == "" {
		r.Errorf("503 without Retry-After:\n%s", final.Raw)
	}
	phone.Send(siptest.AckOf(sent, final))
	sent, got = r.invite(phone)
	r.platform.Reply(got, 503)
	phone.Send(siptest.AckOf(sent, phone.Expect("500 INVITE")))
}
