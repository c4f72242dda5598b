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
	rated         bool // more comes than is answered: 20 at once, and 5 a second as long as it takes to send all
}

// A mirror is an attacker and victim in one: it counts what it sends and what comes to its address.
type mirror struct {
	phone    *siptest.UA
	edge     *siptest.Edge
	sent, in int // messages and bytes
}

func (m *mirror) send(raw string) {
	m.sent, m.in = m.sent+1, m.in+len(raw)
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

// relayed is how many responses came that are none of the edge's own (100).
func (m *mirror) relayed() (n int) {
	for _, got := range m.phone.Log() {
		if !got.Is("100") {
			n++
		}
	}
	return n
}

// tried is how many bytes of 100 came.
func (m *mirror) tried() (n int) {
	for _, got := range m.phone.Log() {
		if got.Is("100") {
			n += len(got.Raw)
		}
	}
	return n
}

// largest is the size of the largest response that came, but for 100.
func (m *mirror) largest() (n int) {
	for _, got := range m.phone.Log() {
		if !got.Is("100") {
			n = max(n, len(got.Raw))
		}
	}
	return n
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
	}, 0, 0, false},
	{"malformed INVITEs", func(_ *rig, m *mirror) {
		for range 20 {
			raw := m.phone.Request("INVITE", "sip:bob@example.com").String()
			m.send(strings.Replace(raw, "CSeq: ", "CSeq: x", 1))
			m.send(strings.Replace(raw, "Max-Forwards", "Max-Forwards: 70\r\nMax-Forwards", 1))
			m.send(raw[:len(raw)-10])
		}
	}, 0, 0, false},
	{"invalid INVITEs", func(r *rig, m *mirror) {
		for _, set := range [][2]string{{"Max-Forwards", "0"}, {"Proxy-Require", "x"}, {"Max-Breadth", "0"}, {"To", "<sip:a@b?X=y>"}} {
			m.send(m.phone.Request("INVITE", "sip:bob@example.com").Set(set[0], set[1]).String())
		}
	}, 0, 0, false},
	{"CANCEL of nothing", requests("CANCEL", 30), 0, 0, false},
	{"ACK of nothing", requests("ACK", 30), 0, 0, false},
	{"ACK in no dialog", requests("ACK", 30, func(m *siptest.Message) { m.Set("To", m.Get("To")+";tag=x") }), 0, 0, false},
	{"stray responses", func(_ *rig, m *mirror) {
		for range 30 {
			raw := m.phone.Request("INVITE", "sip:bob@example.com").String()
			_, rest, _ := strings.Cut(raw, "\r\n")
			m.send("SIP/2.0 200 OK\r\n" + rest)
		}
	}, 0, 0, false},
	{"one OPTIONS", requests("OPTIONS", 1), 130, 0, false},
	{"200 OPTIONS", requests("OPTIONS", 200), 130, 0, true},
	{"BYE in no dialog", requests("BYE", 10, func(m *siptest.Message) { m.Set("To", m.Get("To")+";tag=x") }), 130, 0, false},
	{"MESSAGE", requests("MESSAGE", 10), 130, 0, false},
	{"200 SUBSCRIBEs", requests("SUBSCRIBE", 200), 130, 0, true},
	{"INVITE, no answer", func(r *rig, m *mirror) {
		sent, _ := m.invite(r)
		for range 10 {
			m.send(sent.String())
		}
	}, 300, 0, false},
	{"INVITE, rings 20 times", answered(180, 20), 300, 0, false},
	{"INVITE, 183 with a body 20 times", answered(183, 20, body), 0, 1, false},
	{"INVITE, refused, no ACK", answered(486, 1), 300, 1, false},
	{"INVITE, challenged 20 times", answered(401, 20, siptest.With("WWW-Authenticate", "Digest realm=\"example.com\", nonce=\"0123456789abcdef\"")), 300, 1, false},
	{"INVITE, 200 20 times, no ACK", answered(200, 20), 300, 1, false},
	{"INVITE, large 200 20 times", answered(200, 20, body), 300, 1, false},
	{"INVITE, CANCEL 10 times", func(r *rig, m *mirror) {
		sent, got := m.invite(r)
		r.platform.Reply(got, 180)
		for range 10 {
			m.send(siptest.CancelOf(sent).String())
		}
		r.platform.Reply(got, 487)
	}, 300, 1, false},
}

// TestReflection measures, kind by kind and in bytes, what an unproven UDP source gets for what it sends.
func TestReflection(t *testing.T) {
	r := newRig(t, udp, siptest.Keys{"timers": "{t1: 10ms, t2: 40ms, drain: 300ms}"})
	t.Logf("%-34s %9s %9s %6s", "kind", "bytes in", "out", "ratio")
	for _, k := range reflections {
		m := &mirror{phone: siptest.NewPhone(t, "mallory", "udp", "", r.edge.UDP), edge: r.edge}
		r.platform.Flush()
		began := time.Now()
		k.do(r, m)
		if k.free > 0 && !siptest.Eventually(func() bool { return m.relayed() > 0 }) {
			t.Errorf("%s: not even the first copy", k.kind)
		}
		messages, out := m.out(hush)
		t.Logf("%-34s %9d %9d %6.2f (%d messages)", k.kind, m.in, out, float64(out)/float64(m.in), messages)
		most := k.percent * m.in
		if k.rated {
			answers := 20 + int(time.Since(began)/(200*time.Millisecond))
			most = most / m.sent * answers
		}
		if own := m.tried(); k.free > 0 { // a platform that a busy machine keeps from answering for 200 ms has a 100 go before
			out -= own
			if 100*own > 130*m.in {
				t.Errorf("%s: %d bytes of 100 for %d", k.kind, own, m.in)
			}
		}
		if 100*out > most+100*k.free*m.largest() {
			t.Errorf("%s: %d bytes for %d", k.kind, out, m.in)
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
