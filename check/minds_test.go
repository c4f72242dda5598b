package check

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringwall/ringwall/check/checktest"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// TestMinds: no check has an opinion of what it says that it does not mind, whoever asks and whatever was said to him before. The same exchanges are shown to it
// in between, when it minds them.
func TestMinds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	x := checktest.Exchange(t, checktest.Request("INVITE", "sip:00491701234567@203.0.113.9", "Contact: <sip:100@127.0.0.1>"))
	for _, row := range List() {
		check := row.New(Config{}, checktest.Key)
		chooser, ok := check.(edge.Chooser)
		if !ok {
			continue
		}
		inspect, watch := chooser.Minds()
		said, left := 0, 0
		for range 200_000 {
			random(r, x)
			signed := x.Asked.Secret|x.Asked.Guess != 0
			if c, ok := check.(edge.Check); ok {
				x.Msg.Status, x.Match = 0, edge.MatchNew
				said, left = count(t, row.Name+" of a request", c.Inspect(x), inspect, signed, x, said, left)
			}
			if w, ok := check.(edge.Watcher); ok {
				x.Msg.Status = statuses[r.IntN(2)]
				if r.IntN(30) == 0 {
					x.Msg.Status = statuses[r.IntN(len(statuses))]
				}
				x.Match = edge.MatchReply
				said, left = count(t, row.Name+" of a response", w.Watch(x), watch, signed, x, said, left)
			}
		}
		if said == 0 || left == 0 {
			t.Errorf("%s: %d opinions, %d not minded", row.Name, said, left)
		}
	}
}

// count holds an opinion against what is minded.
func count(t *testing.T, of string, v *edge.Verdict, minds edge.Minds, signed bool, x *edge.Exchange, said, left int) (int, int) {
	t.Helper()
	set := minds.Bare
	if signed {
		set = minds.Signed
	}
	if v != nil {
		said++
	}
	if set>>x.Asked.Method&1 == 0 {
		left++
		if v != nil {
			t.Fatalf("%s, which it does not mind: %+v\n%+v", of, *v, x.Asked)
		}
	}
	return said, left
}

// statuses are those of responses, the most frequent ones first.
var statuses = [...]int{401, 403, 404, 407, 180, 200, 480, 486, 503}

// random makes who asks in x somebody else, out of a few.
func random(r *rand.Rand, x *edge.Exchange) {
	a := &x.Asked
	a.Method = sip.Method(r.IntN(int(sip.MESSAGE) + 1))
	x.Msg.Method = a.Method
	a.Source, a.User, a.Target = (1+r.Uint64N(12))<<56, (1+r.Uint64N(1<<r.IntN(8)))<<32, (1+r.Uint64N(60))<<32
	a.Port, a.Login, a.Secret, a.Guess, a.Number = a.Source+100+r.Uint64N(2), 0, 0, 0, 0
	if a.Method == sip.INVITE && r.IntN(2) == 0 {
		a.Number, a.Literal = edge.Number(15<<60|r.Uint64N(16)<<32|0x1234567), r.IntN(2) == 0
	}
	if r.IntN(2) == 0 {
		a.Secret = 1 + r.Uint64N(1000)
	}
	if r.IntN(8) == 0 {
		a.Guess = 1 + r.Uint64N(1000)
	}
	a.Proven, a.Apt, a.Good, a.Known, a.Trust = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(8) == 0, r.IntN(2), edge.Unknown
	a.Answer = []edge.Answer{edge.AnswerNone, edge.AnswerNone, edge.AnswerFixed, edge.AnswerDay}[r.IntN(4)]
	x.At = x.At.Add(10 * time.Millisecond)
}
