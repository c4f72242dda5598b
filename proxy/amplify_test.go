package proxy

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
)

// drained counts the bytes of what waits at the caller.
func (b *bench) drained() (messages, size int) {
	for msg := b.got(b.caller); msg != ""; msg = b.got(b.caller) {
		messages, size = messages+1, size+len(msg)
	}
	return messages, size
}

// TestCopiesToUnprovenSources: one forged INVITE must not bring its victim half a minute of responses (timer G); a known phone
// gets them all.
func TestCopiesToUnprovenSources(t *testing.T) {
	for _, known := range []bool{false, true} {
		b := newBench(t, nil)
		if known {
			b.bind("alice")
		}
		invite := newRequest("INVITE", 1)
		b.send(b.outside, invite)
		b.send(b.inside, bytes.Replace(replyTo(b.expect(b.platform, "INVITE"), "401 Unauthorized"), []byte("Content-Length: 0"),
			[]byte("X-Fill: "+strings.Repeat("x", 300)+"\r\nContent-Length: 0"), 1))
		for range 12 {
			b.now = b.now.Add(2500 * time.Millisecond)
			b.l.timers(b.now)
		}
		messages, size := b.drained()
		if first := size / max(messages, 1); !known && size > 3*len(invite)+first || messages < 2 {
			t.Errorf("%d responses of %d bytes for %d", messages, size, len(invite))
		}
		if known && messages < 8 {
			t.Errorf("a known phone got %d", messages)
		}
		b.send(b.outside, invite)
		if again, _ := b.drained(); again != 1 {
			t.Errorf("%d answers to a retransmission", again)
		}
	}
}

// bind makes the caller a registered phone.
func (b *bench) bind(user string) {
	b.t.Helper()
	id := b.p.bindings.ID([]byte(user), nil, nil, []byte("x"))
	err := b.p.bindings.Put(binding.Binding{ID: id, AOR: user, Contact: "x", Flow: b.outside, Expires: b.now.Add(time.Hour)}, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestLargeRequestIsNoFailure: what is too large for a datagram says nothing of the platform.
func TestLargeRequestIsNoFailure(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	sent := b.expect(b.platform, "INVITE")
	b.l.Undelivered([]byte(sent)[:200], edge.Flow{Remote: b.inside.Remote, Listener: 1, Side: edge.Inside}, syscall.EMSGSIZE, b.now)
	b.l.out.Flush()
	b.expect(b.caller, "SIP/2.0 513 Message Too Large")
	if s := b.p.Status().Upstream; strings.HasPrefix(s, "down") {
		t.Errorf("upstream is %q", s)
	}
}

// TestOverloadOfOneServer: its 503 is not ours, of whatever method.
func TestOverloadOfOneServer(t *testing.T) {
	for _, method := range []string{"INVITE", "REGISTER", "MESSAGE"} {
		b := newBench(t, nil)
		b.send(b.outside, newRequest(method, 1))
		b.send(b.inside, replyTo(b.expect(b.platform, method), "503 Service Unavailable"))
		b.expect(b.caller, "SIP/2.0 500 ")
	}
}

// TestLateFinalIsAcknowledged: after our own 408 the platform's final response still needs its ACK.
func TestLateFinalIsAcknowledged(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("INVITE", 1))
	invite := b.expect(b.platform, "INVITE")
	b.now = b.now.Add(33 * time.Second)
	for range 3 {
		b.l.timers(b.now)
	}
	for b.got(b.platform) != "" {
	}
	b.drained()
	b.send(b.inside, replyTo(invite, "486 Busy Here"))
	ack := b.expect(b.platform, "ACK sip:echo@example.com ")
	if field(t, ack, "To") != "<sip:echo@example.com>;tag=b" || field(t, ack, "Via") != field(t, invite, "Via") {
		t.Errorf("%s", ack)
	}
	b.silence(b.caller)
	b.send(b.inside, replyTo(invite, "486 Busy Here"))
	if again := b.got(b.platform); again != ack {
		t.Errorf("again: %s", again)
	}
}

// TestOneSilenceIsNoOutage: a stranger's request that the platform passes over in silence, while it answers others, tells nothing.
func TestOneSilenceIsNoOutage(t *testing.T) {
	b := newBench(t, nil)
	b.send(b.outside, newRequest("MESSAGE", 1))
	b.expect(b.platform, "MESSAGE")
	answer := func(n int) {
		b.now = b.now.Add(20 * time.Second)
		b.send(b.outside, newRequest("MESSAGE", n))
		b.send(b.inside, replyTo(b.expect(b.platform, "MESSAGE"), "200 OK"))
	}
	answer(2)
	b.now = b.now.Add(13 * time.Second)
	b.l.timers(b.now)
	if s := b.p.Status().Upstream; s != "up" {
		t.Errorf("upstream is %q", s)
	}
	for b.got(b.platform) != "" {
	}
	b.send(b.outside, newRequest("MESSAGE", 3))
	b.now = b.now.Add(33 * time.Second)
	b.l.timers(b.now)
	if s := b.p.Status().Upstream; !strings.HasPrefix(s, "down") {
		t.Errorf("upstream is %q", s)
	}
}
