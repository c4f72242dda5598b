package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A door is a NAT before one phone that lets no OPTIONS in, as some firewalls do, and keeps what passes.
type door struct {
	t        *testing.T
	in, out  *net.UDPConn // to the phone, to the edge
	edge     netip.AddrPort
	mu       sync.Mutex
	messages []string
}

// newDoor is a door at an address of its own, before an edge.
func newDoor(t *testing.T, edge netip.AddrPort) *door {
	t.Helper()
	ip := siptest.OwnIP()
	d := &door{t: t, edge: edge}
	for _, side := range []**net.UDPConn{&d.in, &d.out} {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(place(t, ip)))
		if err != nil {
			t.Fatal(err)
		}
		*side = conn
		t.Cleanup(func() { conn.Close() })
	}
	go d.run()
	return d
}

// at is where the phone sends to, from where the edge sees it.
func (d *door) at() netip.AddrPort   { return d.in.LocalAddr().(*net.UDPAddr).AddrPort() }
func (d *door) from() netip.AddrPort { return d.out.LocalAddr().(*net.UDPAddr).AddrPort() }

// run passes on what comes from the phone, and lets answers in from then on.
func (d *door) run() {
	var answers sync.Once
	b := make([]byte, 1<<16)
	for {
		n, phone, err := d.in.ReadFromUDPAddrPort(b)
		if err != nil {
			return // the test is over
		}
		answers.Do(func() { go d.answers(phone) })
		d.keep(b[:n])
		d.out.WriteToUDPAddrPort(b[:n], d.edge)
	}
}

func (d *door) answers(phone netip.AddrPort) {
	b := make([]byte, 1<<16)
	for {
		n, _, err := d.out.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		d.keep(b[:n])
		if !strings.HasPrefix(string(b[:n]), "OPTIONS ") {
			d.in.WriteToUDPAddrPort(b[:n], phone)
		}
	}
}

func (d *door) keep(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.messages = append(d.messages, string(b))
}

// passed are the messages that begin so and hold a text.
func (d *door) passed(begin, text string) (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.messages {
		if strings.HasPrefix(m, begin) && strings.Contains(m, text) {
			list = append(list, m)
		}
	}
	return list
}

// TestChallengedPhone: a real phone at a greylisted address where no OPTIONS gets in is challenged by the edge, answers, is challenged by the platform, with
// stale=true, and answers that: it registers without a failure, and can be called. What it answered to the edge never gets to the platform.
func TestChallengedPhone(t *testing.T) {
	t.Parallel()
	platform := siptest.NewRegistrar(siptest.NewPlatform(t, "udp", siptest.OwnIP()), map[string]string{"alice": "right"})
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + platform.Addr.String()}}, siptest.Keys{"checks": allChecks, "trust": "{realm: example.com}"})
	d := newDoor(t, e.UDP)
	suspects(t, e, e.UDP, d.from().Addr().String(), false)
	before := len(platform.Log())
	phone := newBaresip(t, "alice")
	phone.register(fmt.Sprintf(`<sip:alice@%v;transport=udp>;auth_pass="right";answermode=manual;regint=600`, d.at()))

	challenges := d.passed("SIP/2.0 401", "")
	if len(challenges) != 2 || len(d.passed("OPTIONS ", "")) == 0 {
		t.Fatalf("%d challenges: %q", len(challenges), d.messages)
	}
	ours, theirs := between(challenges[0], `nonce="`, `"`), between(challenges[1], `nonce="`, `"`)
	if strings.Contains(challenges[0], "stale=") || !strings.Contains(challenges[1], ", stale=true") || ours == theirs {
		t.Errorf("the challenges are\n%s\n%s", challenges[0], challenges[1])
	}
	for whose, nonce := range map[string]string{"the edge's": ours, "the platform's": theirs} {
		if len(d.passed("REGISTER ", `nonce="`+nonce+`"`)) == 0 {
			t.Errorf("the phone never answers %s challenge", whose)
		}
	}
	var got []string
	for _, m := range platform.Log()[before:] {
		if strings.Contains(m.Raw, ours) {
			t.Errorf("the platform gets what was meant for the edge:\n%s", m.Raw)
		}
		if m.Method() == "REGISTER" {
			got = append(got, m.Get("Authorization"))
		}
	}
	if len(got) != 2 || got[0] != "" || !strings.Contains(got[1], theirs) {
		t.Errorf("the platform gets REGISTERs with %q", got)
	}
	invite := platform.Request("INVITE", platform.Contacts("sip:alice@" + d.at().String())[0])
	platform.SendTo(e.Inside, "udp", invite.String())
	phone.expect(phone.calls, "CALL_INCOMING")
	phone.do("hangup", "")
	if answer := platform.WaitIn(invite.Get("Call-ID"), "final", siptest.Deadline); answer == nil || answer.Status() != 486 {
		t.Errorf("its call ends with %v", answer)
	}
}

// TestGreylistedStreams: real phones on connections from greylisted addresses answer our OPTIONS, and register and call as ever. Their connections come from
// 127.0.0.1 or ::1, wherever they listen.
func TestGreylistedStreams(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "linphone-daemon")
	siptest.NeedTool(t, "baresip")
	f := newFloor(t, siptest.Outlets{}, siptest.Keys{"upstreams": "[]", "checks": allChecks, "trust": "{realm: ringwall.demo}"})
	var phones []talker
	for _, l := range []line{{make: "linphone", transport: "tcp", six: true}, {make: "baresip", transport: "tcp"}} {
		user, home, at := "bob", "127.0.0.1", f.UDP
		if l.six {
			user, home, at = "alice", "::1", f.six["udp"]
		}
		suspects(t, f.Edge, at, home, false)
		before := challenged(f.Edge, false)
		phones = append(phones, f.phone(l, user, f.password(user)))
		if n := challenged(f.Edge, false); n == before {
			t.Errorf("%v was not asked who it is", l)
		}
	}
	asked := challenged(f.Edge, false)
	for i := range phones {
		caller, callee := phones[i], phones[1-i]
		begin(caller, callee)
		caller.end()
		callee.ended()
	}
	if n := challenged(f.Edge, false); n != asked {
		t.Errorf("registered phones on connections are challenged %v times", n-asked)
	}
	f.content("challenge.source", "malformed.cseq", "route.record", "scanner.weak")
}

// TestGuessesOnConnections: who guesses passwords on connections from a greylisted address and answers no OPTIONS gets none of them to the platform; where
// nobody is challenged each gets there. A phone at the same address that answers sees one challenge, the platform's.
func TestGuessesOnConnections(t *testing.T) {
	t.Parallel()
	const guesses = 2 // the third would be lockout's
	for mode, want := range map[string]int{"enforce": 0, "off": guesses} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			platform := siptest.NewRegistrar(siptest.NewPlatform(t, "udp", siptest.OwnIP()), map[string]string{"tcp": "right", "tls": "right", "ws": "right", "wss": "right"})
			e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{"sip:" + platform.Addr.String()}, Secure: true},
				siptest.Keys{"checks": allChecks, "trust": "{realm: example.com, challenge: " + mode + "}"})
			ip := siptest.OwnIP()
			if mode == "enforce" {
				suspects(t, e, e.UDP, ip, false)
			}
			var all sync.WaitGroup
			for transport, addr := range map[string]netip.AddrPort{"tcp": e.Outside, "tls": e.TLS, "ws": e.WS, "wss": e.WSS} {
				guesser, phone := siptest.NewPhone(t, transport, transport, ip, addr), siptest.NewPhone(t, transport, transport, ip, addr)
				all.Go(func() {
					for range guesses {
						if _, status := tryPassword(guesser, siptest.ID()); status != 401 {
							t.Errorf("%s: the guess gets %d", transport, status)
						}
					}
					phone.Handle(func(m *siptest.Received) bool {
						if m.Is("OPTIONS") {
							phone.Reply(m, 404)
						}
						return m.Is("OPTIONS")
					})
					if first, status := tryPassword(phone, "right"); status != 200 || strings.Contains(first, "stale") {
						t.Errorf("%s: the phone gets %q, then %d", transport, first, status)
					}
				})
			}
			all.Wait()
			got := map[string]int{}
			for _, m := range platform.Log() {
				if m.Get("Authorization") != "" && !platform.Authorized(m) {
					got[siptest.User(siptest.URI(m.Get("To")))]++
				}
			}
			for _, transport := range []string{"tcp", "tls", "ws", "wss"} {
				if got[transport] != want {
					t.Errorf("%s: %d of %d guesses get to the platform, want %d", transport, got[transport], guesses, want)
				}
			}
		})
	}
}

// tryPassword registers with a password, and returns the challenge and the status of what it leads to.
func tryPassword(phone *siptest.UA, password string) (challenge string, status int) {
	m := phone.Send(phone.Register())
	first := phone.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline)
	if first == nil || first.Status() != 401 {
		return "", 0
	}
	phone.Send(siptest.Authorize(m, first, phone.User, password))
	if last := phone.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline); last != nil {
		status = last.Status()
	}
	return first.Raw, status
}
