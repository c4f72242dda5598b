package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// eachWay runs a story over UDP and over TCP.
func eachWay(t *testing.T, keys siptest.Keys, story func(*rig)) {
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) { t.Parallel(); story(newRig(t, w, keys)) })
	}
}

// TestLargeMessages: bodies up to nearly limits.message, both ways, over UDP in fragments.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		phone := r.phone("alice")
		for _, size := range []int{1500, 9000, 60000} {
			body := strings.Repeat("0123456789", size/10)
			large := func(m *siptest.Message) { m.Body = body }
			sent, got := r.invite(phone, large)
			r.platform.Reply(got, 200, large)
			ok := phone.Expect("200 INVITE")
			if got.Body != body || ok.Body != body {
				r.Errorf("%d bytes: %d arrived, %d came back", size, len(got.Body), len(ok.Body))
			}
			phone.NewCallerDialog(sent, ok).Send("ACK")
			r.platform.Expect("ACK")
		}
	})
}

// TestStreamFraming: many messages in one write with CRLFs between them, one message in single bytes.
func TestStreamFraming(t *testing.T) {
	r := newRig(t, tcp, nil)
	phone := r.phone("alice")
	conn, err := phone.Dial(r.edge.Outside)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for range 20 {
		all.WriteString(phone.Request("INVITE", "sip:bob@example.com").String() + "\r\n")
	}
	fmt.Fprint(conn, all.String())
	for range 20 {
		r.platform.Expect("INVITE")
	}
	for _, b := range []byte(phone.Request("INVITE", "sip:bob@example.com").String()) {
		fmt.Fprintf(conn, "%c", b)
	}
	r.platform.Expect("INVITE")
}

// TestUpstreamReconnects: the platform's connections break; calls go on over new ones, and so do the answers to what was pending.
func TestUpstreamReconnects(t *testing.T) {
	r := newRig(t, tcp, nil)
	phone := r.phone("alice")
	c := r.call(phone)
	_, pending := r.invite(phone)
	r.platform.Reply(pending, 180)
	phone.Expect("180")
	old := r.platform.Log()[0].Conn
	r.platform.Hangup()
	r.platform.WaitClosed(old, siptest.Deadline)
	r.reconnects(c)
	r.platform.SendTo(r.edge.Inside, "tcp", r.platform.Draft(pending, 200).String())
	phone.Expect("200 INVITE")
}

// reconnects has the phone of c, which is up, ask until the platform, which has hung up, hears it over a new connection: what the edge writes before it sees
// the end of the old one is lost.
func (r *rig) reconnects(c *call) {
	r.Helper()
	asked := func() bool {
		m := c.phone.Send("INFO")
		got := r.platform.WaitIn(m.Get("Call-ID"), "INFO", hush)
		if got != nil {
			r.platform.Reply(got, 200)
		}
		return got != nil
	}
	if !siptest.Eventually(asked) {
		r.Fatal("nothing comes over a new connection")
	}
	c.phone.UA.Expect("200 INFO")
}

// TestConnectionBreaksUnanswered: a server of the platform takes requests, and its connection breaks before it says anything. They come once more over a
// new connection, as copies; if there is none, or it breaks too, another server gets them, or the caller hears so at once.
func TestConnectionBreaksUnanswered(t *testing.T) {
	t.Parallel()
	methods := []string{"INVITE", "REGISTER"}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, mixes[0], nil)
		phone := r.phone("alice")
		for _, method := range methods {
			phone.Send(phone.Request(method, "sip:bob@example.com"))
			first := r.platform.Expect(method)
			r.platform.Hangup()
			again := r.platform.Expect(method)
			if siptest.Branch(again.Message) != siptest.Branch(first.Message) || again.Conn == first.Conn {
				t.Errorf("%s came again, but not as a copy over another connection:\n%s", method, again.Raw)
			}
			r.platform.Reply(again, 404)
			phone.Expect("404 " + method)
		}
	})
	t.Run("every time", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, mixes[0], nil)
		phone := r.phone("alice")
		for _, method := range methods {
			phone.Send(phone.Request(method, "sip:bob@example.com"))
			for range 2 {
				r.platform.Expect(method)
				r.platform.Hangup()
			}
			phone.Expect("503 " + method)
			r.platform.Silence(hush, method)
		}
	})
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		first, second := siptest.NewPlatform(t, "tcp", ""), siptest.NewPlatform(t, "tcp", "")
		e := siptest.StartEdge(t, siptest.Outlets{}, siptest.Keys{"upstreams": fmt.Sprintf(
			`[{uri: "sip:%v;transport=tcp", priority: 1}, {uri: "sip:%v;transport=tcp", priority: 2}]`, first.Addr, second.Addr)})
		phone := siptest.NewPhone(t, "alice", "udp", "", e.Outside)
		for _, method := range methods {
			phone.Send(phone.Request(method, "sip:bob@example.com"))
			first.Expect(method)
		}
		first.Close()
		for _, method := range methods {
			second.Expect(method)
		}
	})
}

// TestPlatformHangsUpWhileItRings: the platform calls, and its connection is gone when the phone answers: the answer comes over a new one, to where
// its Via says that it listens (RFC 3261 §18.2.2).
func TestPlatformHangsUpWhileItRings(t *testing.T) {
	t.Parallel()
	r := newRig(t, mixes[0], nil)
	phone, contact := r.registered("alice")
	sent := r.platform.Send(r.platform.Request("INVITE", contact))
	got := phone.Expect("INVITE")
	phone.Reply(got, 180)
	old := r.platform.Expect("180").Conn
	r.platform.Hangup()
	r.platform.WaitClosed(old, siptest.Deadline)
	answered := func() bool { // what is written before the edge sees the end is lost; a phone repeats its 2xx
		phone.Reply(got, 200)
		return r.platform.WaitIn(sent.Get("Call-ID"), "200 INVITE", hush) != nil
	}
	if !siptest.Eventually(answered) {
		t.Error("no answer comes over a new connection")
	}
}

// TestCallerReconnects: a caller that is not registered loses its connection. Its side of the call can't be reached then (430), but
// over a new connection it can end the call.
func TestCallerReconnects(t *testing.T) {
	r := newRig(t, tcp, nil)
	phone := r.phone("alice")
	c := r.call(phone)
	_, ringing := r.invite(phone)
	phone.Hangup()
	gone := func() bool {
		c.platform.Send("INFO")
		return r.platform.Wait("430 INFO", hush) != nil
	}
	if !siptest.Eventually(gone) {
		t.Error("no 430 for a connection that is gone")
	}
	r.platform.Reply(ringing, 180) // to nobody
	r.bye(c.phone, c.platform)
}

// TestViaLists: the caller's Vias, in lists and odd spellings, come back as they were.
func TestViaLists(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		phone := r.phone("alice")
		_, got := r.invite(phone, func(m *siptest.Message) {
			m.Set("Via", m.Get("Via")+" , SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKb;x=\"a,b\",SIP / 2.0 / TCP [2001:db8::1]:5060 ;branch=z9hG4bKc")
			m.Add("Via", "SIP/2.0/TLS host.example.com;branch=z9hG4bKd;received=10.0.0.2")
		})
		below := got.All("Via")[1:]
		r.platform.Reply(got, 180)
		if back := phone.Expect("180").All("Via"); len(below) != 4 || !slices.Equal(back, below) {
			r.Errorf("Vias %q came back as %q", below, back)
		}
	})
}

// TestRetransmissions: a non-INVITE on record gets what its original got; CANCEL of a non-INVITE does nothing (RFC 3261 §9.1).
func TestRetransmissions(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		phone := r.phone("alice")
		sent := phone.Send(phone.Register())
		got := r.platform.Expect("REGISTER")
		phone.Send(sent)
		phone.Send(siptest.CancelOf(sent))
		r.platform.Silence(hush, "REGISTER", "CANCEL")
		r.platform.Reply(got, 200)
		first := phone.Expect("200 REGISTER")
		phone.Send(sent)
		if again := phone.Expect("200 REGISTER"); again.Raw != first.Raw {
			r.Errorf("another answer to a retransmission:\n%s", again.Raw)
		}
		r.platform.Silence(hush, "REGISTER")
	})
}

// TestTimers: over UDP an unanswered INVITE is sent 7 times (Timer A), a refusal is repeated until its ACK (Timer G).
func TestTimers(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, fast)
	phone := r.phone("alice")
	phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	phone.Expect("408")
	if !siptest.Eventually(func() bool { return r.platform.Got("INVITE") >= 6 }) || r.platform.Got("INVITE") > 7 { // the last is due 20 ms before the end: a busy machine may miss it
		t.Errorf("INVITE was sent %d times, want 7", r.platform.Got("INVITE"))
	}
	phone = r.phone("carol")
	sent := phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	got := r.platform.Expect("INVITE")
	for got.Get("Call-ID") != sent.Get("Call-ID") { // those of the call before, of which one may still be on its way
		got = r.platform.Expect("INVITE")
	}
	r.platform.Reply(got, 486)
	for range 4 {
		phone.Expect("486")
	}
	phone.Send(siptest.AckOf(sent, phone.Expect("486")))
	phone.Send(phone.Request("OPTIONS", "sip:bob@example.com"))
	phone.Expect("200 OPTIONS") // so the ACK has come, too
	phone.Flush()
	phone.Wait("486", 20*time.Millisecond) // one may have crossed it
	phone.Silence(400*time.Millisecond, "486")
}

// TestFinals: 3xx to 6xx, and 423, pass as they are.
func TestFinals(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		phone := r.phone("alice")
		for _, status := range []int{302, 404, 480, 500, 600, 603} {
			sent, got := r.invite(phone)
			r.platform.Reply(got, status, siptest.With("Contact", "<sip:else@example.com>"))
			final := phone.Expect(fmt.Sprint(status))
			if final.Get("Contact") != "<sip:else@example.com>" {
				r.Errorf("%d lost its Contact", status)
			}
			phone.Send(siptest.AckOf(sent, final))
			r.platform.Expect("ACK")
		}
		phone.Send(phone.Register())
		r.platform.Reply(r.platform.Expect("REGISTER"), 423, siptest.With("Min-Expires", "7200"))
		if got := phone.Expect("423"); got.Get("Min-Expires") != "7200" {
			r.Errorf("423 lost its Min-Expires:\n%s", got.Raw)
		}
	})
}

// TestSeveralContacts: two Contacts in one REGISTER, shown again to a query, both reachable as themselves.
func TestSeveralContacts(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		reg := siptest.NewRegistrar(r.platform, nil)
		phone := r.phone("alice")
		first, second := siptest.URI(phone.Contact()), "sip:desk@"+phone.Addr.String()
		phone.Send(phone.Register().Set("Contact", phone.Contact()+";q=0.9, <"+second+">;expires=60"))
		shown := phone.Expect("200").All("Contact")
		phone.Send(phone.Register().Del("Contact").Del("Expires"))
		for _, list := range [][]string{shown, phone.Expect("200").All("Contact")} {
			if len(list) != 2 || siptest.URI(list[0]) != first || siptest.URI(list[1]) != second {
				r.Errorf("the phone is shown %q", list)
			}
		}
		for i, want := range []string{first, second} {
			if c := r.callIn(reg.Contacts(phone.AOR())[i], phone); c.got.RequestURI() != want {
				r.Errorf("called as %s, want %s", c.got.RequestURI(), want)
			}
		}
	})
}

// TestLongTokens: tags, branch and Call-ID of 200 bytes.
func TestLongTokens(t *testing.T) {
	t.Parallel()
	eachWay(t, nil, func(r *rig) {
		phone, long := r.phone("alice"), strings.Repeat("x", 200)
		sent, got := r.invite(phone, func(m *siptest.Message) {
			m.Set("Call-ID", long+"@host").Set("From", "<sip:a@b>;tag="+long)
			m.Set("Via", strings.Replace(m.Get("Via"), "z9hG4bK", "z9hG4bK"+long, 1))
		})
		c := r.answer(phone, sent, got)
		r.bye(c.platform, c.phone)
	})
}

// TestProbes: /healthz and /readyz while serving and while draining, and HUP, which must not end the calls.
func TestProbes(t *testing.T) {
	r := newRig(t, udp, siptest.Keys{"timers": "{drain: 20s}"})
	r.edge.Signal(syscall.SIGHUP)
	phone := r.phone("alice")
	r.works(phone)
	sent, got := r.invite(phone)
	r.edge.Signal(syscall.SIGTERM)
	if !siptest.Eventually(func() bool { return r.edge.Status("/readyz") == 503 }) || r.edge.Status("/healthz") != 200 {
		t.Errorf("draining: /readyz %d, /healthz %d", r.edge.Status("/readyz"), r.edge.Status("/healthz"))
	}
	r.platform.Reply(got, 486)
	phone.Send(siptest.AckOf(sent, phone.Expect("486")))
}

// TestTermWhileItRings: a call that rings longer than timers.drain ends for both sides, whoever calls.
func TestTermWhileItRings(t *testing.T) {
	t.Parallel()
	eachWay(t, siptest.Keys{"timers": "{drain: 100ms}"}, func(r *rig) {
		called, contact := r.registered("bob")
		phone := r.phone("alice")
		sent, got := r.invite(phone)
		r.platform.Reply(got, 180)
		phone.Expect("180")
		r.platform.Send(r.platform.Request("INVITE", contact))
		called.Reply(called.Expect("INVITE"), 180)
		r.platform.Expect("180")
		r.edge.Signal(syscall.SIGTERM)
		final := phone.WaitIn(sent.Get("Call-ID"), "503 INVITE", siptest.Deadline)
		if final == nil || final.Get("Retry-After") == "" {
			r.Errorf("the caller got %v", final)
		}
		cancel := r.platform.Expect("CANCEL")
		if siptest.Branch(cancel.Message) != siptest.Branch(got.Message) {
			r.Errorf("CANCEL of another INVITE:\n%s", cancel.Raw)
		}
		called.Expect("CANCEL")
		r.platform.Expect("503 INVITE")
		if code := r.edge.WaitExit(); code != 0 {
			r.Errorf("exit code %d", code)
		}
	})
}

// TestUpstreamByName: an upstream is a host name.
func TestUpstreamByName(t *testing.T) {
	platform := siptest.NewPlatform(t, "udp", "127.0.0.1")
	e := siptest.StartEdge(t, siptest.Outlets{Upstream: []string{fmt.Sprintf("sip:localhost:%d", platform.Addr.Port())}}, nil)
	phone := siptest.NewPhone(t, "alice", "udp", "", e.Outside)
	phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	platform.Reply(platform.Expect("INVITE"), 486)
	phone.Expect("486")
}
