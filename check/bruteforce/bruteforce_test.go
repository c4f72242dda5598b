package bruteforce

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// guesses sends n passwords, each so much after the one before, and returns how many pass before the first that does not.
func guesses(t *testing.T, c *Check, n int, every time.Duration, change func(i int, x *edge.Exchange)) int {
	x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
	for i := range n {
		x.Asked.Secret = uint64(i+1) << 33
		change(i, x)
		if v := checktest.Opinion(c.Inspect(x)); v.Action == edge.Drop {
			if v.Score != 10 || v.Reason != "bruteforce.guess" {
				t.Fatalf("%+v", v)
			}
			return i
		}
		x.At = x.At.Add(every)
	}
	return n
}

func TestGuesses(t *testing.T) {
	for name, c := range map[string]struct {
		every  time.Duration
		change func(i int, x *edge.Exchange)
		pass   int
	}{
		"as svcrack":               {5 * time.Millisecond, func(int, *edge.Exchange) {}, 7},
		"slowly":                   {20 * time.Second, func(int, *edge.Exchange) {}, 100},
		"one password again":       {time.Millisecond, func(_ int, x *edge.Exchange) { x.Asked.Secret = 1 << 33 }, 100},
		"no password":              {time.Millisecond, func(_ int, x *edge.Exchange) { x.Asked.Secret = 0 }, 100},
		"many users of an office":  {time.Millisecond, func(i int, x *edge.Exchange) { x.Asked.User = uint64(i + 1) }, 100},
		"a user known there":       {time.Millisecond, func(_ int, x *edge.Exchange) { x.Asked.Good = true }, 7},
		"a phone registered there": {time.Millisecond, func(_ int, x *edge.Exchange) { x.Asked.Good, x.Asked.Trust = true, edge.Known }, 100},
		"another port each (NAT)":  {time.Millisecond, func(i int, x *edge.Exchange) { x.Asked.Port = uint64(i + 1) }, 7},
		"of what is no call":       {time.Millisecond, func(_ int, x *edge.Exchange) { x.Asked.Method = sip.SUBSCRIBE }, 100},
		"one nonce, one password": {time.Millisecond, func(i int, x *edge.Exchange) {
			x.Asked.Answer, x.Asked.Guess, x.Asked.Secret = edge.AnswerFixed, 1<<33, 0
		}, 100},
		"the same beside guesses": {time.Millisecond, func(_ int, x *edge.Exchange) { x.Asked.Answer, x.Asked.Guess = edge.AnswerFixed, 5 }, 6},
		"one nonce, guesses": {time.Millisecond, func(i int, x *edge.Exchange) {
			x.Asked.Answer, x.Asked.Guess, x.Asked.Secret = edge.AnswerFixed, uint64(i+1)<<33, 0
		}, 3},
		"one nonce, slow guesses": {time.Minute, func(i int, x *edge.Exchange) {
			x.Asked.Answer, x.Asked.Guess, x.Asked.Secret = edge.AnswerFixed, uint64(i+1)<<33, 0
		}, 3},
		"a nonce for each guess": {2 * time.Minute, func(i int, x *edge.Exchange) {
			x.Asked.Answer, x.Asked.Guess, x.Asked.Secret = edge.AnswerFixed, uint64(i+1)<<33, 0
		}, 100},
		"calls of many numbers, one password": {time.Millisecond, func(i int, x *edge.Exchange) {
			x.Asked.Answer, x.Asked.Guess, x.Asked.Secret, x.Asked.Method, x.Asked.Target = edge.AnswerFixed, uint64(i+1)<<33, 0, sip.INVITE, uint64(i+1)
		}, 100},
		"calls of one number, guesses": {time.Millisecond, func(i int, x *edge.Exchange) {
			x.Asked.Answer, x.Asked.Guess, x.Asked.Secret, x.Asked.Method = edge.AnswerFixed, uint64(i+1)<<33, 0, sip.INVITE
		}, 3},
		"counted before":           {time.Millisecond, func(i int, x *edge.Exchange) { x.Asked.Tested = true }, 100},
		"phones of a known office": {time.Millisecond, func(i int, x *edge.Exchange) { x.Asked.Known, x.Asked.Port = 9, uint64(i+1) }, 100},
	} {
		if n := guesses(t, New(Config{}, checktest.Key), 100, c.every, c.change); n != c.pass {
			t.Errorf("%s: %d pass, want %d", name, n, c.pass)
		}
	}
}

// TestSuccess: a right password in between ends the count, whatever becomes of the call.
func TestSuccess(t *testing.T) {
	c := New(Config{}, checktest.Key)
	if n := guesses(t, c, 100, time.Second, func(i int, x *edge.Exchange) {
		if i%5 == 0 {
			call := *x
			if call.Asked.Apt = true; i%3 > 0 {
				call.Asked.Method = sip.INVITE
			}
			c.Watch(checktest.Reply(t, &call, []int{200, 486, 404}[i%3]))
		}
	}); n != 100 {
		t.Errorf("%d pass", n)
	}
}

// TestCalls: calls with credentials count when they are refused: not while they ring, and not where the platform knows the user and only bars the call.
func TestCalls(t *testing.T) {
	for name, one := range map[string]struct {
		status int
		good   bool
		pass   int
	}{
		"they all ring":           {0, false, 100},
		"refused to a stranger":   {403, false, 4},
		"challenged again":        {407, false, 4},
		"barred for a known user": {403, true, 100},
		"wrong for a known user":  {407, true, 8},
		"busy":                    {486, false, 100},
	} {
		c := New(Config{}, checktest.Key)
		if n := guesses(t, c, 100, time.Second, func(i int, x *edge.Exchange) {
			x.Asked.Method, x.Asked.Good = sip.INVITE, one.good
			if one.good {
				x.Asked.Known = 1
			}
			if i > 0 && one.status != 0 {
				before := *x
				before.Asked.Secret--
				c.Watch(checktest.Reply(t, &before, one.status))
			}
		}); n != one.pass {
			t.Errorf("%s: %d pass, want %d", name, n, one.pass)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Tries: 1}, {Tries: 17}, {Within: 1}, {Slowly: 8}, {Slowly: 1001}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestNoSuccess: what the platform says to anybody, or before it looks at credentials, makes no password right.
func TestNoSuccess(t *testing.T) {
	for name, one := range map[string]struct {
		method sip.Method
		status int
	}{"an open number": {sip.INVITE, 200}, "nobody there": {sip.INVITE, 404}, "bad extension": {sip.REGISTER, 420}, "too brief": {sip.REGISTER, 423}, "down": {sip.REGISTER, 503}} {
		c := New(Config{}, checktest.Key)
		if n := guesses(t, c, 100, time.Second, func(i int, x *edge.Exchange) {
			call := *x
			call.Asked.Method = one.method
			c.Watch(checktest.Reply(t, &call, one.status))
		}); n != 7 {
			t.Errorf("%s: %d pass", name, n)
		}
	}
}
