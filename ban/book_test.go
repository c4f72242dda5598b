package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newBook(t testing.TB, cfg Config) *Book {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func source(text string) edge.Source {
	s, err := edge.ParseSource(text)
	if err != nil {
		panic(err)
	}
	return s
}

func from(text string) edge.Flow { return edge.Flow{Remote: netip.MustParseAddrPort(text)} }

// order is an automatic one.
func order(text string, hard bool) Order {
	return Order{Ban: edge.Ban{Source: source(text), Hard: hard, Reason: "test.reason"}, By: Judge}
}

func add(t testing.TB, b *Book, o Order, at time.Time) Ban {
	t.Helper()
	ban, _, err := b.Add(o, at)
	if err != nil {
		t.Fatal(err)
	}
	return ban
}

func TestAddAndLookup(t *testing.T) {
	b := newBook(t, Config{})
	add(t, b, order("198.51.100.7", true), start)
	add(t, b, order("203.0.113.0/24", true), start)
	add(t, b, order("192.0.2.1:5062", true), start)
	add(t, b, order("2001:db8::7", true), start)
	add(t, b, order("192.0.2.9", false), start)
	for text, want := range map[string]struct{ hard, soft bool }{
		"198.51.100.7:1":       {true, false},
		"198.51.100.8:1":       {},
		"203.0.113.200:5060":   {true, false},
		"192.0.2.1:5062":       {true, false},
		"192.0.2.1:5063":       {},
		"[2001:db8::9999]:1":   {true, false},
		"[2001:db8:0:1::7]:1":  {},
		"192.0.2.9:5060":       {false, true},
		"[::ffff:192.0.2.9]:1": {}, // transport never shows these
	} {
		f := from(text)
		if got := b.Refuses(f, start); got != want.hard {
			t.Errorf("%s refused: %t", text, got)
		}
		if got := b.Soft(f, start); got != want.soft {
			t.Errorf("%s softly: %t", text, got)
		}
		_, found := b.Lookup(f.Remote, start)
		if mapped := strings.Contains(text, "ffff"); found != (want.hard || want.soft || mapped) {
			t.Errorf("%s found: %t", text, found)
		}
	}
	end := start.Add(10 * time.Minute)
	if b.Refuses(from("198.51.100.7:1"), end) || !b.Refuses(from("198.51.100.7:1"), end.Add(-1)) {
		t.Error("a first ban does not last ten minutes")
	}
}

// TestLadder: 10 min, 1 h, 6 h, 24 h, 7 d; offences are forgiven by half every seven days.
func TestLadder(t *testing.T) {
	b := newBook(t, Config{})
	at := start
	for i, want := range []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 7 * 24 * time.Hour} {
		ban := add(t, b, order("198.51.100.7", true), at)
		if got := ban.Until.Sub(at); got != want {
			t.Errorf("ban %d lasts %v, want %v", i+1, got, want)
		}
		at = ban.Until
		b.Tick(at)
		if b.Refuses(from("198.51.100.7:1"), at) {
			t.Fatal("not free at the end")
		}
	}
	at = at.Add(halfLife) // five offences count 2.5
	if got := add(t, b, order("198.51.100.7", true), at).Until.Sub(at); got != 24*time.Hour {
		t.Errorf("after a week the next lasts %v", got)
	}
	if _, err := b.Lift(source("198.51.100.7"), at); err != nil {
		t.Fatal(err)
	}
	if got := add(t, b, order("198.51.100.7", true), at).Until.Sub(at); got != 10*time.Minute {
		t.Errorf("after an unban the next lasts %v", got)
	}
	at = at.Add(10*time.Minute + 2*halfLife)
	b.Tick(at.Add(-2 * halfLife))
	b.Tick(at)
	if s := b.Stats(); s.Remembered != 0 || len(b.entries) != 0 {
		t.Errorf("a single offence is remembered for more than two weeks: %+v", s)
	}
}

func TestLengths(t *testing.T) {
	b := newBook(t, Config{First: time.Minute, Longest: 5 * time.Minute})
	if got := add(t, b, order("198.51.100.7", true), start).Until.Sub(start); got != time.Minute {
		t.Error(got)
	}
	later := start.Add(time.Minute)
	b.Tick(later)
	if got := add(t, b, order("198.51.100.7", true), later).Until.Sub(later); got != 5*time.Minute {
		t.Error(got)
	}
	o := order("198.51.100.8", true)
	o.For = time.Hour
	if got := add(t, b, o, start).Until.Sub(start); got != 5*time.Minute {
		t.Errorf("a check may ask for %v", got)
	}
	o.By, o.Source = Operator, source("198.51.100.9")
	if got := add(t, b, o, start).Until.Sub(start); got != time.Hour {
		t.Errorf("an operator gets %v", got)
	}
	b.SetLengths(2*time.Minute, 4*time.Minute)
	if got := add(t, b, order("198.51.100.10", true), start).Until.Sub(start); got != 2*time.Minute {
		t.Error(got)
	}
}

// TestStillSending: who is still there when the ban ends goes to the next step at once; an operator's ban ends as told.
func TestStillSending(t *testing.T) {
	var told []Change
	b := newBook(t, Config{Changed: func(c Change) { told = append(told, c) }})
	end := add(t, b, order("198.51.100.7", true), start).Until
	add(t, b, Order{Ban: edge.Ban{Source: source("198.51.100.8"), Hard: true, Reason: ReasonOperator, For: 10 * time.Minute}, By: Operator}, start)
	add(t, b, order("198.51.100.9", true), start)
	for _, one := range []string{"198.51.100.7:1", "198.51.100.8:1"} {
		b.Refuses(from(one), end.Add(-30*time.Second))
	}
	b.Refuses(from("198.51.100.9:1"), end.Add(-2*time.Minute)) // not at the end
	b.Tick(end)
	var got []string
	for _, c := range told[3:] {
		got = append(got, fmt.Sprintln(c.Kind, c.Ban.Source, c.Ban.Until.Sub(end)))
	}
	slices.Sort(got)
	want := []string{fmt.Sprintln(Prolonged, "198.51.100.7", time.Hour), fmt.Sprintln(Expired, "198.51.100.8", time.Duration(0)),
		fmt.Sprintln(Expired, "198.51.100.9", time.Duration(0))}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !b.Refuses(from("198.51.100.7:1"), end.Add(59*time.Minute)) || b.Refuses(from("198.51.100.8:1"), end) {
		t.Error("wrong ones are refused")
	}
}

func TestHarder(t *testing.T) {
	var told []Kind
	b := newBook(t, Config{Changed: func(c Change) { told = append(told, c.Kind) }})
	add(t, b, order("198.51.100.7", false), start)
	_, fresh, _ := b.Add(order("198.51.100.7", false), start.Add(time.Second))
	if fresh || len(told) != 1 {
		t.Error("the same order again is news")
	}
	ban, fresh, _ := b.Add(order("198.51.100.7", true), start.Add(time.Minute))
	if !fresh || !ban.Hard || ban.Until.Sub(start) != 11*time.Minute || ban.Offences != 1 {
		t.Errorf("proof gives %+v", ban)
	}
	if _, fresh, _ = b.Add(order("198.51.100.7", false), start.Add(time.Minute)); fresh || b.Stats().Hard != 1 || b.Stats().Soft != 0 {
		t.Error("a soft order changes a hard ban")
	}
	o := order("198.51.100.7", true)
	o.By, o.For, o.Text = Operator, time.Hour, strings.Repeat("x", 1000)
	ban, fresh, _ = b.Add(o, start.Add(2*time.Minute))
	if !fresh || ban.Until.Sub(start) != 62*time.Minute || len(ban.Text) != MaxText || ban.By != Operator {
		t.Errorf("an operator's order gives %+v", ban)
	}
	for text, want := range map[string]string{"a\nb\x1b[1m\u202ec": "a b [1m c", strings.Repeat("ä", 150): strings.Repeat("ä", 100), "\xff": "\ufffd"} {
		o.Text = text
		if ban, _, _ := b.Add(o, start.Add(2*time.Minute)); ban.Text != want {
			t.Errorf("the words %q are kept as %q", text, ban.Text)
		}
	}
	if _, fresh, _ = b.Add(order("198.51.100.7", true), start.Add(3*time.Minute)); fresh {
		t.Error("the judge changes an operator's ban")
	}
}

// TestOperatorsBanStays: no check makes an operator's ban harder, longer or another one.
func TestOperatorsBanStays(t *testing.T) {
	for _, hard := range []bool{false, true} {
		b := newBook(t, Config{})
		mine := add(t, b, Order{Ban: edge.Ban{Source: source("198.51.100.8"), Hard: hard, Reason: ReasonOperator, For: 20 * time.Minute}, By: Operator, Text: "mine"}, start)
		got, fresh, err := b.Add(order("198.51.100.8", true), start.Add(time.Minute))
		if err != nil || fresh || got.By != Operator || got.Hard != hard || !got.Until.Equal(mine.Until) || got.Text != "mine" {
			t.Errorf("hard %v: %+v, fresh %v, %v", hard, got, fresh, err)
		}
		if would, err := b.Would(order("198.51.100.8", true), start.Add(time.Minute)); would != nil || err != nil {
			t.Errorf("hard %v: a check would ban him: %v, %v", hard, would, err)
		}
	}
}

// TestWould: what Add would do is told without doing it.
func TestWould(t *testing.T) {
	b := newBook(t, Config{})
	if would, err := b.Would(order("198.51.100.8", true), start); len(would) != 1 || err != nil || len(b.Bans(start)) != 0 {
		t.Errorf("%v, %v, %v", would, err, b.Bans(start))
	}
	add(t, b, order("198.51.100.0/24", true), start)
	if would, _ := b.Would(order("198.51.100.8:5060", true), start); would != nil {
		t.Error("of a network that is banned already one would be")
	}
	if _, err := b.Allow(source("198.51.100.8"), "", start); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Would(order("198.51.100.8", true), start); !errors.As(err, new(*ProtectedError)) {
		t.Errorf("of who is allowed: %v", err)
	}
	if _, err := b.Would(order("198.0.0.0/7", true), start); err == nil {
		t.Error("a ban of half the internet makes sense")
	}
}

func TestRefusedOrders(t *testing.T) {
	b := newBook(t, Config{})
	for _, o := range []Order{
		{},
		order("0.0.0.0/0", true),
		order("10.0.0.0/7", true),
		order("2001::/18", true),
		{Ban: edge.Ban{Source: source("198.51.100.7")}},
		{Ban: edge.Ban{Source: source("198.51.100.7"), Reason: "x", For: -1}},
		{Ban: edge.Ban{Source: source("198.51.100.7"), Reason: "x", For: 1 << 62}},
		{Ban: edge.Ban{Source: edge.Source{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Port: 5}, Reason: "x"}},
	} {
		if _, _, err := b.Add(o, start); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, cfg := range []Config{{First: time.Millisecond}, {First: time.Hour, Longest: time.Minute}, {Max: 3}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// TestNeverBanned: rows B4 and B9, and that allow lists win over bans that are there already.
func TestNeverBanned(t *testing.T) {
	var told []Kind
	b := newBook(t, Config{Changed: func(c Change) { told = append(told, c.Kind) }})
	add(t, b, order("198.51.100.7", true), start)
	add(t, b, order("203.0.113.0/24", true), start)
	b.SetNever([]Exemption{
		{netip.MustParsePrefix("198.51.100.7/32"), "default gateway"},
		{netip.MustParsePrefix("127.0.0.1/32"), "own address"},
		{netip.MustParsePrefix("192.0.2.0/28"), "peer carrier"},
		{netip.MustParsePrefix("203.0.113.9/32"), "DNS server"},
	}, start)
	if !slices.Equal(told, []Kind{Banned, Banned, Lifted}) {
		t.Errorf("told of %v", told)
	}
	for text, why := range map[string]string{"198.51.100.7": "default gateway", "127.0.0.1": "own address", "192.0.2.5:5060": "peer carrier", "192.0.2.0/28": "peer carrier"} {
		_, _, err := b.Add(order(text, true), start)
		var never *ProtectedError
		if !errors.As(err, &never) || never.By.Why != why || !strings.Contains(err.Error(), why) {
			t.Errorf("a ban of %s: %v", text, err)
		}
	}
	if b.Refuses(from("203.0.113.9:53"), start) || !b.Refuses(from("203.0.113.8:53"), start) {
		t.Error("a ban of a network holds for an address that is never banned, or not for its neighbour")
	}
	if b.Stats().Protected != 4 {
		t.Error(b.Stats())
	}
	lifted, err := b.Allow(source("203.0.113.0/24"), "office", start)
	if err != nil || len(lifted) != 1 || b.Refuses(from("203.0.113.8:53"), start) {
		t.Errorf("allow lifted %v, %v", lifted, err)
	}
	if why, ok := b.Exempt(netip.MustParseAddr("203.0.113.8")); !ok || !strings.Contains(why.Why, "office") {
		t.Error(why)
	}
	if list := b.AllowList(); len(list) != 1 || list[0].Source != source("203.0.113.0/24") {
		t.Error(list)
	}
	if err := b.Disallow(source("203.0.113.0/25"), start); !errors.Is(err, ErrNotAllowed) {
		t.Error(err)
	}
	if err := b.Disallow(source("203.0.113.0/24"), start); err != nil || b.Stats().Allowed != 0 {
		t.Error(err)
	}
	add(t, b, order("203.0.113.8", true), start)
	for _, wide := range []string{"0.0.0.0/0", "::/0", "10.0.0.0/7", "fc00::/6"} {
		if _, err := b.Allow(source(wide), "", start); err == nil || b.AllowList() != nil && slices.ContainsFunc(b.AllowList(), func(a Allowed) bool { return a.Source == source(wide) }) {
			t.Errorf("%s was allowed: %v", wide, err)
		}
	}
	for _, own := range []string{"10.0.0.0/8", "fc00::/7"} {
		if _, err := b.Allow(source(own), "", start); err != nil || b.Disallow(source(own), start) != nil {
			t.Errorf("%s was not allowed: %v", own, err)
		}
	}
	if _, err := b.Allow(source("203.0.113.8:5060"), "", start); err == nil {
		t.Error("a port is allowed")
	}
}

func TestLift(t *testing.T) {
	b := newBook(t, Config{})
	for _, text := range []string{"198.51.100.7", "198.51.100.7:5062", "198.51.100.7:5063", "198.51.100.0/24", "198.51.100.8:1"} {
		add(t, b, order(text, true), start)
	}
	lifted, err := b.Lift(source("::ffff:198.51.100.7"), start)
	if err != nil || len(lifted) != 3 {
		t.Errorf("lifted %v, %v", lifted, err)
	}
	if !b.Refuses(from("198.51.100.7:5062"), start) {
		t.Error("the network is free, too")
	}
	if _, err := b.Lift(source("198.51.100.7"), start); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if lifted, _ := b.Lift(source("198.51.100.0/24"), start); len(lifted) != 2 || b.Stats().Hard != 0 {
		t.Errorf("lifted %v of the network", lifted)
	}
}

// TestSpares: known-good flows and calls that were accepted before the ban go on, until they end or four hours pass.
func TestSpares(t *testing.T) {
	known := from("198.51.100.7:5060")
	b := newBook(t, Config{
		Known:   func(f edge.Flow, _ time.Time) bool { return f == known },
		KnownIn: func(p netip.Prefix, _ time.Time) bool { return p.Contains(known.Remote.Addr()) },
	})
	talking, late := from("198.51.100.7:6000"), from("198.51.100.7:6001")
	b.CallBegan(1, talking.Remote, start.Add(-time.Minute))
	b.CallBegan(2, talking.Remote, start.Add(-time.Second))
	o := order("198.51.100.7", true)
	o.For = 24 * time.Hour
	if ban := add(t, b, o, start); !ban.Spares {
		t.Error("nothing is spared")
	}
	b.CallBegan(3, late.Remote, start.Add(time.Second))
	for f, want := range map[edge.Flow]bool{known: false, talking: false, late: true, from("198.51.100.7:7000"): true} {
		if b.Refuses(f, start.Add(time.Minute)) != want {
			t.Errorf("%v refused: %t", f.Remote, !want)
		}
	}
	at := start.Add(time.Minute)
	b.CallEnded(1, at)
	b.Tick(at.Add(afterwards))
	if b.Refuses(talking, at.Add(afterwards)) {
		t.Error("the second call is not spared")
	}
	if !b.Refuses(talking, start.Add(spareTime)) {
		t.Error("calls are spared for ever")
	}
	at = at.Add(time.Minute)
	b.CallEnded(2, at)
	b.CallEnded(2, at)
	b.Tick(at)
	if b.Refuses(talking, at.Add(time.Second)) {
		t.Error("the end of a call is not spared")
	}
	at = at.Add(afterwards)
	b.Tick(at)
	if !b.Refuses(talking, at) || b.Refuses(known, at) {
		t.Error("what ended is spared, or the known phone is not")
	}
	o.By, o.Everything = Operator, true
	add(t, b, o, start.Add(time.Minute))
	if !b.Refuses(known, start.Add(time.Minute)) {
		t.Error("everything does not mean everything")
	}
	soft := newBook(t, b.cfg)
	add(t, soft, order("198.51.100.7", false), start)
	if soft.Soft(known, start) || !soft.Soft(talking, start) {
		t.Error("a soft ban touches a known flow, or spares another")
	}
}

// TestCallsMove: the calls of a party go with it, also to where others are, and are still spared, bounded and forgotten.
func TestCallsMove(t *testing.T) {
	b := newBook(t, Config{})
	old, now := netip.MustParseAddrPort("198.51.100.7:5060"), netip.MustParseAddrPort("198.51.100.8:5062")
	b.CallBegan(1, old, start)
	b.CallBegan(2, old, start.Add(time.Second))
	b.CallBegan(3, now, start.Add(-time.Second))
	b.CallsMoved(old, now)
	b.CallsMoved(old, now)
	b.CallsMoved(now, now)
	if b.Calling(old) || !b.Calling(now) || b.calls.addrs.find(whole(now)).flows != 1 || b.calls.addrs.len() != 1 || b.calls.flows.len() != 1 {
		t.Errorf("after the move: %d %d", b.calls.flows.len(), b.calls.addrs.len())
	}
	if began, ok := b.calls.began(now); !ok || began != start.Add(-time.Second).UnixNano() {
		t.Errorf("the oldest call began %d, %t", began, ok)
	}
	for key := range uint64(3) {
		if !b.Calling(now) {
			t.Errorf("no call before %d has ended", key+1)
		}
		b.CallEnded(key+1, start.Add(time.Minute))
	}
	if b.Calling(now) {
		t.Error("calls go on that have ended")
	}
	b.Tick(start.Add(time.Minute + afterwards))
	if b.calls.len()+b.calls.byKey.Len()+b.calls.flows.len()+b.calls.addrs.len() != 0 {
		t.Errorf("%d not forgotten: %d %d", b.calls.len(), b.calls.flows.len(), b.calls.addrs.len())
	}
}

// TestCallsAreBounded holds the limit and the sweep.
func TestCallsAreBounded(t *testing.T) {
	b := newBook(t, Config{Calls: 100})
	for i := range uint64(200) {
		b.CallBegan(i, netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), uint16(i%50+1)), start)
		b.CallBegan(i, netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), 1), start)
	}
	if n := b.Stats().Calls; n != 100 {
		t.Errorf("%d calls of 100", n)
	}
	b.Tick(start.Add(callLife - time.Second))
	if n := b.Stats().Calls; n != 100 {
		t.Errorf("%d calls after a day", n)
	}
	b.Tick(start.Add(callLife + time.Minute))
	if n := b.Stats().Calls; n != 0 || b.calls.byKey.Len() != 0 || b.calls.flows.len() != 0 || b.calls.addrs.len() != 0 {
		t.Errorf("%d calls are never forgotten", n)
	}
}

// TestCallsOfATrunk: one flow has long calls among many short ones. What is remembered of it is what there is, its oldest call counts, and
// a ban that came after that spares it until it has ended.
func TestCallsOfATrunk(t *testing.T) {
	b := newBook(t, Config{Calls: 1000})
	trunk := netip.MustParseAddrPort("198.51.100.7:5060")
	b.CallBegan(1, trunk, start)
	b.CallBegan(2, trunk, start.Add(time.Second))
	at := start.Add(2 * time.Second)
	for key := uint64(10); key < 5000; key++ {
		b.CallBegan(key, trunk, at)
		b.CallEnded(key, at)
		at = at.Add(time.Second)
		b.Tick(at)
		if n, places := len(b.calls.of(b.calls.flows.find(trunk))), b.calls.n; n > 35 || n != b.calls.len() || places > 35 {
			t.Fatalf("%d calls of %d in %d places", n, b.calls.len(), places)
		}
	}
	if began, ok := b.calls.began(trunk); !ok || began != start.UnixNano() {
		t.Errorf("the oldest call began at %v, %v", time.Unix(0, began), ok)
	}
	b.CallEnded(1, at)
	at = at.Add(afterwards)
	b.Tick(at)
	if began, ok := b.calls.began(trunk); !ok || began != start.Add(time.Second).UnixNano() {
		t.Errorf("then the oldest call began at %v, %v", time.Unix(0, began), ok)
	}
	b.CallEnded(2, at)
	b.Tick(at.Add(afterwards))
	if n := b.Stats().Calls; n != 0 || b.calls.flows.len() != 0 || b.calls.addrs.len() != 0 || len(b.calls.over) != 0 {
		t.Errorf("%d calls are left: %d", n, b.calls.flows.len())
	}
}

// TestForesee: what is foretold is what comes to pass, and foretelling changes nothing.
func TestForesee(t *testing.T) {
	b := newBook(t, Config{})
	b.SetNever([]Exemption{{netip.MustParsePrefix("192.0.2.1/32"), "the platform"}}, start)
	byHand := func(text string) Order {
		return Order{Ban: edge.Ban{Source: source(text), Hard: true, Reason: ReasonOperator}, By: Operator, Text: "because"}
	}
	at := start
	for _, text := range []string{"198.51.100.7", "198.51.100.7", "198.51.100.7:5062", "203.0.113.0/24", "192.0.2.1"} {
		before := b.Bans(at)
		foreseen, ferr := b.Foresee(byHand(text), at)
		if now := b.Bans(at); len(now) != len(before) {
			t.Fatalf("%s: foretelling made %d bans of %d", text, len(now), len(before))
		}
		made, _, err := b.Add(byHand(text), at)
		if fmt.Sprint(ferr) != fmt.Sprint(err) || foreseen.Source != made.Source || foreseen.Until != made.Until || foreseen.Hard != made.Hard || foreseen.Text != made.Text {
			t.Errorf("%s: foreseen %+v (%v), made %+v (%v)", text, foreseen, ferr, made, err)
		}
		at = at.Add(time.Hour) // the first ones are over by then, and count
		b.Tick(at)
	}
}

// TestLiftable: what is said to be lifted is lifted.
func TestLiftable(t *testing.T) {
	all := []string{"198.51.100.7", "198.51.100.7:5062", "198.51.100.8", "198.51.100.0/24", "203.0.113.9:5060"}
	book := func() *Book {
		b := newBook(t, Config{})
		for _, text := range all {
			add(t, b, order(text, true), start)
		}
		return b
	}
	names := func(bans []Ban) (list []string) {
		for _, b := range bans {
			list = append(list, b.Source.String())
		}
		slices.Sort(list)
		return list
	}
	for _, text := range append(all, "203.0.113.9", "192.0.2.0/24") {
		b := book()
		want := names(b.Liftable(source(text), start))
		if got := len(b.Bans(start)); got != len(all) {
			t.Fatalf("%s: %d bans are left of %d", text, got, len(all))
		}
		lifted, _ := b.Lift(source(text), start)
		if got := names(lifted); !slices.Equal(got, want) {
			t.Errorf("Lift %s: %v, foretold %v", text, got, want)
		}
		if source(text).Port != 0 {
			continue
		}
		b = book()
		foretold, err := b.Allowable(source(text), start)
		if err != nil {
			t.Fatal(err)
		}
		lifted, err = b.Allow(source(text), "", start)
		if got, want := names(lifted), names(foretold); err != nil || !slices.Equal(got, want) {
			t.Errorf("Allow %s: %v (%v), foretold %v", text, got, err, want)
		}
	}
	if _, err := newBook(t, Config{}).Allowable(source("10.0.0.0/7"), start); err == nil {
		t.Error("half of the internet is allowed")
	}
}
