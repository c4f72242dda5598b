package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// drained returns what is queued: "<" received or ">" sent, "x" refused; the side it came from or goes to; the start.
func drained(t *testing.T, tr *Trace) (all []string) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		m, err := tr.Next(ended)
		if err != nil {
			return all
		}
		text := "< "
		switch {
		case m.Reason != "":
			text = "x " + string(m.Reason) + " "
		case m.Sent:
			text = "> "
		}
		text += [...]string{"outside ", "inside "}[m.Flow.Side]
		start, _, _ := strings.Cut(string(m.Raw), "\r\n")
		first, _, _ := strings.Cut(strings.TrimPrefix(start, "SIP/2.0 "), " ")
		all = append(all, text+first)
	}
}

func (b *bench) trace(f TraceFilter) *Trace {
	b.t.Helper()
	tr, err := b.p.Trace(f)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(tr.Close)
	return tr
}

// TestTrace follows a call by each kind of filter: both sides, in order, and nothing of another call.
func TestTrace(t *testing.T) {
	b := newBench(t, nil)
	want := []string{"< outside INVITE", "> inside INVITE", "< inside 200", "> outside 200"}
	for name, f := range map[string]TraceFilter{
		"all": {}, "user": {User: "alice"}, "target": {User: "echo"}, "call": {CallID: "c7"},
		"source": {Source: netip.MustParseAddr("127.0.0.1")}, "both": {User: "alice", CallID: "c7"},
	} {
		tr := b.trace(f)
		b.send(b.outside, newRequest("INVITE", 7))
		b.send(b.inside, []byte(replyTo(b.expect(b.platform, "INVITE"), "200 OK")))
		b.expect(b.caller, "SIP/2.0 200")
		if got := drained(t, tr); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		tr.Close()
		b = newBench(t, nil)
	}
	for name, f := range map[string]TraceFilter{
		"user": {User: "Alice"}, "call": {CallID: "c"}, "source": {Source: netip.MustParseAddr("127.0.0.2")},
		"one of two": {User: "alice", CallID: "c8"},
	} {
		tr := b.trace(f)
		b.send(b.outside, newRequest("INVITE", 9))
		if got := drained(t, tr); got != nil {
			t.Errorf("%s: %q, want nothing", name, got)
		}
		tr.Close()
	}
}

// TestTraceFollowsTheCall: a message that names neither user nor source belongs to a call that did.
func TestTraceFollowsTheCall(t *testing.T) {
	b := newBench(t, nil)
	tr := b.trace(TraceFilter{User: "alice"})
	b.send(b.outside, newRequest("INVITE", 7))
	other := strings.ReplaceAll(string(newRequest("OPTIONS", 7)), "alice", "mallory")
	b.send(b.outside, []byte(other))
	if got := drained(t, tr); !slices.Contains(got, "< outside OPTIONS") {
		t.Errorf("%q", got)
	}
}

// TestTraceShowsRefusals: what is refused is shown with its reason, whether or not it could be parsed.
func TestTraceShowsRefusals(t *testing.T) {
	b := newBench(t, nil)
	tr := b.trace(TraceFilter{})
	b.send(b.outside, []byte(strings.Replace(string(newRequest("INVITE", 7)), "Max-Forwards: 70", "Max-Forwards: 0", 1)))
	b.send(b.outside, []byte("GET / HTTP/1.1\r\n\r\n"))
	b.send(b.inside, []byte("\r\n\r\n"))
	got := drained(t, tr)
	want := []string{"< outside INVITE", "x request.max_forwards outside INVITE", "< outside GET"}
	if len(got) != 4 || !slices.Equal(got[:3], want) || !strings.HasPrefix(got[3], "x malformed.") {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestTraceIsBounded: who does not read loses messages, which are counted, and the packet path goes on; a fifth trace is
// refused; after the last one nothing is left.
func TestTraceIsBounded(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Upstreams = nil
		c.Upstreams = []Upstream{{Addr: netip.MustParseAddrPort("127.0.0.1:9")}}
	})
	var all []*Trace
	for range maxTraces {
		all = append(all, b.trace(TraceFilter{}))
	}
	if _, err := b.p.Trace(TraceFilter{}); !errors.Is(err, ErrTraces) {
		t.Errorf("fifth trace: %v", err)
	}
	small := newRequest("BYE", 7)
	for range traceQueue + 10 {
		b.l.seen(exchangeOf(b, small))
	}
	if n := all[0].Dropped(); n != 10 {
		t.Errorf("%d dropped, want 10", n)
	}
	drained(t, all[0])
	if n := all[0].held.Load(); n != 0 {
		t.Errorf("%d bytes held of an empty queue", n)
	}
	large := []byte(string(small) + strings.Repeat("x", 60000))
	for range traceBytes / len(large) * 2 {
		b.l.seen(exchangeOf(b, large))
	}
	if held := all[0].held.Load(); held > traceBytes || all[0].Dropped() == 10 {
		t.Errorf("%d bytes held, %d dropped", held, all[0].Dropped())
	}
	for _, tr := range all {
		tr.Close()
		tr.Close()
	}
	if b.p.traces.All() != nil {
		t.Error("traces are left")
	}
}

// exchangeOf parses raw as if it came from outside.
func exchangeOf(b *bench, raw []byte) *edge.Exchange {
	_ = b.l.msg.Parse(raw, true)
	return &edge.Exchange{Msg: &b.l.msg, From: b.outside, At: b.now}
}

// TestTraceOfHiddenCall: a call is followed by the Call-ID of either side, and each message tells the other one.
func TestTraceOfHiddenCall(t *testing.T) {
	b := newHidden(t)
	invite := func(n int) string {
		return fmt.Sprintf("INVITE sip:bob@%s SIP/2.0\r\nVia: SIP/2.0/UDP 10.77.0.1;branch=z9hG4bK%d;rport\r\nFrom: <sip:alice@10.77.0.1>;tag=a1\r\n"+
			"To: <sip:bob@b>\r\nCall-ID: one@mark\r\nCSeq: %d INVITE\r\nContact: <sip:a@10.77.0.1>\r\nContent-Length: 0\r\n\r\n", addrOf(b.caller), n, n)
	}
	tr := b.trace(TraceFilter{CallID: "one@mark"})
	b.send(b.inside, []byte(invite(1)))
	out := b.expect(b.caller, "INVITE")
	masked := field(t, out, "Call-ID")
	also := b.trace(TraceFilter{CallID: masked})
	b.send(b.outside, answerOf(out, "486 Busy", ""))
	b.expect(b.platform, "SIP/2.0 486")
	if got, want := drained(t, also), []string{"< outside 486", "> inside 486", "> outside ACK"}; !slices.Equal(got, want) {
		t.Errorf("by the Call-ID of outside: %q, want %q", got, want)
	}
	for range 5 {
		m, err := tr.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := "one@mark"
		if m.Flow.Side == edge.Inside {
			want = masked
		}
		if first := !m.Sent && m.Flow.Side == edge.Inside; !first && m.Other != want {
			t.Errorf("%.20q: other Call-ID %q, want %q", m.Raw, m.Other, want)
		}
	}
	b.reasons()
	b.send(b.outside, []byte(strings.Replace(string(newRequest("BYE", 5)), "Call-ID: c5", "Call-ID: "+masked, 1)))
	if e, ok := b.p.ring.Next(); ok && (e.CallID != masked || e.Other != "one@mark") {
		t.Errorf("%+v", e)
	}
}
