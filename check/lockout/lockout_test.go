package lockout

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// try sends one REGISTER with a password, and what the platform says to it if it gets there.
func try(t *testing.T, c *Check, x *edge.Exchange, status int) (asked, answered edge.Verdict) {
	t.Helper()
	x.Asked.Secret++
	if asked = checktest.Opinion(c.Inspect(x)); asked.Action <= edge.Note {
		answered = checktest.Opinion(c.Watch(checktest.Reply(t, x, status)))
	}
	return asked, answered
}

func register(t *testing.T) *edge.Exchange {
	return checktest.Exchange(t, checktest.Request("REGISTER", "sip:example.com"))
}

// TestThreeIn15Minutes (T10): the third wrong password locks the pair of user and source, and nobody else.
func TestThreeIn15Minutes(t *testing.T) {
	c, x := New(Config{}, checktest.Key), register(t)
	for i := range 3 {
		asked, answered := try(t, c, x, 401)
		if asked.Action != edge.Pass || (answered.Lock == edge.LockPair) != (i == 2) || answered.Ban != nil {
			t.Fatalf("wrong password %d: %+v, %+v", i+1, asked, answered)
		}
	}
	if v, _ := try(t, c, x, 200); v.Action != edge.Reply || v.Status != 503 || v.Text != "Try later" || v.Retry < 1790 || v.Retry > 1801 {
		t.Errorf("the first one after: %+v", v)
	}
	for range 20 {
		if v, _ := try(t, c, x, 200); v.Action != edge.Drop {
			t.Errorf("a further one: %+v", v)
		}
	}
	other := register(t)
	other.Asked.User = 2
	if v, _ := try(t, c, other, 200); v.Action != edge.Pass {
		t.Errorf("another user of that source: %+v", v)
	}
	owner := register(t)
	owner.Asked.Source = 5
	if v, _ := try(t, c, owner, 200); v.Action != edge.Pass {
		t.Errorf("the user from elsewhere: %+v", v)
	}
	x.At = x.At.Add(30*time.Minute + time.Second)
	if v, _ := try(t, c, x, 200); v.Action != edge.Pass {
		t.Errorf("half an hour later: %+v", v)
	}
}

func TestWhatIsNoFailure(t *testing.T) {
	c, x := New(Config{}, checktest.Key), register(t)
	for name, change := range map[string]func(*edge.Exchange){
		"no password":             func(x *edge.Exchange) { x.Asked.Secret = 0 },
		"a nonce that is too old": func(x *edge.Exchange) { x.Asked.Stale = true },
	} {
		y := *x
		y.Asked.Secret = 1
		change(&y)
		for range 10 {
			if v := checktest.Opinion(c.Watch(checktest.Reply(t, &y, 401))); v != (edge.Verdict{}) {
				t.Errorf("%s: %+v", name, v)
			}
		}
	}
	for range 10 { // a right one in between
		try(t, c, x, 401)
		try(t, c, x, 401)
		if asked, answered := try(t, c, x, 200); asked.Action != edge.Pass || answered.Lock != 0 {
			t.Fatalf("%+v %+v", asked, answered)
		}
	}
	for range 10 { // far apart
		x.At = x.At.Add(16 * time.Minute)
		if asked, _ := try(t, c, x, 401); asked.Action != edge.Pass {
			t.Fatalf("%+v", asked)
		}
	}
}

// TestKnownGoodIsSlowed: who was accepted from there before may try once a minute, and is in with the right password.
func TestKnownGoodIsSlowed(t *testing.T) {
	c, x := New(Config{}, checktest.Key), register(t)
	x.Asked.Good = true
	passed := 0
	for range 600 { // ten minutes
		x.At = x.At.Add(time.Second)
		if v, _ := try(t, c, x, 401); v.Action == edge.Pass {
			passed++
		} else if v.Action != edge.Reply || v.Status != 503 || v.Retry > 61 {
			t.Fatalf("%+v", v)
		}
	}
	if passed < 10 || passed > 14 {
		t.Errorf("%d tries in ten minutes", passed)
	}
	phone := *x
	phone.Asked.Trust = edge.Known
	for range 3 {
		if v, _ := try(t, c, &phone, 401); v.Action != edge.Pass {
			t.Errorf("the registered phone itself: %+v", v)
		}
	}
	x.At = x.At.Add(time.Minute)
	if v, _ := try(t, c, x, 200); v.Action != edge.Pass {
		t.Errorf("%+v", v)
	}
	if v, _ := try(t, c, x, 200); v.Action != edge.Pass {
		t.Errorf("after the right password: %+v", v)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Failures: -1}, {Failures: 5000}, {Within: time.Millisecond}, {For: -1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestHeld: what is held against a user can be told, and forgotten for one source or all.
func TestHeld(t *testing.T) {
	c, x := New(Config{}, checktest.Key), register(t)
	other := *x
	other.From.Remote = netip.MustParseAddrPort("[2001:db8::1]:5060")
	other.Asked.From, other.Asked.Source = other.From, 77
	if held := c.Held(x.Asked.User, x.At); held != nil {
		t.Errorf("%+v", held)
	}
	for range 3 {
		try(t, c, x, 401)
	}
	try(t, c, &other, 401)
	want := map[string]edge.Hold{
		x.From.Remote.Addr().String(): {Reason: reasonLocked, Failures: 3, Until: x.At.Add(30 * time.Minute)},
		"2001:db8::/64":               {Reason: reasonLocked, Failures: 1},
	}
	held := c.Held(x.Asked.User, x.At)
	for _, h := range held {
		w := want[h.Source.String()]
		if h.Failures != w.Failures || !h.Until.Equal(w.Until) || h.Reason != w.Reason {
			t.Errorf("%+v, want %+v", h, w)
		}
	}
	from := c.From(edge.SourceOf(x.From.Remote.Addr()), x.At)
	if len(from) != 1 || from[0].User != "1001@example.com" || from[0].Failures != 3 || len(c.From(edge.SourceOf(netip.MustParseAddr("192.0.2.1")), x.At)) != 0 {
		t.Errorf("of the source: %+v", from)
	}
	if len(held) != 2 || len(c.Held(99, x.At)) != 0 {
		t.Errorf("%+v", held)
	}
	if got := c.Release(x.Asked.User, edge.SourceOf(x.From.Remote.Addr()), x.At); len(got) != 1 {
		t.Errorf("released %+v", got)
	}
	if v, _ := try(t, c, x, 200); v.Action != edge.Pass {
		t.Errorf("after that: %+v", v)
	}
	if got := c.Release(x.Asked.User, edge.Source{}, x.At); len(got) != 1 || len(c.Held(x.Asked.User, x.At)) != 0 {
		t.Errorf("released %+v", got)
	}
	try(t, c, x, 401)
	if held := c.Held(x.Asked.User, x.At.Add(20*time.Minute)); held != nil {
		t.Errorf("20 minutes later: %+v", held)
	}
}

// TestTwentyADay: who fails slower than three times in 15 minutes has 20 tries, and then one for each lock.
func TestTwentyADay(t *testing.T) {
	c, x, tries := New(Config{}, checktest.Key), register(t), 0
	x.Asked.Method = sip.INVITE
	for range 24 * 7 {
		if asked, _ := try(t, c, x, 407); asked.Action == edge.Pass {
			tries++
		}
		x.At = x.At.Add(8*time.Minute + 34*time.Second)
	}
	if tries < 20 || tries > 66 {
		t.Errorf("%d passwords in a day", tries)
	}
}

// TestOPTIONS: a user who is locked is so for passwords in OPTIONS, too; those without ask for nothing.
func TestOPTIONS(t *testing.T) {
	c, x := New(Config{}, checktest.Key), register(t)
	for range 3 {
		try(t, c, x, 401)
	}
	x.Asked.Method = sip.OPTIONS
	if v, _ := try(t, c, x, 401); v.Action != edge.Reply {
		t.Errorf("%+v", v)
	}
	x.Asked.Secret = 0
	if v := checktest.Opinion(c.Inspect(x)); v.Action != edge.Pass {
		t.Errorf("%+v", v)
	}
}
