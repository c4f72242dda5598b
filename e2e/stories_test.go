package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/siptest"
)

// TestSourceHeader: every request that reaches the platform says where it came from, in one field that nobody can forge.
func TestSourceHeader(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, siptest.Keys{"headers": "{source: X-Source}"})
			phone := r.phone("alice")
			forge := func(m *siptest.Message) *siptest.Message {
				m.Top("x-SOURCE", "192.0.2.1:5060;udp").Add("X-Source", "192.0.2.2:5060;udp").Add("X-source", "")
				return m
			}
			sent, got := r.invite(phone, func(m *siptest.Message) { forge(m) })
			source := r.source(phone)
			r.told(got, source)
			answer := r.platform.Reply(got, 200)
			d, p := phone.NewCallerDialog(sent, phone.Expect("200")), r.platform.NewCalleeDialog(got, answer)
			phone.Send(forge(d.Request("ACK")))
			r.told(r.platform.Expect("ACK"), source)
			r.told(r.ask(d, p, forge(d.Request("INFO"))), source)
			phone.Send(forge(phone.Register()))
			r.told(r.platform.Expect("REGISTER"), source)
			outside := r.ask(p, d, p.Request("INFO").Set("X-Source", "192.0.2.1:5060;udp"))
			if outside.Count("X-Source") != 0 { // a call that passes here twice tells nobody outside who made it
				t.Errorf("towards outside: %q", outside.All("X-Source"))
			}
		})
	}
}

// source is what headers.source says of phone.
func (r *rig) source(phone *siptest.UA) string {
	if r.stream() {
		return phone.Connection(r.edge.Outside).LocalAddr().String() + ";" + r.way.out
	}
	return phone.Addr.String() + ";udp"
}

// told wants exactly this source in m.
func (r *rig) told(m *siptest.Received, source string) {
	r.Helper()
	if m.Count("X-Source") != 1 || m.Get("X-Source") != source {
		r.Errorf("%s: want X-Source %s once:\n%s", m.Method(), source, m.Raw)
	}
}

// TestProxyInside: a registrar and proxy inside that stays in the route set, both phones outside; the request passes the edge
// twice, each dialog has both tokens in its route set.
func TestProxyInside(t *testing.T) {
	t.Parallel()
	for _, w := range append(slices.Clone(mixes), both...) {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			reg := siptest.NewRegistrar(r.platform, nil)
			reg.ServeProxy()
			alice, bob := r.phone("alice"), r.phone("bob")
			r.register(reg, alice)
			r.register(reg, bob)
			for round := range 2 {
				sent := alice.Send(alice.Request("INVITE", bob.AOR()))
				got := bob.Expect("INVITE")
				bob.Reply(got, 180)
				alice.Expect("180")
				answer := bob.Reply(got, 200)
				a, b := alice.NewCallerDialog(sent, alice.Expect("200 INVITE")), bob.NewCalleeDialog(got, answer)
				if len(a.Routes) != 3 || len(b.Routes) != 3 {
					t.Fatalf("route sets %q and %q", a.Routes, b.Routes)
				}
				a.Send("ACK")
				bob.Expect("ACK")
				r.reinvite(b, a)
				r.reinvite(a, b)
				if round == 0 {
					a, b = b, a
				}
				r.bye(a, b)
			}
			sent := alice.Send(alice.Request("INVITE", bob.AOR()))
			got := bob.Expect("INVITE")
			bob.Reply(got, 180)
			alice.Expect("180")
			alice.Send(siptest.CancelOf(sent))
			alice.Expect("200 CANCEL")
			bob.Reply(bob.Expect("CANCEL"), 200)
			bob.Reply(got, 487)
			bob.Expect("ACK")
			alice.Send(siptest.AckOf(sent, alice.Expect("487 INVITE")))
		})
	}
}

// TestKeepAlive: a UDP phone behind a NAT (its Contact is not where it is seen) gets CRLFCRLF, one without a NAT gets nothing.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, siptest.Keys{"registrations": "{keepalive: 1s}"})
	siptest.NewRegistrar(r.platform, nil)
	hidden, plain := r.phone("hidden"), r.phone("plain")
	hidden.Send(hidden.Register().Set("Contact", "<sip:hidden@192.168.1.2:5060>"))
	hidden.Expect("200")
	plain.MustRegister()
	for range 2 {
		if got := hidden.Expect("CRLF"); got.Raw != "\r\n\r\n" || got.From != r.edge.Outside {
			t.Errorf("keep-alive %q from %v", got.Raw, got.From)
		}
	}
	plain.Silence(hush, "CRLF")
}

// TestInsideStrangers: who is neither an upstream nor in inside.sources can't use the inside listener.
func TestInsideStrangers(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			reg := siptest.NewRegistrar(r.platform, nil)
			phone := r.phone("alice")
			contact := r.register(reg, phone)
			stranger := r.phone("mallory")
			for _, m := range []*siptest.Message{stranger.Request("INVITE", contact), stranger.Request("OPTIONS", "sip:"+r.edge.Inside.String())} {
				stranger.SendTo(r.edge.Inside, w.in, m.String())
			}
			stranger.Silence(hush)
			phone.Silence(hush / 2)
		})
	}
}

// TestStrayResponses: a response with no transaction, from another source, or with another Via below ours is not relayed as
// it is.
func TestStrayResponses(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, nil)
	phone, stranger := r.phone("alice"), r.phone("mallory")
	sent, got := r.invite(phone)
	phone.Expect("100")
	forged := got.Clone()
	forged.Start = "SIP/2.0 200 OK"
	for _, name := range []string{"Max-Forwards", "Record-Route", "Max-Breadth"} {
		forged.Del(name)
	}
	forged.Body = ""
	stranger.SendTo(r.edge.Inside, "udp", forged.String())  // right branch, wrong source
	stranger.SendTo(r.edge.Outside, "udp", forged.String()) // and from outside
	r.platform.SendTo(r.edge.Outside, "udp", forged.String())
	alien := forged.Clone().Set("Via", strings.Replace(got.All("Via")[0], "branch=z9hG4bK", "branch=z9hG4bKx", 1))
	r.platform.SendTo(r.edge.Inside, "udp", alien.String()) // right source, no such branch
	phone.Silence(hush)
	evil := forged.Clone()
	evil.Start = "SIP/2.0 180 Ringing"
	evil.Set("To", got.Get("To")+";tag=1").Set("Via", got.All("Via")[0]+", SIP/2.0/UDP 192.0.2.66:5060;branch=z9hG4bKevil")
	r.platform.SendTo(r.edge.Inside, "udp", evil.String())
	ringing := phone.Expect("180")
	if vias := ringing.All("Via"); len(vias) != 1 || siptest.Branch(ringing.Message) != siptest.Branch(sent) {
		t.Errorf("Vias %q", vias)
	}
}

// TestSecondTerm: a second TERM ends a drain at once.
func TestSecondTerm(t *testing.T) {
	r := newRig(t, udp, siptest.Keys{"timers": "{drain: 1m}"})
	phone := r.phone("alice")
	_, got := r.invite(phone)
	r.platform.Reply(got, 180)
	phone.Expect("180")
	r.edge.Signal(15)
	r.edge.WaitLog("drain")
	time.Sleep(20 * time.Millisecond)
	if !r.edge.Running() {
		t.Fatal("it did not wait for the pending call")
	}
	r.edge.Signal(15)
	r.edge.WaitExit()
}

// TestDrainWaitsForCalls: `ringwall drain --for` ends when the calls that are up have ended, whether media is relayed or not.
func TestDrainWaitsForCalls(t *testing.T) {
	t.Parallel()
	for name, relay := range map[string]string{"off": "{relay: off}", "builtin": "{relay: builtin}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, udp, siptest.Keys{"media": relay})
			c := r.call(r.phone("alice"))
			drain := func(limit string) ([]byte, error) {
				return exec.Command(siptest.Binary(t), "drain", "--for", limit, "--state", r.edge.State).CombinedOutput()
			}
			if out, err := drain("50ms"); err == nil || !strings.Contains(string(out), "0 transactions pending, 1 call up") {
				t.Errorf("with a call that is up drain --for 50ms: %v\n%s", err, out)
			}
			ended := make(chan string)
			go func() {
				out, err := drain("1m")
				ended <- fmt.Sprint(string(out), err)
			}()
			select {
			case text := <-ended:
				t.Fatalf("it did not wait for the call: %s", text)
			case <-time.After(2 * hush):
			}
			r.bye(c.platform, c.phone)
			if text := <-ended; !strings.HasSuffix(text, "no call is up\n<nil>") {
				t.Errorf("after the end of the call: %s", text)
			}
		})
	}
}

// TestUserSignals: USR1 puts what status shows into the log, and USR2 ends nothing either.
func TestUserSignals(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, siptest.Keys{"peers": `[{name: one, uri: "sip:192.0.2.1"}, {name: two, uri: "sip:192.0.2.2"}]`})
	if err := admin.Call(t.Context(), filepath.Join(r.edge.State, "ringwall.sock"), "drain", map[string]bool{"on": true}, nil); err != nil {
		t.Fatal(err)
	}
	r.edge.Signal(syscall.SIGUSR2)
	r.edge.WaitLog("USR2 is ignored")
	r.edge.Signal(syscall.SIGUSR1)
	r.edge.WaitLog("msg=state event=status state=draining version=")
	r.edge.WaitLog(`peer="one: not heard of yet; two: not heard of yet" registrations=0`)
	r.edge.WaitLog("event=status reason=draining")
	if !r.edge.Running() {
		t.Error("a signal has ended it")
	}
}

// TestProvenSources: what is answered with silence to an unproven source over UDP is answered to a registered phone and to
// the platform, whose addresses are known to be theirs.
func TestProvenSources(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, nil)
	phone, contact := r.registered("alice")
	invalid := map[string]func(*siptest.Message){
		"416": func(m *siptest.Message) { m.Start = "INVITE teleport:bob SIP/2.0" },
		"420": set("Proxy-Require", "teleport"),
		"440": set("Max-Breadth", "0"),
		"483": set("Max-Forwards", "0"),
	}
	for status, change := range invalid {
		m := phone.Request("INVITE", "sip:bob@example.com")
		change(m)
		phone.Send(m)
		phone.Expect(status + " INVITE")
		m = r.platform.Request("INVITE", contact)
		change(m)
		r.platform.SendTo(r.edge.Inside, "udp", m.String())
		r.platform.Expect(status + " INVITE")
	}
	for _, ua := range []*siptest.UA{phone, r.platform} {
		to := map[*siptest.UA]netip.AddrPort{phone: r.edge.Outside, r.platform: r.edge.Inside}[ua]
		raw := ua.Request("OPTIONS", "sip:bob@example.com").String()
		ua.SendTo(to, "udp", strings.Replace(raw, "SIP/2.0\r\n", "SIP/3.0\r\n", 1))
		ua.Expect("505")
		ua.SendTo(to, "udp", strings.Replace(raw, "CSeq: 1 OPTIONS", "CSeq: 1 INVITE", 1))
		ua.Expect("400")
		cancel := siptest.CancelOf(ua.Request("INVITE", "sip:bob@example.com"))
		ua.SendTo(to, "udp", cancel.String())
		ua.Expect("481 CANCEL")
	}
	phone.Silence(hush, "INVITE")
}
