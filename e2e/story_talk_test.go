package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A talker is a real phone, of whatever make, that does what its user does and waits for what its user waits for.
type talker interface {
	name() string
	dial(user string) // begins a call
	answer()          // waits until it rings, and answers
	talking()         // waits until the call is up
	hold()
	resume()
	held()    // waits until the far end has put the call on hold
	resumed() // and has taken it up again
	end()     // hangs up
	ended()   // waits until the far end has
}

func (p *baresip) name() string     { return p.user }
func (p *baresip) dial(user string) { p.do("dial", user) }
func (p *baresip) answer()          { p.expect(p.calls, "CALL_INCOMING"); p.do("accept", "") }
func (p *baresip) talking()         { p.expect(p.calls, "CALL_ESTABLISHED") }
func (p *baresip) hold()            { p.do("hold", ""); p.told("answer") }
func (p *baresip) resume()          { p.do("resume", ""); p.told("answer") }
func (p *baresip) held()            { p.told("offer") }
func (p *baresip) resumed()         { p.told("offer") }
func (p *baresip) end()             { p.do("hangup", ""); p.expect(p.calls, "CALL_CLOSED") }
func (p *baresip) ended()           { p.expect(p.calls, "CALL_CLOSED") }

// told waits for a session description of the far end, an offer or an answer.
func (p *baresip) told(what string) {
	p.t.Helper()
	if got := p.expect(p.calls, "CALL_REMOTE_SDP"); got != what {
		p.t.Errorf("%s: the far end sent an %s, not an %s", p.user, got, what)
	}
}

// converse makes four calls between a and b: each of them calls, each of them hangs up, and in between each holds the other.
func converse(t *testing.T, a, b talker) {
	t.Helper()
	for _, pair := range [][2]talker{{a, b}, {b, a}} {
		for _, ends := range [][2]talker{{a, b}, {b, a}} {
			begin(pair[0], pair[1])
			for _, holds := range [][2]talker{{a, b}, {b, a}} {
				holds[0].hold()
				holds[1].held()
				holds[0].resume()
				holds[1].resumed()
			}
			ends[0].end()
			ends[1].ended()
		}
	}
}

// begin lets a call b, who answers.
func begin(a, b talker) {
	a.dial(b.name())
	b.answer()
	a.talking()
	b.talking()
}

// A line is one phone of a story: its make, and how it reaches the edge.
type line struct {
	make      string // linphone or baresip
	transport string
	six       bool // over IPv6; what it hears stays on IPv4
}

func (l line) String() string {
	if l.six {
		return l.make + " " + l.transport + "6"
	}
	return l.make + " " + l.transport
}

// A floor is an edge that phones of both makes are at, on every transport and over both versions of IP.
type floor struct {
	*siptest.Edge
	t       *testing.T
	six     map[string]netip.AddrPort // by transport
	expires int                       // how long its phones register for, in seconds
	phones  []*linphone
}

// leastExpires is the shortest registration that the demonstration platform grants, in seconds.
const leastExpires = 10

func newFloor(t *testing.T, where siptest.Outlets, keys siptest.Keys) *floor {
	t.Helper()
	f := &floor{t: t, expires: leastExpires, six: map[string]netip.AddrPort{}}
	for _, transport := range []string{"udp", "tcp", "tls", "wss"} {
		f.six[transport] = place(t, "::1")
		where.More = append(where.More, transport+":"+f.six[transport].String())
	}
	where.Secure = true
	f.Edge = siptest.StartEdge(t, where, keys)
	return f
}

// server is where a line goes.
func (f *floor) server(l line) netip.AddrPort {
	switch {
	case l.six:
		return f.six[l.transport]
	case l.transport == "tls":
		return f.TLS
	}
	return f.Outside
}

// phone is a phone that is registered as user of example.com.
func (f *floor) phone(l line, user, password string) talker {
	f.t.Helper()
	return f.phoneAt(f.server(l), l, user, password)
}

// phoneAt is a phone whose outbound proxy is server.
func (f *floor) phoneAt(server netip.AddrPort, l line, user, password string) talker {
	f.t.Helper()
	if l.make == "baresip" {
		p := newBaresip(f.t, user)
		p.register(fmt.Sprintf(`<sip:%s@example.com;transport=%s>;auth_pass="%s";outbound="sip:%v;transport=%[2]s";answermode=manual;regint=%[5]d`,
			user, l.transport, password, server, f.expires))
		return p
	}
	s := subscription{user: user, password: password, transport: l.transport, server: server, expires: f.expires}
	if l.six {
		s.sip = "::1"
	}
	return f.linphone(s)
}

// linphone is a linphone that is registered.
func (f *floor) linphone(s subscription) *linphone {
	f.t.Helper()
	p := newLinphone(f.t, s)
	if !p.registered() {
		f.t.Fatalf("%s does not register", p.user)
	}
	f.phones = append(f.phones, p)
	return p
}

// password is user's at the demonstration platform.
func (f *floor) password(user string) string {
	f.t.Helper()
	_, password, _ := strings.Cut(promised(f.t, f.Edge, user, "udp"), "auth_pass=")
	return password
}

// content wants nothing to have been refused but for the given reasons, and nobody to have been asked for a password.
func (f *floor) content(but ...string) {
	f.t.Helper()
	unsuspected(f.t, f.Edge, but...)
	for _, p := range f.phones {
		p.content()
	}
}
