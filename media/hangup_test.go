package media

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media/rtpengine"
	"github.com/ringwall/ringwall/sip"
)

// A talk is a call that was answered, on a relay whose clock the test sets: two phones outside and inside, and a stranger who knows our ports.
type talk struct {
	t         *testing.T
	calls     *Calls
	clock     *clock
	told      []edge.Event
	near, far *phone
	stranger  *phone
	parties   [Ends]Party
	key       uint64
}

const theDialog = 7

func newTalk(t *testing.T, change func(*CallsConfig)) *talk {
	t.Helper()
	k := &talk{t: t, clock: newClock(), near: newPhone(t, phoneAddr), far: newPhone(t, platformAddr), stranger: newPhone(t, stranger)}
	relay := newRelay(t, func(c *RelayConfig) { c.Now, c.Outside = k.clock.Now, append(c.Outside, netip.IPv6Loopback()) })
	cfg := CallsConfig{Calls: 10, Strangers: 10, Silence: Quiet{10 * time.Second, true}, Lost: time.Hour, Life: 4 * time.Hour,
		Tell: func(e edge.Event) { k.told = append(k.told, e) }}
	if change != nil {
		change(&cfg)
	}
	k.calls = (&BuiltIn{Relay: relay, Near: func(edge.Flow) netip.Addr { return netip.Addr{} }}).NewCalls(cfg)
	k.parties = [Ends]Party{{Flow: edge.Flow{Remote: netip.AddrPortFrom(phoneAddr, 5060)}, Trust: edge.Known},
		{Flow: edge.Flow{Remote: netip.AddrPortFrom(platformAddr, 5060), Side: edge.Inside}, Trust: edge.Peer, Proven: true}}
	k.agree(0, "sendrecv", "sendrecv")
	return k
}

func (p *phone) sdp(direction string) []byte {
	a := p.addr()
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %v\r\ns=-\r\nc=IN IP4 %v\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=%s\r\n", a.Addr(), a.Addr(), a.Port(), direction)
}

// agree is an INVITE of the caller, in the dialog if that is not 0, and its 2xx.
func (k *talk) agree(dialog uint64, near, far string) {
	k.t.Helper()
	k.key++
	now := k.clock.Now()
	if _, err := k.calls.Request(nil, &Message{At: now, Key: k.key, Dialog: dialog, Method: sip.INVITE, Parties: k.parties, SDP: k.near.sdp(near)}); err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.calls.Response(nil, &Message{At: now, Key: k.key, Dialog: theDialog, Method: sip.INVITE, Status: 200, Replier: k.parties[Callee], SDP: k.far.sdp(far)}); err != nil {
		k.t.Fatal(err)
	}
	k.calls.Over(k.key, 200)
}

// theLegs are those of the caller and of the callee.
func theLegs() (client, server Leg) {
	routes := []byte("ours")
	return Leg{Target: []byte("sip:far"), Routes: routes, Fields: []byte("of near"), Number: 1}, Leg{Target: []byte("sip:near"), Routes: routes, Fields: []byte("of far")}
}

// keep notes both legs, as a 2xx told them.
func (k *talk) keep() {
	client, server := theLegs()
	k.calls.Keep(k.key, theDialog, client, server)
}

// pass lets seconds pass. In each of them those speak who are named, each a packet that the relay has looked at when the next comes.
func (k *talk) pass(seconds int, speakers ...*phone) {
	k.t.Helper()
	stream := k.stream()
	for range seconds {
		for _, p := range speakers {
			to := Caller
			if p == k.far {
				to = Callee
			}
			before := seen(stream.Stats(to))
			p.talk(stream.Port(to), "x")
			settled(k.t, stream, to, before+1)
		}
		k.clock.advance(time.Second)
		k.calls.Sweep(k.clock.Now())
	}
}

func (k *talk) stream() *Stream {
	for _, one := range k.calls.list() {
		return one.anchor.(*lines).open[0]
	}
	k.t.Fatal("no call")
	return nil
}

// ended are the dialogs that are to be ended.
func (k *talk) ended() (all [][Ends]Leg) {
	for {
		legs, more := k.calls.Silenced()
		if !more {
			return all
		}
		all = append(all, legs)
	}
}

// TestSilenceOfCalls: row F23 in whole calls. Only what is accepted counts, for each direction by itself: not what strangers send to the port, by
// the right SSRC or not, and not what the other end sends.
func TestSilenceOfCalls(t *testing.T) {
	k := newTalk(t, func(c *CallsConfig) { c.Silence.End = false })
	k.stranger.ssrc = k.near.ssrc
	k.pass(20, k.near, k.far, k.stranger)
	if len(k.told) != 0 {
		t.Fatalf("both talk, and told is %v", k.told)
	}
	k.pass(8, k.far, k.stranger)
	if len(k.told) != 0 {
		t.Fatalf("after 9 s without a packet told is %v", k.told)
	}
	k.pass(2, k.far, k.stranger)
	if s := k.calls.List()[0].Silent; len(k.told) != 1 || k.told[0].Reason != ReasonSilent || s != [Ends]bool{Caller: true} {
		t.Fatalf("after 11 s told is %v, silent is %v", k.told, s)
	}
	k.pass(5, k.near, k.stranger)
	k.pass(11, k.near, k.stranger)
	if s := k.calls.List()[0].Silent; len(k.told) != 2 || s != [Ends]bool{Callee: true} {
		t.Fatalf("the other way told is %v, silent is %v", k.told, s)
	}
	if stats := k.stream().Stats(Caller); stats.Refused[RefusedSource] != 46 {
		t.Errorf("%d packets of the stranger were refused", stats.Refused[RefusedSource])
	}
	k.keep()
	if k.pass(20, k.near); len(k.ended()) != 0 || k.calls.Len() != 1 {
		t.Error("it was ended unasked")
	}
}

// TestSilentCallIsEnded: row F17, once, with what was kept of its ends, and numbers that are the highest.
func TestSilentCallIsEnded(t *testing.T) {
	k := newTalk(t, nil)
	k.keep()
	k.calls.Count(theDialog, Caller, 5)
	k.calls.Count(theDialog, Caller, 4)
	k.calls.Count(99, Caller, 6)
	k.stranger.ssrc = k.far.ssrc
	k.pass(9, k.near)
	if len(k.ended()) != 0 {
		t.Fatal("ended too early")
	}
	k.pass(30, k.near)
	all := k.ended()
	if len(all) != 1 || all[0][Caller].Number != 5 || all[0][Callee].Number != 0 || string(all[0][Callee].Fields) != "of far" {
		t.Fatalf("ended are %+v", all)
	}
	if n := len(k.told); n != 2 || k.told[1].Reason != ReasonEnded {
		t.Errorf("told is %v", k.told)
	}
	k.calls.Request(nil, &Message{At: k.clock.Now(), Key: 50, Dialog: theDialog, Method: sip.BYE, Parties: k.parties})
	if k.calls.Over(50, 481); k.calls.Len() != 0 {
		t.Error("the call stays after its BYE")
	}
}

// TestHeldCallIsNotEnded: who is on hold need not send, and who comes back has all the time there is.
func TestHeldCallIsNotEnded(t *testing.T) {
	k := newTalk(t, nil)
	k.keep()
	k.agree(theDialog, "sendonly", "recvonly")
	k.pass(60)
	k.agree(theDialog, "sendrecv", "sendrecv")
	k.pass(9)
	if all := k.ended(); len(all) != 0 {
		t.Fatalf("ended are %v", all)
	}
	if k.pass(2); len(k.ended()) != 1 {
		t.Error("it is not ended after the hold")
	}
}

// TestUnknownCallIsEnded: of a call from before a restart a 2xx to a re-INVITE does not tell the routes. A request in the dialog does, of who sent it for
// sure and of the other end as a guess, until that one speaks.
func TestUnknownCallIsEnded(t *testing.T) {
	k := newTalk(t, nil)
	client, server := theLegs()
	client.Routes, server.Routes = nil, nil
	k.calls.Keep(k.key, theDialog, client, server)
	if k.pass(30); len(k.told) != 2 || len(k.ended()) != 0 {
		t.Fatalf("ended though nobody knows the routes, told is %v", k.told)
	}
	if !k.calls.Count(theDialog, Callee, 1) {
		t.Error("routes are known that nobody told")
	}
	k.calls.Learn(theDialog, Callee, []byte("of the callee"), []byte("a guess"))
	if k.calls.Count(theDialog, Callee, 2) || !k.calls.Count(theDialog, Caller, 2) {
		t.Error("what a request told is not known, or a guess is for sure")
	}
	k.calls.Keep(k.key, theDialog, client, server)
	k.pass(5)
	all := k.ended()
	if len(all) != 1 || string(all[0][Caller].Routes) != "a guess" || string(all[0][Callee].Routes) != "of the callee" {
		t.Fatalf("ended are %+v", all)
	}
	k.calls.Learn(theDialog, Caller, []byte("of the caller"), []byte("a guess"))
	if ends, _ := k.calls.find(theDialog).branch.legs.both(); string(ends[Caller].Routes) != "of the caller" || string(ends[Callee].Routes) != "of the callee" {
		t.Errorf("the legs are %+v", ends)
	}
}

// TestSecondAnswer: a further 2xx to a forked INVITE comes when the request is gone; the callees have its target and route set in common. The journal
// has the legs of both.
func TestSecondAnswer(t *testing.T) {
	k, db := newTalk(t, nil), newFile(t)
	j, _, _ := journal(t, db, k.calls, k.clock.Now())
	client, server := theLegs()
	if !k.calls.Lacks(k.key, theDialog) {
		t.Error("the first dialog is known")
	}
	k.keep()
	k.ringing(newPhone(t, platformAddr), 102, 200)
	if k.calls.Lacks(k.key, theDialog) || !k.calls.Lacks(k.key, 102) || k.calls.Lacks(k.key, 103) || k.calls.Lacks(99, 102) {
		t.Error("what is lacking is the second dialog and nothing else")
	}
	server.Target, server.Routes, server.Fields = nil, nil, []byte("of the other")
	k.calls.Keep(k.key, 102, client, server)
	was := k.stream()
	for restarted := range 2 {
		k.pass(30)
		all := k.ended()
		if len(all) != 2 {
			t.Fatalf("%d dialogs are ended, restarted %d times", len(all), restarted)
		}
		if g := all[1][Callee]; string(g.Target) != "sip:near" || string(g.Routes) != "ours" || string(g.Fields) != "of the other" {
			t.Errorf("the second callee's is %+v", g)
		}
		if restarted == 0 {
			if err := j.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			was.relay.Close()
			_, k.calls = k.next(nil)
			journal(t, db, k.calls, k.clock.Now())
		}
	}
}

// TestLegsAreKept: a re-INVITE changes targets and flows, and no routes; numbers never fall.
func TestLegsAreKept(t *testing.T) {
	var l legs
	if _, known := l.both(); known {
		t.Error("nothing is known")
	}
	l.keep(Caller, Leg{Target: []byte("a"), Routes: []byte("r"), Fields: []byte("f"), Number: 7})
	l.keep(Callee, Leg{Target: []byte("b"), Routes: []byte("s"), Fields: []byte("g")})
	l.keep(Caller, Leg{Flow: edge.Flow{Conn: 3}, Target: []byte("c"), Fields: []byte("f"), Number: 2})
	l.keep(Callee, Leg{Flow: edge.Flow{Conn: 4}, Fields: []byte("g")})
	ends, known := l.both()
	got := fmt.Sprintf("%s %s %d %d %s %s %d", ends[0].Target, ends[0].Routes, ends[0].Number, ends[0].Flow.Conn, ends[1].Target, ends[1].Fields, ends[1].Flow.Conn)
	if !known || got != "c r 7 3 b g 4" {
		t.Errorf("%v, %s", known, got)
	}
}

// TestSweepIsSoonEnough: however short silence is, a quarter of it is the longest between two looks at a call.
func TestSweepIsSoonEnough(t *testing.T) {
	for silence, want := range map[time.Duration]uint64{0: 8, time.Second: 1, 7 * time.Second: 1, 12 * time.Second: 3, time.Minute: 8, time.Hour: 8} {
		c := newCalls(CallsConfig{}, nil)
		c.SetSilence(Quiet{After: silence})
		if got := c.parts(); got != want {
			t.Errorf("%v: %d parts, want %d", silence, got, want)
		}
	}
}

// TestEngineIsHeard: of an rtpengine only accepted packets count (F23), by our own clock, and nothing is known while it does not answer.
func TestEngineIsHeard(t *testing.T) {
	var e engaged
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	said := func(packets, errors int64) rtpengine.Totals {
		return rtpengine.Totals{Parties: []rtpengine.Party{{Tag: "caller", Count: rtpengine.Count{Packets: packets, Errors: errors}, Last: at(9999)}}}
	}
	for i, s := range []struct {
		packets, errors int64
		last            int
	}{{5, 0, 1}, {9, 1, 2}, {19, 11, 2}, {20, 11, 4}} {
		e.hear(said(s.packets, s.errors), at(i+1))
		if e.known != at(i+1) || e.last[Caller] != at(s.last) || !e.last[Callee].IsZero() {
			t.Errorf("answer %d: known %v, last %v, want %d", i+1, e.known.Unix(), e.last, s.last)
		}
	}
}
