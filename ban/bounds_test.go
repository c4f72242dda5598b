package ban

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringwall/ringwall/edge"
)

// nth is one of many addresses, none of which are neighbours.
func nth(i int) edge.Source {
	return edge.SourceOf(netip.AddrFrom4([4]byte{11 + byte(i>>16), byte(i >> 8), byte(i), 7}))
}

func flowOf(s edge.Source, port uint16) edge.Flow {
	return edge.Flow{Remote: netip.AddrPortFrom(s.Prefix.Addr(), port)}
}

// fill adds n automatic bans.
func fill(t testing.TB, b *Book, from, n int, hard bool, at time.Time) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if _, _, err := b.Add(Order{Ban: edge.Ban{Source: nth(i), Hard: hard, Reason: "test.reason"}, By: Judge}, at); err != nil {
			t.Fatal(err)
		}
	}
}

// TestF6 is row F6 of the audit for bans: a book full of forged entries still takes a real attacker, and forged ones push nothing
// proven out, neither bans nor the memory of them.
func TestF6(t *testing.T) {
	b := newBook(t, Config{Max: 1000})
	fill(t, b, 0, 300, true, start)
	fill(t, b, 10_000, 5000, false, start.Add(time.Minute))
	if s := b.Stats(); s.Hard != 300 || s.Soft != 500 || s.Evicted != 4500 {
		t.Errorf("%+v", s)
	}
	b.Tick(start.Add(10 * time.Minute)) // the 300 are free, and remembered
	fill(t, b, 30_000, 5000, false, start.Add(11*time.Minute))
	if s := b.Stats(); s.Remembered < 300 || s.Soft != 500 {
		t.Errorf("%+v", s)
	}
	again := add(t, b, order(nth(7).String(), true), start.Add(12*time.Minute))
	if again.Until.Sub(start.Add(12*time.Minute)) != time.Hour {
		t.Errorf("a flood of forged entries made an offender a newcomer: banned until %v", again.Until)
	}
	fill(t, b, 50_000, 1000, true, start.Add(13*time.Minute))
	if s := b.Stats(); s.Hard != 1000 || s.Soft != 0 || len(b.entries) != 1000 {
		t.Errorf("%+v", s)
	}
	// The last of them pushed out the one whose end was nearest: that again, which was banned for an hour, stays.
	if !b.Refuses(flowOf(nth(7), 1), start.Add(13*time.Minute)) {
		t.Error("the longest ban made room")
	}
}

// TestOperatorsStay: what operators ordered is never evicted; when there is nothing else the book is full.
func TestOperatorsStay(t *testing.T) {
	b := newBook(t, Config{Max: 16})
	for i := range 16 {
		o := Order{Ban: edge.Ban{Source: nth(i), Reason: ReasonOperator, Hard: true}, By: Operator}
		add(t, b, o, start)
	}
	for _, o := range []Order{order("198.51.100.7", true), order("198.51.100.7", false)} {
		if _, _, err := b.Add(o, start); !errors.Is(err, ErrFull) {
			t.Errorf("a full book says %v", err)
		}
	}
	if s := b.Stats(); s.Hard != 16 || s.Evicted != 0 {
		t.Errorf("%+v", s)
	}
}

// TestPortsOfOneAddress: who changes the port again and again makes the list of one address no longer than it may be.
func TestPortsOfOneAddress(t *testing.T) {
	b := newBook(t, Config{})
	for port := 1; port <= 1000; port++ {
		add(t, b, order(fmt.Sprintf("198.51.100.7:%d", port), true), start.Add(time.Duration(port)*time.Second))
	}
	if s := b.Stats(); s.Hard != portsPerAddr || s.Evicted != 1000-portsPerAddr {
		t.Errorf("%+v", s)
	}
	at := start.Add(1000 * time.Second)
	if !b.Refuses(from("198.51.100.7:1000"), at) || b.Refuses(from("198.51.100.7:900"), at) {
		t.Error("the wrong ones went")
	}
}

// TestEvidence: messages are copied, cut, few of a ban, and bounded on the whole; the oldest go first, bans stay.
func TestEvidence(t *testing.T) {
	b := newBook(t, Config{EvidenceBytes: 20 * MaxBytes})
	message := bytes.Repeat([]byte("x"), 2*MaxBytes)
	for i := range 100 {
		o := order(nth(i).String(), true)
		o.Evidence = [][]byte{[]byte("a"), message, message, message, message}
		add(t, b, o, start)
	}
	message[0] = 'y'
	if s := b.Stats(); s.Evidence > 20*MaxBytes || s.Evidence < 16*MaxBytes || s.Hard != 100 {
		t.Errorf("%+v", s)
	}
	first, active, found := b.Get(nth(0), start)
	if !found || !active || len(first.Messages) != 0 {
		t.Errorf("the first: %t %t, %d messages", found, active, len(first.Messages))
	}
	last, _, _ := b.Get(nth(99), start)
	if len(last.Messages) != MaxMessages || len(last.Messages[0].Text) != MaxBytes || last.Messages[0].Text[0] != 'x' {
		t.Errorf("the last has %d messages", len(last.Messages))
	}
	o := order(nth(99).String(), true)
	o.Evidence = [][]byte{[]byte("again")}
	add(t, b, o, start.Add(time.Second)) // in force already: only the evidence is added
	last, _, _ = b.Get(nth(99), start)
	if n := len(last.Messages); n != MaxMessages || string(last.Messages[n-1].Text) != "again" {
		t.Errorf("%d messages, the last %.10q", n, last.Messages[n-1].Text)
	}
	for i := range 100 {
		b.Lift(nth(i), start)
	}
	if s := b.Stats(); s.Evidence != 0 {
		t.Errorf("%d bytes of nobody", s.Evidence)
	}
	for i := range 10_000 { // who comes and goes leaves nothing behind
		o := order(nth(i).String(), true)
		o.Evidence = [][]byte{[]byte("m")}
		add(t, b, o, start)
		b.Lift(nth(i), start)
	}
	if len(b.holders) > 200 || len(b.entries) != 0 {
		t.Errorf("%d holders of evidence, %d entries", len(b.holders), len(b.entries))
	}
}

// TestValve: the safety valve lifts the automatic bans of the last ten minutes, and nothing else.
func TestValve(t *testing.T) {
	b := newBook(t, Config{})
	add(t, b, Order{Ban: edge.Ban{Source: source("198.51.100.1"), Hard: true, Reason: "test.reason", For: time.Hour}, By: Judge}, start)
	at := start.Add(20 * time.Minute)
	add(t, b, order("198.51.100.2", true), at)
	add(t, b, order("198.51.100.3", false), at)
	add(t, b, Order{Ban: edge.Ban{Source: source("198.51.100.4"), Hard: true, Reason: ReasonOperator}, By: Operator}, at)
	for _, w := range []Wave{{}, {100, 20}, {4, 4}} {
		if lifted, open := b.Relieve(w, at); open || len(lifted) > 0 {
			t.Errorf("%+v opens the valve", w)
		}
	}
	lifted, open := b.Relieve(Wave{100, 21}, at.Add(time.Minute))
	if !open || len(lifted) != 2 || b.Stats().Hard != 2 || b.Stats().Soft != 0 {
		t.Errorf("lifted %v, %t", lifted, open)
	}
}

// TestTide: what is registered counts at its height within ten minutes, whoever lost a phone once, however many they were; each is forgotten after that.
func TestTide(t *testing.T) {
	var tide Tide
	for i, c := range []struct {
		minute, registered int
		lost               string
		want               Wave
	}{{0, 100, "a", Wave{100, 1}}, {0, 90, "b c", Wave{100, 3}}, {5, 60, "d e f", Wave{100, 6}}, {9, 50, "", Wave{100, 6}}, {10, 50, "", Wave{60, 3}},
		{15, 50, "", Wave{50, 0}}, {60, 10, "a", Wave{10, 1}}, {61, 10, "a a a", Wave{10, 1}}, {70, 10, "", Wave{10, 1}}, {71, 10, "", Wave{10, 0}}} {
		if got := tide.Note(c.registered, strings.Fields(c.lost), start.Add(time.Duration(c.minute)*time.Minute)); got != c.want {
			t.Errorf("step %d: %+v, want %+v", i, got, c.want)
		}
	}
}

// TestCost: a ban that a phone was lost to is lifted by the valve however old it is; operators' bans are neither blamed nor lifted.
func TestCost(t *testing.T) {
	b := newBook(t, Config{})
	for i, by := range []Origin{Judge, Judge, Operator} {
		add(t, b, Order{Ban: edge.Ban{Source: source(fmt.Sprint("198.51.100.", i)), Hard: true, Reason: "test.reason", For: 3 * time.Hour}, By: by}, start)
	}
	at := start.Add(time.Hour)
	for text, want := range map[string]bool{"198.51.100.0:5060": true, "198.51.100.2:5060": false, "198.51.100.9:5060": false} {
		if b.Cost(netip.MustParseAddrPort(text), at) != want {
			t.Errorf("a ban cost the phone at %s: %t", text, !want)
		}
	}
	lifted, open := b.Relieve(Wave{10, 5}, at)
	if !open || len(lifted) != 1 || lifted[0].Source != source("198.51.100.0") {
		t.Errorf("lifted %v", lifted)
	}
}

// TestLocalIsNotProlonged: what still comes from a private address, or from one port, when the ban ends may be others': who come through that address, or to whom
// a NAT gave the port.
func TestLocalIsNotProlonged(t *testing.T) {
	for text, want := range map[string]bool{"172.17.0.1": false, "172.17.0.1:5060": false, "198.51.100.7:5060": false, "198.51.100.7": true} {
		b := newBook(t, Config{})
		add(t, b, order(text, true), start)
		flow := from("172.17.0.1:5060")
		if strings.HasPrefix(text, "198.51.100.7") {
			flow = from("198.51.100.7:5060")
		}
		if !b.Refuses(flow, start.Add(10*time.Minute-time.Second)) {
			t.Fatalf("%s is not banned", text)
		}
		b.Tick(start.Add(10 * time.Minute))
		if got := b.Refuses(flow, start.Add(11*time.Minute)); got != want {
			t.Errorf("%s is banned for longer: %t", text, got)
		}
	}
}

// TestFronted is the rule about one private address, and that it is not banned then.
func TestFronted(t *testing.T) {
	docker := netip.MustParseAddr("172.17.0.1")
	for s, want := range map[Share]bool{
		{docker, 950, 1000, 5}:                            true,
		{docker, 949, 1000, 5}:                            false,
		{docker, 1000, 1000, 4}:                           false,
		{netip.MustParseAddr("198.51.100.7"), 10, 10, 50}: false,
		{netip.MustParseAddr("127.0.0.1"), 10, 10, 5}:     true,
		{netip.MustParseAddr("fd00::1"), 10, 10, 5}:       true,
		{docker, 0, 0, 5}:                                 false,
	} {
		if Fronted(s) != want {
			t.Errorf("%+v: %t", s, !want)
		}
	}
	b := newBook(t, Config{})
	add(t, b, order("172.17.0.1", true), start)
	if !b.Front(docker, start) || b.Front(docker, start) || b.Refuses(from("172.17.0.1:1"), start) {
		t.Error("the address in front of us is banned")
	}
	if _, _, err := b.Add(order("172.17.0.1", true), start); err == nil || len(b.Never()) != 1 {
		t.Error("and can be banned again")
	}
	for i := range 100 {
		b.Front(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), start)
	}
	if len(b.front) != maxFronts {
		t.Errorf("%d addresses stand in front of us", len(b.front))
	}
}

// TestAgainstAList: random histories against a plain list of bans, looked through from beginning to end.
func TestAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := New(Config{Max: 1000})
		if err != nil {
			t.Fatal(err)
		}
		type plain struct {
			source edge.Source
			until  time.Time
			hard   bool
		}
		var list []plain
		texts := []string{"198.51.100.1", "198.51.100.2", "198.51.100.2:5", "198.51.100.0/24", "198.51.100.0/30", "2001:db8::1", "[2001:db8::1]:5"}
		at := start
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s := source(rapid.SampledFrom(texts).Draw(t, "source"))
			at = at.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			list = deleted(list, func(p plain) bool { return !p.until.After(at) })
			b.Tick(at)
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				_, err := b.Lift(s, at)
				n := len(list)
				list = deleted(list, func(p plain) bool {
					return p.source == s || s.Port == 0 && p.source.Port != 0 && s.Prefix.Contains(p.source.Prefix.Addr())
				})
				if (err == nil) != (n > len(list)) {
					t.Fatalf("lift %v: %v, the list loses %d", s, err, n-len(list))
				}
			default:
				hard := rapid.Bool().Draw(t, "hard")
				ban, fresh, err := b.Add(Order{Ban: edge.Ban{Source: s, Hard: hard, Reason: "r"}, By: Judge}, at)
				if err != nil {
					t.Fatal(err)
				}
				if fresh {
					list = append(deleted(list, func(p plain) bool { return p.source == s }), plain{s, ban.Until, hard})
				}
			}
			for _, text := range []string{"198.51.100.1:5", "198.51.100.2:5", "198.51.100.2:6", "198.51.100.200:5", "[2001:db8::1]:5", "[2001:db8::2]:6", "192.0.2.1:5"} {
				f := from(text)
				want := false
				for _, p := range list {
					want = want || p.hard && p.source.Covers(f.Remote)
				}
				if got := b.Holds(f, at); got != want {
					t.Fatalf("%s is refused: %t; the list: %v", text, got, list)
				}
			}
		}
		if s := b.Stats(); s.Hard+s.Soft != len(list) || len(b.Bans(at)) != len(list) {
			t.Fatalf("%+v, the list has %d", s, len(list))
		}
	})
}

// deleted is a new list without what match says.
func deleted[T any](list []T, match func(T) bool) (kept []T) {
	for _, one := range list {
		if !match(one) {
			kept = append(kept, one)
		}
	}
	return kept
}
