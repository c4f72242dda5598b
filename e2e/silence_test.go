package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// ending lets the edge end calls whose media stops.
var ending = siptest.Keys{"media": "{relay: builtin, ports: 40000-49999, silence: {after: 1s, end: true}}"}

// forgetting is ending without a journal.
var forgetting = siptest.Keys{"media": strings.Replace(ending["media"], "silence", "journal: false, silence", 1)}

// TestSilentCallEnds: row F17, a call whose media stops is ended by BYE to both ends, whatever each of them knows of the other.
func TestSilentCallEnds(t *testing.T) {
	t.Parallel()
	ways := map[string]struct {
		way
		keys siptest.Keys
		run  func(*rig)
	}{
		"plain":               {udp, ending, oneFallsSilent},
		"hidden over TCP":     {tcp, concealed(ending), oneFallsSilent},
		"from inside, hidden": {udp, concealed(ending), calledFallsSilent},
		"a BYE crosses":       {udp, concealed(ending), byeCrosses},
		"numbers and targets": {udp, concealed(ending), numbersAndTargets},
		"after a kill":        {udp, concealed(ending), silentAfterKill},
		"in no journal":       {udp, concealed(forgetting), silentAndForgotten},
		"two answer":          {udp, concealed(ending), twoFallSilent},
	}
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.run(newRig(t, w.way, w.keys))
		})
	}
}

// keepsTalking sends from a mouth to an address until stop is called or the test ends.
func (m *mouth) keepsTalking(to netip.AddrPort) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = m.udp.WriteToUDPAddrPort(m.packet("still there"), to) // fails at the end
			time.Sleep(20 * time.Millisecond)
		}
	}()
	stop = func() { cancel(); <-done }
	m.t.Cleanup(stop)
	return stop
}

// bothTalk lets both ends of a call send until stop is called.
func (c *chat) bothTalk() (stop func()) {
	a, b := c.near.keepsTalking(c.towardFar), c.far.keepsTalking(c.toward)
	return func() { a(); b() }
}

// ended wants a BYE that fits the dialog at one end, as its far end would have sent it, and answers it.
func (r *rig) ended(d *siptest.Dialog, status int) {
	r.Helper()
	bye := d.UA.Expect("BYE")
	if got, want := [3]string{bye.Get("From"), bye.Get("To"), bye.Get("Call-ID")}, [3]string{d.Remote, d.Local, d.CallID}; got != want {
		r.Errorf("the BYE is of %q, want %q", got, want)
	}
	d.UA.Reply(bye, status)
}

// over wants the call with media gone, and nothing more to come to either end.
func (r *rig) over(c *chat) {
	r.Helper()
	if !siptest.Eventually(func() bool { return r.edge.Counter("ringwall_media_calls") == 0 }) {
		r.Error("the call is still there")
	}
	for _, d := range []*siptest.Dialog{c.call.phone, c.platform} {
		d.UA.Silence(hush, "200", "481", "BYE", "500", "408")
	}
	if n := r.edge.Counted(1, "ringwall_refused_total", `reason="media.ended"`); n != 1 {
		r.Errorf("%v calls are counted as ended", n)
	}
	r.edge.WaitLog("media.ended")
}

func oneFallsSilent(r *rig) {
	c := r.chat(r.phone("alice"))
	c.near.keepsTalking(c.towardFar) // and the platform does not
	r.ended(c.call.phone, 200)
	r.ended(c.platform, 481)
	r.over(c)
}

func calledFallsSilent(r *rig) {
	phone, contact := r.registered("alice")
	c := &chat{r: r, near: newMouth(phone, r.T), far: newMouth(r.platform, r.T)}
	sent := r.platform.Request("INVITE", contact)
	with(c.far.sdp())(sent)
	r.platform.Send(sent)
	got := phone.Expect("INVITE")
	answer := phone.Reply(got, 200, with(c.near.sdp()))
	ok := r.platform.Expect("200 INVITE")
	c.call = &call{phone.NewCalleeDialog(got, answer), r.platform.NewCallerDialog(sent, ok), sent, got}
	c.platform.Send("ACK")
	phone.Expect("ACK")
	c.far.keepsTalking(wanted(r.T, ok.Body, 0))
	r.ended(c.platform, 200)
	r.ended(c.call.phone, 200)
	r.over(c)
}

// byeCrosses: the phone hangs up while it is hung up.
func byeCrosses(r *rig) {
	c := r.chat(r.phone("alice"))
	bye := c.call.phone.UA.Expect("BYE")
	own := c.call.phone.Send("BYE")
	c.call.phone.UA.Reply(bye, 481)
	r.platform.Reply(r.platform.Expect("BYE"), 200)
	r.platform.Reply(r.platform.Expect("BYE"), 481)
	answer := c.call.phone.UA.Expect("final")
	if status := answer.Status(); status != 200 && status != 481 || answer.Get("CSeq") != own.Get("CSeq") {
		r.Errorf("its BYE is answered with %s", answer.Raw)
	}
	r.over(c)
}

// numbersAndTargets: the BYE has a higher number than anything that the end has seen, and follows a new Contact.
func numbersAndTargets(r *rig) {
	c := r.chat(r.phone("alice"))
	stop := c.bothTalk()
	c.platform.CSeq = 5000
	r.ask(c.platform, c.call.phone, c.platform.Request("INFO"))
	moved := strings.Replace(r.platform.Contact(), "sip:", "sip:moved-", 1)
	m := c.call.phone.Request("INVITE")
	with(c.near.sdp())(m)
	c.call.phone.UA.Send(m)
	r.platform.Reply(r.platform.Expect("INVITE"), 200, with(c.far.sdp()), siptest.With("Contact", moved))
	c.call.phone.UA.Expect("200 INVITE")
	c.call.phone.Send("ACK")
	r.platform.Expect("ACK")
	stop()
	bye := c.call.phone.UA.Expect("BYE")
	c.call.phone.UA.Reply(bye, 200)
	if n, _ := bye.CSeq(); n <= 5001 {
		r.Errorf("the phone gets a BYE with the number %d after 5001", n)
	}
	bye = r.platform.Expect("BYE")
	r.platform.Reply(bye, 200)
	if n, _ := bye.CSeq(); n <= c.call.phone.CSeq || bye.RequestURI() != siptest.URI(moved) {
		r.Errorf("the platform gets a BYE with the number %d for %s, want more than %d for %s", n, bye.RequestURI(), c.call.phone.CSeq, moved)
	}
	r.over(c)
}

// silentAfterKill: a call that the journal has brought back is ended as any other.
func silentAfterKill(r *rig) {
	c := r.chat(r.phone("alice"))
	stop := c.bothTalk()
	r.kept(1)
	r.edge.Kill()
	r.edge.Start()
	c.talk()
	stop()
	r.ended(c.call.phone, 200)
	r.ended(c.platform, 200)
	r.over(c)
}

// silentAndForgotten: a call that was in no journal is ended as well, once a re-INVITE of either end has brought it back.
func silentAndForgotten(r *rig) {
	for i, name := range []string{"alice", "bob"} {
		c := r.chat(r.phone(name))
		r.edge.Kill()
		r.edge.Start()
		from, to, own, others := c.call.phone, c.platform, c.near, c.far
		if i == 1 {
			from, to, own, others = to, from, others, own
		}
		c.reoffer("INVITE", from, to, own.sdp(), others.sdp())
		r.ended(c.call.phone, 200)
		r.ended(c.platform, 200)
		r.over(c)
	}
}

// twoFallSilent: two phones take one call, and ringwall is killed before it falls silent: both dialogs are ended at both ends.
func twoFallSilent(r *rig) {
	phone := r.phone("alice")
	near := newMouth(phone, r.T)
	sent, got := r.invite(phone, with(near.sdp()))
	var calls []*call
	for i := range 2 {
		answer := r.platform.Reply(got, 200, with(newMouth(r.platform, r.T).sdp()), forkedAs(i))
		ok := phone.Expect("200 INVITE")
		one := &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
		one.phone.Send("ACK")
		r.platform.Expect("ACK")
		calls = append(calls, one)
	}
	r.kept(1)
	r.edge.Kill()
	r.edge.Start()
	for _, c := range calls {
		r.ended(c.phone, 200)
		r.ended(c.platform, 200)
	}
	r.over(&chat{r: r, call: calls[0]})
}

// TestSilentCallEndsRTPEngine: the same where rtpengine relays, which tells what it accepted.
func TestSilentCallEndsRTPEngine(t *testing.T) {
	t.Parallel()
	keys := engaging(newEngine(t))
	keys["media"] = strings.Replace(keys["media"], "}", ", silence: {after: 1s, end: true}}", 1)
	r := newRig(t, udp, concealed(keys))
	c := r.chat(r.phone("alice"))
	c.near.keepsTalking(c.towardFar)
	r.ended(c.call.phone, 200)
	r.ended(c.platform, 481)
	r.over(c)
}

// TestSlowSilentPhone: of two real phones that talk through Kamailio one dies, and the other one, which still sends, is hung up: whether it called or was called, and
// also where the connection of the dead one is gone. Kamailio stands between them and records its route.
func TestSlowSilentPhone(t *testing.T) {
	slow(t)
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	k := newKamailio(t)
	for transport, called := range map[string]bool{"udp": false, "tcp": true} {
		t.Run(fmt.Sprintf("%s, called: %v", transport, called), func(t *testing.T) {
			t.Parallel()
			keys := siptest.Keys{"media": strings.Replace(anywhere["media"], "}", ", silence: {after: 5s, end: true}}", 1)} // phones take a while to find their voice
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, concealed(keys))
			dies, stays := newSinger(t, "dies-"+transport), newSinger(t, "stays-"+transport)
			dies.register(k.account(e, dies.user, transport, 3600))
			stays.register(k.account(e, stays.user, "udp", 3600))
			caller, callee := dies, stays
			if called {
				caller, callee = stays, dies
			}
			caller.connect(callee)
			dies.kill()
			if why := stays.expect(stays.calls, "CALL_CLOSED"); !strings.Contains(why, "by peer") {
				t.Errorf("the call ended: %q", why)
			}
			e.WaitLog("media.ended")
		})
	}
}
