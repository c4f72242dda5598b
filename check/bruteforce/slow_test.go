package bruteforce

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// slowly has somebody fail n times with the passwords that guess gives, and returns at which try he is asked with the nonce of a day for the first
// time, and at which he is found out; n: never.
func slowly(t *testing.T, cfg Config, n int, every time.Duration, guess func(i int) uint64, change func(i int, x *edge.Exchange)) (asked, found int) {
	t.Helper()
	c := New(cfg, checktest.Key)
	asked = n
	for i := range n {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.At = x.At.Add(time.Duration(i) * every)
		change(i, x)
		if v := checktest.Opinion(c.Inspect(x)); v.Action == edge.Challenge {
			if !v.Steady || v.Score != 0 || v.Reason != reasonSlow {
				t.Fatalf("%+v", v)
			}
			asked = min(asked, i)
			x.Asked.Answer, x.Asked.Guess = edge.AnswerDay, guess(i)<<33
			if v := checktest.Opinion(c.Inspect(x)); v.Action != edge.Pass { // over UDP nothing is proven by that
				t.Fatalf("%+v", v)
			}
			x.Asked.Answer, x.Asked.Guess, x.Asked.Tested, x.Asked.Apt, x.Asked.Proven = edge.AnswerNone, 0, true, true, true
		}
		x.Asked.Secret = uint64(i+1) << 33
		switch v := checktest.Opinion(c.Inspect(x)); v.Action {
		case edge.Pass:
			c.Watch(checktest.Reply(t, x, 401))
		case edge.Drop:
			if v.Score != points || v.Reason != reasonSlow {
				t.Fatalf("%+v", v)
			}
			return asked, i
		}
	}
	return asked, n
}

func TestSlow(t *testing.T) {
	plain := func(int, *edge.Exchange) {}
	other := func(i int) uint64 { return uint64(i + 1) }
	for name, c := range map[string]struct {
		cfg          Config
		every        time.Duration
		guess        func(i int) uint64
		change       func(i int, x *edge.Exchange)
		asked, found int
	}{
		"guesses":                      {Config{}, 9 * time.Minute, other, plain, 12, 19},
		"more of them are too many":    {Config{Slowly: 40}, 9 * time.Minute, other, plain, 33, 40}, // a window of a day forgets evenly
		"from another port each":       {Config{}, 9 * time.Minute, other, func(i int, x *edge.Exchange) { x.Asked.Port = uint64(i + 1) }, 12, 19},
		"fewer than 20 a day":          {Config{}, 3 * time.Hour, other, plain, 100, 100},
		"one wrong password":           {Config{}, 9 * time.Minute, func(int) uint64 { return 7 }, plain, 12, 100},
		"the same, and nonces change":  {Config{}, 9 * time.Minute, func(i int) uint64 { return uint64(i / 50) }, plain, 12, 100},
		"three phones of one user":     {Config{}, 5 * time.Minute, func(i int) uint64 { return uint64(i%3 + i/80*3) }, plain, 12, 100},
		"a user who is known there":    {Config{}, 9 * time.Minute, other, func(_ int, x *edge.Exchange) { x.Asked.Good = true }, 100, 100},
		"an office, each a user":       {Config{}, time.Minute, other, func(i int, x *edge.Exchange) { x.Asked.User = uint64(i%30 + 1) }, 100, 100},
		"nonces that went to others":   {Config{}, 9 * time.Minute, other, func(_ int, x *edge.Exchange) { x.Asked.Alien = true }, 100, 100},
		"only the nonces were too old": {Config{}, 9 * time.Minute, other, func(_ int, x *edge.Exchange) { x.Asked.Stale = true }, 100, 100},
	} {
		if asked, found := slowly(t, c.cfg, 100, c.every, c.guess, c.change); asked != c.asked || found != c.found {
			t.Errorf("%s: asked at %d, found at %d, want %d and %d", name, asked, found, c.asked, c.found)
		}
	}
}

// TestSlowSuccess: a right password ends it.
func TestSlowSuccess(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i := range 60 {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.At, x.Asked.Secret = x.At.Add(time.Duration(i)*10*time.Minute), uint64(i+1)<<33
		if v := checktest.Opinion(c.Inspect(x)); v.Action != edge.Pass {
			t.Fatalf("try %d: %+v", i, v)
		}
		status := 401
		if i%11 == 10 {
			status = 200
		}
		c.Watch(checktest.Reply(t, x, status))
	}
}
