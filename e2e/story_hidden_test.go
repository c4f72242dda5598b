package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// guarded hides the platform, and lets the edge say if anything of it leaves all the same. Media is relayed: see anywhere.
var guarded = siptest.Keys{"topology": "{hide: true, guard: log}", "domains": "[example.com]", "media": anywhere["media"]}

// TestKamailioHidden: real phones at a real platform that they see nothing of, not even its media. They register, call each other, hold, and transfer a
// call to a third one: what that sings then comes out where it is to. The edge finds nothing of the platform in what it sends, session descriptions included.
func TestKamailioHidden(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	for _, w := range pairs {
		t.Run(fmt.Sprintf("alice %s, bob %s, inside %s", w.alice, w.bob, w.inside), func(t *testing.T) {
			t.Parallel()
			k := newKamailio(t)
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri(w.inside)}}, guarded)
			alice, bob, carol := newSinger(t, "alice"), newSinger(t, "bob"), newSinger(t, "carol")
			alice.register(k.account(e, "alice", w.alice, 3600))
			bob.register(k.account(e, "bob", w.bob, 3600))
			carol.register(k.account(e, "carol", "udp", 3600))
			callBothWays(alice, bob)
			alice.connect(bob)
			flowing(t, e, 2) // it passes twice
			for _, holds := range [][2]*baresip{{alice, bob}, {bob, alice}} {
				holds[0].hold()
				holds[1].held()
				holds[0].resume()
				holds[1].resumed()
				flowing(t, e, 2)
			}
			alice.do("transfer", "sip:carol@example.com")
			carol.expect(carol.calls, "CALL_ESTABLISHED", "CALL_RTPESTAB")
			bob.expect(bob.calls, "CALL_ESTABLISHED", "CALL_CLOSED") // with carol, and with alice
			alice.expect(alice.calls, "CALL_CLOSED")
			flowing(t, e, 2)
			carol.hangup(bob)
			for _, p := range []*baresip{bob, carol} {
				p.hears(50 * time.Millisecond) // what nothing takes off the loudspeaker ends soon
			}
			freed(t, e)
			unsuspected(t, e)
			if n := e.Counter("ringwall_refused_total", `"topology.`); n != 0 {
				t.Errorf("%v messages that name the platform left:\n%s", n, e.Log())
			}
		})
	}
}

// TestKamailioHiddenRestart: the edge is killed under a call that began outside and goes back in and out, and comes back.
func TestKamailioHiddenRestart(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "kamailio")
	siptest.NeedTool(t, "baresip")
	k := newKamailio(t)
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, guarded)
	alice, bob, clock := newBaresip(t, "alice"), newBaresip(t, "bob"), newBaresip(t, "clock")
	alice.register(k.account(e, "alice", "udp", 3600))
	bob.register(k.account(e, "bob", "udp", 3600))
	clock.register(k.account(e, "clock", "udp", shortly))
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
