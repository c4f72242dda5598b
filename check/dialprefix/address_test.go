package dialprefix

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// TestAtAddress: a stranger who calls telephone numbers at our address, each another one, is greylisted at the fourth, and for no more than that;
// who gives credentials, is let through, or calls where guests may, is not.
func TestAtAddress(t *testing.T) {
	type call struct {
		status int
		change func(i int, x *edge.Exchange)
	}
	plain := func(int, *edge.Exchange) {}
	for name, c := range map[string]struct {
		cfg   Config
		calls func(i int) []call // of the i-th number
		every time.Duration
		sum   float64 // of 12 numbers
	}{
		"challenged":          {calls: func(int) []call { return []call{{407, plain}} }, every: time.Minute, sum: 1 + 1 + 9*7},
		"told they are wrong": {calls: func(i int) []call { return []call{{[]int{404, 484, 403}[i%3], plain}} }, every: 2 * time.Minute, sum: 1 + 1 + 9*7},
		"slower":              {calls: func(int) []call { return []call{{407, plain}} }, every: 6 * time.Minute, sum: 11},
		"two may be too many": {cfg: Config{Calls: 2}, calls: func(int) []call { return []call{{407, plain}} }, every: time.Minute, sum: 11 * 7},
		"guests may call":     {cfg: Config{Guests: true}, calls: func(int) []call { return []call{{407, plain}} }, every: time.Minute},
		"at a domain": {calls: func(int) []call {
			return []call{{407, func(_ int, x *edge.Exchange) { x.Asked.Literal = false }}}
		}, every: time.Minute},
		"a phone that is not registered": {calls: func(int) []call {
			return []call{{407, plain}, {486, func(_ int, x *edge.Exchange) { x.Asked.Secret, x.Asked.Apt, x.At = 5, true, x.At.Add(time.Second) }}}
		}, every: 10 * time.Second},
		"a user who is known there": {calls: func(int) []call {
			return []call{{407, func(_ int, x *edge.Exchange) { x.Asked.Good = true }}}
		}, every: time.Second},
		"a registered phone": {calls: func(int) []call {
			return []call{{404, func(_ int, x *edge.Exchange) { x.Trust = edge.Known; x.Asked.Trust = edge.Known }}}
		}, every: time.Second},
		"other phones of an office": {calls: func(int) []call {
			return []call{{407, func(i int, x *edge.Exchange) { x.Asked.Known, x.Asked.Port = 9, uint64(i+1)<<40 }}}
		}, every: time.Second},
		"a trunk": {calls: func(i int) []call {
			if i%3 == 1 {
				return []call{{404, plain}}
			}
			return []call{{183, plain}, {200, plain}}
		}, every: 100 * time.Millisecond},
		"the platform is down": {calls: func(i int) []call { return []call{{[]int{503, 500, 408, 486}[i%4], plain}} }, every: time.Minute},
	} {
		check, sum := New(c.cfg, checktest.Key), 0.0
		for i := range 12 {
			for _, one := range c.calls(i) {
				x := checktest.Exchange(t, checktest.Request("INVITE", "sip:x@203.0.113.9"))
				x.Asked.Number, x.Asked.Literal = digitsOf(fmt.Sprint(49301230000+i*98765)), true
				x.At = x.At.Add(time.Duration(i) * c.every)
				one.change(i, x)
				if v := checktest.Opinion(check.Inspect(x)); v.Action != edge.Pass {
					t.Fatalf("%s: %+v", name, v)
				}
				v := checktest.Opinion(check.Watch(checktest.Reply(t, x, one.status)))
				if v.Score > 0 && v.Reason != reasonAddress || v.Most > 7 {
					t.Errorf("%s: %+v", name, v)
				}
				sum += v.Score
			}
		}
		if sum != c.sum {
			t.Errorf("%s: %v points, want %v", name, sum, c.sum)
		}
	}
}
