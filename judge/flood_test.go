package judge

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// crowdOf is the address number i of a lot of them.
func crowdOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)
}

// TestKnownGoodStays: neither forged requests of 200,000 sources, nor somebody with one good password who registers from half of these, makes the judge
// forget whom the platform knows there, and who was not there for a day; and who comes while that goes on is known, too.
func TestKnownGoodStays(t *testing.T) {
	j := newJudge(t, Enforce, drop(3))
	phone := j.talk(t, "198.51.100.7:5060")
	for i := range 2 { // it has refreshed an hour later
		phone.at = start.Add(time.Duration(i-1) * time.Hour)
		phone.asks("REGISTER", "100", answerTo("100", nonceOne))
		phone.gets(200)
	}
	k := j.talk(t, "203.0.113.1:5060")
	k.asks("REGISTER", "666", answerTo("666", nonceOne))
	x := k.x
	for i := range 200_000 {
		x.From.Remote = crowdOf(i)
		x.At = start.Add(24*time.Hour + time.Duration(i)*100*time.Microsecond)
		j.Inspect(&x)
		if i%2 == 0 {
			continue
		}
		x.Asked.User, x.Asked.Secret, x.Asked.Source, x.Asked.Port = secret.Words(666, 0), 9, secret.Addr(x.From.Remote.Addr()), secret.AddrPort(x.From.Remote)
		j.known.add(j.askedPair(&x.Asked), x.Asked.Source, x.Asked.Port, 0, x.At)
	}
	phone.at = x.At
	if phone.asks("REGISTER", "100"); !phone.x.Asked.Good || phone.x.Asked.Known == 0 {
		t.Errorf("who was accepted twice is forgotten: good %v, %d known", phone.x.Asked.Good, phone.x.Asked.Known)
	}
	late := j.talk(t, "198.51.100.8:5060")
	late.at = x.At
	late.asks("REGISTER", "101", answerTo("101", nonceOne))
	late.gets(200)
	if late.asks("REGISTER", "101"); !late.x.Asked.Good {
		t.Error("nobody new gets known")
	}
}

// TestNoncesUnderFlood: while strangers get challenged as fast as all of them together may ask (check flood), a nonce is known for the five minutes that
// platforms usually take it: who waits before he guesses has his wrong password held against him.
func TestNoncesUnderFlood(t *testing.T) {
	j := newJudge(t, Enforce)
	guesser := j.talk(t, "198.51.100.7:5060")
	guesser.asks("REGISTER", "100")
	guesser.gets(401, challengeWith(nonceOne))
	k := j.talk(t, "203.0.113.1:5060")
	k.asks("REGISTER", "1")
	for i := range 300 * 300 {
		a := edge.Asked{From: k.from, Source: secret.Addr(crowdOf(i).Addr()), Port: secret.AddrPort(crowdOf(i)), User: 1}
		j.issue(&a, []byte("nonce number "+crowdOf(i).String()), false, start.Add(time.Duration(i)*time.Second/300))
	}
	guesser.at = start.Add(5 * time.Minute)
	if guesser.asks("REGISTER", "100", answerTo("100", nonceOne)); guesser.x.Asked.Alien {
		t.Error("a nonce of five minutes ago is forgotten")
	}
}

// TestOldOffendersMakeRoom (F6): who was banned hours ago keeps no place from who offends now.
func TestOldOffendersMakeRoom(t *testing.T) {
	j, err := New(Config{Sources: 64, Pairs: 64}, secret, []Charge{{Name: "c", Mode: Enforce, Check: drop(1), Reasons: []edge.Reason{reasonTest}}})
	if err != nil {
		t.Fatal(err)
	}
	k := j.talk(t, "203.0.113.1:5060")
	k.from.Transport = edge.TCP
	k.asks("INVITE", "1")
	for i := range 2000 {
		x := k.x
		x.From.Remote = crowdOf(i / 8)
		j.Inspect(&x)
	}
	now := j.talk(t, "198.51.100.7:5060")
	now.from.Transport, now.at = edge.TCP, start.Add(3*time.Hour)
	now.asks("INVITE", "1")
	if j.sources.Find(secret.Addr(now.from.Remote.Addr()), now.at) == nil {
		t.Error("an offender of today finds no place")
	}
}
