package judge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

func sourceOf(t *testing.T, text string) edge.Source {
	t.Helper()
	s, err := edge.ParseSource(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// told is pairs as text.
func told(list []Pair) (all []string) {
	for _, p := range list {
		all = append(all, p.User+" "+p.Source.String())
	}
	return all
}

// TestPairs: who is known good can be listed, by user and by source, over a restart, and forgotten.
func TestPairs(t *testing.T) {
	j := newJudge(t, Enforce)
	j.talk(t, "198.51.100.7:5060").registers("u", 200)
	j.talk(t, "198.51.100.7:6060").registers("u", 200)
	if got := told(j.Pairs(Choice{}, start)); !slices.Equal(got, []string{"u@example.com 198.51.100.7"}) {
		t.Fatalf("%q", got)
	}
	j = restart(t, j, start)
	j.talk(t, "[2001:db8::7]:5060").registers("u", 200)
	if err := j.Vouch("Bob@Example.com", netip.MustParseAddr("203.0.113.9"), start); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		of   Choice
		want []string
	}{
		"all":          {Choice{}, []string{"Bob@Example.com 203.0.113.9", "u@example.com 198.51.100.7", "u@example.com 2001:db8::/64"}},
		"user":         {Choice{User: "u"}, []string{"u@example.com 198.51.100.7", "u@example.com 2001:db8::/64"}},
		"user and URI": {Choice{User: "sip:u@example.com"}, []string{"u@example.com 198.51.100.7", "u@example.com 2001:db8::/64"}},
		"both":         {Choice{User: "u", From: sourceOf(t, "2001:db8::99")}, []string{"u@example.com 2001:db8::/64"}},
		"network":      {Choice{From: sourceOf(t, "203.0.113.0/24")}, []string{"Bob@Example.com 203.0.113.9"}},
		"nobody":       {Choice{User: "carol"}, nil},
	} {
		if got := told(j.Pairs(c.of, start)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	k := j.talk(t, "203.0.113.9:5060")
	if k.asks("REGISTER", "Bob"); !k.x.Asked.Good || k.x.Asked.Known != 1 {
		t.Errorf("who is vouched for: %+v", k.x.Asked)
	}
	if got := j.Forget(Choice{User: "Bob"}, start); len(got) != 1 {
		t.Errorf("forgotten: %q", told(got))
	}
	if k.asks("REGISTER", "Bob"); k.x.Asked.Good || k.x.Asked.Known != 0 {
		t.Errorf("who is forgotten: %+v", k.x.Asked)
	}
	if got := j.Pairs(Choice{}, start.Add(31*24*time.Hour)); len(got) != 0 {
		t.Errorf("a month later: %q", told(got))
	}
	if err := j.Vouch("@example.com", netip.MustParseAddr("203.0.113.9"), start); err != ErrNoUser {
		t.Errorf("vouch for nobody: %v", err)
	}
}

// TestLongName: of a name no more is kept than there is room for.
func TestLongName(t *testing.T) {
	j := newJudge(t, Enforce)
	long := strings.Repeat("x", 500)
	if err := j.Vouch(long, netip.MustParseAddr("203.0.113.9"), start); err != nil {
		t.Fatal(err)
	}
	if got := j.Pairs(Choice{User: long}, start); len(got) != 1 || got[0].User != long[:MaxName] {
		t.Errorf("%q", told(got))
	}
}

// TestClockSetBack: who was accepted before the clock was set back is known all the same, for as long as anybody is; of a clock that was ahead by months nothing is left.
func TestClockSetBack(t *testing.T) {
	for by, known := range map[time.Duration]int{-2 * time.Minute: 1, -24 * time.Hour: 1, -90 * 24 * time.Hour: 0, 29 * 24 * time.Hour: 1, 31 * 24 * time.Hour: 0} {
		k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
		k.registers("100", 200)
		k.at = k.at.Add(by)
		k.asks("REGISTER", "100")
		if a := &k.x.Asked; a.Known != known || a.Good != (known == 1) || k.j.Knows(k.from, k.at) != (known == 1) {
			t.Errorf("set by %v: known for %d users, good %t", by, a.Known, a.Good)
		}
	}
}
