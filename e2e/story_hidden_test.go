package e2e

import (
	"fmt"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// guarded hides the platform, and lets the edge say if anything of it leaves all the same.
var guarded = siptest.Keys{"topology": "{hide: true, guard: log}", "domains": "[example.com]"}

// TestKamailioHidden: real phones at a real platform that they see nothing of. They register, call each other, hold, and transfer a call to
// a third one; calls outlive refreshes and the death of the edge. The edge finds nothing of the platform in what it sends.
func TestKamailioHidden(t *testing.T) {
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	for _, w := range pairs {
		t.Run(fmt.Sprintf("alice %s, bob %s, inside %s", w.alice, w.bob, w.inside), func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri(w.inside)}}, guarded)
			alice, bob, carol := newBaresip(t, "alice"), newBaresip(t, "bob"), newBaresip(t, "carol")
			alice.register(k.account(e, "alice", w.alice, 3600))
			bob.register(k.account(e, "bob", w.bob, 3600))
			carol.register(k.account(e, "carol", "udp", 3600))
			callBothWays(alice, bob)
			alice.connect(bob)
			for _, holds := range [][2]*baresip{{alice, bob}, {bob, alice}} {
				holds[0].hold()
				holds[1].held()
				holds[0].resume()
				holds[1].resumed()
			}
			alice.do("transfer", "sip:carol@example.com")
			carol.expect(carol.calls, "CALL_ESTABLISHED", "CALL_RTPESTAB")
			bob.expect(bob.calls, "CALL_ESTABLISHED", "CALL_CLOSED") // with carol, and with alice
			alice.expect(alice.calls, "CALL_CLOSED")
			carol.hangup(bob)
			unsuspected(t, e)
			if n := e.Counter("ringwall_refused_total", `"topology.`); n != 0 {
				t.Errorf("%v messages that name the platform left:\n%s", n, e.Log())
			}
		})
	}
}

// TestKamailioHiddenRestart: the edge is killed under a call that began outside and goes back in and out, and comes back.
func TestKamailioHiddenRestart(t *testing.T) {
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	k := newKamailio(t)
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, guarded)
	alice, bob, clock := newBaresip(t, "alice"), newBaresip(t, "bob"), newBaresip(t, "clock")
	alice.register(k.account(e, "alice", "udp", 3600))
	bob.register(k.account(e, "bob", "udp", 3600))
	clock.register(k.account(e, "clock", "udp", 3))
	refreshed(clock) // so that the journal had its second
	for _, ends := range [][2]*baresip{{alice, bob}, {bob, alice}} {
		alice.connect(bob)
		e.Kill()
		e.Start()
		ends[0].hold()
		ends[1].held()
		ends[0].hangup(ends[1])
	}
	callBothWays(alice, bob)
	unsuspected(t, e)
}
