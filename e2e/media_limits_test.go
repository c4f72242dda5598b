package e2e

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// TestMediaPortsRunOut: when the last ports are taken new calls get 503, and calls that run go on.
func TestMediaPortsRunOut(t *testing.T) {
	r := newRig(t, udp, siptest.Keys{"media": "{relay: builtin, ports: 40000-40015}"}) // eight pairs on each side
	phone, _ := r.registered("alice")
	var all []*chat
	for range 8 {
		all = append(all, r.chat(phone))
	}
	for range 3 {
		m := phone.Request("INVITE", "sip:bob@example.com")
		with(newMouth(phone, t).sdp())(m)
		phone.Send(m)
		phone.Send(siptest.AckOf(m, phone.Expect("503 INVITE")))
	}
	r.platform.Silence(hush, "INVITE")
	for _, c := range all {
		c.talk()
	}
	if n := r.edge.Counter("ringwall_refused_total", `reason="media.full"`); n != 3 {
		t.Errorf("%v refused as media.full, want 3", n)
	}
	for _, c := range all {
		r.bye(c.call.phone, c.platform)
	}
	r.streams(0)
}

// TestMediaF9: a stranger whom the platform has not answered holds ports up to a cap, and others have theirs.
func TestMediaF9(t *testing.T) {
	r := newRig(t, udp, relaying)
	running := r.chat(r.phone("alice"))
	stranger := r.phone("mallory")
	for range 32 {
		m := stranger.Request("INVITE", "sip:bob@example.com")
		with(newMouth(stranger, t).sdp())(m)
		stranger.Send(m)
		r.platform.Expect("INVITE")
	}
	m := stranger.Request("INVITE", "sip:bob@example.com")
	with(newMouth(stranger, t).sdp())(m)
	stranger.Send(m)
	stranger.Expect("503 INVITE")
	r.platform.Silence(hush, "INVITE")
	running.talk()
	other := r.chat(r.phone("carol"))
	r.bye(other.call.phone, other.platform)
	r.bye(running.call.phone, running.platform)
}

// TestMediaKilled kills ringwall during calls: after its restart BYE ends them, or a re-INVITE brings their media back.
func TestMediaKilled(t *testing.T) { killed(t, 20) }

// TestSlowMediaKilled is the same with 100 calls.
func TestSlowMediaKilled(t *testing.T) {
	slow(t)
	killed(t, 100)
}

func killed(t *testing.T, calls int) {
	r := newRig(t, udp, concealed(relaying))
	var all []*chat
	phone := r.phone("alice")
	for range calls {
		all = append(all, r.chat(phone))
	}
	r.edge.Kill()
	at := time.Now()
	r.edge.Start()
	gap := time.Duration(0)
	for i, c := range all {
		if i%2 == 1 {
			r.bye(c.call.phone, c.platform)
			continue
		}
		got, answer := c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(), c.far.sdp())
		c.toward, c.towardFar = wanted(t, got.Body, 0), wanted(t, answer.Body, 0)
		if c.talk(); gap == 0 {
			gap = time.Since(at)
		}
		r.bye(c.platform, c.call.phone)
	}
	r.streams(0)
	t.Logf("%d calls: all ended or were taken up again; the first had media %v after the kill", calls, gap.Round(time.Millisecond))
}
