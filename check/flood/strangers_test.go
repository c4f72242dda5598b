package flood

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// crowd has n strangers come once each, one after the other from a time on and in that time, and returns how many pass, and what the last one heard who did not.
func crowd(t *testing.T, c *Check, method string, n int, from, in time.Duration, change func(*edge.Asked)) (ok int, last edge.Verdict) {
	x := checktest.Exchange(t, checktest.Request(method, "sip:2002@example.com"))
	began, addr := x.At.Add(from), [4]byte{100}
	for i := range n {
		x.At = began.Add(in * time.Duration(i) / time.Duration(n))
		addr[1], addr[2], addr[3] = byte(i>>8), byte(i), byte(i>>16)
		x.From.Remote = netip.AddrPortFrom(netip.AddrFrom4(addr), 5060)
		a := &x.Asked
		a.Source, a.Port, a.User = checktest.Key.Words(uint64(i), 1), checktest.Key.Words(uint64(i), 2), checktest.Key.Words(uint64(i), 3)
		change(a)
		one, v := passed(c, x, 1)
		if ok += one; one == 0 {
			last = v
		}
	}
	return ok, last
}

func asIs(*edge.Asked) {}

// every is 300 a second.
const every = time.Second / 300

// TestStrangers: however many addresses a flood has, all together get no more than they may, here 300 a second, and 20 seconds of it at once; the excess is told to come back where it may be a
// phone, and nothing is held against it.
func TestStrangers(t *testing.T) {
	c := New(Config{Strangers: every}, checktest.Key)
	n, v := crowd(t, c, "INVITE", 20_000, 0, 10*time.Second, asIs)
	if n < 8990 || n > 9010 || v.Action != edge.Drop || v.Reason != reasonStrangers || v.Score != 0 {
		t.Errorf("%d calls of strangers pass in 10 s; %+v", n, v)
	}
	n, v = crowd(t, New(Config{Strangers: every}, checktest.Key), "REGISTER", 20_000, 0, 10*time.Second, asIs)
	if n < 8990 || n > 9010 || v.Action != edge.Reply || v.Status != 503 || v.Retry < 5 || v.Retry > 45 || v.Score != 0 {
		t.Errorf("%d REGISTERs of strangers pass; %+v", n, v)
	}
	for name, change := range map[string]func(*edge.Asked){
		"of addresses where somebody is known":  func(a *edge.Asked) { a.Known = 1 },
		"of registered phones":                  func(a *edge.Asked) { a.Trust = edge.Known },
		"of who answers challenges":             func(a *edge.Asked) { a.Fresh, a.Secret = true, 5 },
		"of who is somebody the platform calls": func(a *edge.Asked) { c.calls.Add(a.Source, 3, checktest.Start) },
	} {
		if n, v := crowd(t, c, "INVITE", 1000, 10*time.Second, 0, change); n != 1000 {
			t.Errorf("in the middle of that %d of 1000 calls %s pass; %+v", n, name, v)
		}
	}
	for i, want := range []int{6000, 1000} { // they have as much among themselves, however many are forged meanwhile; the platform calls 1000
		if n, v := crowd(t, c, "INVITE", 6000, 10*time.Second, 0, func(a *edge.Asked) { a.Proven = true }); n < want || n > want+20 {
			t.Errorf("%d of 6000 calls of proven strangers pass the %d. time; %+v", n, i+1, v)
		}
	}
	if n, _ := crowd(t, c, "OPTIONS", 1000, 10*time.Second, 0, asIs); n != 1000 {
		t.Errorf("%d of 1000 OPTIONS", n)
	}
	if n, v := crowd(t, New(Config{Unlimited: true, Strangers: every}, checktest.Key), "INVITE", 9000, 0, 0, asIs); n != 9000 || v.Action != edge.Pass {
		t.Errorf("%d of 9000 where nothing is limited; %+v", n, v)
	}
	if n, _ := crowd(t, New(Config{}, checktest.Key), "INVITE", 9000, 0, 0, asIs); n != 9000 {
		t.Errorf("%d of 9000 where strangers are not", n)
	}
}

// TestStrangersOfSites: phones of a large platform that nobody knows yet may all boot at once; each user who has registered makes room for more.
func TestStrangersOfSites(t *testing.T) {
	if n, v := crowd(t, New(Config{Strangers: every}, checktest.Key), "REGISTER", 10_000, 0, 30*time.Second, asIs); n != 10_000 {
		t.Errorf("%d of 10,000 phones pass; %+v", n, v)
	}
	c := New(Config{Strangers: every}, checktest.Key)
	x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
	for i := range 4000 {
		x.Asked.User, x.Asked.Secret = checktest.Key.Words(uint64(i%2000), 9), 5
		c.Watch(checktest.Reply(t, x, 200))
	}
	if n := c.users.n.Load(); n < 1900 || n > 2000 {
		t.Errorf("%d users of 2,000", n)
	}
	if n, v := crowd(t, c, "REGISTER", 18_000, 0, 5*time.Second, asIs); n != 18_000 {
		t.Errorf("%d phones of 18,000 pass where 2,000 users are at home; %+v", n, v)
	}
}
