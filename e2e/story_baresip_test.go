package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// Which phone talks over which transport in the stories with two real phones, and over which one the platform is reached.
var pairs = []struct{ alice, bob, inside string }{{"udp", "tcp", "udp"}, {"tcp", "udp", "tcp"}}

// TestBaresip gives two real phones to the demonstration platform: what its banner promises is what they get, media included, which is relayed by
// default. baresip sends it from 127.0.0.1 whatever address it listens at, since all is on one machine.
func TestBaresip(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "baresip")
	for _, w := range pairs {
		t.Run(fmt.Sprintf("alice %s, bob %s", w.alice, w.bob), func(t *testing.T) {
			t.Parallel()
			e := siptest.StartEdge(t, siptest.Outlets{}, siptest.Keys{"upstreams": "[]", "media": "{latch: any}"})
			alice, bob := newBaresip(t, "alice"), newBaresip(t, "bob")
			// 10 seconds is the shortest registration the platform grants: both are refreshed once while the story goes on.
			alice.register(promised(t, e, "alice", w.alice) + ";answermode=auto;regint=10")
			bob.register(promised(t, e, "bob", w.bob) + ";answermode=auto;regint=10")
			callBothWays(alice, bob)
			dialExtensions(e, alice)
			dialExtensions(e, bob)
			bob.connect(alice)
			refreshed(alice, bob)
			alice.hangup(bob) // the call outlived both refreshes
			callBothWays(alice, bob)
			unsuspected(t, e)
			for _, p := range []*baresip{alice, bob} {
				p.registeredOnce(e)
				p.do("quit", "")
				e.WaitLog("user=" + p.user + " contacts=0")
			}
		})
	}
}

// promised is an account as the banner of the demonstration platform tells it.
func promised(t *testing.T, e *siptest.Edge, user, transport string) string {
	t.Helper()
	for line := range strings.Lines(e.Output()) {
		row := strings.Fields(line) // user, server, transport, password, digest
		if len(row) != 5 || row[0] != user {
			continue
		}
		account := fmt.Sprintf("<sip:%s@%s;transport=%%s>;auth_pass=%s", user, row[1], row[3])
		if user == "alice" && !strings.Contains(e.Output(), "baresip -e '/uanew "+fmt.Sprintf(account, row[2])+"'") {
			t.Errorf("the banner's command for baresip is not what its table says:\n%s", e.Output())
		}
		return fmt.Sprintf(account, transport)
	}
	t.Fatalf("no account of %s on the banner:\n%s", user, e.Output())
	return ""
}

// dialExtensions dials every number that the demonstration platform answers itself.
func dialExtensions(e *siptest.Edge, p *baresip) {
	p.t.Helper()
	for _, number := range []string{"600", "601"} { // echo, tone: there is something to hear
		p.do("dial", number)
		p.expect(p.calls, "CALL_ESTABLISHED", "CALL_RTPESTAB")
		p.do("hangup", "")
		p.expect(p.calls, "CALL_CLOSED")
	}
	p.do("dial", "602")
	if why := p.expect(p.calls, "CALL_CLOSED"); why != "486 Busy Here" {
		p.t.Errorf("%s dialled 602: %s", p.user, why)
	}
	cancelled := func() float64 { return e.Counter("ringwall_requests_sent_total", `side="inside"`, `method="CANCEL"`) }
	before := cancelled()
	p.do("dial", "603")
	p.expect(p.calls, "CALL_RINGING")
	p.do("hangup", "")
	p.expect(p.calls, "CALL_CLOSED")
	if !siptest.Eventually(func() bool { return cancelled() == before+1 }) {
		p.t.Errorf("%s hung up while 603 rang, but the platform got %v CANCELs", p.user, cancelled()-before)
	}
}

// registeredOnce wants the platform to have seen this phone at least twice, and always with one Contact.
func (p *baresip) registeredOnce(e *siptest.Edge) {
	p.t.Helper()
	log := e.Log()
	if n := strings.Count(log, "user="+p.user+" contacts="); n < 2 || n != strings.Count(log, "user="+p.user+" contacts=1 ") {
		p.t.Errorf("%s registered %d times, not always with one Contact:\n%s", p.user, n, log)
	}
}
