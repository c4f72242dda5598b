package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
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

// newCarried starts the carrier and its subscriber, and an edge whose platform is to be at upstream.
func newCarried(t *testing.T, w *world, upstream netip.AddrPort) *carried {
	t.Helper()
	c := &carried{world: w, home: w.host("carrier", "outside", "203.0.113.10")}
	at := netip.AddrPortFrom(c.home.addr, 5060)
	c.carrier = newKamailioAt(t, at, c.home.within()...)
	c.subscriber = w.host("town", "outside", "203.0.113.20").phone("carol", "udp", at)
	c.subscriber.Domain = at.Addr().String()
	where := siptest.Outlets{Outside: worldOutside, Inside: worldInside, Upstream: []string{"sip:" + upstream.String()}}
	e := siptest.StartEdge(t, where, siptest.Keys{
		"peers":  fmt.Sprintf("[{name: carrier, uri: \"sip:%v\", calls: 10}]", at.Addr()),
		"access": "{unknown: [REGISTER]}",
	})
	c.rig = &rig{T: t, edge: e, way: udp, hidden: true}
	c.register(c.subscriber)
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

// connect lets a call b by way of the carrier, and b answer. a answers the carrier's challenge unless its platform does.
func (c *carried) connect(a, b *siptest.UA, uri string, challenged bool) (caller, callee *siptest.Dialog, got *siptest.Received) {
	c.rig.Helper()
	sent := a.Request("INVITE", uri)
	if challenged {
		sent, _ = c.authorized(a, sent, "")
	} else {
		a.Send(sent)
	}
	got = b.Expect("INVITE")
	b.Reply(got, 180)
	a.Expect("180")
	answer := b.Reply(got, 200)
	caller, callee = a.NewCallerDialog(sent, a.Expect("200 INVITE")), b.NewCalleeDialog(got, answer)
	caller.Send("ACK")
	b.Expect("ACK")
	return caller, callee, got
}

// talk puts each side of a call on hold, and ends it.
func (c *carried) talk(from, to *siptest.Dialog) {
	c.rig.Helper()
	c.holds(from, to)
	c.holds(to, from)
	c.bye(from, to)
}

// TestCarrier: a platform registers at a carrier through the edge; calls both ways, on hold from each side, ended by each side.
// Whoever is not the carrier is a stranger, with its address over another transport as with the Contact that it knows us by.
func TestCarrier(t *testing.T) {
	siptest.NeedTool(t, "kamailio")
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	platform := w.host("platform", "inside", "10.77.0.10").platform("trunk")
	c := newCarried(t, w, platform.Addr)
	c.platform = platform
	platform.Proxy, platform.Domain = c.edge.Inside, c.home.addr.String()
	if ok := c.register(platform); siptest.URI(ok.Get("Contact")) != siptest.URI(platform.Contact()) {
		t.Errorf("the 200 shows the platform the Contact %s", ok.Get("Contact"))
	}
	known := c.known()
	for _, pair := range [][2]*siptest.UA{{c.subscriber, platform}, {platform, c.subscriber}} {
		for calleeEnds := range 2 {
			a, b, got := c.connect(pair[0], pair[1], pair[1].AOR(), true)
			if want := siptest.URI(pair[1].Contact()); got.RequestURI() != want {
				t.Errorf("the INVITE came for %s, not for %s", got.RequestURI(), want)
			}
			if calleeEnds == 1 {
				a, b = b, a
			}
			c.talk(a, b)
		}
	}
	unsuspected(t, c.edge)
	c.strangers(known)
}

// TestCarrierKamailio: as TestCarrier with Kamailio inside, too, which registers by its module uac and answers the carrier's challenges
// with a second INVITE of the same CSeq. A desk phone behind it calls and is called.
func TestCarrierKamailio(t *testing.T) {
	siptest.NeedTool(t, "kamailio")
	if !inWorld(t) {
		return
	}
	w := newWorld(t)
	at := netip.MustParseAddrPort("10.77.0.10:5060")
	c := newCarried(t, w, at)
	desk := w.host("desk", "inside", "10.77.0.20").phone("desk", "udp", at)
	c.platform = desk // what strangers must not reach
	pbx := startKamailio(t, at, "trunk.cfg", map[string]string{
		"EDGE": "sip:" + c.edge.Inside.String(), "DESK": "sip:" + desk.Addr.String(), "CARRIER": c.home.addr.String(),
		"CONTACT": at.String(), "TABLES": "text://" + c.account(),
	}, w.host("platform", "inside", at.Addr().String()).within()...)
	known := c.known()
	for calleeEnds := range 2 {
		a, b, _ := c.connect(c.subscriber, desk, "sip:trunk@"+c.home.addr.String(), true)
		pbx.told("call for sip:desk@example.com")
		out, in, _ := c.connect(desk, c.subscriber, c.subscriber.AOR(), false)
		if calleeEnds == 1 {
			a, b, in, out = b, a, out, in
		}
		c.talk(a, b)
		c.talk(in, out)
	}
	unsuspected(t, c.edge)
	c.strangers(known)
}

// account writes the tables of Kamailio's module uac with one account at the carrier, and returns their folder.
func (c *carried) account() string {
	c.rig.Helper()
	dir := c.rig.TempDir()
	carrier := c.home.addr.String()
	for name, text := range map[string]string{
		"version": "id(int,auto) table_name(string) table_version(int)\n0:uacreg:5\n",
		"uacreg": "id(int,auto) l_uuid(string) l_username(string) l_domain(string) r_username(string) r_domain(string) realm(string) " +
			"auth_username(string) auth_password(string) auth_ha1(string,null) auth_proxy(string) expires(int) flags(int) reg_delay(int) " +
			"contact_addr(string,null) socket(string,null)\n" +
			fmt.Sprintf("0:number:desk:example.com:trunk:%s:%s:trunk:%s::sip\\:%s:3600:0:0::\n", carrier, carrier, kamailioPassword,
				strings.Replace(c.edge.Inside.String(), ":", "\\:", 1)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			c.rig.Fatal(err)
		}
	}
	return dir
}

// known is the Contact that the carrier knows the platform by: it leads to the edge and tells nothing of the inside.
func (c *carried) known() string {
	c.rig.Helper()
	all := c.carrier.told(`trunk has 1 at \S+`)
	contact := all[0][strings.LastIndexByte(all[0], ' ')+1:]
	if !strings.Contains(contact, "@"+worldOutside) || strings.Contains(contact, "10.77.") {
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
	if n := c.edge.Counted(9, "ringwall_refused_total", `"access.method"`); n != 9 {
		c.rig.Errorf("%v of 9 INVITEs of strangers were counted as refused", n)
	}
}
