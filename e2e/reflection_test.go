package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// A reflection is one kind of message that somebody sends in another's name over UDP, and what the victim may get for it.
type reflection struct {
	kind string
	do   func(r *rig, m *mirror)
	// The most that goes out: own answers per byte that came in, in per cent, and for relayed responses copies that are free: of each
	// response the first goes out always, further copies while no more than three times what came in has gone.
	percent, free int
}

// A mirror is an attacker and victim in one: it counts what it sends and what comes to its address.
type mirror struct {
	phone *siptest.UA
	edge  *siptest.Edge
	in    int
}

func (m *mirror) send(raw string) {
	m.in += len(raw)
	m.phone.SendTo(m.edge.UDP, "udp", raw)
}

// out waits until no more comes, and adds up what came.
func (m *mirror) out(wait time.Duration) (messages, bytes int) {
	time.Sleep(wait)
	for _, got := range m.phone.Log() {
		messages, bytes = messages+1, bytes+len(got.Raw)
	}
	return messages, bytes
}

// invite sends an INVITE and returns what the platform got of it.
func (m *mirror) invite(r *rig) (*siptest.Message, *siptest.Received) {
	r.Helper()
	sent := m.phone.Request("INVITE", "sip:bob@example.com")
	m.send(sent.String())
	return sent, r.platform.Expect("INVITE")
}

// requests sends n new requests.
func requests(method string, n int, change ...func(*siptest.Message)) func(*rig, *mirror) {
	return func(_ *rig, m *mirror) {
		for range n {
			request := m.phone.Request(method, "sip:bob@example.com")
			for _, f := range change {
				f(request)
			}
			m.send(request.String())
		}
	}
}

// answered sends an INVITE that the platform answers with status, times over.
func answered(status, times int, change ...func(*siptest.Message)) func(*rig, *mirror) {
	return func(r *rig, m *mirror) {
		_, got := m.invite(r)
		answer := r.platform.Reply(got, status, change...)
		for range times - 1 {
			r.platform.SendTo(r.edge.Inside, "udp", answer.String())
		}
	}
}

var body = func(m *siptest.Message) {
	m.WithBody("application/sdp", siptest.SDP+strings.Repeat("a=x:0123456789\r\n", 60))
}

var reflections = []reflection{
	{"garbage", func(_ *rig, m *mirror) {
		for i := range 100 {
			m.send(fmt.Sprintf("garbage %d\r\n\r\n", i))
		}
	}, 0, 0},
	{"malformed INVITEs", func(_ *rig, m *mirror) {
		for range 20 {
			raw := m.phone.Request("INVITE", "sip:bob@example.com").String()
			m.send(strings.Replace(raw, "CSeq: ", "CSeq: x", 1))
			m.send(strings.Replace(raw, "Max-Forwards", "Max-Forwards: 70\r\nMax-Forwards", 1))
			m.send(raw[:len(raw)-10])
		}
	}, 0, 0},
	{"invalid INVITEs", func(r *rig, m *mirror) {
		for _, set := range [][2]string{{"Max-Forwards", "0"}, {"Proxy-Require", "x"}, {"Max-Breadth", "0"}, {"To", "<sip:a@b?X=y>"}} {
			m.send(m.phone.Request("INVITE", "sip:bob@example.com").Set(set[0], set[1]).String())
		}
	}, 0, 0},
	{"CANCEL of nothing", requests("CANCEL", 30), 0, 0},
	{"ACK of nothing", requests("ACK", 30), 0, 0},
	{"ACK in no dialog", requests("ACK", 30, func(m *siptest.Message) { m.Set("To", m.Get("To")+";tag=x") }), 0, 0},
	{"stray responses", func(_ *rig, m *mirror) {
		for range 30 {
			raw := m.phone.Request("INVITE", "sip:bob@example.com").String()
			_, rest, _ := strings.Cut(raw, "\r\n")
			m.send("SIP/2.0 200 OK\r\n" + rest)
		}
	}, 0, 0},
	{"one OPTIONS", requests("OPTIONS", 1), 130, 0},
	{"200 OPTIONS", requests("OPTIONS", 200), 13, 0}, // 20 of them are answered
	{"BYE in no dialog", requests("BYE", 10, func(m *siptest.Message) { m.Set("To", m.Get("To")+";tag=x") }), 130, 0},
	{"MESSAGE", requests("MESSAGE", 10), 130, 0},
	{"200 SUBSCRIBEs", requests("SUBSCRIBE", 200), 13, 0},
	{"INVITE, no answer", func(r *rig, m *mirror) {
		sent, _ := m.invite(r)
		for range 10 {
			m.send(sent.String())
		}
	}, 300, 0},
	{"INVITE, rings 20 times", answered(180, 20), 300, 0},
	{"INVITE, 183 with a body 20 times", answered(183, 20, body), 0, 1},
	{"INVITE, refused, no ACK", answered(486, 1), 300, 1},
	{"INVITE, challenged 20 times", answered(401, 20, siptest.With("WWW-Authenticate", "Digest realm=\"example.com\", nonce=\"0123456789abcdef\"")), 300, 1},
	{"INVITE, 200 20 times, no ACK", answered(200, 20), 300, 1},
	{"INVITE, large 200 20 times", answered(200, 20, body), 300, 1},
	{"INVITE, CANCEL 10 times", func(r *rig, m *mirror) {
		sent, got := m.invite(r)
		r.platform.Reply(got, 180)
		for range 10 {
			m.send(siptest.CancelOf(sent).String())
		}
		r.platform.Reply(got, 487)
	}, 300, 1},
}

// TestReflection measures, kind by kind and in bytes, what an unproven UDP source gets for what it sends.
func TestReflection(t *testing.T) {
	r := newRig(t, udp, siptest.Keys{"timers": "{t1: 10ms, t2: 40ms, drain: 300ms}"})
	t.Logf("%-34s %9s %9s %6s", "kind", "bytes in", "out", "ratio")
	for _, k := range reflections {
		m := &mirror{phone: siptest.NewPhone(t, "mallory", "udp", "", r.edge.UDP), edge: r.edge}
		r.platform.Flush()
		k.do(r, m)
		if k.free > 0 { // the first copy goes out always
			siptest.Eventually(func() bool { return len(m.phone.Log()) > 0 })
		}
		messages, out := m.out(hush)
		largest := 0
		for _, got := range m.phone.Log() {
			largest = max(largest, len(got.Raw))
		}
		t.Logf("%-34s %9d %9d %6.2f (%d messages)", k.kind, m.in, out, float64(out)/float64(m.in), messages)
		if 100*out > k.percent*m.in+100*k.free*largest {
			t.Errorf("%s: %d bytes for %d", k.kind, out, m.in)
		}
		if k.free > 0 && messages == 0 {
			t.Errorf("%s: not even the first copy", k.kind)
		}
	}
}

// TestCopiesToWhoAcknowledges: a caller who has shown that it gets our answers gets every copy of a 2xx (P7).
func TestCopiesToWhoAcknowledges(t *testing.T) {
	r := newRig(t, udp, nil)
	phone := r.phone("alice")
	c := r.call(phone)
	answer := r.platform.Draft(c.got, 200)
	answer.Set("To", c.phone.Remote)
	phone.Flush()
	for range 30 {
		r.platform.SendTo(r.edge.Inside, "udp", answer.String())
		phone.Expect("200 INVITE")
	}
}
