package judge

import (
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TestGrey: a source is greylisted from 6 points on, and not for what was forged in the name of one that the platform knows somebody at.
func TestGrey(t *testing.T) {
	j := newJudge(t, Enforce, says{request: edge.Verdict{Action: edge.Note, Reason: reasonTest, Score: 2.5}})
	k := j.talk(t, "198.51.100.7:5060")
	for i, want := range []bool{false, false, true} { // the third brings what was held against it before
		k.asks("INVITE", "100")
		if got := j.Grey(&k.x.Asked, k.at) == Enforce; got != want {
			t.Errorf("after %d: %v", i+1, got)
		}
	}
	if j.Grey(&k.x.Asked, k.at.Add(HalfLife)) != Off {
		t.Error("it stays so")
	}
	other := j.talk(t, "198.51.100.8:5060")
	other.asks("INVITE", "100")
	if j.Grey(&other.x.Asked, k.at) != Off {
		t.Error("so is another")
	}
}

// TestWrong: wrong passwords are counted by user and source, until one is right or for 15 minutes.
func TestWrong(t *testing.T) {
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	wrong := func(user string) int {
		k.asks("REGISTER", user)
		return k.x.Asked.Wrong
	}
	for i := range 3 {
		k.at = k.at.Add(time.Second)
		k.registers("100", 401)
		k.at = k.at.Add(time.Second)
		k.registers("200", 403)
		if wrong("100") != i+1 || wrong("200") != i+1 || wrong("300") != 0 {
			t.Errorf("%d %d %d", wrong("100"), wrong("200"), wrong("300"))
		}
	}
	k.at = k.at.Add(time.Second)
	k.registers("100", 200)
	if wrong("100") != 0 || wrong("200") != 3 {
		t.Errorf("after a right one: %d and %d", wrong("100"), wrong("200"))
	}
	k.registers("100", 401)
	j.Absolve("100", k.from.Remote.Addr())
	if wrong("100") != 0 || wrong("200") != 3 {
		t.Errorf("after an operator forgot those of one: %d and %d", wrong("100"), wrong("200"))
	}
	if k.at = k.at.Add(wrongLife); wrong("200") != 0 {
		t.Errorf("after 15 minutes: %d", wrong("200"))
	}
}

// TestOwnNonce: an answer to the edge's own challenge proves its source, and is no try of a password.
func TestOwnNonce(t *testing.T) {
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	for answer, want := range map[edge.Answer]edge.Asked{
		edge.AnswerVoid:  {},
		edge.AnswerFresh: {Fresh: true, Proven: true},
		edge.AnswerDay:   {Guess: 1},
		edge.AnswerFixed: {Fresh: true, Proven: true, Guess: 1},
	} {
		k.asks("REGISTER", "100", answerTo("100", "ours"))
		k.x.Answer, k.x.Answers = answer, ^uint64(0)
		j.Read(&k.x)
		a := &k.x.Asked
		if a.Secret != 0 || a.Fresh != want.Fresh || a.Proven != want.Proven || (a.Guess != 0) != (want.Guess != 0) {
			t.Errorf("%v: %+v", answer, a)
		}
		k.gets(401, `WWW-Authenticate: Digest realm="r", nonce="0123456789abcdef"`)
		if k.asks("REGISTER", "100"); k.x.Asked.Wrong != 0 {
			t.Errorf("%v is a wrong password", answer)
		}
	}
}

// TestMadeUp: credentials tell whether the nonce in them was made up, and went out for this user and this target.
func TestMadeUp(t *testing.T) {
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	k.asks("REGISTER", "100")
	j.MadeUp(&k.x.Asked, []byte("made-up-0123456789"), k.at)
	k.asks("REGISTER", "100")
	k.gets(401, `WWW-Authenticate: Digest realm="r", nonce="platform-0123456789"`)
	k.asks("REGISTER", "100")
	k.x.Asked.Answer = edge.AnswerFixed
	k.gets(401, `WWW-Authenticate: Digest realm="r", nonce="tested-0123456789"`)
	for _, c := range []struct {
		user, nonce, from           string
		apt, denied, tested, proven bool
	}{
		{"100", "made-up-0123456789", "198.51.100.7:5060", true, true, false, true},
		{"100", "platform-0123456789", "198.51.100.7:5060", true, false, false, true},
		{"100", "tested-0123456789", "198.51.100.7:5060", true, false, true, true},
		{"200", "platform-0123456789", "198.51.100.7:5060", false, false, false, true},
		{"100", "made-up-0123456789", "198.51.100.7:5061", false, false, false, false},
		{"100", "another-0123456789", "198.51.100.7:5060", false, false, false, false},
	} {
		k := j.talk(t, c.from)
		k.asks("REGISTER", c.user, answerTo(c.user, c.nonce))
		if a := &k.x.Asked; a.Apt != c.apt || a.Denied != c.denied || a.Tested != c.tested || a.Proven != c.proven {
			t.Errorf("%+v: %+v", c, a)
		}
	}
}
