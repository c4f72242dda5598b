package judge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

const nonceOne = "0123456789abcdef"

func challengeWith(nonce string) string {
	return `WWW-Authenticate: Digest realm="r", nonce="` + nonce + `"`
}

// TestNobodyVouchesForHimself: a call that the platform accepts from anybody makes nobody known, whatever credentials come with it.
func TestNobodyVouchesForHimself(t *testing.T) {
	for name, before := range map[string]func(k *talk){
		"a nonce that nobody gave": func(*talk) {},
		"one for another target":   func(k *talk) { k.asks("REGISTER", "100"); k.gets(401, challengeWith(nonceOne)) },
	} {
		for _, match := range []edge.Match{edge.MatchNew, edge.MatchInDialog} {
			k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
			before(k)
			k.asks("INVITE", "echo", "Authorization: "+strings.TrimPrefix(answerTo("100", nonceOne), "Authorization: "))
			k.x.Asked.Match = match
			k.gets(200)
			if k.asks("REGISTER", "echo"); k.x.Asked.Known != 0 || k.x.Asked.Good {
				t.Errorf("%s: %+v", name, k.x.Asked)
			}
		}
	}
	k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	k.asks("INVITE", "100")
	k.gets(407, challengeWith(nonceOne))
	k.asks("INVITE", "100", answerTo("100", nonceOne))
	k.gets(200)
	if k.asks("INVITE", "100"); !k.x.Asked.Good {
		t.Errorf("who was asked for his password and gave it: %+v", k.x.Asked)
	}
	k.asks("INVITE", "100", answerTo("100", "an older one"))
	k.gets(200)
	k.at = k.at.Add(KnownFor - time.Minute)
	if k.asks("INVITE", "100"); !k.x.Asked.Good {
		t.Errorf("who calls with the nonce of before: %+v", k.x.Asked)
	}
}

// TestAlienNonces: a refusal counts only of who was given the nonce at his address, or came over a connection: anybody can have a user refused whose
// address he writes on packets.
func TestAlienNonces(t *testing.T) {
	j := newJudge(t, Enforce)
	victim := j.talk(t, "198.51.100.7:5060")
	victim.asks("REGISTER", "100")
	victim.gets(401, challengeWith(nonceOne))
	forger := j.talk(t, "203.0.113.9:5060")
	forger.asks("REGISTER", "100")
	forger.gets(401, challengeWith("a nonce of his own"))
	for _, c := range []struct {
		from, nonce string
		transport   edge.Transport
		counts      bool
	}{
		{"198.51.100.7:5060", nonceOne, edge.UDP, true},
		{"198.51.100.7:6060", nonceOne, edge.UDP, true},
		{"198.51.100.7:5060", "made up by somebody", edge.UDP, false},
		{"198.51.100.7:5060", "a nonce of his own", edge.UDP, false},
		{"203.0.113.9:5060", nonceOne, edge.UDP, false},
		{"203.0.113.9:5060", nonceOne, edge.TCP, true},
		{"198.51.100.7:5060", "", edge.UDP, false},
	} {
		k := j.talk(t, c.from)
		k.from.Transport = c.transport
		k.asks("REGISTER", "100", answerTo("100", c.nonce))
		if a := &k.x.Asked; !a.Refused(401) || a.Failed(401) != c.counts {
			t.Errorf("%+v: %+v", c, a)
		}
	}
	short := j.talk(t, "198.51.100.7:5060") // Asterisk's chan_sip gives eight digits
	short.asks("REGISTER", "100")
	short.gets(401, challengeWith("4f21a0c3"))
	if short.asks("REGISTER", "100", answerTo("100", "4f21a0c3")); !short.x.Asked.Failed(401) || short.x.Asked.Proven {
		t.Errorf("a short nonce: %+v", short.x.Asked)
	}
}

// TestSharedNonces: some platforms give everybody the nonce of the second. It is apt for whom it went to, and for what, however many others have it too.
func TestSharedNonces(t *testing.T) {
	j := newJudge(t, Enforce)
	ask := func(from, method, user string) {
		k := j.talk(t, from)
		k.asks(method, user)
		k.gets(401, challengeWith(nonceOne))
	}
	ask("198.51.100.7:5060", "REGISTER", "100")
	ask("203.0.113.9:5060", "INVITE", "200") // a trunk, with several calls at once
	ask("203.0.113.9:5060", "INVITE", "300")
	ask("203.0.113.9:5060", "INVITE", "400")
	for _, c := range []struct {
		from, user string
		fresh, apt bool
	}{
		{"198.51.100.7:5060", "100", true, true},
		{"198.51.100.7:5060", "200", true, false},
		{"198.51.100.7:5060", "900", true, false},
		{"198.51.100.7:5061", "100", true, false}, // its address has it
		{"203.0.113.9:5060", "200", true, true},
		{"203.0.113.9:5060", "300", true, true},
		{"203.0.113.9:5060", "400", true, true},
		{"203.0.113.9:5060", "100", true, false},
		{"192.0.2.5:5060", "100", false, false},
		{"192.0.2.5:5060", "400", false, false},
	} {
		for after, want := range map[time.Duration]bool{0: c.apt, 4 * time.Minute: c.apt, 6 * time.Minute: false} {
			k := j.talk(t, c.from)
			k.at = start.Add(after)
			k.asks("INVITE", c.user, answerTo(c.user, nonceOne))
			if a := &k.x.Asked; a.Apt != want || a.Fresh != (c.fresh && after < proofLife) || a.Proven {
				t.Errorf("%+v after %v: %+v", c, after, a)
			}
		}
	}
}

// TestSharedNonceIsTestedForOne: that one flow has answered the edge's own challenge says nothing of others who have the same nonce of the platform's, nor do they
// take that from it.
func TestSharedNonceIsTestedForOne(t *testing.T) {
	j := newJudge(t, Enforce)
	one := j.talk(t, "198.51.100.7:5060")
	one.asks("REGISTER", "100")
	one.x.Asked.Answer = edge.AnswerFixed
	one.gets(401, challengeWith(nonceOne))
	two := j.talk(t, "203.0.113.9:5060")
	two.asks("REGISTER", "100")
	two.gets(401, challengeWith(nonceOne))
	for _, k := range []*talk{one, two} {
		k.asks("REGISTER", "100", answerTo("100", nonceOne))
		if a := &k.x.Asked; !a.Apt || a.Tested != (k == one) {
			t.Errorf("from %v: %+v", k.from.Remote, a)
		}
	}
}

// TestTestedNonceIsForOneTry: an answer to the edge's own challenge goes before one password. Others that are tried with the same nonce of the platform's, also as one more of several
// in a request, have not been told from each other; the same request again is the same try.
func TestTestedNonceIsForOneTry(t *testing.T) {
	guess := func(n int) string {
		return strings.Replace(answerTo("100", nonceOne), `response="`, fmt.Sprintf(`response="%032d`, n), 1)
	}
	for name, again := range map[string]bool{"a nonce that went out once": false, "a nonce that others have": true} {
		j := newJudge(t, Enforce)
		k := j.talk(t, "198.51.100.7:5060")
		k.asks("REGISTER", "100")
		k.x.Asked.Answer = edge.AnswerFixed
		k.gets(401, challengeWith(nonceOne))
		if again {
			two := j.talk(t, "203.0.113.9:5060")
			two.asks("REGISTER", "200")
			two.gets(401, challengeWith(nonceOne))
		}
		for i, fields := range [][]string{{guess(1)}, {guess(1)}, {guess(2)}, {guess(1), guess(2)}, {guess(1), guess(3)}, {guess(1)}} {
			k.asks("REGISTER", "100", fields...)
			j.Read(&k.x)
			if a, want := &k.x.Asked, i < 2 || i == 5; !a.Apt || a.Tested != want {
				t.Errorf("%s, try %d: apt %v, tested %v, want %v", name, i, a.Apt, a.Tested, want)
			}
		}
	}
}

// TestTried: the name in credentials says whose password is tried, however it and the user around it are written.
func TestTried(t *testing.T) {
	k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	k.asks("REGISTER", "alice")
	alice := k.x.Asked.User
	for _, c := range []struct {
		user, name string
		same       bool // nothing to tell
	}{
		{"alice", `username="alice"`, true},
		{"Alice", `username="ALICE"`, true},
		{"%61lice", `username="alice"`, true},
		{"alice", `username="alice@example.com"`, true},
		{"bob", `username="alice"`, false},
		{"b%20b", `username="alice@example.com"`, false},
		{"bob", `Username="alice"`, false},
		{"bob", `username = "alice"`, false},
		{"bob", `realm="x", username="alice"`, false},
		{"bob", `opaque="x \" username=\"bob", username="alice"`, false},
		{"bob", `opaque=" username=", Username="alice"`, false},
		{"bob", `opaque="username=\"bob\"", username="alice"`, false},
	} {
		k.asks("REGISTER", c.user, fmt.Sprintf(`Authorization: Digest %s, nonce="%s", response="0"`, c.name, nonceOne))
		if a := &k.x.Asked; a.Tried() != alice || (a.Login == 0) != c.same {
			t.Errorf("%+v: tried %x, want %x; %+v", c, a.Tried(), alice, a)
		}
	}
	if k.asks("REGISTER", "bob", answerTo("carol", nonceOne)); k.x.Asked.Tried() == alice || k.x.Asked.Tried() == k.x.Asked.User {
		t.Errorf("another name: %+v", k.x.Asked)
	}
}

// accepted goes through a request from a user with credentials in the name of login, which the platform asks for with that status and accepts.
func (k *talk) accepted(method string, asked int, from, login string) {
	k.t.Helper()
	k.at = k.at.Add(time.Second)
	nonce := fmt.Sprintf("%016x", k.at.UnixNano())
	k.asks(method, from)
	k.gets(asked, challengeWith(nonce))
	k.asks(method, from, answerTo(login, nonce))
	k.gets(200)
}

// TestCallsVouchForWhoLogsIn: a call that the platform accepts makes known whose password came with it, and nobody whose name the caller wrote into From: else
// one account could make anybody known at its address, and take two points off its score for each.
func TestCallsVouchForWhoLogsIn(t *testing.T) {
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	for _, from := range []string{"bob", "carol", "+4930123456", "+4930123457"} { // a telephone system writes each caller's number there
		k.accepted("INVITE", 407, from, "alice")
		if k.asks("INVITE", from); k.x.Asked.Good || k.x.Asked.Known != 1 {
			t.Errorf("%s is known for alice's password: %+v", from, k.x.Asked)
		}
		if k.asks("INVITE", from, answerTo("alice", nonceOne)); !k.x.Asked.Good {
			t.Errorf("alice is not known with %s in From: %+v", from, k.x.Asked)
		}
		if k.asks("INVITE", from, answerTo(from, nonceOne)); k.x.Asked.Good {
			t.Errorf("%s is known for a password of his own: %+v", from, k.x.Asked)
		}
	}
	if k.asks("INVITE", "alice"); !k.x.Asked.Good {
		t.Errorf("alice is not known: %+v", k.x.Asked)
	}
	if list := j.Pairs(Choice{}, k.at); len(list) != 1 || list[0].User != "alice@example.com" {
		t.Errorf("operators are told of %+v", list)
	}
	k.j = restart(t, j, k.at)
	if k.asks("INVITE", "bob", answerTo("alice", nonceOne)); !k.x.Asked.Good || k.x.Asked.Known != 1 {
		t.Errorf("after a restart: %+v", k.x.Asked)
	}
	if k.j.Forget(Choice{User: "alice"}, k.at); k.j.Pairs(Choice{}, k.at) == nil {
		t.Error("no list")
	}
	if k.asks("INVITE", "bob", answerTo("alice", nonceOne)); k.x.Asked.Good || k.x.Asked.Known != 0 {
		t.Errorf("after an operator forgot alice: %+v", k.x.Asked)
	}
	if k.registers("bob", 200); k.x.Asked.Known != 0 {
		t.Errorf("known before: %+v", k.x.Asked)
	}
	if k.asks("REGISTER", "bob"); !k.x.Asked.Good || k.x.Asked.Known != 1 {
		t.Errorf("bob with his own password: %+v", k.x.Asked)
	}
}

// TestOneAccountIsOneUser: where the platform lets one account register many users, as a telephone system's numbers, they are all known there with its password; but its source has
// one user more for it, once. A user who comes with his own password counts then.
func TestOneAccountIsOneUser(t *testing.T) {
	j := newJudge(t, Enforce, says{request: edge.Verdict{Action: edge.Note, Reason: reasonTest, Score: 1}})
	k := j.talk(t, "198.51.100.7:5060")
	for i := range 10 {
		user := fmt.Sprint("+493012345", i)
		k.accepted("REGISTER", 401, user, "trunk")
		k.accepted("REGISTER", 401, user, "trunk")
		if k.asks("INVITE", user, answerTo("trunk", nonceOne)); !k.x.Asked.Good || k.x.Asked.Known != 1 {
			t.Errorf("user %d: good %v, %d known", i, k.x.Asked.Good, k.x.Asked.Known)
		}
		if k.asks("INVITE", user); !k.x.Asked.Good {
			t.Errorf("user %d is not known there without a password", i)
		}
		if k.asks("REGISTER", user, answerTo(user, nonceOne)); k.x.Asked.Good {
			t.Errorf("user %d is known for a password of his own", i)
		}
	}
	if list := j.Pairs(Choice{}, k.at); len(list) != 11 {
		t.Errorf("operators are told of %+v", list)
	}
	k.accepted("REGISTER", 401, "+4930123450", "+4930123450")
	if k.asks("INVITE", "+4930123450"); !k.x.Asked.Good || k.x.Asked.Known != 2 {
		t.Errorf("with his own password: good %v, %d known", k.x.Asked.Good, k.x.Asked.Known)
	}
	k.j = restart(t, j, k.at)
	if k.asks("INVITE", "+4930123451"); !k.x.Asked.Good || k.x.Asked.Known != 2 {
		t.Errorf("after a restart: good %v, %d known", k.x.Asked.Good, k.x.Asked.Known)
	}
}

// TestKnownForHisOwnName: a user is known good with the name that he was accepted with, and with no other; after a restart it is to be seen again.
func TestKnownForHisOwnName(t *testing.T) {
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	good := func(user string, fields ...string) bool {
		k.asks("REGISTER", user, fields...)
		return k.x.Asked.Good
	}
	k.registers("bob", 200)
	if !good("bob") || !good("bob", answerTo("bob", nonceOne)) || good("bob", answerTo("alice", nonceOne)) {
		t.Error("bob is known for alice's password, or not for his own")
	}
	if good("bob", answerTo("alice", nonceOne)); k.gets(401).Lock != edge.LockNone || !good("bob") {
		t.Error("bob is forgotten for a refusal")
	}
	k.j = newJudge(t, Enforce)
	k.asks("REGISTER", "carol")
	k.gets(401, challengeWith(nonceOne))
	k.asks("REGISTER", "carol", answerTo("line-7", nonceOne))
	k.gets(200)
	if !good("carol") || !good("carol", answerTo("line-7", nonceOne)) || good("carol", answerTo("carol", nonceOne)) {
		t.Error("who has another name in credentials than as a user")
	}
	k.j = restart(t, k.j, k.at)
	if !good("carol", answerTo("line-7", nonceOne)) {
		t.Error("after a restart she is a stranger")
	}
	k.asks("INVITE", "carol", answerTo("line-7", nonceOne))
	k.gets(407, challengeWith("another-nonce"))
	k.asks("INVITE", "carol", answerTo("line-7", "another-nonce"))
	k.gets(200)
	if !good("carol", answerTo("line-7", nonceOne)) || good("carol", answerTo("alice", nonceOne)) {
		t.Error("once she was accepted again, she is known for another one's password")
	}
}
