package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
	"github.com/ringwall/ringwall/state/statefile"
)

// TestMediaPortsRunOut: when the last ports are taken new calls get 503, and calls that run go on.
func TestMediaPortsRunOut(t *testing.T) {
	t.Parallel()
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
	if n := r.edge.Counted(3, "ringwall_refused_total", `reason="media.full"`); n != 3 {
		t.Errorf("%v refused as media.full, want 3", n)
	}
	for _, c := range all {
		r.bye(c.call.phone, c.platform)
	}
	r.streams(0)
}

// TestMediaF9: a stranger whom the platform has not answered holds ports up to a cap, and others have theirs.
func TestMediaF9(t *testing.T) {
	t.Parallel()
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
	if n := r.edge.Counted(1, "ringwall_refused_total", `reason="media.share"`); n != 1 {
		t.Errorf("%v refused as media.share, want 1", n)
	}
	running.talk()
	other := r.chat(r.phone("carol"))
	r.bye(other.call.phone, other.platform)
	r.bye(running.call.phone, running.platform)
}

// TestMediaOfRefusedCalls: calls that the platform refuses leave no port behind that has to rest, however many there are; of calls that it answered early
// a stranger has so many, resting ports included, and others have theirs. Strangers together have three tenths.
func TestMediaOfRefusedCalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, siptest.Keys{"media": "{relay: builtin, ports: 40000-40039}"}) // 20 pairs on each side: strangers have 6
	stranger, far := r.phone("mallory"), newMouth(r.platform, t)
	fails := func(early bool) {
		t.Helper()
		sent, got := r.invite(stranger, with(newMouth(stranger, t).sdp()))
		if early {
			r.platform.Reply(got, 183, with(far.sdp()))
			stranger.Expect("183")
		}
		r.platform.Reply(got, 401)
		stranger.Send(siptest.AckOf(sent, stranger.Expect("401")))
		r.streams(0)
	}
	for range 40 {
		fails(false)
	}
	for range 6 {
		fails(true)
	}
	m := stranger.Request("INVITE", "sip:bob@example.com")
	with(newMouth(stranger, t).sdp())(m)
	stranger.Send(m)
	stranger.Send(siptest.AckOf(m, stranger.Expect("503 INVITE")))
	if n := r.edge.Counted(1, "ringwall_refused_total", `reason="media.share"`); n != 1 {
		t.Errorf("%v refused as media.share, want 1", n)
	}
	phone, _ := r.registered("alice")
	for range 8 {
		r.chat(phone)
	}
}

// TestMediaKilled kills ringwall during calls: media flows again as soon as it is back, without a word of signalling, and both BYE and re-INVITE work.
func TestMediaKilled(t *testing.T) {
	t.Parallel()
	killed(t, 20)
}

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
	r.kept(calls)
	r.edge.Kill()
	at := time.Now()
	r.edge.Start()
	started := time.Since(at)
	r.streams(calls)
	for i, c := range all {
		if c.talk(); i == 0 {
			t.Logf("media flows %v after the kill, of which the start took %v", time.Since(at).Round(time.Millisecond), started.Round(time.Millisecond))
		}
	}
	for i, c := range all {
		if i%2 == 1 {
			r.bye(c.call.phone, c.platform)
			continue
		}
		got, answer := c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(), c.far.sdp())
		if c.toward != wanted(t, got.Body, 0) || c.towardFar != wanted(t, answer.Body, 0) {
			t.Errorf("a re-INVITE moved our ports to\n%s\n%s", got.Body, answer.Body)
		}
		c.talk()
		r.bye(c.platform, c.call.phone)
	}
	r.streams(0)
	r.kept(0)
	r.edge.Kill()
	r.edge.Start()
	r.streams(0)
	t.Logf("%d of %d calls talked on and ended by BYE, half of them after a re-INVITE", calls, calls)
}

// TestMediaRestarted: an orderly restart does not end media either, nor a restart in which the journal's rows are damaged the service.
func TestMediaRestarted(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, concealed(relaying))
	c := r.chat(r.phone("alice"))
	r.edge.Stop()
	r.edge.Start()
	c.talk()
	r.edge.Stop()
	db, err := statefile.Open(filepath.Join(r.edge.State, "state.db"))
	if err == nil {
		_, err = db.Exec(`UPDATE media_call SET record = '{"Dialogs":[1],' || substr(record, 40)`)
	}
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	r.edge.Start()
	r.edge.WaitLog("calls=0 left_out=1")
	r.kept(0)
	got, answer := c.reoffer("INVITE", c.call.phone, c.platform, c.near.sdp(), c.far.sdp())
	c.toward, c.towardFar = wanted(t, got.Body, 0), wanted(t, answer.Body, 0)
	c.talk()
	r.bye(c.platform, c.call.phone)
	r.streams(0)
}

// kept waits until n calls are in the state file.
func (r *rig) kept(n int) {
	r.Helper()
	db, err := statefile.Open(filepath.Join(r.edge.State, "state.db"))
	if err != nil {
		r.Fatal(err)
	}
	defer db.Close()
	rows := -1
	if !siptest.Eventually(func() bool {
		_ = db.QueryRow(`SELECT count(*) FROM media_call`).Scan(&rows) // an error is no number
		return rows == n
	}) {
		r.Fatalf("%d calls are in the state file, want %d", rows, n)
	}
}
