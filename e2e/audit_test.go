package e2e

import (
	"fmt"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// TestF15 is row F15 of the audit: what a dialog and a transaction need is there before the message leaves that makes others ask for it.
func TestF15(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		// INVITE and CANCEL in one breath: the CANCEL finds its INVITE, and waits for a provisional response (RFC 3261 §9.1).
		phone := r.phone("alice")
		sent := phone.Request("INVITE", "sip:bob@example.com")
		phone.SendTo(r.edge.Outside, r.way.out, sent.String())
		phone.SendTo(r.edge.Outside, r.way.out, siptest.CancelOf(sent).String())
		phone.Expect("200 CANCEL")
		got := r.platform.Expect("INVITE")
		r.platform.Silence(hush, "CANCEL")
		r.platform.Reply(got, 180)
		r.cancelled(phone, sent, got)

		// The callee hangs up in the same breath in which it answers.
		_, got = r.invite(phone)
		answer := r.platform.Reply(got, 200)
		callee := r.platform.NewCalleeDialog(got, answer)
		bye := callee.Send("BYE")
		phone.Expect("200 INVITE")
		phone.Reply(phone.Expect("BYE"), 200)
		if r.platform.WaitIn(bye.Get("Call-ID"), "200 BYE", siptest.Deadline) == nil {
			r.Error("the callee's BYE is not answered")
		}

		// And a caller whose CANCEL crosses the 200 has a call, which it can end.
		sent, got = r.invite(phone)
		answer = r.platform.Reply(got, 200)
		phone.Send(siptest.CancelOf(sent))
		caller := phone.NewCallerDialog(sent, phone.Expect("200 INVITE"))
		phone.Expect("200 CANCEL")
		caller.Send("ACK")
		r.bye(caller, r.platform.NewCalleeDialog(got, answer))
	})
}

// TestF16 is row F16 of the audit.
func TestF16(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.in, func(t *testing.T) {
			t.Parallel()
			first, second := siptest.NewPlatform(t, w.in, ""), siptest.NewPlatform(t, w.in, "")
			uri := func(ua *siptest.UA) string { return fmt.Sprintf("sip:%v;transport=%s", ua.Addr, w.in) }
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{uri(first), uri(second)}},
				siptest.Keys{"upstreams": fmt.Sprintf("[{uri: %q, priority: 1}, {uri: %q, priority: 2}]", uri(first), uri(second))})
			phone := siptest.NewPhone(t, "alice", "udp", "", e.Outside)
			invite := func() (*siptest.Message, *siptest.Received) {
				sent := phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
				return sent, first.Expect("INVITE")
			}

			// A 6xx is an answer for all: nobody else is asked.
			sent, got := invite()
			first.Reply(got, 603)
			phone.Send(siptest.AckOf(sent, phone.Expect("603 INVITE")))
			second.Silence(hush, "INVITE")

			// What comes after the final response is none, a late 180 least of all.
			sent, got = invite()
			first.Reply(got, 486)
			phone.Send(siptest.AckOf(sent, phone.Expect("486 INVITE")))
			first.Expect("ACK")
			first.Reply(got, 180)
			phone.Silence(hush)

			// A silent one is given up within its part of the time: the second has the call within 2·T1, not after 32 s.
			sent, got = invite()
			moved := second.Expect("INVITE")
			second.Reply(moved, 180)
			phone.Expect("180")
			first.Reply(got, 180) // at last, and then it declines: both belong to nothing any more
			first.Reply(got, 603)
			answer := second.Reply(moved, 200)
			caller := phone.NewCallerDialog(sent, phone.Expect("200 INVITE"))
			phone.Silence(hush, "180", "603")
			caller.Send("ACK")
			callee := second.NewCalleeDialog(moved, answer)
			second.Expect("ACK")
			phone.Send(caller.Request("BYE"))
			second.Reply(callee.UA.Expect("BYE"), 200)
			phone.Expect("200 BYE")
		})
	}
}
