package flood

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

// passed sends n requests at x.At and returns how many pass.
func passed(c *Check, x *edge.Exchange, n int) (ok int, last edge.Verdict) {
	for range n {
		if v := checktest.Opinion(c.Inspect(x)); v.Action <= edge.Note {
			ok++
		} else {
			last = v
		}
	}
	return ok, last
}

func invite(t *testing.T) *edge.Exchange {
	return checktest.Exchange(t, checktest.Request("INVITE", "sip:2002@example.com"))
}

func TestRate(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	n, v := passed(c, x, 1000)
	if n != 60 || v.Action != edge.Drop || v.Reason != "flood.rate" || v.Score != 0 {
		t.Errorf("%d pass at once; %+v", n, v)
	}
	x.At = x.At.Add(time.Second)
	if n, _ := passed(c, x, 1000); n != 10 {
		t.Errorf("%d pass after a second", n)
	}
	x.Asked.Proven = true
	if _, v := passed(c, x, 1); v.Score == 0 {
		t.Error("the flood of who is proven weighs nothing")
	}
}

// TestBegins: one flow may begin to register one user five times at once and once a second; the phones of an office that share a user have flows of
// their own, and who answers challenges is not held up.
func TestBegins(t *testing.T) {
	c, x := New(Config{}, checktest.Key), checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
	if n, v := passed(c, x, 30); n != 5 || v.Action != edge.Drop {
		t.Errorf("%d pass at once; %+v", n, v)
	}
	for i := range 20 {
		x.Asked.Port = uint64(i) << 20
		if n, _ := passed(c, x, 1); n != 1 {
			t.Errorf("phone %d does not pass", i)
		}
	}
	x.Asked.Secret = 5
	if n, _ := passed(c, x, 20); n != 20 {
		t.Errorf("%d answers pass", n)
	}
}

// TestKnownUsers: each user whom the platform accepted widens what his address may send.
func TestKnownUsers(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	x.Asked.Known = 500
	for _, want := range []int{3060, 260} {
		n := 0
		for x.Asked.Port = 1; x.Asked.Port <= 10; x.Asked.Port++ {
			ok, _ := passed(c, x, 1000)
			n += ok
		}
		if n != want {
			t.Errorf("%d pass of an office of 500, want %d at once, and then 260 in a second", n, want)
		}
		x.At = x.At.Add(time.Second)
	}
}

// TestOwnBudgets (B1, B2): forged packets with a customer's address, and with his port, take nothing from his flow and from his passwords.
func TestOwnBudgets(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	passed(c, x, 10_000)
	x.Asked.Trust = edge.Known
	if n, _ := passed(c, x, 30); n != 30 {
		t.Errorf("%d of 30 pass from a registered phone whose address is forged", n)
	}
	passed(c, x, 10_000)
	x.Asked.Fresh = true
	if n, _ := passed(c, x, 30); n != 30 {
		t.Errorf("%d of 30 pass with a password, from a phone whose address and port are forged", n)
	}
	x.Asked.Fresh = false
	passed(c, x, 10_000)
	x.Asked.Good, x.Asked.User = true, 7
	if n, _ := passed(c, x, 30); n != userBurst {
		t.Errorf("%d of 30 pass in the name of a user whom the forger does not know, want %d", n, userBurst)
	}
	x.At = x.At.Add(userEvery)
	if n, _ := passed(c, x, 30); n < 1 || n > 21 {
		t.Errorf("%d of 30 pass after %v", n, userEvery)
	}
	x.Asked.User = 8
	if n, _ := passed(c, x, 30); n != userBurst {
		t.Errorf("%d of 30 pass of another user", n)
	}
}

// TestStorm: phones of a site that nobody knows yet are told to come back, each once in a while.
func TestStorm(t *testing.T) {
	c := New(Config{}, checktest.Key)
	x := checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
	told, retries := 0, map[int]bool{}
	for phone := range 500 {
		x.Asked.User = uint64(phone + 1)
		for range 2 {
			if v := checktest.Opinion(c.Inspect(x)); v.Action == edge.Reply {
				if v.Status != 503 || v.Retry < 5 || v.Retry > 60 || v.Reason != "flood.storm" {
					t.Fatalf("%+v", v)
				}
				told++
				retries[v.Retry] = true
			}
		}
	}
	if told < 400 || told > 500 || len(retries) < 20 {
		t.Errorf("%d of 500 phones told to come back, at %d different times", told, len(retries))
	}
}

// TestNeighbour (m02): a stranger at an office's address who sends without end leaves the office's other new flows their budget.
func TestNeighbour(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	x.Asked.Known = 20
	if n, _ := passed(c, x, 1000); n != 120 {
		t.Errorf("%d of one stranger pass at once, want half of 180", n)
	}
	for port := range uint64(8) {
		x.Asked.Port = port
		if n, _ := passed(c, x, 6); n != 6 {
			t.Errorf("%d of 6 of new phone %d pass", n, port)
		}
	}
	x.Asked.Port = 1000
	if n, _ := passed(c, x, 50); n != 12 {
		t.Errorf("%d of another port pass where 12 are left", n)
	}
}

// TestNetwork (B7): who rotates over the addresses of a network has four budgets and no more, and other networks have theirs; where somebody is
// known, an address has its own.
func TestNetwork(t *testing.T) {
	for _, format := range []string{"198.51.%d.%d", "2001:db8:%x:%x::1"} {
		c, x := New(Config{}, checktest.Key), invite(t)
		rotate := func(network, known int) (ok int) {
			for host := range 250 {
				x.From.Remote = netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(format, network, host)), 5060)
				x.Asked.Source, x.Asked.Port, x.Asked.Known = checktest.Key.Addr(x.From.Remote.Addr()), uint64(network<<8+host), known
				n, _ := passed(c, x, 10)
				ok += n
			}
			return ok
		}
		if n := rotate(100, 0); n != 240 {
			t.Errorf("%d of one network pass at once", n)
		}
		x.At = x.At.Add(time.Second)
		if n := rotate(100, 0); n != 40 {
			t.Errorf("%d of it pass in a second", n)
		}
		if n := rotate(101, 0); n != 240 {
			t.Errorf("%d of another one", n)
		}
		if n := rotate(100, 1); n != 2500 {
			t.Errorf("%d of addresses that somebody is known at", n)
		}
	}
}

// TestTrunk: calls without credentials that ring make room for more; those that are challenged do not.
func TestTrunk(t *testing.T) {
	for status, want := range map[int]int{180: 150, 200: 150, 401: 60, 404: 60} {
		c, x := New(Config{}, checktest.Key), invite(t)
		for range 30 {
			c.Watch(checktest.Reply(t, x, status))
		}
		if n, _ := passed(c, x, 1000); n != want {
			t.Errorf("after 30 calls that got %d, %d pass at once, want %d", status, n, want)
		}
	}
}

// TestTrunkOfOneUser: a telephone system that nobody made a peer calls for all its numbers with one password, 20 times a second, so one user is known there.
func TestTrunkOfOneUser(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	x.Asked.Known = 1
	for call := range 20 * 600 {
		x.At = checktest.Start.Add(time.Duration(call) * 50 * time.Millisecond)
		if v := checktest.Opinion(c.Inspect(x)); v.Action > edge.Note {
			t.Fatalf("call %d: %+v", call, v)
		}
		c.Watch(checktest.Reply(t, x, 200))
	}
}

// TestOneLogin: who writes another name into each From has no budget of its own for each, and uses up none of the user's whose name is in the credentials.
func TestOneLogin(t *testing.T) {
	c, x := New(Config{}, checktest.Key), invite(t)
	passed(c, x, 10_000)
	x.Asked.Good, x.Asked.Lent, x.Asked.Login, x.Asked.Secret = true, true, 7, 9
	n := 0
	for from := range uint64(100) {
		x.Asked.User = 5000 + from
		ok, _ := passed(c, x, 1)
		n += ok
	}
	if n != userBurst {
		t.Errorf("%d of 100 pass with one password, want %d", n, userBurst)
	}
	x.Asked.User, x.Asked.Login, x.Asked.Lent = 7, 0, false
	if ok, _ := passed(c, x, 1); ok != 1 {
		t.Error("the user himself is refused")
	}
}

// TestPike: pike's parameters, and no limit at all.
func TestPike(t *testing.T) {
	c, x := New(Config{Limit: meter.Limit{Every: 100 * time.Millisecond, Burst: 20}, Shut: 4 * time.Second}, checktest.Key), invite(t)
	if n, _ := passed(c, x, 50); n != 20 {
		t.Errorf("%d pass of a density of 20", n)
	}
	x.At = x.At.Add(3 * time.Second)
	if n, _ := passed(c, x, 50); n != 0 {
		t.Errorf("%d pass before remove_latency is over", n)
	}
	x.At = x.At.Add(8 * time.Second)
	if n, _ := passed(c, x, 50); n == 0 {
		t.Error("shut for ever")
	}
	free := New(Config{Unlimited: true}, checktest.Key)
	n, _ := passed(free, x, 5000)
	if v := checktest.Opinion(free.Inspect(x)); n != 5000 || v.Action != edge.Note || v.Score != 0 {
		t.Errorf("without a limit %d of 5000 pass, %+v", n, v)
	}
}

func TestValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Config{{Limit: meter.Limit{Every: -1}}, {Limit: meter.Limit{Burst: -1}}, {Shut: -1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
}
