package enumeration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// asks has n users asked for, and returns at which of them the source is found out, n if never.
func asks(t *testing.T, c *Check, n int, every time.Duration, do func(i int, x *edge.Exchange) (statuses []int)) int {
	for i := range n {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.Asked.User = checktest.Key.Words(uint64(i), 3)
		x.Asked.Target, x.At = x.Asked.User, x.At.Add(time.Duration(i)*every)
		statuses := do(i, x)
		if v := checktest.Opinion(c.Inspect(x)); v.Score >= points {
			return i + 1
		}
		for k, status := range statuses {
			if k > 0 { // the second time with credentials
				x.Asked.Secret = 9
			}
			if v := checktest.Opinion(c.Watch(checktest.Reply(t, x, status))); v.Score == 10 && v.Reason == "enumeration.users" {
				return i + 1
			}
		}
	}
	return n
}

func TestUsers(t *testing.T) {
	always := func(statuses ...int) func(int, *edge.Exchange) []int {
		return func(int, *edge.Exchange) []int { return statuses }
	}
	for name, c := range map[string]struct {
		every time.Duration
		do    func(int, *edge.Exchange) []int
		found int
	}{
		"svwar":                      {5 * time.Millisecond, always(404), 10},
		"one in 30 s":                {30 * time.Second, always(404), 10},
		"one in 10 min":              {10 * time.Minute, always(404), 20},
		"one in 3 h":                 {3 * time.Hour, always(404), 300},
		"challenged, no answer":      {6 * time.Second, always(401), 12},
		"many of them, all the time": {200 * time.Millisecond, always(401), 56},
		"denied among them": {200 * time.Millisecond, func(i int, _ *edge.Exchange) []int {
			return []int{[]int{401, 401, 401, 404}[i%4]}
		}, 40},
		"at once, and denied then": {2 * time.Millisecond, func(i int, _ *edge.Exchange) []int {
			if i < 100 {
				return []int{401}
			}
			return []int{404}
		}, 110},
		"challenged, then denied":     {time.Second, always(401, 404), 10},
		"500 phones boot":             {20 * time.Millisecond, always(401, 200), 300},
		"phones with wrong passwords": {time.Second, always(401, 401), 300},
		"a trunk, one in five fails": {20 * time.Millisecond, func(i int, x *edge.Exchange) []int {
			x.Asked.Method = sip.INVITE
			return []int{[]int{404, 200, 200, 200, 200}[i%5]}
		}, 300},
		"a dialer with credentials": {time.Second, func(i int, x *edge.Exchange) []int {
			x.Asked.Secret, x.Asked.Good, x.Asked.Method = 5, true, sip.INVITE
			return []int{404}
		}, 300},
		"a PBX that is challenged": {time.Second, func(i int, x *edge.Exchange) []int {
			x.Asked.Apt, x.Asked.Method = true, sip.INVITE
			return []int{407, 404}
		}, 300},
		"calls with credentials that nobody asked for": {time.Second, func(i int, x *edge.Exchange) []int {
			x.Asked.Secret, x.Asked.Method = 5, sip.INVITE
			return []int{404}
		}, 10},
		"a monitor":                      {time.Second, func(i int, x *edge.Exchange) []int { x.Asked.Target = 8; return []int{404} }, 300},
		"no user at all":                 {time.Second, func(i int, x *edge.Exchange) []int { x.Asked.Target = 0; return []int{404} }, 300},
		"OPTIONS, which the edge itself": {time.Second, func(i int, x *edge.Exchange) []int { x.Asked.Method = sip.OPTIONS; return nil }, 11},
		"softphones behind a NAT": {time.Second, func(i int, x *edge.Exchange) []int {
			x.Asked.Method, x.Asked.Port, x.Asked.Target = sip.OPTIONS, uint64(i%40)<<20, uint64(i%40+1)<<32
			return nil
		}, 300},
		"busy": {time.Second, always(486), 300},
	} {
		if n := asks(t, New(Config{}, checktest.Key), 300, c.every, c.do); n != c.found {
			t.Errorf("%s: found at %d, want %d", name, n, c.found)
		}
	}
}

// TestOwnAccount: who registers himself again and again has succeeded once; that allows for no more than three others. The next day it is forgotten.
func TestOwnAccount(t *testing.T) {
	c := New(Config{}, checktest.Key)
	own := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
	own.Asked.Secret, own.Asked.Good = 9, true
	register := func(x *edge.Exchange) { c.Watch(checktest.Reply(t, x, 200)) }
	for range 100 {
		register(own)
	}
	if n := asks(t, c, 300, time.Second, func(int, *edge.Exchange) []int { register(own); return []int{404} }); n != 10 {
		t.Errorf("found at %d", n)
	}
	c = New(Config{}, checktest.Key)
	asks(t, c, 1, 0, func(int, *edge.Exchange) []int { return []int{404} })
	for i := range 20 { // a site
		own.Asked.Target = uint64(i+1) << 58
		register(own)
	}
	if n := asks(t, c, 20, time.Second, func(int, *edge.Exchange) []int { return []int{404} }); n != 20 {
		t.Errorf("a site is found at %d", n)
	}
	if n := asks(t, c, 20, time.Second, func(_ int, x *edge.Exchange) []int {
		x.At, x.Asked.Target = x.At.Add(2*day), x.Asked.Target^1<<40
		return []int{404}
	}); n != 10 {
		t.Errorf("two days later it is found at %d", n)
	}
}

// TestSlowPlatform: phones that boot are challenged at once and answer at once, and the platform takes half a minute to accept them.
func TestSlowPlatform(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i := range 500 {
		x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
		x.Asked.User = checktest.Key.Words(uint64(i), 3)
		x.Asked.Target, x.At = x.Asked.User, x.At.Add(time.Duration(i)*40*time.Millisecond)
		if v := checktest.Opinion(c.Watch(checktest.Reply(t, x, 401))); v.Score > 0 {
			t.Fatalf("phone %d: %+v", i, v)
		}
		x.Asked.Secret = 9
		if v := checktest.Opinion(c.Inspect(x)); v.Score > 0 {
			t.Fatalf("phone %d answers: %+v", i, v)
		}
	}
}

// TestRotatedAddresses: who asks for each user from another address of an IPv6 /48 gets a few dozen answers, and then six a minute; its neighbours and IPv4 are not
// touched, nor a carrier's network, where others succeed.
func TestRotatedAddresses(t *testing.T) {
	for name, one := range map[string]struct {
		addr   string // with the number of the try
		status int
		every  time.Duration
		right  int // every so many registers, 0: none
		passed int // at most; at least ten less
	}{
		"one network":                 {"2001:db8:1:%x::1", 404, time.Second, 0, 60},
		"one that is only challenged": {"2001:db8:1:%x::1", 401, 4 * time.Second, 0, 150},
		"at once":                     {"2001:db8:1:%x::1", 404, 5 * time.Millisecond, 0, 21},
		"slowly":                      {"2001:db8:1:%x::1", 404, 40 * time.Second, 0, 400},
		"a network for each":          {"2001:db8:%x:1::1", 404, time.Second, 0, 400},
		"IPv4":                        {"::ffff:198.51.%d.1", 404, time.Second, 0, 400},
		"a carrier's network":         {"2001:db8:1:%x::1", 404, time.Second, 2, 400},
	} {
		c, passed, at := New(Config{}, checktest.Key), 0, checktest.Start
		try := func(i int, change func(*edge.Asked), status int) edge.Verdict {
			x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
			x.From.Remote = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(one.addr, i%250)), uint16(i+1024))
			x.At, x.Asked.From, x.Asked.User = at, x.From, checktest.Key.Words(uint64(i), 5)
			x.Asked.Target = x.Asked.User
			x.Asked.Source, x.Asked.Port = checktest.Key.Words(uint64(i), 6), checktest.Key.AddrPort(x.From.Remote)
			change(&x.Asked)
			v := checktest.Opinion(c.Inspect(x))
			if v.Action == edge.Pass {
				c.Watch(checktest.Reply(t, x, status))
			}
			return v
		}
		for i := range 400 {
			at = at.Add(one.every)
			status, secret := one.status, uint64(0)
			if one.right > 0 && i%one.right == 0 {
				status, secret = 200, 7
			}
			v := try(i, func(a *edge.Asked) { a.Secret, a.Apt = secret, secret != 0 }, status)
			switch {
			case v.Action == edge.Pass:
				passed++
			case v.Status != 503 || v.Retry < 5 || v.Retry > 30 || v.Score != 0:
				t.Fatalf("%s: %+v", name, v)
			}
		}
		if passed > one.passed || passed < one.passed-10 {
			t.Errorf("%s: %d get through, want about %d", name, passed, one.passed)
		}
		for who, change := range map[string]func(*edge.Asked){
			"known there":          func(a *edge.Asked) { a.Good = true },
			"registered":           func(a *edge.Asked) { a.Trust = edge.Known },
			"who was challenged":   func(a *edge.Asked) { a.Secret, a.Apt = 5, true },
			"who asks for OPTIONS": func(a *edge.Asked) { a.Method = sip.OPTIONS },
		} {
			for range 3 {
				if v := try(1000, change, 200); v.Action != edge.Pass {
					t.Errorf("%s, %s: %+v", name, who, v)
				}
			}
		}
		if at = at.Add(slowed + time.Second); try(2000, func(*edge.Asked) {}, 200).Action != edge.Pass || try(2001, func(*edge.Asked) {}, 200).Action != edge.Pass {
			t.Errorf("%s: later strangers still wait", name)
		}
	}
}

func TestEntry(t *testing.T) {
	if size := unsafe.Sizeof(source{}) + 24; size > 256 {
		t.Errorf("%d bytes", size)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Users: 1}, {Users: 25}, {Slowly: 25}, {Within: 48 * time.Hour}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}
