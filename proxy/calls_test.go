package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// onRecord is how many calls of the peer count now.
func (b *bench) onRecord() int { return b.p.Status().Peers[0].Calls }

func TestPeerCalls(t *testing.T) {
	b, first, _ := newTrunk(t, func(p *Peer) { p.Calls = 2; p.Targets = p.Targets[:1] })
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 1)))
	out := b.expect(first, "INVITE")
	b.send(b.outside, newRequest("INVITE", 2))
	in := b.expect(b.platform, "INVITE")
	b.send(b.outside, newRequest("INVITE", 3))
	if msg := b.expect(b.caller, "SIP/2.0 503"); field(t, msg, "Retry-After") == "" {
		t.Error(msg)
	}
	b.send(b.inside, []byte(b.to(carrier, "INVITE", 4)))
	if msg := b.expect(b.platform, "SIP/2.0 503"); field(t, msg, "Retry-After") == "" {
		t.Error(msg)
	}
	b.silence(first)
	b.send(b.inside, replyTo(in, "486 Busy Here")) // a failure ends it
	b.expect(b.caller, "SIP/2.0 486")
	b.send(b.at(first), replyTo(out, "200 OK"))
	b.expect(b.platform, "ACK")
	b.expect(b.platform, "SIP/2.0 200")
	if n := b.onRecord(); n != 1 {
		t.Fatalf("%d calls, want 1", n)
	}
	b.dialog("BYE", field(t, out, "Record-Route"), "wrong", "a1", "sip:"+b.inside.Remote.String(), b.at(first))
	b.send(b.inside, replyTo(b.expect(b.platform, "BYE"), "481 No Such Call"))
	b.expect(first, "SIP/2.0 481")
	if n := b.onRecord(); n != 1 {
		t.Fatalf("%d calls after a BYE that ends none", n)
	}
	b.dialog("BYE", field(t, out, "Record-Route"), "b", "a1", "sip:"+b.inside.Remote.String(), b.at(first)) // by the callee
	b.send(b.inside, replyTo(b.expect(b.platform, "BYE"), "200 OK"))
	b.expect(first, "SIP/2.0 200")
	if n := b.onRecord(); n != 0 {
		t.Fatalf("%d calls, want none", n)
	}
	if s := b.p.Status().Peers[0]; s.Refused != 2 || s.Limit != 2 {
		t.Errorf("%+v", s)
	}
}

// TestCallEnds: each way in which a call ends takes it off the record, once.
func TestCallEnds(t *testing.T) {
	b, first, _ := newTrunk(t, func(p *Peer) { p.Calls = 1; p.Targets = p.Targets[:1] })
	begin := func(n int) string {
		t.Helper()
		b.send(b.inside, []byte(b.to(carrier, "INVITE", n)))
		msg := b.expect(first, "INVITE")
		if b.onRecord() != 1 {
			t.Fatalf("call %d: %d on record", n, b.onRecord())
		}
		return msg
	}
	ended := func(how string) {
		t.Helper()
		if n := b.onRecord(); n != 0 {
			t.Errorf("%s: %d on record", how, n)
		}
		for b.got(first) != "" || b.got(b.platform) != "" {
		}
	}
	b.send(b.at(first), replyTo(begin(1), "407 Proxy Authentication Required"))
	ended("challenged")
	b.l.Undelivered([]byte(begin(2)), b.at(first), fmt.Errorf("refused"), b.now)
	ended("undeliverable")
	begin(3)
	b.now = b.now.Add(33 * time.Second)
	b.l.timers(b.now)
	ended("timed out")
	b.send(b.at(first), replyTo(begin(4), "200 OK"))
	sweep := func() {
		for range callShards {
			b.now = b.now.Add(time.Second)
			b.p.calls.sweep(b.now)
		}
	}
	b.now = b.now.Add(callLife - 2*callShards*time.Second)
	if sweep(); b.onRecord() != 1 {
		t.Error("swept too early")
	}
	b.now = b.now.Add(callShards * time.Second)
	sweep()
	ended("four hours")
}

// TestMergedCallsCountOnce: two INVITEs of one call, one of which fails.
func TestMergedCallsCountOnce(t *testing.T) {
	b, _, _ := newTrunk(t, func(p *Peer) { p.Calls = 1 })
	b.send(b.outside, newRequest("INVITE", 1))
	b.expect(b.platform, "INVITE")
	b.send(b.outside, []byte(strings.Replace(string(newRequest("INVITE", 1)), "z9hG4bK1", "z9hG4bK2", 1)))
	b.send(b.inside, replyTo(b.expect(b.platform, "INVITE"), "482 Merged"))
	if b.onRecord() != 1 {
		t.Errorf("%d on record", b.onRecord())
	}
}

func TestPeerRate(t *testing.T) {
	b, first, _ := newTrunk(t, func(p *Peer) { p.Every = 250 * time.Millisecond; p.Targets = p.Targets[:1] })
	accepted := 0
	try := func(n int, auth bool) bool {
		msg := b.to(carrier, "INVITE", n)
		if auth {
			msg = strings.Replace(msg, "\r\nMax-F", "\r\nProxy-Authorization: Digest username=\"a\"\r\nMax-F", 1)
		}
		b.send(b.inside, []byte(msg))
		got := b.got(first)
		if got == "" {
			b.expect(b.platform, "SIP/2.0 503")
		}
		return got != ""
	}
	for n := range 6 {
		if try(n, false) {
			accepted++
		}
	}
	if accepted != 4 {
		t.Errorf("%d of 6 at once, want the 4 of a second", accepted)
	}
	if !try(10, true) {
		t.Error("what answers a challenge counts again")
	}
	b.now = b.now.Add(250 * time.Millisecond)
	if !try(11, false) || try(12, false) {
		t.Error("not one in a quarter of a second")
	}
	b.now = b.now.Add(time.Hour)
	for n := range 6 {
		if try(20+n, false) != (n < 4) {
			t.Errorf("after an hour: call %d", n+1)
		}
	}
}

// TestSlowRate: less than one call a second still lets one pass.
func TestSlowRate(t *testing.T) {
	q, now := &quota{}, epoch
	for i, want := range []bool{true, false, false, true} {
		if got := q.pace(30*time.Second, now.Add(time.Duration(i)*10*time.Second)); got != want {
			t.Errorf("call %d: %v", i+1, got)
		}
	}
}
