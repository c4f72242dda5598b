// Package e2e holds stories about the whole binary: it is built once, run with a config file, and talked to over real
// sockets on loopback addresses by the fake user agents of siptest, and by real tools where they are installed.
//
// Stories that wait more than they work run beside others (t.Parallel); those that flood, measure, or count what a loaded machine may lose run
// alone, before them. make e2e says how many run at once.
//
// TestConformance lists the rows of the proxy conformance table by number. Further stories live in files of their own,
// story_*_test.go for those that need a tool (siptest.NeedTool). Stories with many calls or RFC timer values run with
// RINGWALL_SLOW=1 only and have listings of their own. RINGWALL_RACE=1 builds the binary with the race detector.
package e2e

import (
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(floodEnv); spec != "" {
		floodNow(spec)
		return
	}
	code := m.Run()
	siptest.Clean()
	os.Exit(code)
}

// hush is how long a row listens for what must not come. Loopback answers within a millisecond or so.
const hush = 100 * time.Millisecond

// slow skips a story that takes minutes unless it is asked for.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("RINGWALL_SLOW") != "1" {
		t.Skip("takes minutes: run it with RINGWALL_SLOW=1 (make e2e-slow)")
	}
}

// A way is how the two sides of a rig talk: transports and IP addresses, "" for a loopback address of its own.
type way struct{ name, out, in, outIP, inIP string }

// The ways.
var (
	udp    = way{name: "udp", out: "udp", in: "udp"}
	tcp    = way{name: "tcp", out: "tcp", in: "tcp"}
	mixes  = []way{{name: "udp-tcp", out: "udp", in: "tcp"}, {name: "tcp-udp", out: "tcp", in: "udp"}}
	sixes  = []way{{"udp6", "udp", "udp", "::1", "::1"}, {"tcp6", "tcp", "tcp", "::1", "::1"}}
	across = []way{{"udp4-udp6", "udp", "udp", "", "::1"}, {"udp6-udp4", "udp", "udp", "::1", ""},
		{"tcp6-udp4", "tcp", "udp", "::1", ""}, {"udp4-tcp6", "udp", "tcp", "", "::1"}}
	both = []way{udp, tcp}
	// Every pair of UDP and TCP, in each family.
	twice = slices.Concat(both, mixes, sixes, []way{{"udp6-tcp6", "udp", "tcp", "::1", "::1"}, {"tcp6-udp6", "tcp", "udp", "::1", "::1"}})
	// TLS outside, and both families.
	secures = []way{{name: "tls-udp", out: "tls", in: "udp"}, {name: "tls-tcp", out: "tls", in: "tcp"}, {"tls6-udp4", "tls", "udp", "::1", ""}}
	// WebSocket outside.
	webs = []way{{name: "ws-udp", out: "ws", in: "udp"}, {name: "wss-udp", out: "wss", in: "udp"}, {name: "wss-tcp", out: "wss", in: "tcp"},
		{"ws6-udp4", "ws", "udp", "::1", ""}, {"wss6-udp6", "wss", "udp", "::1", "::1"}}
)

// A rig is an edge with a platform behind it.
type rig struct {
	*testing.T
	edge     *siptest.Edge
	platform *siptest.UA
	way      way
	hidden   bool          // topology.hide is on
	relayed  bool          // media is relayed
	outside  []*siptest.UA // who must see nothing of the inside then
	recorded []string      // proxies inside that record themselves, in the order in which requests from outside pass them
}

// newRig starts a platform and an edge in front of it. The platform is shown and media is not relayed unless keys say otherwise: rows compare what
// leaves with what the platform sent.
func newRig(t *testing.T, w way, keys siptest.Keys) *rig {
	t.Helper()
	platform := siptest.NewPlatform(t, w.in, w.inIP)
	uri := "sip:" + platform.Addr.String()
	if w.in == "tcp" {
		uri += ";transport=tcp"
	}
	all := siptest.Keys{"topology": "{hide: false}"}
	maps.Copy(all, keys)
	secure := w.out != "udp" && w.out != "tcp"
	e := siptest.StartEdge(t, siptest.Outlets{Outside: w.outIP, Inside: w.inIP, Upstream: []string{uri}, Secure: secure}, all)
	if secure {
		e.Outside = map[string]netip.AddrPort{"tls": e.TLS, "ws": e.WS, "wss": e.WSS}[w.out] // what rows know as outside
	}
	r := &rig{T: t, edge: e, platform: platform, way: w, hidden: strings.Contains(all["topology"], "hide: true"),
		relayed: all["media"] != ""}
	if r.hidden {
		r.leaky()
		t.Cleanup(r.unseen)
	}
	return r
}

// phone is a new user agent outside that sends to the edge.
func (r *rig) phone(user string) *siptest.UA {
	r.Helper()
	phone := siptest.NewPhone(r.T, user, r.way.out, r.way.outIP, r.edge.Outside)
	r.outside = append(r.outside, phone)
	return phone
}

// stream reports whether outside speaks TCP, or something on it.
func (r *rig) stream() bool { return r.way.out != "udp" }

// invite lets phone call bob and returns the INVITE as it sent it and as the platform got it.
func (r *rig) invite(phone *siptest.UA, change ...func(*siptest.Message)) (*siptest.Message, *siptest.Received) {
	r.Helper()
	m := phone.Request("INVITE", "sip:bob@example.com")
	for _, f := range change {
		f(m)
	}
	phone.Send(m)
	return m, r.platform.Expect("INVITE")
}

// A call is an answered call with an ACK: both ends, and how it came about.
type call struct {
	phone, platform *siptest.Dialog
	sent            *siptest.Message  // the INVITE as its caller sent it
	got             *siptest.Received // and as the callee got it
}

// call lets phone call the platform, which answers.
func (r *rig) call(phone *siptest.UA, change ...func(*siptest.Message)) *call {
	r.Helper()
	sent, got := r.invite(phone)
	answer := r.platform.Reply(got, 200, change...)
	ok := phone.Expect("200 INVITE")
	c := &call{phone.NewCallerDialog(sent, ok), r.platform.NewCalleeDialog(got, answer), sent, got}
	c.phone.Send("ACK")
	r.platform.Expect("ACK")
	return c
}

// callIn lets the platform call contact, a Contact that phone is registered with, and phone answers.
func (r *rig) callIn(contact string, phone *siptest.UA) *call {
	r.Helper()
	sent := r.platform.Send(r.platform.Request("INVITE", contact))
	got := phone.Expect("INVITE")
	answer := phone.Reply(got, 200)
	ok := r.platform.Expect("200 INVITE")
	c := &call{phone.NewCalleeDialog(got, answer), r.platform.NewCallerDialog(sent, ok), sent, got}
	c.platform.Send("ACK")
	phone.Expect("ACK")
	return c
}

// ask sends a request in the dialog from, which to must get and which is answered with 200. It returns the request as
// it was sent and as it came.
func (r *rig) ask(from, to *siptest.Dialog, m *siptest.Message) *siptest.Received {
	r.Helper()
	from.UA.Send(m)
	got := to.UA.Expect(m.Method())
	to.UA.Reply(got, 200)
	from.UA.Expect("200 " + m.Method())
	if want := r.seen(m.RequestURI(), to.UA); got.RequestURI() != want {
		r.Errorf("%s: Request-URI %q became %q, not %q", m.Method(), m.RequestURI(), got.RequestURI(), want)
	}
	if routes := got.All("Route"); len(routes) > 0 && (to.UA != r.platform || !slices.Equal(routes, r.recorded)) {
		r.Errorf("%s came with Route %q", m.Method(), routes)
	}
	return got
}

// bye ends a call from one side.
func (r *rig) bye(from, to *siptest.Dialog) {
	r.Helper()
	r.ask(from, to, from.Request("BYE"))
}

// refused sends m from phone and wants it refused with status, where that may be answered: over a stream. Over UDP an
// unproven source gets silence. Either way the edge counts it, and the platform sees nothing.
func (r *rig) refused(phone *siptest.UA, m *siptest.Message, status string) *siptest.Received {
	r.Helper()
	return r.refusedRaw(phone, m.String(), status)
}

// refusedRaw is refused for bytes.
func (r *rig) refusedRaw(phone *siptest.UA, raw, status string) (answer *siptest.Received) {
	r.Helper()
	method, _, _ := strings.Cut(raw, " ")
	before := r.edge.Counter("ringwall_refused_total")
	phone.SendTo(r.edge.Outside, r.way.out, raw)
	if r.stream() {
		answer = phone.Expect(status)
	} else {
		phone.Silence(hush)
	}
	r.platform.Silence(hush/2, method)
	if r.edge.Counted(before+1, "ringwall_refused_total") == before {
		r.Errorf("%s refused, but not counted", method)
	}
	return answer
}

// equal fails the row if a field of got differs from want's.
func (r *rig) equal(name string, want *siptest.Message, got *siptest.Received) {
	r.Helper()
	if got.Get(name) != want.Get(name) {
		r.Errorf("%s: %q became %q", name, want.Get(name), got.Get(name))
	}
}

// register makes ua a registered phone and returns the Contact that the registrar knows it by.
func (r *rig) register(reg *siptest.Registrar, phone *siptest.UA) string {
	r.Helper()
	phone.MustRegister()
	contacts := reg.Contacts(phone.AOR())
	if len(contacts) == 0 {
		r.Fatalf("the registrar knows no Contact of %s", phone.AOR())
	}
	return contacts[len(contacts)-1]
}
