package dialprefix

import (
	"strconv"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
)

// digitsOf makes a number as the judge does.
func digitsOf(text string) edge.Number {
	n, _ := strconv.ParseUint(text[max(0, len(text)-15):], 16, 64)
	return edge.Number(n | uint64(min(len(text), 15))<<60)
}

// calls dials a number, and hears the platform's answer if the call gets there.
func calls(t *testing.T, c *Check, number string, status int, change func(*edge.Exchange)) (asked, answered edge.Verdict) {
	t.Helper()
	x := checktest.Exchange(t, checktest.Request("INVITE", "sip:"+number+"@example.com"))
	x.Asked.Number = digitsOf(number)
	change(x)
	if asked = checktest.Opinion(c.Inspect(x)); asked.Action == edge.Pass {
		answered = checktest.Opinion(c.Watch(checktest.Reply(t, x, status)))
	}
	return asked, answered
}

var prefixes = []string{"", "0", "00", "000", "9", "90", "900", "9011", "011", "8", "80", "810", "801", "1", "77"}

func same(*edge.Exchange) {}

func TestOneSource(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i, p := range prefixes {
		asked, answered := calls(t, c, p+"46500729221", 407, same)
		switch {
		case i < 4 && (asked.Action != edge.Pass || answered.Score != 0):
			t.Errorf("variant %d: %+v %+v", i, asked, answered)
		case i == 4 && answered.Score != 10:
			t.Errorf("the fifth variant: %+v", answered)
		case i > 4 && (asked.Action != edge.Drop || asked.Reason != "dialprefix.source"):
			t.Errorf("variant %d: %+v", i, asked)
		}
	}
	if asked, _ := calls(t, c, "04650099999", 407, same); asked.Action != edge.Pass {
		t.Errorf("another number: %+v", asked)
	}
}

// TestOwnCredentials: credentials that nobody asked for make nobody a user, neither alone nor among many sources.
func TestOwnCredentials(t *testing.T) {
	for _, status := range []int{407, 404, 403} {
		c := New(Config{}, checktest.Key)
		for i, p := range prefixes {
			asked, answered := calls(t, c, p+"46500729221", status, func(x *edge.Exchange) { x.Asked.Secret = uint64(i + 1) })
			if i == 4 && answered.Score != 10 || i > 4 && asked.Action != edge.Drop {
				t.Errorf("%d, variant %d: %+v %+v", status, i, asked, answered)
			}
		}
		c = New(Config{}, checktest.Key)
		for i := range 13 {
			asked, _ := calls(t, c, prefixes[i]+"46500729221", status, func(x *edge.Exchange) {
				x.Asked.Secret, x.Asked.Source, x.Asked.Port = 5, uint64(i+1)<<40, uint64(i+1)<<40
			})
			if (asked.Reason == "dialprefix.number") != (i == 12) {
				t.Errorf("%d, source %d: %+v", status, i, asked)
			}
		}
	}
}

// TestSlowSource: one variant in some minutes is too many in two hours.
func TestSlowSource(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i, p := range prefixes {
		asked, answered := calls(t, c, p+"46500729221", 407, func(x *edge.Exchange) { x.At = x.At.Add(time.Duration(i) * 8 * time.Minute) })
		if (answered.Score == 10) != (i == 11) || (asked.Action == edge.Drop) != (i > 11) {
			t.Errorf("variant %d: %+v %+v", i, asked, answered)
		}
	}
}

// TestMisdialling: a user with accepted credentials may try more, and is kept from the number, not from the service.
func TestMisdialling(t *testing.T) {
	c := New(Config{}, checktest.Key)
	tries := 0
	later := func(x *edge.Exchange) { x.At = x.At.Add(time.Duration(tries) * 10 * time.Second) }
	user := func(x *edge.Exchange) { x.Asked.Known, x.Asked.Secret, x.Asked.Apt = 1, 5, true; later(x) }
	for i, p := range prefixes[:7] {
		tries = i
		challenged, _ := calls(t, c, p+"3012345678", 407, func(x *edge.Exchange) { x.Asked.Known = 1; later(x) })
		asked, answered := calls(t, c, p+"3012345678", 404, user)
		if challenged.Action != edge.Pass || asked.Action != edge.Pass || answered.Score > 0 {
			t.Errorf("variant %d: %+v %+v %+v", i, challenged, asked, answered)
		}
	}
	if _, answered := calls(t, c, "8803012345678", 404, user); answered.Score != 2 {
		t.Errorf("the eighth: %+v", answered)
	}
	if asked, _ := calls(t, c, "883012345678", 404, user); asked.Action != edge.Reply || asked.Status != 403 || asked.Score != 0 {
		t.Errorf("the ninth: %+v", asked)
	}
	if asked, _ := calls(t, c, "110", 200, user); asked.Action != edge.Pass {
		t.Errorf("an emergency: %+v", asked)
	}
}

// TestMachine: a user, too, whose third variant has failed within 10 s is none who dials: the number is shut for a moment, and for long if he goes
// on. Without his credentials he hears the same, and no points.
func TestMachine(t *testing.T) {
	for _, insists := range []bool{false, true} {
		c := New(Config{}, checktest.Key)
		after := time.Duration(0)
		user := func(secret uint64) func(*edge.Exchange) {
			return func(x *edge.Exchange) {
				x.Asked.Known, x.Asked.Secret, x.Asked.Apt, x.At = 1, secret, secret != 0, x.At.Add(after)
			}
		}
		for i, p := range prefixes[:3] {
			after = time.Duration(i) * 4 * time.Second
			calls(t, c, p+"3012345678", 407, user(0))
			if asked, answered := calls(t, c, p+"3012345678", 404, user(5)); asked.Action != edge.Pass || (answered.Action == edge.Note) != (i == 2) || answered.Score != 0 {
				t.Errorf("variant %d: %+v %+v", i, asked, answered)
			}
		}
		refused := func(number string, secret uint64) {
			t.Helper()
			if asked, _ := calls(t, c, number, 404, user(secret)); asked.Action != edge.Reply || asked.Status != 403 || asked.Score != 0 {
				t.Errorf("insists %v, %s: %+v", insists, number, asked)
			}
		}
		after += 2 * time.Second
		refused("883012345678", 0)
		if insists {
			refused("773012345678", 5)
		}
		after += pause
		if asked, answered := calls(t, c, "03012345678", 200, user(5)); (asked.Action == edge.Pass) == insists || answered.Score != 0 {
			t.Errorf("insists %v, half a minute later: %+v %+v", insists, asked, answered)
		}
	}
}

// TestRedial: the same number again and again is no variant, however fast; nor are two of them in turns.
func TestRedial(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i := range 30 {
		asked, answered := calls(t, c, prefixes[i%2]+"3012345678", 486, func(x *edge.Exchange) { x.Asked.Known, x.Asked.Secret = 1, 5 })
		if asked.Action != edge.Pass || answered.Action != edge.Pass {
			t.Fatalf("call %d: %+v %+v", i, asked, answered)
		}
	}
}

// TestDialer: a dialer has one prefix and many numbers.
func TestDialer(t *testing.T) {
	c := New(Config{}, checktest.Key)
	for i := range 1000 {
		if asked, answered := calls(t, c, "4930"+strconv.Itoa(1000000+i*7919), 486, same); asked.Action != edge.Pass || answered.Score > 0 {
			t.Fatalf("call %d: %+v %+v", i, asked, answered)
		}
	}
}

// TestManySources: one variant from each source, neighbours of the number too; then it is shut to who is not known, and open to users.
func TestManySources(t *testing.T) {
	c := New(Config{}, checktest.Key)
	passed := 0
	for i := range 60 {
		asked, _ := calls(t, c, prefixes[i%len(prefixes)]+"4650072922"+strconv.Itoa(i%3), 407, func(x *edge.Exchange) {
			x.Asked.Source, x.Asked.Port = checktest.Key.Words(uint64(i%8), 1), checktest.Key.Words(uint64(i%8), 2)
			x.At = x.At.Add(time.Duration(i) * time.Minute)
		})
		if asked.Action == edge.Pass {
			passed++
		} else if asked.Reason != "dialprefix.number" || asked.Score != 10 {
			t.Fatalf("%+v", asked)
		}
	}
	if passed > 12 {
		t.Errorf("%d of 60 pass", passed)
	}
	if asked, _ := calls(t, c, "46500729221", 200, func(x *edge.Exchange) { x.Asked.Known = 1; x.At = x.At.Add(time.Hour) }); asked.Action != edge.Pass {
		t.Errorf("a user: %+v", asked)
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []Config{{Variants: 1}, {Users: 2}, {Users: 40}, {Within: 1}, {Shut: 1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}
