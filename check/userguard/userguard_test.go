package userguard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// from has the user try from a source.
func from(t *testing.T, c *Check, source uint64, at time.Duration, change func(*edge.Exchange), status int) (asked, answered edge.Verdict) {
	x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
	x.Asked.Source, x.Asked.Secret, x.At = checktest.Key.Words(source, 1), 7, x.At.Add(at)
	change(x)
	if asked = checktest.Opinion(c.Inspect(x)); asked.Action == edge.Pass {
		answered = checktest.Opinion(c.Watch(checktest.Reply(t, x, status)))
	}
	return asked, answered
}

func same(*edge.Exchange) {}

// TestManySources: from the eighth source on, the user is tried from where he is known, and once in five minutes from elsewhere.
func TestManySources(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i := range 8 {
		asked, answered := from(t, c, uint64(i), time.Duration(i)*time.Minute, same, 401)
		if asked.Action != edge.Pass || (answered.Lock == edge.LockUser) != (i == 7) || answered.Score != 0 {
			t.Fatalf("source %d: %+v %+v", i, asked, answered)
		}
	}
	passed := 0
	for second := range 1800 {
		if asked, _ := from(t, c, uint64(100+second), 8*time.Minute+time.Duration(second)*time.Second, same, 401); asked.Action == edge.Pass {
			passed++
		} else if asked.Action != edge.Reply || asked.Status != 503 || asked.Retry > 301 {
			t.Fatalf("%+v", asked)
		}
	}
	if passed < 5 || passed > 7 {
		t.Errorf("%d of 1800 tries in half an hour pass", passed)
	}
	for name, change := range map[string]func(*edge.Exchange){
		"where he is known": func(x *edge.Exchange) { x.Asked.Good = true },
		"near there":        func(x *edge.Exchange) { x.Asked.Near = true },
		"another user":      func(x *edge.Exchange) { x.Asked.User = 99 },
		"without password":  func(x *edge.Exchange) { x.Asked.Secret, x.Asked.Method = 0, sip.INVITE },
	} {
		if asked, _ := from(t, c, 7000, 39*time.Minute, change, 200); asked.Action != edge.Pass {
			t.Errorf("%s: %+v", name, asked)
		}
	}
	bare := func(x *edge.Exchange) { x.Asked.Secret = 0 }
	if asked, _ := from(t, c, 7000, 39*time.Minute, bare, 200); asked.Action != edge.Challenge || asked.Score != 0 {
		t.Errorf("who begins to register: %+v", asked)
	}
	if asked, _ := from(t, c, 7000, 3*time.Hour, bare, 200); asked.Action != edge.Pass {
		t.Errorf("hours later: %+v", asked)
	}
	if asked, _ := from(t, c, 7000, 3*time.Hour, same, 200); asked.Action != edge.Pass {
		t.Errorf("hours later: %+v", asked)
	}
}

// TestRoaming: one user on his way, and many sources with right passwords, protect nobody.
func TestRoaming(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i := range 100 {
		status := 200
		if i%20 == 0 {
			status = 401
		}
		if asked, answered := from(t, c, uint64(i), time.Duration(i)*time.Minute, same, status); asked.Action != edge.Pass || answered.Lock != 0 {
			t.Fatalf("%d: %+v %+v", i, asked, answered)
		}
	}
}

// TestGuardedAmongMany: who tries passwords of as many users as he likes, and has proven his addresses, makes the check forget nobody whom it protects, for as long
// as it does, though what protects him came over UDP with nonces that prove nothing.
func TestGuardedAmongMany(t *testing.T) {
	const places = 1 << 10
	c := New(Config{Users: places}, checktest.Key)
	for i := range 8 {
		from(t, c, uint64(i), 0, same, 401)
	}
	for minute := range 6 {
		at := time.Duration(minute+1) * 9 * time.Minute
		for i := range 4 * places {
			from(t, c, uint64(1000+i%50), at, func(x *edge.Exchange) {
				x.Asked.User, x.Asked.Proven = checktest.Key.Words(uint64(i), uint64(minute)), true
			}, 401)
		}
	}
	if held := c.Held(1001, checktest.Start.Add(59*time.Minute)); len(held) != 1 || held[0].Until.IsZero() {
		t.Errorf("the user is not protected any more: %+v", held)
	}
	elsewhere := func(at time.Duration) edge.Action {
		asked, _ := from(t, c, 7000, at, func(x *edge.Exchange) { x.Asked.Secret = 0 }, 200)
		return asked.Action
	}
	if got := elsewhere(59 * time.Minute); got != edge.Challenge {
		t.Errorf("from elsewhere: %v", got)
	}
	if got := elsewhere(3 * time.Hour); got != edge.Pass {
		t.Errorf("hours later: %v", got)
	}
	from(t, c, 1, 3*time.Hour, same, 401) // now he is one of many again, and goes as they do
	for i := range 4 * places {
		from(t, c, 2, 3*time.Hour+time.Minute, func(x *edge.Exchange) { x.Asked.User, x.Asked.Proven = checktest.Key.Words(uint64(i), 77), true }, 401)
	}
	if held := c.Held(1001, checktest.Start.Add(3*time.Hour+time.Minute)); held != nil {
		t.Errorf("who was protected once keeps his place for ever: %+v", held)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Sources: 1}, {Within: 1}, {Every: 1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestHeld: who is protected, and what is counted before that, can be told and forgotten.
func TestHeld(t *testing.T) {
	c := New(Config{}, checktest.Key)
	at := checktest.Start
	for i := range 3 {
		from(t, c, uint64(i), 0, same, 401)
	}
	if held := c.Held(1001, at); len(held) != 1 || held[0].Failures != 3 || !held[0].Until.IsZero() || len(c.Held(99, at)) != 0 {
		t.Errorf("%+v", held)
	}
	if held := c.Held(1001, at.Add(2*time.Hour)); held != nil {
		t.Errorf("two hours later: %+v", held)
	}
	for i := range 8 {
		from(t, c, uint64(i), 0, same, 401)
	}
	if held := c.Held(1001, at); len(held) != 1 || held[0].Failures != 8 || !held[0].Until.Equal(at.Add(time.Hour)) || held[0].Source.Prefix.IsValid() {
		t.Errorf("%+v", held)
	}
	if got := c.Release(1001, edge.SourceOf(netip.MustParseAddr("198.51.100.7")), at); got != nil {
		t.Errorf("for one source: %+v", got)
	}
	if got := c.Release(1001, edge.Source{}, at); len(got) != 1 || c.Held(1001, at) != nil || c.Release(1001, edge.Source{}, at) != nil {
		t.Errorf("released %+v", got)
	}
}
