package judge

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// near reports whether the password that a user tries from an address comes from where the platform accepted him nearby.
func near(t *testing.T, j *Judge, from, user string, at time.Time) bool {
	t.Helper()
	k := j.talk(t, from)
	k.at = at
	k.asks("REGISTER", user, answerTo(user, "0123456789abcdef"))
	if k.x.Asked.Near && k.x.Asked.Good {
		t.Error("good, and near")
	}
	return k.x.Asked.Near
}

// TestNear: who was accepted from an address is near at others of its network for 30 days, and over a restart; he is known good at none of them.
func TestNear(t *testing.T) {
	j := newJudge(t, Enforce)
	j.talk(t, "198.51.100.7:5060").registers("u", 200)
	j = restart(t, j, start)
	j.talk(t, "[2001:db8:1:2::7]:5060").registers("u", 200)
	j.talk(t, "203.0.113.7:5060").registers("u", 401)
	check := func(when string, at time.Time, remembered bool) {
		t.Helper()
		for from, want := range map[string]bool{
			"198.51.100.9:6060": true, "[2001:db8:1:ffff::1]:5060": true, "198.51.101.7:5060": false, "[2001:db8:2:2::7]:5060": false, "203.0.113.7:5060": false,
		} {
			if got := near(t, j, from, "u", at); got != (want && remembered) {
				t.Errorf("%s, from %s: near is %v", when, from, got)
			}
			if near(t, j, from, "v", at) {
				t.Errorf("%s, from %s: another user is near", when, from)
			}
		}
	}
	check("at once", start, true)
	if near(t, j, "198.51.100.7:5060", "u", start) {
		t.Error("where he is known good he is near, too")
	}
	k := j.talk(t, "198.51.100.9:5060")
	if k.asks("REGISTER", "u"); k.x.Asked.Near || k.x.Asked.Known != 0 {
		t.Errorf("without a password: %+v", k.x.Asked)
	}
	check("a month less a day later", start.Add(29*24*time.Hour), true)
	check("a month later", start.Add(31*24*time.Hour), false)
	if got := j.Forget(Choice{User: "u"}, start); len(got) != 2 {
		t.Fatalf("forgotten: %v", told(got))
	}
	check("when it is forgotten", start, false)
	if err := j.Vouch("u", netip.MustParseAddr("198.51.100.200"), start); err != nil {
		t.Fatal(err)
	}
	if !near(t, j, "198.51.100.9:5060", "u", start) || near(t, j, "[2001:db8:1:2::8]:5060", "u", start) {
		t.Error("who is vouched for is not near there, or elsewhere")
	}
}

// TestNearNeighbours: a neighbour in the network who tries in the name of another one is not near, whatever user he writes into To.
func TestNearNeighbours(t *testing.T) {
	j := newJudge(t, Enforce)
	j.talk(t, "198.51.100.7:5060").registers("u", 200)
	k := j.talk(t, "198.51.100.9:5060")
	if k.asks("REGISTER", "u", answerTo("victim", "0123456789abcdef")); k.x.Asked.Near {
		t.Errorf("%+v", k.x.Asked)
	}
	if k.asks("REGISTER", "x", answerTo("u", "0123456789abcdef")); !k.x.Asked.Near || k.x.Asked.Match != edge.MatchNew {
		t.Errorf("%+v", k.x.Asked)
	}
}
