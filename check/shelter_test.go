package check

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/bruteforce"
	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/check/dialprefix"
	"github.com/ringwall/ringwall/check/enumeration"
	"github.com/ringwall/ringwall/check/lockout"
	"github.com/ringwall/ringwall/check/method"
	"github.com/ringwall/ringwall/check/spray"
	"github.com/ringwall/ringwall/check/userguard"
	"github.com/ringwall/ringwall/edge"
)

// places is how many entries the tables of these tests have.
const places = 1 << 10

// A siege is one attacker's slow way through a check, and what packets in other names could do to it.
type siege struct {
	check any
	step  func(i uint64) (text string, asked edge.Asked) // of the attacker, who is the same each time
	crowd func(i uint64) (text string, asked edge.Asked) // of the forged source number i, which comes once
	reply int                                            // what the platform answers
	found int                                            // steps until he is found where nobody else is about
	lost  int                                            // steps more that he has at most among forged sources: his first may be forgotten
	fills int                                            // entries of a forged source in a table
}

// another is a hash that nobody else has.
func another(kind, i uint64) uint64 { return checktest.Key.Words(i, kind) }

// begins is a request of a source of its own.
func begins(i uint64) edge.Asked {
	return edge.Asked{Source: another(1, i), Port: another(2, i), User: another(3, i), Target: another(3, i)}
}

func register(change func(*edge.Asked, uint64)) func(uint64) (string, edge.Asked) {
	return of(checktest.Request("REGISTER", "sip:example.com"), change)
}

func of(text string, change func(*edge.Asked, uint64)) func(uint64) (string, edge.Asked) {
	return func(i uint64) (string, edge.Asked) {
		a := begins(i)
		change(&a, i)
		return text, a
	}
}

// is has a be the attacker, who has one address and port.
func is(a *edge.Asked) { a.Source, a.Port = 7<<40|7, 8<<40|8 }

// sieges are all checks that remember sources or users.
func sieges() map[string]siege {
	invite, bye, options := checktest.Request("INVITE", "sip:1@example.com"), checktest.Request("BYE", "sip:1@example.com"), checktest.Request("OPTIONS", "sip:1@example.com")
	secret := func(a *edge.Asked, i uint64) { a.Secret = another(5, i) }
	dials := func(a *edge.Asked, i uint64) { a.Number = edge.Number(0x46500729221 | i<<44 | 12<<60) }
	dialsAny := func(a *edge.Asked, i uint64) { a.Number = edge.Number(another(4, i)&^(15<<60) | 12<<60) }
	return map[string]siege{
		"enumeration": {enumeration.New(enumeration.Config{Sources: places}, checktest.Key), register(func(a *edge.Asked, _ uint64) { is(a) }),
			register(func(*edge.Asked, uint64) {}), 404, 10, 1, 1},
		"enumeration by OPTIONS": {enumeration.New(enumeration.Config{Sources: places}, checktest.Key), of(options, func(a *edge.Asked, _ uint64) { is(a) }),
			of(options, func(*edge.Asked, uint64) {}), 0, 11, 2, 1},
		"dialprefix": {dialprefix.New(dialprefix.Config{Numbers: places}, checktest.Key), of(invite, func(a *edge.Asked, i uint64) { is(a); dials(a, i) }),
			of(invite, dialsAny), 407, 5, 1, 4},
		"dialprefix by many": {dialprefix.New(dialprefix.Config{Numbers: places}, checktest.Key), of(invite, dials),
			of(invite, dialsAny), 407, 13, 1, 4},
		"dialprefix by address": {dialprefix.New(dialprefix.Config{Numbers: 4 * places}, checktest.Key), of(invite, func(a *edge.Asked, i uint64) { is(a); a.Literal = true; dialsAny(a, i) }),
			of(invite, func(a *edge.Asked, i uint64) { a.Literal = true; dialsAny(a, i) }), 407, 4, 1, 1},
		"bruteforce": {bruteforce.New(bruteforce.Config{Pairs: places, Within: time.Hour}, checktest.Key), register(func(a *edge.Asked, i uint64) { is(a); secret(a, i); a.User = 5 }),
			register(secret), 401, 8, 1, 1},
		"spray":     {spray.New(spray.Config{Sources: places}, checktest.Key), register(func(a *edge.Asked, i uint64) { is(a); secret(a, i) }), register(secret), 401, 5, 1, 2},
		"userguard": {userguard.New(userguard.Config{Users: places}, checktest.Key), register(func(a *edge.Asked, i uint64) { secret(a, i); a.User = 5 }), register(secret), 401, 8, 1, 1},
		"lockout":   {lockout.New(lockout.Config{Pairs: places}, checktest.Key), register(func(a *edge.Asked, i uint64) { is(a); secret(a, i); a.User = 5 }), register(secret), 401, 3, 1, 1},
		"method": {method.New(method.Config{Sources: places, Within: time.Hour, Grace: 1}, checktest.Key), of(bye, func(a *edge.Asked, _ uint64) { is(a) }),
			of(bye, func(*edge.Asked, uint64) {}), 0, 20, 1, 1},
	}
}

// say is what the check makes of a request, and of the answer to it where the platform gets it.
func (s *siege) say(t *testing.T, text string, asked edge.Asked, at time.Time) (found bool) {
	x := checktest.Exchange(t, text)
	asked.Method, asked.From, x.At = x.Msg.Method, x.From, at
	x.Asked = asked
	if c, ok := s.check.(edge.Check); ok {
		if v := checktest.Opinion(c.Inspect(x)); v.Score >= 10 || v.Action >= edge.Reply {
			return true
		}
	}
	w, ok := s.check.(edge.Watcher)
	if !ok || s.reply == 0 {
		return false
	}
	v := checktest.Opinion(w.Watch(checktest.Reply(t, x, s.reply)))
	return v.Score >= 7 || v.Lock != edge.LockNone
}

// begun is when sieges begin: after the time that checks give calls from before a restart.
var begun = checktest.Start.Add(time.Hour)

// run returns at which of the attacker's steps he is found, 0 if at none, with that many forged sources, or proven ones like him, ten seconds after each step, and
// the next as long after them.
func (s *siege) run(t *testing.T, between int, proven bool) int {
	s.say(t, checktest.Request("BYE", "sip:1@example.com"), begins(1<<40), checktest.Start)
	at, next := begun, uint64(1000)
	for i := range uint64(3 * s.found) {
		text, asked := s.step(i)
		asked.Proven = proven
		if s.say(t, text, asked, at) {
			return int(i + 1)
		}
		at = at.Add(10 * time.Second)
		for range between {
			text, asked := s.crowd(next)
			asked.Proven = proven
			s.say(t, text, asked, at)
			next++
		}
		at = at.Add(10 * time.Second)
	}
	return 0
}

// TestForgedSourcesShelterNobody (F6): whoever takes his time among forged sources, which fill the table of a check twice over between any two of his steps,
// is found as soon as where nobody else is about, but for what he did before he was noted twice.
func TestForgedSourcesShelterNobody(t *testing.T) {
	for name, alone := range sieges() {
		if n := alone.run(t, 0, false); n != alone.found {
			t.Errorf("%s: alone found at step %d, want %d", name, n, alone.found)
		}
		among := sieges()[name]
		if n := among.run(t, 2*places/among.fills, false); n == 0 || n > among.found+among.lost {
			t.Errorf("%s: among forged sources found at step %d, want %d", name, n, among.found+among.lost)
		}
	}
}

// TestCrowdSheltersNobody: nor is anybody sheltered by as many proven sources that come once: somebody may have them.
func TestCrowdSheltersNobody(t *testing.T) {
	for name, among := range sieges() {
		if n := among.run(t, 2*places/among.fills, true); n == 0 || n > among.found+among.lost {
			t.Errorf("%s: found at step %d, want %d", name, n, among.found+among.lost)
		}
	}
}
