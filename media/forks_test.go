package media

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/sdp"
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

// A chooser is a call that begins with an INVITE without an offer: each fork offers in its response, and gets an answer of its own.
type chooser struct {
	*talk
	ports map[*phone][Ends]netip.AddrPort // ours, as each fork and the caller towards it know them
}

func newChooser(t *testing.T) *chooser {
	c := &chooser{newTalk(t, nil), map[*phone][Ends]netip.AddrPort{}}
	for _, one := range c.calls.list() {
		one.end() // the call that newTalk made
	}
	c.key++
	if _, err := c.calls.Request(nil, &Message{At: c.clock.Now(), Key: c.key, Method: sip.INVITE, Parties: c.parties}); err != nil {
		t.Fatal(err)
	}
	return c
}

// offers lets p offer in a response of a dialog of its own.
func (c *chooser) offers(p *phone, dialog uint64, status int) {
	c.t.Helper()
	out, err := c.calls.Response(nil, &Message{At: c.clock.Now(), Key: c.key, Dialog: dialog, Method: sip.INVITE, Status: status, Reliable: status < 200,
		Replier: c.parties[Callee], SDP: p.sdp("sendrecv")})
	if err != nil {
		c.t.Fatal(err)
	}
	c.ports[p] = [Ends]netip.AddrPort{Caller: named(c.t, out), Callee: c.ports[p][Callee]}
}

// answers lets the caller answer p's offer, by ACK or by PRACK.
func (c *chooser) answers(p *phone, dialog uint64, method sip.Method) {
	c.t.Helper()
	m := &Message{At: c.clock.Now(), Dialog: dialog, Method: method, Parties: c.parties, SDP: c.near.sdp("sendrecv")}
	if method == sip.PRACK {
		c.key += 100
		m.Key = c.key
		defer func() { c.calls.Over(m.Key, 200); c.key -= 100 }()
	}
	out, err := c.calls.Request(nil, m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.ports[p] = [Ends]netip.AddrPort{Caller: c.ports[p][Caller], Callee: named(c.t, out)}
}

func named(t *testing.T, description []byte) netip.AddrPort {
	t.Helper()
	var s sdp.Session
	if err := s.Parse(description); err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(s.Media[0].Addr, s.Media[0].Port)
}

// opens lets the caller speak first, who has proven nothing yet.
func (c *chooser) opens(p *phone) {
	c.t.Helper()
	c.near.talk(c.ports[p][Caller], "hello?")
	p.hears(c.ports[p][Callee], "hello?")
}

// flows wants media between the caller and one of all forks and nobody else; all of them send to what they know.
func (c *chooser) flows(who *phone, all ...*phone) {
	c.t.Helper()
	for range 3 {
		for _, p := range all {
			p.talk(c.ports[p][Callee], "from "+p.addr().String())
		}
		c.near.hears(c.ports[who][Caller], "from "+who.addr().String())
	}
	c.near.talk(c.ports[who][Caller], "to you")
	who.hears(c.ports[who][Callee], "to you")
	for _, p := range append(all, c.near) {
		p.deaf()
	}
}

func (c *chooser) streams(n int) {
	c.t.Helper()
	for _, one := range c.calls.list() {
		if open := len(one.anchor.(*lines).open); open != n {
			c.t.Errorf("%d streams are open, want %d", open, n)
		}
	}
}

func (c *chooser) bye(dialog uint64) {
	c.t.Helper()
	c.calls.Request(nil, &Message{At: c.clock.Now(), Key: 900 + dialog, Dialog: dialog, Method: sip.BYE, Parties: c.parties})
	c.calls.Over(900+dialog, 200)
}

// TestForksThatOffer: two phones take an INVITE that had no offer. Each has ports of its own; media flows by the one whose offer was answered first, and
// by the other one once that has hung up.
func TestForksThatOffer(t *testing.T) {
	c := newChooser(t)
	a, b := c.far, newPhone(t, platformAddr)
	c.offers(a, 101, 200)
	c.calls.Over(c.key, 200)
	c.offers(b, 102, 200)
	c.streams(2)
	c.answers(b, 102, sip.ACK)
	c.opens(b)
	c.flows(b, b)
	c.answers(a, 101, sip.ACK)
	if c.ports[a][Caller] == c.ports[b][Caller] || c.ports[a][Callee] == c.ports[b][Callee] {
		t.Errorf("the forks share ports: %v", c.ports)
	}
	c.flows(b, a, b)
	was := c.ports[a]
	c.answers(a, 101, sip.ACK) // both come again
	c.offers(a, 101, 200)
	if c.ports[a] != was {
		t.Errorf("ports became %v, were %v", c.ports[a], was)
	}
	c.flows(b, a, b)
	c.streams(2)
	c.bye(102)
	c.streams(1)
	c.opens(a)
	c.flows(a, a)
	c.bye(101)
	if c.calls.Len() != 0 {
		t.Error("the call stays")
	}
}

// TestForksThatOfferEarly: two phones offer in reliable provisional responses. The one that was answered last is heard; when the other one takes the call
// it alone is, and the first one's ports are free.
func TestForksThatOfferEarly(t *testing.T) {
	c := newChooser(t)
	a, b := c.far, newPhone(t, platformAddr)
	c.offers(a, 101, 183)
	c.answers(a, 101, sip.PRACK)
	c.opens(a)
	c.flows(a, a)
	c.offers(b, 102, 183)
	c.flows(a, a)
	c.answers(b, 102, sip.PRACK)
	c.opens(b)
	c.flows(b, b)
	c.streams(2)
	c.ringing(a, 101, 200)
	c.streams(1)
	c.calls.Over(c.key, 200)
	c.flows(a, a)
	if _, err := c.calls.Request(nil, &Message{At: c.clock.Now(), Dialog: 101, Method: sip.ACK, Parties: c.parties}); err != nil {
		t.Fatal(err)
	}
	c.bye(101)
	if c.calls.Len() != 0 {
		t.Error("the call stays")
	}
}

// TestForksThatOfferWithoutEnd: however many phones offer, a call has so many ports and no more.
func TestForksThatOfferWithoutEnd(t *testing.T) {
	c := newChooser(t)
	var failed int
	lines := string(c.far.sdp("sendrecv"))
	_, line, _ := strings.Cut(lines, "t=0 0\r\n")
	for i := range uint64(2 * mostBranches) {
		_, err := c.calls.Response(nil, &Message{At: c.clock.Now(), Key: c.key, Dialog: 200 + i, Method: sip.INVITE, Status: 183, Reliable: true,
			Replier: c.parties[Callee], SDP: []byte(lines + strings.Repeat(line, mostLines-1))})
		if err != nil {
			failed++
		}
	}
	if c.streams(mostOpen); failed == 0 {
		t.Error("none was refused")
	}
	c.calls.Over(c.key, 486)
	if c.calls.Len() != 0 {
		t.Error("the call stays")
	}
}
