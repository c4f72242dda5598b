package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// transfers are transfers of calls that talk: afterwards those talk who are to, and nobody else hears them.
var transfers = []struct {
	name string
	run  func(*rig)
}{
	{"blind, by the phone", blindTransfer},
	{"blind, by the platform", blindTransferOut},
	{"attended, by the phone", attendedTransfer},
	{"attended, by the platform", attendedTransferOut},
}

// TestTransferMedia: the transfers with the platform hidden and media relayed, by ringwall itself and by rtpengine.
func TestTransferMedia(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "rtpengine")
	keys := map[string]siptest.Keys{"builtin": relaying, "rtpengine": engaging(newEngine(t))}
	for name, keys := range keys {
		for _, one := range transfers {
			t.Run(name+" "+one.name, func(t *testing.T) {
				t.Parallel()
				one.run(newRig(t, udp, concealed(keys)))
			})
		}
	}
}

// reached lets the platform call a phone with the description offer. It returns both ends and what each was told.
func (r *rig) reached(contact string, phone *siptest.UA, offer string, near *mouth, change ...func(*siptest.Message)) (a, b *siptest.Dialog, ok, got *siptest.Received) {
	r.Helper()
	m := r.platform.Request("INVITE", contact)
	for _, f := range append(change, with(offer)) {
		f(m)
	}
	r.platform.Send(m)
	got = phone.Expect("INVITE")
	answer := phone.Reply(got, 200, with(near.sdp()))
	ok = r.platform.Expect("200 INVITE")
	a, b = r.platform.NewCallerDialog(m, ok), phone.NewCalleeDialog(got, answer)
	a.Send("ACK")
	phone.Expect("ACK")
	return a, b, ok, got
}

// chatIn is a chat that the platform begins.
func (r *rig) chatIn(contact string, phone *siptest.UA) *chat {
	r.Helper()
	c := &chat{r: r, near: newMouth(phone, r.T), far: newMouth(r.platform, r.T)}
	a, b, ok, got := r.reached(contact, phone, c.far.sdp(), c.near)
	c.call = &call{phone: b, platform: a, got: got}
	c.toward, c.towardFar = wanted(r.T, ok.Body, 0), wanted(r.T, got.Body, 0)
	c.talk()
	return c
}

// talks wants what each of two phones says to come to the other.
func (r *rig) talks(a, b *mouth, aTo, bTo *siptest.Received) {
	r.Helper()
	for range 3 {
		a.say(wanted(r.T, aTo.Body, 0), "from a")
		b.hear("from a")
		b.say(wanted(r.T, bTo.Body, 0), "from b")
		a.hear("from b")
	}
}

// joins lets phone call uri, which the platform passes on to another phone like a proxy that stays out of media. Both talk.
func (r *rig) joins(phone *siptest.UA, change func(*siptest.Message), contact string, other *siptest.UA) (ends [2][2]*siptest.Dialog) {
	r.Helper()
	near, far := newMouth(phone, r.T), newMouth(other, r.T)
	sent, at := r.invite(phone, with(near.sdp()), change)
	out, in, back, got := r.reached(contact, other, at.Body, far, set("Replaces", at.Get("Replaces")))
	answer := r.platform.Reply(at, 200, with(back.Body))
	ok := phone.Expect("200 INVITE")
	own := phone.NewCallerDialog(sent, ok)
	own.Send("ACK")
	r.platform.Expect("ACK")
	r.talks(near, far, ok, got)
	return [2][2]*siptest.Dialog{{own, r.platform.NewCalleeDialog(at, answer)}, {out, in}}
}

// parted ends the legs of a joined call.
func (r *rig) parted(legs [2][2]*siptest.Dialog) {
	r.Helper()
	for _, leg := range legs {
		r.bye(leg[0], leg[1])
	}
}

// unheard waits until media of no call is relayed.
func (r *rig) unheard() {
	r.Helper()
	if !siptest.Eventually(func() bool { return r.edge.Counter("ringwall_media_calls") == 0 }) {
		r.Errorf("media of %v calls is still relayed", r.edge.Counter("ringwall_media_calls"))
	}
}

// blindTransfer: alice talks to a desk inside and sends it to carol. The desk talks to carol then, and alice hears nothing of it.
func blindTransfer(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	alice, carol := r.phone("alice"), r.phone("carol")
	aliceAt, carolAt := r.register(reg, alice), r.register(reg, carol)
	for _, c := range []*chat{r.chat(alice), r.chatIn(aliceAt, alice)} {
		r.refer(c.call.phone, c.platform, "sip:carol@example.com")
		desk := r.chatIn(carolAt, carol)
		c.talk() // until it is over
		r.bye(c.platform, c.call.phone)
		desk.talk()
		c.near.deaf()
		r.bye(desk.platform, desk.call.phone)
	}
	r.unheard()
}

// blindTransferOut: a desk inside sends alice to carol, whom she calls by way of the platform.
func blindTransferOut(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	alice, carol := r.phone("alice"), r.phone("carol")
	aliceAt, carolAt := r.register(reg, alice), r.register(reg, carol)
	for _, c := range []*chat{r.chat(alice), r.chatIn(aliceAt, alice)} {
		got := r.refer(c.platform, c.call.phone, carolAt)
		legs := r.joins(alice, to(siptest.URI(got.Get("Refer-To"))), carolAt, carol)
		r.bye(c.platform, c.call.phone)
		c.far.deaf()
		r.parted(legs)
	}
	r.unheard()
}

// to changes the Request-URI.
func to(uri string) func(*siptest.Message) {
	return func(m *siptest.Message) { m.Start = "INVITE " + uri + " SIP/2.0" }
}

// attendedTransfer: alice talks to a desk and to another one inside, and connects them. Nothing of that is heard outside, and no port stays.
func attendedTransfer(r *rig) {
	alice, contact := r.registered("alice")
	first, second := r.chat(alice), r.chatIn(contact, alice)
	first.talk()
	r.refer(first.call.phone, first.platform, second.call.phone.Target+"?Replaces="+url.QueryEscape(replaces(second.call.phone)))
	second.talk()
	r.bye(second.platform, second.call.phone) // replaced
	first.talk()
	r.bye(first.call.phone, first.platform)
	r.unheard()
}

// attendedTransferOut: a desk inside talks to alice and to bob, and connects them: alice calls bob, whose call with the desk hers replaces.
func attendedTransferOut(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	alice, bob := r.phone("alice"), r.phone("bob")
	aliceAt, bobAt := r.register(reg, alice), r.register(reg, bob)
	for _, a := range []*chat{r.chat(alice), r.chatIn(aliceAt, alice)} {
		b := r.chatIn(bobAt, bob)
		got := r.refer(a.platform, a.call.phone, bobAt+"?Replaces="+url.QueryEscape(replaces(b.platform)))
		target, query, _ := strings.Cut(siptest.URI(got.Get("Refer-To")), "?Replaces=")
		dialog, err := url.QueryUnescape(query)
		if err != nil {
			r.Fatal(err)
		}
		legs := r.joins(alice, func(m *siptest.Message) { to(target)(m.Set("Replaces", dialog)) }, bobAt, bob)
		r.bye(b.call.phone, b.platform) // replaced
		r.bye(a.platform, a.call.phone)
		a.near.deaf()
		b.far.deaf()
		r.parted(legs)
	}
	r.unheard()
}
