//go:build !race

package proxy

import (
	"bytes"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// costsNothing wants calls to allocate nothing once tables and buffers have grown.
func costsNothing(t *testing.T, call func()) {
	t.Helper()
	for range 3000 {
		call()
	}
	if n := testing.AllocsPerRun(500, call); n >= 1 {
		t.Errorf("%v allocations per call", n)
	}
}

// TestCallDoesNotAllocate sends whole calls through the lane: INVITE, 100, 180, 200, BYE refused for its missing token.
func TestCallDoesNotAllocate(t *testing.T) {
	costsNothing(t, newBench(t, nil).calls())
}

// TestPeersDoNotAllocate: as TestCallDoesNotAllocate, from a peer whose calls are counted.
func TestPeersDoNotAllocate(t *testing.T) {
	b, _, _ := newTrunk(t, func(p *Peer) { p.Calls, p.Every = 1_000_000, time.Microsecond })
	costsNothing(t, b.calls())
}

// TestContactTokenDoesNotAllocate: requests for a Contact that the platform registered at a peer.
func TestContactTokenDoesNotAllocate(t *testing.T) {
	b := newBench(t, nil)
	uri, room := []byte("sip:trunk@10.0.0.10:5060"), make([]byte, 0, 512)
	token := appendContactToken(nil, b.p.keys, b.inside, uri)
	back := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(500, func() {
		appendContactToken(room, b.p.keys, b.inside, uri)
		openContactToken(back, b.p.keys, token)
	}); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkPeerFrom is what each message from outside costs with peers of four prefix lengths.
func BenchmarkPeerFrom(b *testing.B) {
	s := newSettings(Config{Peers: []Peer{{Name: "a", Match: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("198.51.100.0/28"), netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("100.64.0.0/10")}}}}, nil, nil)
	from := edge.Flow{Remote: netip.MustParseAddrPort("233.252.0.1:5060")}
	b.ReportAllocs()
	for b.Loop() {
		if s.peerFrom(from) != nil {
			b.Fatal("a stranger is a peer")
		}
	}
}

// TestHiddenCallDoesNotAllocate: nor does a call to a hidden platform whose messages are looked at, nor what a body costs that is rewritten.
func TestHiddenCallDoesNotAllocate(t *testing.T) {
	b := newGuarded(t, GuardBlock, true)
	costsNothing(t, b.calls())
	var m sip.Message
	if err := m.Parse(withBody([]byte(refreshed), "Content-Type: application/dialog-info+xml\r\n",
		`<dialog call-id="id@10.77.0.1"><target uri="sip:x@10.77.0.1:5099"/></dialog><!-- 10.77.0.1 -->`), true); err != nil {
		t.Fatal(err)
	}
	mask, leg, e := topo.Mask{Veil: b.p.cfg.Load().veil}, topo.Leg{Edge: []byte("192.0.2.1"), CallID: []byte("c"), At: b.now}, sip.Edit{}
	out := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(500, func() {
		e.Reset(&m)
		mask.BodyOut(&e, &m, &leg)
		out = e.AppendTo(out[:0])
	}); n >= 1 || bytes.Contains(out, []byte("10.77")) {
		t.Errorf("%v allocations per body: %s", n, out)
	}
}

// BenchmarkCall includes the system calls: two sent datagrams and one received per relayed message.
func BenchmarkCall(b *testing.B) {
	call := newBench(b, nil).calls()
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

// BenchmarkWholeCall is a call from outside to its end, with the platform shown, hidden, and hidden with every message looked at: seven messages
// each way, and the system calls.
func BenchmarkWholeCall(b *testing.B) {
	for _, way := range []struct {
		name  string
		hide  bool
		guard Guard
	}{{"shown", false, GuardOff}, {"hidden", true, GuardOff}, {"guarded", true, GuardLog}} {
		b.Run(way.name, func(b *testing.B) {
			call := newGuarded(b, way.guard, way.hide).wholeCalls()
			for range 1000 {
				call()
			}
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

// wholeCalls returns a function that makes one more call each time: INVITE, 100, 180, 200, ACK, BYE and its 200.
func (b *bench) wholeCalls() func() {
	n := int64(10_000_000)
	invite := newRequest("INVITE", int(n))
	reply, ask := make([]byte, 0, 4096), make([]byte, 0, 4096)
	contact := append(addrOf(b.platform).AppendTo([]byte("Contact: <sip:echo@")), ">\r\n"...)
	answer := func(to []byte, status string, more []byte) {
		_, rest, _ := bytes.Cut(to, []byte("\r\n"))
		before, after, _ := bytes.Cut(rest, []byte("To: <sip:echo@example.com>"))
		reply = append(append(append(reply[:0], "SIP/2.0 "...), status...), "\r\n"...)
		if more == nil {
			reply = append(reply, rest...)
		} else {
			reply = append(append(reply, before...), "To: <sip:echo@example.com>;tag=b"...)
			before, after, _ = bytes.Cut(after, []byte("Contact: "))
			_, after, _ = bytes.Cut(after, []byte("\r\n"))
			reply = append(append(append(reply, before...), more...), after...)
		}
		b.send(b.inside, reply)
	}
	return func() {
		n++
		b.now = b.now.Add(20 * time.Millisecond)
		b.l.timers(b.now)
		b.p.proofs.add(hashFlow(b.p.seed, b.outside), b.now)
		renumber(invite, n)
		b.send(b.outside, invite)
		forwarded := bytes.Clone(b.read(b.platform.Read))
		answer(forwarded, "100 Trying", nil)
		answer(forwarded, "180 Ringing", contact)
		answer(forwarded, "200 OK", contact)
		b.read(b.caller.Read)
		b.read(b.caller.Read)
		ok := bytes.Clone(b.read(b.caller.Read))
		_, route, _ := bytes.Cut(ok, []byte("\r\nRecord-Route: "))
		route, _, _ = bytes.Cut(route, []byte("\r\n"))
		_, target, _ := bytes.Cut(ok, []byte("\r\nContact: <"))
		target, _, _ = bytes.Cut(target, []byte(">"))
		for _, method := range [...]string{"ACK", "BYE"} {
			ask = append(append(append(append(ask[:0], method...), ' '), target...), " SIP/2.0\r\nRoute: "...)
			ask = append(append(append(ask, route...), "\r\nVia: SIP/2.0/UDP 192.168.1.9:5060;branch=z9hG4bKx"...), method...)
			ask = append(strconv.AppendInt(ask, n, 10), ";rport\r\nFrom: <sip:alice@example.com>;tag=a"...)
			ask = append(strconv.AppendInt(ask, n, 10), "\r\nTo: <sip:echo@example.com>;tag=b\r\nCall-ID: c"...)
			ask = append(append(strconv.AppendInt(ask, n, 10), "\r\nMax-Forwards: 70\r\nCSeq: 1 "...), method...)
			ask = append(ask, "\r\nContent-Length: 0\r\n\r\n"...)
			b.send(b.outside, ask)
			forwarded = b.read(b.platform.Read)
		}
		_, rest, _ := bytes.Cut(forwarded, []byte("\r\n"))
		b.send(b.inside, append(append(reply[:0], "SIP/2.0 200 OK\r\n"...), rest...))
		b.read(b.caller.Read)
	}
}

// calls returns a function that makes one more call each time, from bytes that are written over in place.
func (b *bench) calls() func() {
	n := int64(10_000_000)
	invite, bye := newRequest("INVITE", int(n)), newRequest("BYE", int(n))
	bye = bytes.Replace(bye, []byte("To: <sip:echo@example.com>"), []byte("To: <sip:echo@example.com>;tag=x"), 1)
	reply, replies := make([]byte, 0, 4096), 4
	if b.p.cfg.Load().Unify == judge.Enforce {
		replies = 3 // the 100 would come later
	}
	return func() {
		n++
		b.now = b.now.Add(20 * time.Millisecond)
		b.l.timers(b.now)
		b.p.proofs.add(hashFlow(b.p.seed, b.outside), b.now) // or its 481s would soon be too many
		renumber(invite, n)
		b.send(b.outside, invite)
		forwarded := b.read(b.platform.Read)
		_, rest, _ := bytes.Cut(forwarded, []byte("\r\n"))
		for _, status := range [...]string{"SIP/2.0 100 Trying\r\n", "SIP/2.0 180 Ringing\r\n", "SIP/2.0 200 OK\r\n"} {
			reply = append(append(reply[:0], status...), rest...)
			b.send(b.inside, reply)
		}
		renumber(bye, n)
		b.send(b.outside, bye)
		for range replies {
			b.read(b.caller.Read)
		}
	}
}

func (b *bench) read(from func([]byte) (int, error)) []byte {
	n, err := from(b.buf[:])
	if err != nil {
		b.t.Fatal(err)
	}
	return b.buf[:n]
}

// renumber writes n over every number of eight digits in msg.
func renumber(msg []byte, n int64) {
	for i, run := 0, 0; i < len(msg); i++ {
		if run++; msg[i] < '0' || msg[i] > '9' {
			run = 0
		}
		if run == 8 {
			strconv.AppendInt(msg[:i-7:i+1], n, 10)
		}
	}
}

// BenchmarkScrub is what the header policy costs a message that has nothing to be removed.
func BenchmarkScrub(b *testing.B) {
	t := newBench(b, nil)
	msg := with("INVITE", 1, "User-Agent: ExamplePhone 5.18.2 (x86_64/linux)", "Allow: INVITE,ACK,BYE,CANCEL", "Supported: gruu,replaces,norefersub,timer",
		"Session-Expires: 1800;refresher=uac", "Min-SE: 90", "Accept: application/sdp", "Priority: normal", "Organization: x")
	if err := t.l.msg.Parse(msg, true); err != nil {
		b.Fatal(err)
	}
	t.l.edit.Reset(&t.l.msg)
	b.ReportAllocs()
	for b.Loop() {
		if hidden(&t.l.msg) {
			b.Fatal("hidden")
		}
		t.l.scrub(&t.l.msg, &t.l.p.cfg.Load().headers.requests)
	}
}

// TestJudgedCallDoesNotAllocate: nor with every check at work.
func TestJudgedCallDoesNotAllocate(t *testing.T) {
	costsNothing(t, newJudged(t, judge.Enforce, nil).calls())
}

// TestUnifiedCallDoesNotAllocate: nor where answers are unified and sources challenged.
func TestUnifiedCallDoesNotAllocate(t *testing.T) {
	costsNothing(t, newJudged(t, judge.Enforce, func(c *Config) { c.Unify, c.Challenge = judge.Enforce, judge.Enforce }).calls())
}

// TestChallengeDoesNotAllocate: nor does who is challenged, or gets none any more.
func TestChallengeDoesNotAllocate(t *testing.T) {
	b := newDoubting(t, nil)
	b.suspects()
	n := int64(10_000_000)
	msg := bytes.Replace(newRequest("REGISTER", int(n)), []byte("Max-Forwards"), []byte("User-Agent: ExamplePhone 5.18.2\r\nMax-Forwards"), 1)
	ask := func() {
		n++
		b.now = b.now.Add(50 * time.Millisecond) // a quarter is answered
		renumber(msg, n)
		b.send(b.outside, msg)
	}
	for range 200 {
		ask()
	}
	before := b.p.Status().Transactions
	if n := testing.AllocsPerRun(500, ask); n >= 1 {
		t.Errorf("%v allocations per challenge", n)
	}
	if n := b.p.Status().Transactions; n != before {
		t.Errorf("%d transactions, %d before", n, before)
	}
}

// BenchmarkJudge is what the judge and all checks together cost an innocent request: a REGISTER with credentials, and an INVITE. Goal: 300 ns.
func BenchmarkJudge(b *testing.B) {
	t := newJudged(b, judge.Enforce, nil)
	at := t.now
	for name, msg := range map[string][]byte{
		"REGISTER": register("100", 1, `Authorization: Digest username="100", realm="example.com", nonce="0123456789abcdef01234567", uri="sip:example.com", response="0123456789abcdef0123456789abcdef"`),
		"INVITE":   with("INVITE", 1, "User-Agent: ExamplePhone 5.18.2 (x86_64/linux)", "Allow: INVITE,ACK,BYE,CANCEL", "Contact: <sip:1@192.168.1.20>"),
	} {
		b.Run(name, func(b *testing.B) {
			if err := t.l.msg.Parse(msg, true); err != nil {
				b.Fatal(err)
			}
			t.l.cfg = t.p.cfg.Load()
			x := edge.Exchange{Msg: &t.l.msg, From: t.outside, At: at}
			t.l.hear(&x)
			if x.Asked.Secret != 0 { // a phone that is known
				var ok sip.Message
				if err := ok.Parse(replyTo(string(msg), "200 OK"), true); err != nil {
					b.Fatal(err)
				}
				t.l.cfg.Judge.Watch(&edge.Exchange{Msg: &ok, At: at, Asked: x.Asked, Match: edge.MatchReply, From: t.inside})
			}
			b.ReportAllocs()
			least, n, began := time.Hour, 0, threadTime(b)
			for b.Loop() {
				at = at.Add(200 * time.Millisecond)
				x.At = at
				if v := t.l.hear(&x); v.Action > edge.Note {
					b.Fatalf("%+v", v)
				}
				if n++; n%atOnce == 0 {
					now := threadTime(b)
					least, began = min(least, now-began), now
				}
			}
			if n >= atOnce {
				b.ReportMetric(float64(least)/atOnce, "least-cpu-ns/op")
			}
		})
	}
}

// atOnce is how many messages are timed together: long enough for the clock of the processor's time, short enough that some of many rounds are
// disturbed by nothing else that the machine does.
const atOnce = 2000

// threadTime is the time of a core that the thread has used so far, from which the caller's goroutine does not go away.
func threadTime(b *testing.B) time.Duration {
	runtime.LockOSThread()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}
