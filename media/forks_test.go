package media

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// ringing lets one more phone at the address of far answer the INVITE at hand, early or (200) for good, in a dialog of its own.
func (k *talk) ringing(p *phone, dialog uint64, status int) {
	k.t.Helper()
	_, err := k.calls.Response(nil, &Message{At: k.clock.Now(), Key: k.key, Dialog: dialog, Method: sip.INVITE, Status: status, Replier: k.parties[Callee], SDP: p.sdp("sendrecv")})
	if err != nil {
		k.t.Fatal(err)
	}
}

// only wants what one of all speakers says to come to the caller, and nothing of the others, whoever speaks first; and what the caller says to
// that one alone.
func (k *talk) only(who *phone, all ...*phone) {
	k.t.Helper()
	s := k.stream()
	to := s.Port(Callee)
	for range 3 {
		for _, p := range all {
			before := seen(s.Stats(Callee))
			p.talk(to, "from "+p.addr().String())
			settled(k.t, s, Callee, before+1)
		}
		k.near.hears(s.Port(Caller), "from "+who.addr().String())
		k.near.deaf()
	}
	k.near.talk(s.Port(Caller), "to you")
	who.hears(to, "to you")
	for _, p := range all {
		p.deaf()
	}
}

// TestForksAreApart: row F14. Three phones behind one INVITE, at one address, answer early and all send to the one port that they know. The caller
// hears the one that answered last and, once one has taken the call, that one, though the others go on and are first each time.
func TestForksAreApart(t *testing.T) {
	k := newTalk(t, nil)
	a, b, c := k.far, newPhone(t, platformAddr), newPhone(t, platformAddr)
	for _, one := range k.calls.list() {
		one.end() // the call that newTalk made
	}
	k.key++
	if _, err := k.calls.Request(nil, &Message{At: k.clock.Now(), Key: k.key, Method: sip.INVITE, Parties: k.parties, SDP: k.near.sdp("sendrecv")}); err != nil {
		t.Fatal(err)
	}
	k.ringing(a, 101, 183)
	k.near.talk(k.stream().Port(Caller), "hello?") // opens the way back
	a.hears(k.stream().Port(Callee), "hello?")
	k.only(a, a)
	k.ringing(b, 102, 183)
	k.only(b, a, b)
	k.ringing(a, 101, 183) // it comes again, and changes nothing as long as it says the same
	k.only(b, a, b)
	k.ringing(c, 103, 183)
	k.only(c, a, b, c)
	k.ringing(b, 102, 200)
	k.only(b, a, c, b)
	k.ringing(a, 101, 183) // late, of one that lost
	k.ringing(newPhone(t, platformAddr), 104, 183)
	k.only(b, a, c, b)
	k.clock.advance(time.Second)
	k.ringing(b, 102, 200)
	k.only(b, c, a, b)
	if n := k.stream().Stats(Callee).Refused[RefusedSource]; n == 0 {
		t.Error("nothing was refused")
	}
}
