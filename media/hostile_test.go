package media

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

// newEarly is a call that rings: an INVITE with an offer, and no answer yet.
func newEarly(t *testing.T) *talk {
	k := newTalk(t, nil)
	for _, one := range k.calls.list() {
		one.end() // the call that newTalk made
	}
	k.key++
	if _, err := k.calls.Request(nil, &Message{At: k.clock.Now(), Key: k.key, Method: sip.INVITE, Parties: k.parties, SDP: k.near.sdp("sendrecv")}); err != nil {
		t.Fatal(err)
	}
	return k
}

// asks is a request in a dialog, with key as its own.
func (k *talk) asks(key, dialog uint64, method sip.Method, from End, sdp []byte) {
	k.t.Helper()
	if _, err := k.calls.Request(nil, &Message{At: k.clock.Now(), Key: key, Dialog: dialog, Method: method, From: from, Parties: k.parties, SDP: sdp}); err != nil {
		k.t.Fatal(err)
	}
}

// TestPortsOfFailedCalls: rows F9. However many requests an end sends while the call rings, answered or not, its ports are free when the INVITE fails.
func TestPortsOfFailedCalls(t *testing.T) {
	for _, method := range []sip.Method{sip.BYE, sip.UPDATE} {
		k := newEarly(t)
		k.ringing(k.far, 101, 183)
		relay := k.stream().relay
		for i := range uint64(3 * mostExchanges) {
			var offer []byte
			if method == sip.UPDATE { // each with a line that needs ports
				offer = append(k.near.sdp("sendrecv"), "m=video 4000 RTP/AVP 96\r\n"...)
			}
			k.asks(500+i, 101, method, Caller, offer)
		}
		if n := relay.Streams(); n > 1+mostExchanges {
			t.Errorf("method %v: %d streams are open", method, n)
		}
		if k.calls.Over(k.key, 487); k.calls.Len() != 0 || relay.Streams() != 0 {
			t.Errorf("method %v: %d calls and %d streams are left", method, k.calls.Len(), relay.Streams())
		}
	}
}

// TestDialogsWithoutEnd: a callee that makes early dialogs and ends them again, while the INVITE rings, fills no memory.
func TestDialogsWithoutEnd(t *testing.T) {
	k := newEarly(t)
	for i := range uint64(500) {
		_, err := k.calls.Response(nil, &Message{At: k.clock.Now(), Key: k.key, Dialog: 1000 + i, Method: sip.INVITE, Status: 183, Replier: k.parties[Callee], SDP: k.far.sdp("sendrecv")})
		if refused := err == ErrStray; refused != (i >= mostJoined) {
			t.Fatalf("dialog %d: %v", i, err)
		}
		k.asks(5000+i, 1000+i, sip.BYE, Callee, nil)
		k.calls.Over(5000+i, 200)
	}
	l := k.calls.list()[0].anchor.(*lines)
	if len(l.first.forks) > mostJoined || len(l.numbers.toCaller) > mostJoined {
		t.Errorf("%d forks and %d numbers are on record", len(l.first.forks), len(l.numbers.toCaller))
	}
	k.calls.Over(k.key, 480)
	if k.calls.Len() != 0 {
		t.Error("the call stays")
	}
}

// TestForksStayApart: row F14 once more. An UPDATE in the chosen early dialog lets no other fork in.
func TestForksStayApart(t *testing.T) {
	k := newEarly(t)
	a, b := k.far, newPhone(t, platformAddr)
	k.ringing(a, 101, 183)
	k.ringing(b, 102, 183)
	k.near.talk(k.stream().Port(Caller), "hello?")
	b.hears(k.stream().Port(Callee), "hello?")
	k.only(b, a, b)
	for i, from := range []End{Caller, Callee} {
		key, offer, answer := 600+uint64(i), k.near.sdp("sendrecv"), b.sdp("sendrecv")
		if from == Callee {
			offer, answer = answer, offer
		}
		k.asks(key, 102, sip.UPDATE, from, offer)
		if _, err := k.calls.Response(nil, &Message{At: k.clock.Now(), Key: key, Dialog: 102, Method: sip.UPDATE, Status: 200, Replier: k.parties[from.Other()], SDP: answer}); err != nil {
			t.Fatal(err)
		}
		k.calls.Over(key, 200)
		k.only(b, a, b)
	}
}

// TestResumeByTheOther: one end holds by 0.0.0.0 or inactive, and the other one resumes.
func TestResumeByTheOther(t *testing.T) {
	k := newTalk(t, nil)
	k.pass(1, k.near, k.far)
	k.near.hears(k.stream().Port(Caller), "x")
	k.far.hears(k.stream().Port(Callee), "x")
	zero := []byte(strings.Replace(string(k.near.sdp("sendrecv")), "c=IN IP4 "+phoneAddr.String(), "c=IN IP4 0.0.0.0", 1))
	for i, held := range [][]byte{zero, k.near.sdp("inactive"), zero} {
		key := 700 + 2*uint64(i)
		k.turned(key, Caller, held, k.far.sdp("recvonly"))
		k.turned(key+1, Callee, k.far.sdp("sendrecv"), k.near.sdp("sendrecv"))
		k.far.talk(k.stream().Port(Callee), "back")
		k.near.hears(k.stream().Port(Caller), "back")
		k.near.talk(k.stream().Port(Caller), "here")
		k.far.hears(k.stream().Port(Callee), "here")
	}
}

// turned is a re-INVITE of one end that the other one accepts.
func (k *talk) turned(key uint64, from End, offer, answer []byte) {
	k.t.Helper()
	k.asks(key, theDialog, sip.INVITE, from, offer)
	if _, err := k.calls.Response(nil, &Message{At: k.clock.Now(), Key: key, Dialog: theDialog, Method: sip.INVITE, Status: 200, Replier: k.parties[from.Other()], SDP: answer}); err != nil {
		k.t.Fatal(err)
	}
	k.calls.Over(key, 200)
}

// TestFaxAndBack: a call turns to T.38 and back, and again, and has the ports of one line each time.
func TestFaxAndBack(t *testing.T) {
	k := newTalk(t, nil)
	image := func(p *phone) []byte {
		return []byte(strings.Replace(string(p.sdp("sendrecv")), "RTP/AVP 0", "udptl t38", 1))
	}
	seen := map[netip.AddrPort]bool{}
	for i := range uint64(3) {
		seen[k.stream().Port(Caller)] = true
		k.turned(800+2*i, Callee, image(k.far), image(k.near))
		seen[k.stream().Port(Caller)] = true
		k.turned(801+2*i, Caller, k.near.sdp("sendrecv"), k.far.sdp("sendrecv"))
		if n := k.stream().relay.Streams(); n != 1 {
			t.Errorf("%d streams are open", n)
		}
	}
	if len(seen) != 6 {
		t.Errorf("a port was used again at once: %v", seen)
	}
}
