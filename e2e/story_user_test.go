package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// tries has ua register with a password, and returns the status that this ended with, 0 for silence.
func tries(ua *siptest.UA, password string) int {
	m := ua.Register()
	ua.Send(m)
	first := ua.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline)
	if first == nil || first.Status() != 401 {
		return statusOf(first)
	}
	again := siptest.Authorize(m, first, ua.User, password)
	ua.Send(again)
	return statusOf(ua.WaitIn(again.Get("Call-ID"), "final", siptest.Deadline))
}

// statusOf is the status of a response, 0 for none.
func statusOf(m *siptest.Received) int {
	if m == nil {
		return 0
	}
	return m.Status()
}

// TestUserStory: somebody guesses alice's password, and she forgets it. An operator sees from where she is known good, who is locked and why, unlocks,
// vouches and forgets; all of it survives kill -9.
func TestUserStory(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, siptest.Keys{"checks": allChecks})
	siptest.NewRegistrar(r.platform, map[string]string{"alice": "right"})
	alice, crook := r.phone("alice"), siptest.NewPhone(t, "alice", "udp", siptest.OwnIP(), r.edge.Outside)
	home, away := alice.Addr.Addr().String(), crook.Addr.Addr().String()
	of := func(whom string, want ...string) {
		t.Helper()
		out := r.does("explain", whom)
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("explain does not say %q:\n%s", text, out)
			}
		}
	}
	explain := func(want ...string) { t.Helper(); of("alice@example.com", want...) }
	explain("alice@example.com: free", "not registered, and not accepted by the platform within 30 days")
	if got := tries(alice, "right"); got != 200 {
		t.Fatalf("alice gets %d", got)
	}
	explain("alice@example.com: free\n", "registered from "+alice.Addr.String()+" (udp) until", "known good from "+home)
	for range 3 {
		tries(crook, siptest.ID())
	}
	if got := tries(crook, siptest.ID()); got != 503 {
		t.Errorf("the fourth guess gets %d", got)
	}
	explain("alice@example.com: locked", "3 wrong passwords from "+away+": locked from there until", "(auth.lockout)", "ringwall trust unlock alice@example.com")
	of(away, away+": locked\n", "  alice@example.com: 3 wrong passwords from "+away+": locked from there until", "\n  ringwall trust unlock alice@example.com "+away)
	of(home, home+": free\n")
	var e acquaintance
	if err := json.Unmarshal([]byte(r.does("explain", "alice", "-o", "json")), &e); err != nil || e.Standing != "locked" || len(e.Held) != 2 ||
		e.Held[0].Source != away || e.Held[0].Failures != 3 || !e.Held[0].Enforced || len(e.Registrations) != 1 || len(e.Known) != 1 {
		t.Errorf("explain says %+v (%v)", e, err)
	}
	if out := r.does("trust", "unlock", "alice"); !strings.Contains(out, "alice is free from "+away+" (was locked for auth.lockout)") {
		t.Errorf("unlock says %q", out)
	}
	explain("alice@example.com: free\n")
	r.fails(1, "alice is not locked from anywhere", "trust", "unlock", "alice")
	if got := tries(crook, siptest.ID()); got != 401 {
		t.Errorf("the first guess after that gets %d", got)
	}

	r.does("trust", "add", "sip:alice@EXAMPLE.com", away, "--reason", "travels")
	for range 2 {
		tries(crook, siptest.ID())
	}
	explain("alice@example.com: slowed", "one try a minute from there until")
	of(away, "alice@example.com: 3 wrong passwords from "+away+": one try a minute from there until")
	if out := r.does("trust", "list", "-o", "csv"); strings.Count(out, "alice@example.com,127.") != 2 {
		t.Errorf("trust list says\n%s", out)
	}
	time.Sleep(2 * time.Second) // what is older than a second survives, and the disk may be slow
	r.edge.Kill()
	r.edge.Start()
	if out := r.does("trust", "list", away); !strings.Contains(out, "alice@example.com  "+away) {
		t.Errorf("after kill -9 trust list says\n%s", out)
	}
	if out := r.does("trust", "remove", "alice", away); out != "alice@example.com is no longer known good from "+away+"\n" {
		t.Errorf("trust remove says %q", out)
	}
	r.fails(1, "alice is not known good from "+away, "trust", "remove", "alice", away)
	r.fails(1, "nobody is known good from 192.0.2.0/24", "trust", "remove", "192.0.2.0/24")
	r.edge.WaitLog("an operator vouches for a user")
}

// acquaintance is what explain says of a user as JSON, as far as stories read it.
type acquaintance struct {
	Standing      string
	Registrations []struct{ Source string }
	Known         []struct{ Source string }
	Held          []struct {
		Source   string
		Failures int
		Enforced bool
	}
}
