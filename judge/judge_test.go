package judge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

var (
	start  = time.Unix(1_700_000_000, 0)
	secret = meter.NewKey([16]byte{1, 2, 3})
)

// says is a check that always says the same, of requests, of responses and of what can't be read.
type says struct{ request, response, unreadable edge.Verdict }

func (o says) Inspect(x *edge.Exchange) *edge.Verdict                 { return x.Say(o.request) }
func (o says) Watch(x *edge.Exchange) *edge.Verdict                   { return x.Say(o.response) }
func (o says) Unreadable(x *edge.Exchange, _ sip.Error) *edge.Verdict { return x.Say(o.unreadable) }

const reasonTest, reasonOther edge.Reason = "test.one", "test.other"

func newJudge(t testing.TB, mode Mode, checks ...any) *Judge {
	t.Helper()
	var list []Charge
	for i, c := range checks {
		list = append(list, Charge{Name: fmt.Sprint("c", i), Mode: mode, Check: c, Reasons: []edge.Reason{reasonTest, reasonOther}})
	}
	j, err := New(Config{Sources: 1024, Pairs: 1024}, secret, list)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// A talk is one source's conversation with the platform, as the judge sees it.
type talk struct {
	t    testing.TB
	j    *Judge
	from edge.Flow
	at   time.Time
	x    edge.Exchange
}

func (j *Judge) talk(t testing.TB, from string) *talk {
	return &talk{t: t, j: j, from: edge.Flow{Remote: netip.MustParseAddrPort(from)}, at: start}
}

func (k *talk) parse(text string) *sip.Message {
	k.t.Helper()
	m := new(sip.Message)
	if err := m.Parse([]byte(strings.ReplaceAll(text, "\n", "\r\n")), true); err != nil {
		k.t.Fatalf("%v\n%s", err, text)
	}
	return m
}

// asks sends a request with further fields, and returns the verdict.
func (k *talk) asks(method, user string, fields ...string) edge.Verdict {
	k.t.Helper()
	return k.asksAt(method, user, "example.com", fields...)
}

// asksAt is asks with that host in the Request-URI.
func (k *talk) asksAt(method, user, host string, fields ...string) edge.Verdict {
	k.t.Helper()
	k.x = edge.Exchange{From: k.from, At: k.at, Msg: k.parse(fmt.Sprintf("%s sip:%s@%s SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKabc\n"+
		"From: <sip:%s@example.com>;tag=a\nTo: <sip:%s@example.com>\nCall-ID: abc\nCSeq: 1 %s\n%sContent-Length: 0\n\n",
		method, user, host, user, user, method, strings.Join(append(fields, ""), "\n")))}
	return k.j.Inspect(&k.x)
}

// gets is the platform's response to the last request.
func (k *talk) gets(status int, fields ...string) edge.Verdict {
	k.t.Helper()
	r := edge.Exchange{At: k.at, Match: edge.MatchReply, From: edge.Flow{Side: edge.Inside}, Asked: k.x.Asked}
	r.Msg = k.parse(fmt.Sprintf("SIP/2.0 %d X\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKabc\nFrom: <sip:a@b>;tag=a\nTo: <sip:u@example.com>;tag=b\n"+
		"Call-ID: abc\nCSeq: 1 %s\n%sContent-Length: 0\n\n", status, k.x.Msg.Method, strings.Join(append(fields, ""), "\n")))
	return k.j.Watch(&r)
}

// registers goes through a whole registration, with a nonce of its own.
func (k *talk) registers(user string, final int) edge.Verdict {
	k.t.Helper()
	nonce := fmt.Sprintf("%016x", k.at.UnixNano())
	k.asks("REGISTER", user)
	k.gets(401, `WWW-Authenticate: Digest realm="r", nonce="`+nonce+`"`)
	k.asks("REGISTER", user, answerTo(user, nonce))
	return k.gets(final)
}

func answerTo(user, nonce string) string {
	return fmt.Sprintf(`Authorization: Digest username="%s", realm="r", nonce="%s", uri="sip:example.com", response="0123456789abcdef%s"`, user, nonce, user)
}

func TestAsked(t *testing.T) {
	k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	k.asks("REGISTER", "100")
	first := k.x.Asked
	if first.Secret != 0 || first.Proven || first.Known != 0 || first.User == 0 || first.Number != 0 || first.Target != first.User {
		t.Errorf("of a first REGISTER: %+v", first)
	}
	k.asks("REGISTER", "%31%300")
	if k.x.Asked.User != first.User {
		t.Error("an escaped user is another one")
	}
	k.asks("INVITE", "+49-30-12345678")
	if n := k.x.Asked.Number; n.Len() != 12 || n.Last(7) != 0x2345678 {
		t.Errorf("number %x", uint64(n))
	}
	k.asks("INVITE", "alice")
	if n := k.x.Asked.Number; n != 0 {
		t.Errorf("alice is number %x", uint64(n))
	}
	k.asks("INVITE", "00000000000123456789012345")
	if n := k.x.Asked.Number; n.Len() != 15 || n.Last(4) != 0x2345 {
		t.Errorf("a long number is %x", uint64(n))
	}
	for host, want := range map[string]bool{"203.0.113.9": true, "[2001:db8::9]": true, "example.com": false, "9.example": false} {
		if k.asksAt("INVITE", "+493012345678", host); k.x.Asked.Literal != want {
			t.Errorf("a call at %s: literal %v", host, !want)
		}
	}
	if k.asksAt("INVITE", "alice", "203.0.113.9"); k.x.Asked.Literal {
		t.Error("alice is a number")
	}
	variants := map[edge.Number]string{}
	for _, user := range []string{"46500729221", "0046500729221", "%230046500729221", "*0046500729221", "9+0046500729221", "900900900900046500729221", "800900900900046500729221",
		"0900900900900046500729221", "%2346500729221", "000000000000000000046500729221", "0000000000000000000046500729221"} {
		k.asks("INVITE", user)
		n := k.x.Asked.Number
		if other, have := variants[n]; have || n.Last(8) != 0x00729221 {
			t.Errorf("%s is %x, as %q is", user, uint64(n), other)
		}
		variants[n] = user
	}
	k.from.Transport = edge.TCP
	if k.asks("REGISTER", "100"); !k.x.Asked.Proven {
		t.Error("a handshake proves nothing")
	}
}

// TestCredentials: however an answer to a challenge is written, it is one, and another one is another.
// TestTokens: who asks for what a token of the edge stands for asks for that, whatever the token looks like; its host is none that he dialled.
func TestTokens(t *testing.T) {
	k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	for uri, dialled := range map[string]string{"sip:+4930123456@10.0.0.5:5080;x=1": "+4930123456", "sips:%2b4930123456@[2001:db8::5]": "+4930123456",
		"tel:+4930123456;phone-context=x": "+4930123456", "sip:Alice@10.0.0.5": "alice", "sip:10.0.0.5": ""} {
		k.asks("INVITE", cmp.Or(dialled, "nobody"))
		want := k.x.Asked
		k.asksAt("INVITE", ".1kzAZk3xhV9s7JgD1kzAZk3xhV9s7JgD", "203.0.113.9")
		if k.x.Asked.Target == want.Target {
			t.Errorf("%s: a token is its own target", uri)
		}
		k.x.Target = []byte(uri)
		k.j.Read(&k.x)
		if a := &k.x.Asked; (a.Target == want.Target) != (dialled != "") || a.Number != want.Number || a.Literal {
			t.Errorf("a token for %s: %+v, want as for %s: %+v", uri, a, dialled, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	secret := func(field string) uint64 {
		k.asks("REGISTER", "100", field)
		return k.x.Asked.Secret
	}
	for name, form := range map[string]string{
		"as usual":          `Authorization: Digest username="100", realm="r", nonce="0123456789abcdef", uri="sip:h", response="%s"`,
		"no blanks":         `Authorization: Digest username="100",realm="r",nonce="0123456789abcdef",uri="sip:h",response="%s"`,
		"another before":    `Authorization: Digest xresponse="same", username="100", nonce="0123456789abcdef", response="%s"`,
		"twice":             `Authorization: Digest response="same", nonce="0123456789abcdef", response="%s"`,
		"not Digest":        `Authorization: Basic %s`,
		"nothing but quote": `Authorization: Digest response="%s`,
		"for a proxy":       `Proxy-Authorization: Digest username="100", nonce="0123456789abcdef", response="%s"`,
	} {
		one, other := secret(fmt.Sprintf(form, "aaaa")), secret(fmt.Sprintf(form, "bbbb"))
		if one == 0 || other == 0 || one == other {
			t.Errorf("%s: %x and %x", name, one, other)
		}
	}
	if secret("Subject: x") != 0 {
		t.Error("no credentials, and still a secret")
	}
}

// TestProof (B11): an answer to a challenge proves the flow that the challenge went to, for five minutes, and no other.
func TestProof(t *testing.T) {
	nonce := "0123456789abcdef"
	challenge := `WWW-Authenticate: Digest realm="r", nonce="` + nonce + `"`
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	k.asks("REGISTER", "100")
	k.gets(401, challenge)
	for _, c := range []struct {
		from  string
		after time.Duration
		proof bool
	}{
		{"198.51.100.7:5060", 0, true},
		{"198.51.100.7:5061", 0, false},
		{"203.0.113.9:5060", 0, false},
		{"198.51.100.7:5060", 6 * time.Minute, false},
	} {
		o := j.talk(t, c.from)
		o.at = start.Add(c.after)
		if o.asks("REGISTER", "100", answerTo("100", nonce)); o.x.Asked.Proven != c.proof {
			t.Errorf("from %s after %v: proven %v", c.from, c.after, o.x.Asked.Proven)
		}
	}
	restarted := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	if restarted.asks("REGISTER", "100", answerTo("100", nonce)); restarted.x.Asked.Proven {
		t.Error("a nonce from before a restart proves something")
	}
	other := j.talk(t, "203.0.113.9:5060") // the platform gives all the nonce of the second
	other.asks("REGISTER", "200")
	other.gets(401, challenge)
	if k.asks("REGISTER", "100", answerTo("100", nonce)); k.x.Asked.Proven || !k.x.Asked.Fresh {
		t.Errorf("a nonce that others have, too: %+v", k.x.Asked)
	}
}

func TestKnownGood(t *testing.T) {
	j := newJudge(t, Enforce)
	k := j.talk(t, "198.51.100.7:5060")
	k.registers("100", 200)
	k.asks("REGISTER", "100")
	if a := k.x.Asked; !a.Good || a.Known != 1 {
		t.Errorf("after a 200: %+v", a)
	}
	k.registers("200", 401)
	if k.asks("REGISTER", "200"); k.x.Asked.Good || k.x.Asked.Known != 1 {
		t.Errorf("after a 401: %+v", k.x.Asked)
	}
	after := restart(t, j, start.Add(29*24*time.Hour))
	n := after.talk(t, "198.51.100.7:9999")
	n.at = start.Add(29 * 24 * time.Hour)
	if n.asks("REGISTER", "100"); !n.x.Asked.Good || n.x.Asked.Known != 1 {
		t.Errorf("after a restart: %+v", n.x.Asked)
	}
	n.at = start.Add(31 * 24 * time.Hour)
	if n.asks("REGISTER", "100"); n.x.Asked.Good || n.x.Asked.Known != 0 {
		t.Errorf("after 31 days: %+v", n.x.Asked)
	}
	if n = after.talk(t, "203.0.113.9:5060"); n.asks("REGISTER", "100").Score != 0 || n.x.Asked.Good {
		t.Error("known good from elsewhere")
	}
}

// TestKnowsFlows: the flow over UDP that a user was last accepted from is known for 30 days, over a restart, and so is where it lies.
func TestKnowsFlows(t *testing.T) {
	j := newJudge(t, Enforce)
	old, now := j.talk(t, "198.51.100.7:5060"), j.talk(t, "198.51.100.7:6060")
	stream := j.talk(t, "198.51.100.7:7070")
	stream.from.Transport = edge.TCP
	for _, k := range []*talk{old, now, stream} {
		k.registers("100", 200)
	}
	for _, judge := range []*Judge{j, restart(t, j, start.Add(time.Hour))} {
		for k, want := range map[*talk]bool{old: false, now: true, stream: false} {
			if got := judge.Knows(k.from, start.Add(29*24*time.Hour)); got != want {
				t.Errorf("%v is known: %t", k.from.Remote, got)
			}
		}
		if judge.Knows(now.from, start.Add(31*24*time.Hour)) {
			t.Error("known for more than 30 days")
		}
		for text, want := range map[string]bool{"198.51.100.7/32": true, "198.51.100.0/24": true, "198.51.0.0/16": true, "198.51.101.0/24": false,
			"0.0.0.0/8": true, "2001:db8::/64": false, "2001:db8::/56": false, "255.255.255.0/24": false} {
			if got := judge.KnowsIn(netip.MustParsePrefix(text), start); got != want {
				t.Errorf("somebody known in %s: %t", text, got)
			}
		}
	}
	six := newJudge(t, Enforce)
	six.talk(t, "[2001:db8:0:7::9]:5060").registers("100", 200)
	for text, want := range map[string]bool{"2001:db8:0:7::/64": true, "2001:db8::/56": true, "2001:db8::/48": true, "2001:db8:0:100::/56": false} {
		if got := six.KnowsIn(netip.MustParsePrefix(text), start); got != want {
			t.Errorf("somebody known in %s: %t", text, got)
		}
	}
}

// TestFront: the private address that nearly everybody comes from is found, also where another one came first, and forgotten with the traffic.
func TestFront(t *testing.T) {
	j := newJudge(t, Enforce)
	send := func(from string, n int) {
		k := j.talk(t, from+":5060")
		for range n {
			k.asks("OPTIONS", "1")
		}
	}
	at := start
	want := func(addr string, requests, all uint64) {
		t.Helper()
		if s := j.Front(at); s.All != all || s.Requests != requests || requests > 0 && s.Addr.String() != addr {
			t.Errorf("%+v, want %d of %d from %s", s, requests, all, addr)
		}
	}
	send("198.51.100.7", 10)
	want("", 0, 10)
	send("10.0.0.1", 3)
	send("172.17.0.1", 30)
	j.talk(t, "172.17.0.1:6060").registers("100", 200)
	want("10.0.0.1", 3, 45) // and is found to be none
	send("172.17.0.1", 1000)
	want("172.17.0.1", 1000, 1045)
	if s := j.Front(at); s.Known != 1 {
		t.Errorf("%d users", s.Known)
	}
	at = at.Add(half) // from now on these count as the half before
	want("172.17.0.1", 1000, 1045)
	send("172.17.0.1", 5)
	want("172.17.0.1", 1005, 1050)
	at = at.Add(half)
	want("172.17.0.1", 1005, 1050)
	want("172.17.0.1", 5, 5)
}

// TestSuspend: while it lasts no opinion comes to anything, and each is counted.
func TestSuspend(t *testing.T) {
	j := newJudge(t, Enforce, drop(50))
	k := j.talk(t, "198.51.100.7:5060")
	k.from.Transport = edge.TCP
	j.Suspend(true)
	if v := k.asks("INVITE", "1"); v.Action != edge.Note || v.Ban == nil || !v.Ban.Told || j.Counts()[0].Hits() != 1 {
		t.Errorf("suspended: %+v", v)
	}
	j.Suspend(false)
	if v := k.asks("INVITE", "1"); v.Action != edge.Drop || v.Ban == nil || v.Ban.Told || v.Ban.Parts[0].Score != 50 {
		t.Errorf("at work again: %+v", v)
	}
}

// restart writes what j knows of users, and gives it to another judge.
func restart(t *testing.T, j *Judge, at time.Time) *Judge {
	t.Helper()
	db, err := statefile.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	first, err := OpenJournal(t.Context(), db, j, at, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(t.Context(), db, j, at, state.Options{}); err == nil {
		t.Error("two journals of one judge")
	}
	pairs := 0
	for key := range (&store{db: db, known: &j.known}).Keys() {
		first.Mark(key)
		pairs++
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := newJudge(t, Enforce)
	journal, err := OpenJournal(t.Context(), db, next, at, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close(context.Background()) })
	if restored, left := journal.Loaded(); restored != pairs || pairs == 0 || left != 0 {
		t.Errorf("%d of %d restored, %d left out", restored, pairs, left)
	}
	return next
}

// TestJournalFollows: a user accepted while the journal runs is in the file afterwards.
func TestJournalFollows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.db")
	for round, want := range []int{0, 2} {
		db, err := statefile.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		j := newJudge(t, Enforce)
		journal, err := OpenJournal(t.Context(), db, j, start, state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if restored, _ := journal.Loaded(); restored != want {
			t.Errorf("round %d: %d restored, want %d", round, restored, want)
		}
		k := j.talk(t, "198.51.100.7:5060")
		k.registers("100", 200)
		k.registers("200", 200)
		if err := errors.Join(journal.Close(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func drop(score float64) says {
	return says{request: edge.Verdict{Action: edge.Drop, Reason: reasonTest, Score: score}}
}

// TestScore: points add up, halve in ten minutes, and what a reason may add is bounded.
func TestScore(t *testing.T) {
	j := newJudge(t, Enforce, drop(2), says{request: edge.Verdict{Action: edge.Note, Reason: reasonOther, Score: 1, Most: 1.5}})
	k := j.talk(t, "198.51.100.7:5060")
	k.from.Transport = edge.TCP
	for range 3 {
		if v := k.asks("INVITE", "1"); v.Action != edge.Drop || v.Reason != reasonTest || v.Score != 3 || v.Ban != nil {
			t.Fatalf("%+v", v)
		}
	}
	list, known := j.Explain(k.from.Remote.Addr(), k.at)
	if len(list) != 2 || known != 0 {
		t.Fatalf("%d standings", len(list))
	}
	if s := list[0]; s.Score != 7.5 || s.Level != Grey || s.Proven != 7.5 || len(s.Messages) != 3 || s.Free != 13*time.Minute+13*time.Second ||
		!slices.Equal(s.Parts, []edge.Part{{Reason: reasonTest, Score: 6}, {Reason: reasonOther, Score: 1.5}}) {
		t.Errorf("%+v", s)
	}
	if later, _ := j.Explain(k.from.Remote.Addr(), k.at.Add(HalfLife)); later[0].Score != 3.75 || later[0].Level != Watch {
		t.Errorf("ten minutes later: %+v", later[0])
	}
	k.asks("INVITE", "1")
	v := k.asks("INVITE", "1")
	if v.Ban == nil || !v.Ban.Hard || v.Ban.Source.String() != "198.51.100.7" || v.Ban.Reason != reasonTest || len(v.Ban.Evidence) != 3 {
		t.Fatalf("no ban at 11.5 points: %+v", v.Ban)
	}
	if v := k.asks("INVITE", "1"); v.Ban != nil {
		t.Error("banned twice at once")
	}
	j.Pardon(k.from.Remote.Addr())
	if list, _ := j.Explain(k.from.Remote.Addr(), k.at); list[0].Score != 0 {
		t.Errorf("pardoned, and still %v", list[0].Score)
	}
}

// TestBanScope: whom a ban is for, by what is proven and by whom the platform knows there.
func TestBanScope(t *testing.T) {
	for name, c := range map[string]struct {
		tcp, office bool
		messages    int
		source      string
		hard        bool
	}{
		"one forged packet":                     {messages: 1},
		"two forged packets":                    {messages: 2},
		"unproven, again and again":             {messages: 3, source: "198.51.100.7"},
		"proven":                                {messages: 1, tcp: true, source: "198.51.100.7", hard: true},
		"proven, behind the NAT of an office":   {messages: 1, tcp: true, office: true, source: "198.51.100.7:4000", hard: true},
		"in the name of an office (F5, B1, B2)": {messages: 1000, office: true},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge(t, Enforce)
			if c.office {
				j.talk(t, "198.51.100.7:5060").registers("100", 200)
			}
			if err := j.Apply([]Charge{{Name: "c", Mode: Enforce, Check: drop(10), Reasons: []edge.Reason{reasonTest}}}); err != nil {
				t.Fatal(err)
			}
			k := j.talk(t, "198.51.100.7:4000")
			if c.tcp {
				k.from.Transport = edge.TCP
			}
			var ban *edge.Ban
			suspected := 0
			for range c.messages {
				v := k.asks("INVITE", "1")
				if v.Action != edge.Drop {
					t.Fatalf("the message itself: %+v", v)
				}
				switch {
				case v.Ban != nil && v.Ban.Forged:
					suspected++
				case v.Ban != nil:
					ban = v.Ban
				}
			}
			switch {
			case (suspected == 1) != (c.office && !c.tcp):
				t.Errorf("suspected %d times", suspected)
			case c.source == "" && ban != nil:
				t.Errorf("banned %v", ban.Source)
			case c.source != "" && (ban == nil || ban.Source.String() != c.source || ban.Hard != c.hard):
				t.Errorf("ban %+v", ban)
			}
		})
	}
}

// TestMonitor: everything is counted, what would come of it is told, and nothing does: not for the message, nor for its source.
func TestMonitor(t *testing.T) {
	j := newJudge(t, Monitor, drop(4))
	k := j.talk(t, "198.51.100.7:5060")
	k.from.Transport = edge.TCP
	for i := range 20 {
		k.at = k.at.Add(2 * time.Second)
		v := k.asks("INVITE", "1")
		if v.Action != edge.Note || v.Would != edge.Drop || v.Reason != reasonTest || v.Score != 0 {
			t.Fatalf("message %d: %+v", i, v)
		}
		if told := v.Ban != nil; told != (i == 2) || told && (!v.Ban.Told || !v.Ban.Hard || v.Ban.Source.String() != "198.51.100.7" || len(v.Ban.Evidence) == 0) {
			t.Errorf("message %d: ban %+v", i, v.Ban)
		}
	}
	if got := j.Grey(&k.x.Asked, k.at); got != Monitor {
		t.Errorf("greylisted: %v", got)
	}
	if list, _ := j.Explain(k.from.Remote.Addr(), k.at); len(list) != 2 || !list[0].Told || list[0].Score < 77 || list[0].Score > 80 || list[0].Level != Ban || len(list[0].Messages) == 0 {
		t.Errorf("explained as %+v", list)
	}
	if n := j.Counts()[0].Hits(); n != 20 {
		t.Errorf("%d hits", n)
	}
	if k.at = k.at.Add(tellAgain); k.asks("INVITE", "1").Ban == nil {
		t.Error("it is not told again")
	}
	if j.Pardon(k.from.Remote.Addr()); j.Grey(&k.x.Asked, k.at) != Off {
		t.Error("a pardon is not for what is only told")
	}
}

// TestMonitorBesides: where some checks enforce, what others only watch is not held against anybody, and what would come of both is told.
func TestMonitorBesides(t *testing.T) {
	j := newJudge(t, Enforce, says{request: edge.Verdict{Action: edge.Note, Reason: reasonOther, Score: 4}}, drop(5))
	j.charges.Load().inspect[1].enforce, j.charges.Load().watching = false, true
	k := j.talk(t, "198.51.100.7:5060")
	k.from.Transport = edge.TCP
	for i, want := range []struct{ banned, told bool }{{false, false}, {false, true}, {true, false}} {
		v := k.asks("INVITE", "1")
		if v.Action != edge.Note || v.Would != edge.Drop || v.Score != 4 {
			t.Fatalf("message %d: %+v", i, v)
		}
		if banned, told := v.Ban != nil && !v.Ban.Told, v.Ban != nil && v.Ban.Told; banned != want.banned || told != want.told {
			t.Errorf("message %d: ban %+v", i, v.Ban)
		}
	}
	list, _ := j.Explain(k.from.Remote.Addr(), k.at)
	if len(list) != 4 || !list[0].Told || list[0].Score != 18 || list[2].Told || list[2].Score != 12 {
		t.Errorf("%d standings, %v (told: %v) and %v (%v)", len(list), list[0].Score, list[0].Told, list[2].Score, list[2].Told)
	}
}

// TestNotJudged: what belongs to something accepted before, peers and the platform.
func TestNotJudged(t *testing.T) {
	j := newJudge(t, Enforce, drop(50))
	for _, change := range []func(*edge.Exchange){
		func(x *edge.Exchange) { x.Match = edge.MatchRetransmission },
		func(x *edge.Exchange) { x.Match = edge.MatchInDialog },
		func(x *edge.Exchange) { x.Match = edge.MatchACK },
		func(x *edge.Exchange) { x.Trust = edge.Peer },
		func(x *edge.Exchange) { x.From.Side = edge.Inside },
	} {
		k := j.talk(t, "198.51.100.7:5060")
		k.asks("INVITE", "1")
		change(&k.x)
		if v := j.Inspect(&k.x); v != (edge.Verdict{}) {
			t.Errorf("%+v: %+v", k.x, v)
		}
	}
}

func TestUnreadable(t *testing.T) {
	j := newJudge(t, Enforce, says{unreadable: edge.Verdict{Reason: reasonTest, Score: 4}})
	x := edge.Exchange{Msg: new(sip.Message), From: edge.Flow{Remote: netip.MustParseAddrPort("198.51.100.7:5060"), Transport: edge.TCP}, At: start}
	for want := range 3 {
		if v := j.Unreadable(&x, sip.ErrEmpty); (v.Ban != nil) != (want == 2) {
			t.Errorf("message %d: %+v", want, v)
		}
	}
}

// TestForgedSources (B5, F6): a million forged sources of one or of four packets each ban nobody who is known, fill bounded tables, and an
// attacker who answers challenges is banned among them.
func TestForgedSources(t *testing.T) {
	j := newJudge(t, Enforce, drop(10))
	bans, single := 0, 0
	k := j.talk(t, "198.51.100.7:5060")
	k.asks("INVITE", "1")
	for i := range 1_000_000 {
		x := k.x
		x.From.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)
		x.At = start.Add(time.Duration(i) * 20 * time.Microsecond) // 50,000 a second
		if v := j.Inspect(&x); v.Ban != nil {
			single++
		}
	}
	if single > 0 {
		t.Errorf("%d bans for a packet each", single)
	}
	for i := range 400_000 {
		x := k.x
		x.From.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{101, byte(i >> 18), byte(i >> 10), byte(i >> 2)}), 5060)
		x.At = start.Add(20 * time.Second)
		if v := j.Inspect(&x); v.Ban != nil {
			if bans++; v.Ban.Hard {
				t.Fatal("a forged packet proves something")
			}
		}
	}
	if j.sources.Len() > 4*1024 {
		t.Errorf("%d entries", j.sources.Len())
	}
	real := j.talk(t, "198.51.100.99:5060")
	real.at = start.Add(21 * time.Second)
	real.from.Transport = edge.TCP
	if v := real.asks("INVITE", "1"); v.Ban == nil || !v.Ban.Hard {
		t.Error("a real attacker finds shelter behind forged entries")
	}
}

// TestEvictionRefundsNothing (F8): who had to make room for others is held to what he did before when he comes again.
func TestEvictionRefundsNothing(t *testing.T) {
	j, err := New(Config{Sources: 64, Pairs: 64}, secret, []Charge{{Name: "c", Mode: Enforce, Check: drop(6), Reasons: []edge.Reason{reasonTest}}})
	if err != nil {
		t.Fatal(err)
	}
	k := j.talk(t, "198.51.100.7:5060")
	k.from.Transport = edge.TCP
	if v := k.asks("INVITE", "1"); v.Ban != nil {
		t.Fatal("banned at once")
	}
	for i := range 1000 {
		x := k.x
		x.From.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)
		j.Inspect(&x)
	}
	if j.sources.Find(secret.Addr(k.from.Remote.Addr()), start) != nil {
		t.Fatal("he is still there: the test fills nothing")
	}
	if v := k.asks("INVITE", "1"); v.Ban == nil || !v.Ban.Hard {
		t.Errorf("the second time: %+v", v)
	}
}

func TestSizes(t *testing.T) {
	for name, c := range map[string]struct{ size, most uintptr }{
		"record": {unsafe.Sizeof(record{}) + 24, 256},
		"pair":   {unsafe.Sizeof(pair{}) + 24, 64},
		"home":   {unsafe.Sizeof(home{}) + 24, 64},
		"issue":  {unsafe.Sizeof(issue{}) + 24, 64},
	} {
		if c.size > c.most {
			t.Errorf("%s: %d bytes with its place in the table, want up to %d", name, c.size, c.most)
		}
	}
}

func TestUser(t *testing.T) {
	k := newJudge(t, Enforce).talk(t, "198.51.100.7:5060")
	k.asks("REGISTER", "100")
	if u := User(&k.x); u != "100@example.com" {
		t.Error(u)
	}
	for uri, want := range map[string]string{"sip:a:pw@h;x=y": "a h", "sip:host": " host", "tel:+49;x=y": "+49 +49", "sips:u@[2001:db8::1]:5061;t": "u [2001:db8::1]", "sip:a@h:5060?x=y": "a h"} {
		if got := string(userOf([]byte(uri))) + " " + string(hostOf([]byte(uri))); got != want {
			t.Errorf("%s: %q", uri, got)
		}
	}
}
