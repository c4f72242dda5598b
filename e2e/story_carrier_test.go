package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A carried is a platform behind an edge that has a number at a carrier, Debian's Kamailio with digest authentication, and a
// subscriber of that carrier. All of them are hosts of a world.
type carried struct {
	*rig
	*world
	carrier    *kamailio
	home       *host // of the carrier
	subscriber *siptest.UA
}

// The password of every account at the Kamailio of the stories.
const kamailioPassword = "secret of the test"

func newCarried(t *testing.T) *carried {
	t.Helper()
	w := newWorld(t)
	c := &carried{world: w, home: w.host("carrier", "outside", "203.0.113.10")}
	at := netip.AddrPortFrom(c.home.addr, 5060)
	c.carrier = newKamailioAt(t, at, "nsenter", "--net="+c.home.namespace())
	platform := w.host("platform", "inside", "10.77.0.10").platform("trunk")
	e := siptest.StartEdge(t, siptest.Outlets{Outside: worldOutside, Inside: worldInside, Upstream: []string{"sip:" + platform.Addr.String()}},
		siptest.Keys{
			"peers":  fmt.Sprintf("[{name: carrier, uri: \"sip:%v\", calls: 10}]", at.Addr()),
			"access": "{unknown: [REGISTER]}",
		})
	c.rig = &rig{T: t, edge: e, platform: platform, way: udp}
	platform.Proxy, platform.Domain = e.Inside, at.Addr().String()
	c.subscriber = w.host("town", "outside", "203.0.113.20").phone("carol", "udp", at)
	c.subscriber.Domain = at.Addr().String()
	return c
}

// authorized sends a request that is to be challenged, answers the challenge, and returns what it sent then and the answer, which
// must be want.
func (c *carried) authorized(ua *siptest.UA, m *siptest.Message, want string) (*siptest.Message, *siptest.Received) {
	c.rig.Helper()
	ua.Send(m)
	_, method := m.CSeq()
	challenge := ua.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline)
	if challenge == nil || challenge.Status() != 401 && challenge.Status() != 407 {
		c.rig.Fatalf("%s of %s was not challenged: %v", method, ua.User, challenge)
	}
	if method == "INVITE" {
		ua.Send(siptest.AckOf(m, challenge))
	}
	again := ua.Send(siptest.Authorize(m, challenge, ua.User, kamailioPassword))
	if want == "" {
		return again, nil
	}
	final := ua.WaitIn(m.Get("Call-ID"), want, siptest.Deadline)
	if final == nil {
		c.rig.Fatalf("%s of %s got no %s", method, ua.User, want)
	}
	return again, final
}

// register lets a user of the carrier register there.
func (c *carried) register(ua *siptest.UA) *siptest.Received {
	c.rig.Helper()
	m := ua.Request("REGISTER", "sip:"+c.home.addr.String()).Set("To", "<"+ua.AOR()+">").Set("Expires", "3600")
	_, ok := c.authorized(ua, m, "200 REGISTER")
	return ok
}

// connect lets a call b by way of the carrier, and b answer.
func (c *carried) connect(a, b *siptest.UA) (caller, callee *siptest.Dialog, got *siptest.Received) {
	c.rig.Helper()
	sent, _ := c.authorized(a, a.Request("INVITE", b.AOR()), "")
	got = b.Expect("INVITE")
	b.Reply(got, 180)
	a.Expect("180")
	answer := b.Reply(got, 200)
	caller, callee = a.NewCallerDialog(sent, a.WaitIn(sent.Get("Call-ID"), "200 INVITE", siptest.Deadline)), b.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	b.Expect("ACK")
	return caller, callee, got
}

// TestCarrier: a platform registers at a carrier through the edge; calls both ways, on hold from each side, ended by each side.
// Whoever is not the carrier is a stranger, with its address over another transport as with the Contact that it knows us by.
func TestCarrier(t *testing.T) {
	siptest.NeedTool(t, "kamailio")
	if !inWorld(t) {
		return
	}
	c := newCarried(t)
	if ok := c.register(c.platform); siptest.URI(ok.Get("Contact")) != siptest.URI(c.platform.Contact()) {
		t.Errorf("the 200 shows the platform the Contact %s", ok.Get("Contact"))
	}
	c.register(c.subscriber)
	known := c.known()
	for _, pair := range [][2]*siptest.UA{{c.subscriber, c.platform}, {c.platform, c.subscriber}} {
		for calleeEnds := range 2 {
			a, b, got := c.connect(pair[0], pair[1])
			if want := siptest.URI(pair[1].Contact()); got.RequestURI() != want {
				t.Errorf("the INVITE came for %s, not for %s", got.RequestURI(), want)
			}
			c.holds(a, b)
			c.holds(b, a)
			if calleeEnds == 1 {
				a, b = b, a
			}
			c.bye(a, b)
		}
	}
	unsuspected(t, c.edge)
	c.strangers(known)
}

// known is the Contact that the carrier knows the platform by: it leads to the edge and tells nothing of the inside.
func (c *carried) known() string {
	c.rig.Helper()
	all := c.carrier.told(`trunk has 1 at \S+`)
	contact := all[0][strings.LastIndexByte(all[0], ' ')+1:]
	if !strings.Contains(contact, "@"+worldOutside) || strings.Contains(contact, c.platform.Addr.Addr().String()) {
		c.rig.Errorf("the carrier knows the platform by %s", contact)
	}
	return contact
}

// strangers let those call who may not: from the carrier's address over TCP, and from elsewhere with the Contact that the carrier has.
func (c *carried) strangers(contact string) {
	c.rig.Helper()
	elsewhere := c.host("elsewhere", "outside", "203.0.113.66")
	for _, uri := range []string{contact, "sip:trunk@" + worldOutside, "sip:trunk@example.com"} {
		for _, from := range []*siptest.UA{
			c.home.phone("mallory", "tcp", c.edge.Outside),
			elsewhere.phone("mallory", "tcp", c.edge.Outside),
			elsewhere.phone("mallory", "udp", c.edge.Outside),
		} {
			m := from.Request("INVITE", uri)
			from.Send(m)
			if from.Transport == "tcp" {
				from.Send(siptest.AckOf(m, from.Expect("405 INVITE")))
			}
		}
	}
	c.platform.Silence(hush, "INVITE")
	if n := c.edge.Counter("ringwall_refused_total", `"access.method"`); n != 9 {
		c.rig.Errorf("%v of 9 INVITEs of strangers were counted as refused", n)
	}
}
