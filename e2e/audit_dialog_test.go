package e2e

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// audited are the ways that the audit's rows want, TLS and WebSocket with the platform on UDP.
var audited = []way{udp, tcp, secures[0], webs[0]}

// auditedWay runs a story over each of them.
func auditedWay(t *testing.T, keys siptest.Keys, story func(*rig)) {
	for _, w := range audited {
		t.Run(w.name, func(t *testing.T) { t.Parallel(); story(newRig(t, w, keys)) })
	}
}

// TestF12 is row F12 of the audit: who knows a call's Call-ID, and even its tags, can't end or move it without its token, from wherever.
// The token is bound to the Call-ID and to the caller's tag: the callee's is not known yet when it is made. So a wrong one of those
// reaches the platform, whose 481 comes back.
func TestF12(t *testing.T) {
	t.Parallel()
	auditedWay(t, nil, func(r *rig) {
		phone, stranger := r.phone("alice"), r.phone("mallory")
		c := r.call(phone)
		for _, from := range []*siptest.UA{phone, stranger} {
			for _, method := range []string{"BYE", "INVITE"} {
				for _, bad := range unentitled(c.phone, from) {
					r.unknownDialog(from, bad.Request(method))
				}
				wrong := heldBy(c.phone, from).WithTag("wrong")
				sent := from.Send(wrong.Request(method))
				r.platform.Reply(r.platform.Expect(method), 481)
				final := from.Expect("481 " + method)
				if method == "INVITE" {
					from.Send(siptest.AckOf(sent, final))
					r.platform.Expect("ACK") // the edge's own
				}
			}
			r.stray(from, unentitled(c.phone, from)[0].Request("ACK"))
			r.uncancelled(from, heldBy(c.phone, from).Request("CANCEL")) // a token makes it no better
		}
		r.reinvite(c.platform, c.phone)
		r.reinvite(c.phone, c.platform)

		moved := heldBy(c.phone, r.phone("alice"))
		r.ask(moved, c.platform, moved.Request("INFO"))
		r.reinvite(moved, c.platform)
		r.bye(moved, c.platform)
		r.cancelForged(phone, stranger)
	})
}

// heldBy is the dialog d in the hands of another user agent.
func heldBy(d *siptest.Dialog, ua *siptest.UA) *siptest.Dialog {
	c := *d
	c.UA = ua
	return &c
}

// unentitled are dialogs like d in the hands of another user agent that lack what d has: all Routes, the token in it, a true one, the
// caller's tag.
func unentitled(d *siptest.Dialog, ua *siptest.UA) []*siptest.Dialog {
	bare, nameless, tagged := heldBy(d, ua), heldBy(d, ua), heldBy(d, ua)
	bare.Routes = nil
	nameless.Routes = []string{strings.Replace(d.Routes[0], siptest.User(siptest.URI(d.Routes[0]))+"@", "", 1)}
	local, _, _ := strings.Cut(d.Local, ";tag=")
	tagged.Local = local + ";tag=wrong"
	return []*siptest.Dialog{bare, nameless, altered(heldBy(d, ua)), tagged}
}

// uncancelled sends a CANCEL that must cancel nothing.
func (r *rig) uncancelled(from *siptest.UA, cancel *siptest.Message) {
	r.Helper()
	from.SendTo(r.edge.Outside, r.way.out, cancel.String())
	if r.stream() {
		from.Expect("481 CANCEL")
	} else {
		from.Silence(hush)
	}
	r.platform.Silence(hush/2, "CANCEL")
}

// cancelForged: a call rings while CANCELs come with its Call-ID and tags, but from another address or of another transaction.
func (r *rig) cancelForged(phone, stranger *siptest.UA) {
	r.Helper()
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	other := sent.Clone().Set("Via", phone.Request("INVITE", "sip:x@y").Get("Via"))
	phone.Flush()
	r.uncancelled(phone, siptest.CancelOf(other))
	r.uncancelled(stranger, siptest.CancelOf(sent))
	r.uncancelled(stranger, siptest.CancelOf(other))
	c := r.answer(phone, sent, got)
	r.reinvite(c.platform, c.phone)
	r.bye(c.phone, c.platform)
}

// TestF13 is row F13 of the audit. RFC 3261 §8.2.2.2 lets a UAS refuse a merged request with 482; a proxy has no say in it. So the edge
// relays one, in a transaction of its own (P67), and the platform's 482 goes back to that one alone.
func TestF13(t *testing.T) {
	t.Parallel()
	auditedWay(t, nil, func(r *rig) {
		phone, other := r.phone("alice"), r.phone("carol")
		sent, got := r.invite(phone)
		merged := sent.Clone().Set("Via", phone.Request("INVITE", "sip:x@y").Get("Via"))
		phone.Send(merged)
		second := r.platform.Expect("INVITE")
		if siptest.Branch(second.Message) == siptest.Branch(got.Message) {
			r.Error("a merged request came with the first one's branch")
		}
		r.platform.Reply(second, 482)
		final := phone.Expect("482 INVITE")
		if siptest.Branch(final.Message) != siptest.Branch(merged) {
			r.Errorf("the 482 is for %s, not for the merged request %s", siptest.Branch(final.Message), siptest.Branch(merged))
		}
		phone.Send(siptest.AckOf(merged, final))
		r.platform.Expect("ACK")
		calls := []*call{r.answer(phone, sent, got)}

		// More calls with its Call-ID, and with the same tag of the callee: of the same phone, and of another one.
		for _, caller := range []*siptest.UA{phone, other} {
			sent, got := r.invite(caller, set("Call-ID", sent.Get("Call-ID")))
			calls = append(calls, r.answer(caller, sent, got))
		}
		for len(calls) > 0 {
			for _, c := range calls {
				r.same(r.ask(c.phone, c.platform, c.phone.Request("INFO")), c)
				r.same(r.ask(c.platform, c.phone, c.platform.Request("INFO")), c)
			}
			if one := calls[0]; len(calls) == 2 {
				r.bye(one.platform, one.phone)
			} else {
				r.bye(one.phone, one.platform)
			}
			calls = calls[1:]
		}
	})
}

// same wants got to be of c, by the caller's tag.
func (r *rig) same(got *siptest.Received, c *call) {
	r.Helper()
	want := siptest.Tag(c.sent.Get("From"))
	if siptest.Tag(got.Get("From")) != want && siptest.Tag(got.Get("To")) != want {
		r.Errorf("%s of another call: From %s, To %s, want the tag %s", got.Method(), got.Get("From"), got.Get("To"), want)
	}
}

// TestF17 is row F17 of the audit without media, and P20 over all ways: Timer C is 1 s here. Who rings for ever gets a CANCEL, and who
// waits for it gets the 487 of that, or 408 when none comes.
func TestF17(t *testing.T) {
	t.Parallel()
	auditedWay(t, fast, func(r *rig) {
		r.timerCAnswered()

		phone, contact := r.registered("dave")
		sent := r.platform.Send(r.platform.Request("INVITE", contact))
		got := phone.Expect("INVITE")
		phone.Reply(got, 180)
		r.platform.Expect("180 INVITE")
		cancel := phone.Expect("CANCEL")
		if siptest.Branch(cancel.Message) != siptest.Branch(got.Message) {
			r.Errorf("CANCEL does not belong to the INVITE:\n%s\n%s", got.Raw, cancel.Raw)
		}
		phone.Reply(cancel, 200)
		r.platform.Send(siptest.AckOf(sent, r.platform.Expect("408 INVITE")))

		r.timerCUnanswered()
	})
}
