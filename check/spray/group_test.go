package spray

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// sources has 12 sources try passwords of 4 users each, in turns, and returns how many were told to be a group and how many were found.
func sources(t *testing.T, cfg Config, change func(source, user int, x *edge.Exchange)) (told, found int) {
	t.Helper()
	c, seen, guilty := New(cfg, checktest.Key), map[uint64]bool{}, map[uint64]bool{}
	for user := range 4 {
		for source := range 12 {
			x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
			x.At = x.At.Add(time.Duration(user)*time.Minute + time.Duration(source)*5*time.Second)
			x.Asked.Source, x.Asked.Port = checktest.Key.Words(uint64(source), 1), checktest.Key.Words(uint64(source), 2)
			x.Asked.User, x.Asked.Secret = checktest.Key.Words(uint64(source), uint64(100+user)), 5
			change(source, user, x)
			v := checktest.Opinion(c.Watch(checktest.Reply(t, x, 401)))
			switch {
			case v.Reason == "":
			case v.Reason != reasonGroup || v.Score != 0 && v.Score != points:
				t.Fatalf("%+v", v)
			case v.Score == points:
				guilty[x.Asked.Source] = true
			}
			if v.Reason != "" {
				seen[x.Asked.Source] = true
			}
		}
	}
	return len(seen), len(guilty)
}

// TestGroup: ten sources and more that try three users each at the same pace are one campaign; sites whose passwords were changed are not.
func TestGroup(t *testing.T) {
	old := checktest.Start.Add(-30 * 24 * time.Hour)
	same := func(int, int, *edge.Exchange) {}
	for name, c := range map[string]struct {
		cfg         Config
		change      func(source, user int, x *edge.Exchange)
		told, found int
	}{
		"a campaign":                       {Config{Since: old}, same, 12, 12},
		"of more than there are":           {Config{Since: old, Group: 13}, same, 0, 0},
		"of four users":                    {Config{Since: old, OfGroup: 4}, same, 3, 3}, // nobody tries a fifth
		"in the first week":                {Config{Since: checktest.Start.Add(-6 * 24 * time.Hour)}, same, 12, 0},
		"nobody knows since when":          {Config{}, same, 12, 0},
		"a shorter week":                   {Config{Since: checktest.Start.Add(-6 * 24 * time.Hour), Learning: 5 * 24 * time.Hour}, same, 12, 12},
		"telephone systems that are known": {Config{Since: old}, func(_, _ int, x *edge.Exchange) { x.Asked.Known = 4 }, 0, 0},
		"users who are known":              {Config{Since: old}, func(_, _ int, x *edge.Exchange) { x.Asked.Good = true }, 0, 0},
		"offices, a port for each phone": {Config{Since: old}, func(source, user int, x *edge.Exchange) {
			x.Asked.Port = checktest.Key.Words(uint64(source), uint64(1000+user))
		}, 0, 0},
		"each at a pace of its own": {Config{Since: old}, func(source, user int, x *edge.Exchange) {
			x.At = checktest.Start.Add(time.Duration(user) * time.Second << source)
		}, 0, 0},
		"nine of them": {Config{Since: old}, func(source, _ int, x *edge.Exchange) {
			x.Asked.Source = checktest.Key.Words(uint64(source%9), 1)
		}, 0, 0},
		"half of the passwords are stale": {Config{Since: old}, func(_, user int, x *edge.Exchange) { x.Asked.Stale = user > 1 }, 0, 0},
	} {
		if told, found := sources(t, c.cfg, c.change); told != c.told || found != c.found {
			t.Errorf("%s: %d told, %d found, want %d and %d", name, told, found, c.told, c.found)
		}
	}
}

// TestGroupEnds: a source that comes long after is none of them.
func TestGroupEnds(t *testing.T) {
	var g group
	at := checktest.Start
	for i := range 200 {
		g.joins(uint64(i%12+1), time.Minute, 10, time.Hour, at)
	}
	if !g.found(time.Minute, time.Hour, at) || !g.found(2*time.Minute, time.Hour, at) || g.found(5*time.Minute, time.Hour, at) {
		t.Error("not those of that pace")
	}
	if at = at.Add(time.Hour); g.found(time.Minute, time.Hour, at) {
		t.Error("still there an hour later")
	}
}
