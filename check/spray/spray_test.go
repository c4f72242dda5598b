package spray

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// tries has n users try, each once, and returns at which of them the source is found out, n if never.
func tries(t *testing.T, c *Check, n int, change func(i int, x *edge.Exchange) (status int)) int {
	for i := range n {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.Asked.User, x.Asked.Secret = checktest.Key.Words(uint64(i), 5), uint64(i+1)
		status := change(i, x)
		if v := checktest.Opinion(c.Watch(checktest.Reply(t, x, status))); v.Score == 10 && v.Reason == "spray.users" {
			return i + 1
		}
	}
	return n
}

func TestSpray(t *testing.T) {
	for name, c := range map[string]struct {
		change func(i int, x *edge.Exchange) int
		found  int
	}{
		"one port":                         {func(int, *edge.Exchange) int { return 401 }, 5},
		"a port for each":                  {func(i int, x *edge.Exchange) int { x.Asked.Port = uint64(i + 1); return 401 }, 100},
		"a port for each, from an office":  {func(i int, x *edge.Exchange) int { x.Asked.Port, x.Asked.Known = uint64(i+1), 3; return 401 }, 500},
		"users known there":                {func(i int, x *edge.Exchange) int { x.Asked.Good = true; return 401 }, 500},
		"every third right":                {func(i int, x *edge.Exchange) int { return map[bool]int{true: 200, false: 401}[i%3 == 0] }, 500},
		"nonces that are too old":          {func(i int, x *edge.Exchange) int { x.Asked.Stale = true; return 401 }, 500},
		"one user":                         {func(i int, x *edge.Exchange) int { x.Asked.User = 7; return 401 }, 500},
		"forbidden, and not for passwords": {func(i int, x *edge.Exchange) int { x.Asked.Method = 1; return 403 }, 500},
	} {
		if n := tries(t, New(Config{}, checktest.Key), 500, c.change); n < c.found*7/10 || n > c.found*14/10 || c.found < 32 && n != c.found {
			t.Errorf("%s: found at %d, want %d", name, n, c.found)
		}
	}
}

// TestRotatedPorts: who uses a new port for each user gets 40 tries, and one a second after that; an office at his address is not touched, but
// for its strangers, who wait their turn.
func TestRotatedPorts(t *testing.T) {
	for _, known := range []int{0, 3} {
		c, passed := New(Config{}, checktest.Key), 0
		at := checktest.Start
		try := func(i int, change func(*edge.Asked), status int) edge.Verdict {
			x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
			x.At, x.Asked.Port, x.Asked.User, x.Asked.Secret, x.Asked.Known = at, uint64(i+5), checktest.Key.Words(uint64(i), 5), uint64(i+1), known
			change(&x.Asked)
			v := checktest.Opinion(c.Inspect(x))
			if v.Action == edge.Pass {
				c.Watch(checktest.Reply(t, x, status))
			}
			return v
		}
		same := func(*edge.Asked) {}
		for i := range 400 { // in ten seconds
			at = at.Add(25 * time.Millisecond)
			if v := try(i, same, 401); v.Action == edge.Pass {
				passed++
			} else if v.Status != 503 || v.Retry < 5 || v.Retry > 30 || v.Score != 0 {
				t.Fatalf("%+v", v)
			}
		}
		if passed < 38 || passed > 58 {
			t.Errorf("%d tries pass", passed)
		}
		for name, change := range map[string]func(*edge.Asked){
			"known there":    func(a *edge.Asked) { a.Good = true },
			"registered":     func(a *edge.Asked) { a.Trust = edge.Known },
			"somewhere else": func(a *edge.Asked) { a.Source = 99 },
			"not a password": func(a *edge.Asked) { a.Secret = 0 },
		} {
			for range 5 {
				if v := try(1000, change, 401); v.Action != edge.Pass {
					t.Errorf("%s: %+v", name, v)
				}
			}
		}
		if at = at.Add(slowed + time.Second); try(1000, same, 200).Action != edge.Pass || try(1001, same, 200).Action != edge.Pass {
			t.Error("later strangers still wait")
		}
	}
}

// TestBesideKnownUser: where one user is known, somebody else tries a password on all others, a new port for each, for an hour. An office of 120 phones that all have
// an old password is tried within minutes all the same, and gets in within minutes once they have the new one.
func TestBesideKnownUser(t *testing.T) {
	try := func(c *Check, user int, at time.Duration, status int) bool {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.At, x.Asked.Port, x.Asked.User, x.Asked.Secret, x.Asked.Known = x.At.Add(at), checktest.Key.Words(uint64(user), 6), checktest.Key.Words(uint64(user), 5), uint64(user+1), 1
		if v := checktest.Opinion(c.Inspect(x)); v.Action != edge.Pass {
			return false
		}
		c.Watch(checktest.Reply(t, x, status))
		return true
	}
	c, passed := New(Config{}, checktest.Key), 0
	for second := range 3600 {
		if try(c, second, time.Duration(second)*time.Second, 401) {
			passed++
		}
	}
	if passed > 400 {
		t.Errorf("%d users are tried in an hour", passed)
	}
	c = New(Config{}, checktest.Key)
	in, last := map[int]bool{}, time.Duration(0)
	for second := 0; len(in) < 120 && second < 3600; second++ {
		status, at := 401, time.Duration(second)*time.Second
		if second > 600 {
			status = 200
		}
		for phone := second % 10; phone < 120; phone += 10 { // each tries every ten seconds
			if !in[phone] && try(c, phone, at, status) && status == 200 {
				in[phone], last = true, at
			}
		}
	}
	if len(in) < 120 || last > 15*time.Minute {
		t.Errorf("%d of 120 phones are in after %v", len(in), last)
	}
}

// TestWaitingAmongMany: whoever fills the table, and has proven his addresses, does not let those go on who wait, and who came over UDP with nonces that prove nothing.
func TestWaitingAmongMany(t *testing.T) {
	const places = 1 << 10
	c := New(Config{Sources: places}, checktest.Key)
	try := func(i int, at time.Time, change func(*edge.Asked)) edge.Action {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.At, x.Asked.Port, x.Asked.User, x.Asked.Secret, x.Asked.Known = at, uint64(i+5), checktest.Key.Words(uint64(i), 5), uint64(i+1), 1
		change(&x.Asked)
		v := checktest.Opinion(c.Inspect(x))
		if v.Action == edge.Pass {
			c.Watch(checktest.Reply(t, x, 401))
		}
		return v.Action
	}
	at := checktest.Start
	for i := range 50 {
		try(i, at.Add(time.Duration(i)*time.Second), func(*edge.Asked) {})
	}
	at = at.Add(time.Minute)
	for i := range 4 * places {
		try(1000+i, at, func(a *edge.Asked) {
			a.Source, a.Port, a.Proven = checktest.Key.Words(uint64(i/2), 8), checktest.Key.Words(uint64(i), 9), true
		})
	}
	passed := 0
	for i := range 100 {
		if try(100_000+i, at.Add(8*time.Minute), func(*edge.Asked) {}) == edge.Pass {
			passed++
		}
	}
	if passed != 1 {
		t.Errorf("%d of 100 pass at once", passed)
	}
}

func TestSlowSpray(t *testing.T) {
	if n := tries(t, New(Config{}, checktest.Key), 100, func(i int, x *edge.Exchange) int {
		x.At = x.At.Add(time.Duration(i) * 70 * time.Minute)
		return 401
	}); n != 100 {
		t.Errorf("found at %d", n)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Users: 1}, {OfAddress: 3}, {Within: 1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestRotatedAddresses: who has an IPv6 /48 has no 65,536 times the tries of one address; its neighbours and IPv4 are not touched, nor where most are right.
func TestRotatedAddresses(t *testing.T) {
	for name, one := range map[string]struct {
		addr   string // with the number of the try
		right  int    // every so many, 0: none
		passed int
	}{
		"one network":         {"2001:db8:1:%x::1", 0, 58},
		"a network for each":  {"2001:db8:%x:1::1", 0, 400},
		"IPv4":                {"::ffff:198.51.%d.1", 0, 400},
		"a carrier's network": {"2001:db8:1:%x::1", 3, 400},
	} {
		c, passed, at := New(Config{}, checktest.Key), 0, checktest.Start
		for i := range 400 {
			at = at.Add(25 * time.Millisecond)
			x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
			x.From.Remote = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(one.addr, i%250)), uint16(i+1024))
			x.At, x.Asked.From, x.Asked.User, x.Asked.Secret = at, x.From, checktest.Key.Words(uint64(i), 5), uint64(i+1)
			x.Asked.Source, x.Asked.Port = checktest.Key.Addr(x.From.Remote.Addr()), checktest.Key.AddrPort(x.From.Remote)
			if v := checktest.Opinion(c.Inspect(x)); v.Action != edge.Pass {
				continue
			}
			passed++
			status := 401
			if one.right > 0 && i%one.right == 0 {
				status = 200
			}
			c.Watch(checktest.Reply(t, x, status))
		}
		if passed > one.passed || passed < one.passed-20 {
			t.Errorf("%s: %d tries pass, want about %d", name, passed, one.passed)
		}
	}
}
