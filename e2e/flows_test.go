package e2e

import (
	"slices"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// flows are what phones and platforms do with each other, each run over every mix of transports and address families.
var flows = []struct {
	name string
	run  func(*rig)
}{
	{"INVITE from outside, BYE from each side", p5},
	{"INVITE from inside, BYE from each side", inbound},
	{"re-INVITE from each side", reinvites},
	{"UPDATE before and after the answer", update},
	{"PRACK", p45},
	{"delayed offer", delayedOffer},
	{"CANCEL crosses 200", cancelCrosses200},
	{"CANCEL crosses 486", cancelCrosses486},
	{"CANCEL from inside", cancelInside},
	{"forks inside", p35},
	{"MESSAGE without a dialog", message},
	{"SUBSCRIBE and NOTIFY", subscribe},
	{"REGISTER refreshed from elsewhere", p64},
}

// TestFlows runs every flow every way, each with an edge of its own.
func TestFlows(t *testing.T) {
	t.Parallel()
	for _, w := range slices.Concat(both, mixes, sixes, across) {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for _, one := range flows {
				t.Run(one.name, func(t *testing.T) {
					t.Parallel()
					one.run(newRig(t, w, nil))
				})
			}
		})
	}
}

// registered is a phone with the Contact that the platform has for it.
func (r *rig) registered(user string) (*siptest.UA, string) {
	r.Helper()
	phone := r.phone(user)
	return phone, r.register(siptest.NewRegistrar(r.platform, nil), phone)
}

func inbound(r *rig) {
	phone, contact := r.registered("alice")
	c := r.callIn(contact, phone)
	r.bye(c.platform, c.phone)
	c = r.callIn(contact, phone)
	r.bye(c.phone, c.platform)
}

// reinvites: hold and resume from each side, and one refused with 491, whose ACK is hop by hop.
func reinvites(r *rig) {
	phone, contact := r.registered("alice")
	for _, c := range []*call{r.call(phone), r.callIn(contact, phone)} {
		for _, ends := range [][2]*siptest.Dialog{{c.phone, c.platform}, {c.platform, c.phone}} {
			from, to := ends[0], ends[1]
			r.reinvite(from, to)
			sent := from.Send("INVITE")
			got := to.UA.Expect("INVITE")
			to.UA.Reply(got, 491)
			from.UA.Send(siptest.AckOf(sent, from.UA.Expect("491")))
			ack := to.UA.Expect("ACK")
			if siptest.Branch(ack.Message) != siptest.Branch(got.Message) {
				r.Errorf("ACK of 491 with another branch:\n%s", ack.Raw)
			}
			r.reinvite(from, to)
		}
		r.bye(c.phone, c.platform)
	}
}

// update changes an early dialog from each side and then the confirmed one.
func update(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	early := r.platform.Reply(got, 183)
	a, b := phone.NewCallerDialog(sent, phone.Expect("183")), r.platform.NewCalleeDialog(got, early)
	r.updates(a, b)
	r.platform.Reply(got, 200)
	phone.Expect("200 INVITE")
	ack := a.Request("ACK").Set("CSeq", "1 ACK")
	phone.Send(ack)
	r.platform.Expect("ACK")
	r.updates(a, b)
	r.bye(b, a)
}

func (r *rig) updates(a, b *siptest.Dialog) {
	r.Helper()
	r.ask(a, b, a.Request("UPDATE").WithBody("application/sdp", siptest.SDP))
	r.ask(b, a, b.Request("UPDATE").WithBody("application/sdp", siptest.SDP))
}

// delayedOffer: the 200 offers, the ACK answers.
func delayedOffer(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone, func(m *siptest.Message) { m.Del("Content-Type").Body = "" })
	if got.Body != "" || got.Count("Content-Type") != 0 {
		r.Errorf("a body came from nowhere:\n%s", got.Raw)
	}
	r.platform.Reply(got, 200)
	ok := phone.Expect("200")
	if !r.relayed && ok.Body != siptest.SDP {
		r.Errorf("the offer changed:\n%s", ok.Raw)
	}
	ack := phone.NewCallerDialog(sent, ok).Request("ACK").WithBody("application/sdp", siptest.SDP)
	phone.Send(ack)
	if got := r.platform.Expect("ACK"); !r.relayed && got.Body != ack.Body || got.Get("Content-Type") != "application/sdp" {
		r.Errorf("the answer changed:\n%s", got.Raw)
	}
}

// cancelCrosses200: the platform answers before the CANCEL reaches it; the caller has a call, and ends it.
func cancelCrosses200(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	phone.Send(siptest.CancelOf(sent))
	phone.Expect("200 CANCEL")
	cancel := r.platform.Expect("CANCEL")
	answer := r.platform.Reply(got, 200)
	r.platform.Reply(cancel, 200)
	d := phone.NewCallerDialog(sent, phone.Expect("200 INVITE"))
	d.Send("ACK")
	r.platform.Expect("ACK")
	r.bye(d, r.platform.NewCalleeDialog(got, answer))
	phone.Silence(hush, "487", "200 CANCEL")
}

// cancelCrosses486: the same with a refusal; the CANCEL itself comes too late and gets 200 from the edge, 481 inside.
func cancelCrosses486(r *rig) {
	phone := r.phone("alice")
	sent, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	phone.Send(siptest.CancelOf(sent))
	cancel := r.platform.Expect("CANCEL")
	r.platform.Reply(got, 486)
	r.platform.Reply(cancel, 481)
	phone.Expect("200 CANCEL")
	phone.Send(siptest.AckOf(sent, phone.Expect("486")))
	r.platform.Expect("ACK")
	phone.Silence(hush, "487", "481")
}

// cancelInside: the platform gives up on a ringing phone.
func cancelInside(r *rig) {
	phone, contact := r.registered("alice")
	sent := r.platform.Send(r.platform.Request("INVITE", contact))
	got := phone.Expect("INVITE")
	r.platform.Expect("100")
	phone.Reply(got, 180)
	r.platform.Expect("180")
	r.platform.Send(siptest.CancelOf(sent))
	r.platform.Expect("200 CANCEL")
	cancel := phone.Expect("CANCEL")
	if siptest.Branch(cancel.Message) != siptest.Branch(got.Message) || cancel.RequestURI() != got.RequestURI() {
		r.Errorf("CANCEL does not belong to the INVITE:\n%s\n%s", got.Raw, cancel.Raw)
	}
	phone.Reply(cancel, 200)
	phone.Reply(got, 487)
	phone.Expect("ACK")
	r.platform.Send(siptest.AckOf(sent, r.platform.Expect("487")))
}

// message: a registered phone may begin with any method, and so may the platform.
func message(r *rig) {
	phone, contact := r.registered("alice")
	m := phone.Send(phone.Request("MESSAGE", "sip:bob@example.com").WithBody("text/plain", "hello\r\n"))
	got := r.platform.Expect("MESSAGE")
	if got.Body != m.Body || got.Count("Record-Route") != 0 {
		r.Errorf("MESSAGE at the platform:\n%s", got.Raw)
	}
	r.platform.Reply(got, 202)
	phone.Expect("202 MESSAGE")
	m = r.platform.Send(r.platform.Request("MESSAGE", contact).WithBody("text/plain", "hello yourself"))
	got = phone.Expect("MESSAGE")
	if got.Body != m.Body || got.RequestURI() != siptest.URI(phone.Contact()) {
		r.Errorf("MESSAGE at the phone:\n%s", got.Raw)
	}
	phone.Reply(got, 200)
	r.platform.Expect("200 MESSAGE")
}

// subscribe: the NOTIFY comes before the 200 to SUBSCRIBE (RFC 6665 §4.1.2.4), then a refresh and the end, both ways.
func subscribe(r *rig) {
	phone, contact := r.registered("alice")
	notify := func(d *siptest.Dialog, to *siptest.UA, state string) {
		r.Helper()
		d.UA.Send(d.Request("NOTIFY").Set("Event", "presence").Set("Subscription-State", state))
		to.Reply(to.Expect("NOTIFY"), 200)
		d.UA.Expect("200 NOTIFY")
	}
	for _, ends := range []struct {
		from, to *siptest.UA
		uri      string
	}{{phone, r.platform, "sip:bob@example.com"}, {r.platform, phone, contact}} {
		sent := ends.from.Send(ends.from.Request("SUBSCRIBE", ends.uri).Set("Event", "presence").Set("Expires", "600"))
		got := ends.to.Expect("SUBSCRIBE")
		notifier := ends.to.NewCalleeDialog(got, ends.to.Draft(got, 200))
		notify(notifier, ends.from, "active")
		ends.to.Reply(got, 200)
		subscriber := ends.from.NewCallerDialog(sent, ends.from.Expect("200 SUBSCRIBE"))
		refresh := subscriber.Request("SUBSCRIBE").Set("Event", "presence").Set("Expires", "0")
		r.ask(subscriber, notifier, refresh)
		notify(notifier, ends.from, "terminated")
	}
}
