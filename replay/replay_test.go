package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// A spy is a check that notes what it is asked about, and turns away what a test says.
type spy struct {
	saw    []string
	refuse func(*edge.Exchange) edge.Verdict
}

func (s *spy) Inspect(x *edge.Exchange) *edge.Verdict {
	s.saw = append(s.saw, x.Msg.Method.String())
	if s.refuse != nil {
		return x.Say(s.refuse(x))
	}
	return nil
}

// Watch notes final answers.
func (s *spy) Watch(x *edge.Exchange) *edge.Verdict {
	s.saw = append(s.saw, x.Asked.Method.String()+" answered")
	return nil
}

func (s *spy) charge() judge.Charge {
	return judge.Charge{Name: "spy", Mode: judge.Enforce, Check: s, Reasons: []edge.Reason{"spy.seen"}}
}

// bannedFor is the reason of the only ban of r.
func bannedFor(t *testing.T, r *Report) Ban {
	t.Helper()
	if len(r.Bans) != 1 {
		t.Fatalf("bans: %+v, want one", r.Bans)
	}
	return r.Bans[0]
}

// TestScanner: a scanner without a proof of where it is gets a soft ban at its third message; nothing of it gets through, and a phone does.
func TestScanner(t *testing.T) {
	c := newTape(t)
	c.register(phone, "1001", "right", 1, 200)
	for i := range 10 {
		q := request{method: "OPTIONS", uri: "sip:100@203.0.113.10", id: "scan", cseq: i, fields: "X: y\r\n"}.String()
		q = string(bytes.Replace([]byte(q), []byte("ExamplePhone 4.0"), []byte("friendly-scanner"), 1))
		c.udp(stranger, platform, q)
		c.udp(platform, stranger, reply(q, 200, "platform-tag-9"))
	}
	r := c.run()
	b := bannedFor(t, r)
	if b.Source.String() != "198.51.100.7" || b.Reason != "scanner.agent" || b.Before != 0 || b.At <= 0 {
		t.Errorf("%+v", b)
	}
	if r.Messages != 24 || len(r.Sources) != 2 {
		t.Fatalf("%d messages, sources %+v", r.Messages, r.Sources)
	}
	if s := r.Sources[0]; s.Source != b.Source || s.Messages != 10 || s.Acted != 10 || !reflect.DeepEqual(s.Reasons, []edge.Reason{"scanner.agent"}) {
		t.Errorf("the scanner: %+v", s)
	}
	if s := r.Sources[1]; s.Source.String() != "192.0.2.20" || s.Messages != 2 || s.Acted != 0 {
		t.Errorf("the phone: %+v", s)
	}
}

// TestGuesser: three wrong passwords lock the user for that source; another user behind another address is not touched.
func TestGuesser(t *testing.T) {
	c := newTape(t)
	for i, password := range []string{"1111", "2222", "3333", "4444", "5555"} {
		c.register(stranger, "1001", password, 10*i+1, 401)
	}
	c.register(phone, "1001", "right", 100, 200)
	r := c.run()
	if len(r.Locks) == 0 || r.Locks[0].User != "1001@example.com" || r.Locks[0].Source != "198.51.100.7" || r.Locks[0].Reason != "auth.lockout" {
		t.Fatalf("locks: %+v", r.Locks)
	}
	if s := r.Sources[0]; s.Source.String() != "198.51.100.7" || s.Acted != 4 || s.Messages != 10 {
		t.Errorf("the guesser: %+v, want 4 stopped: what came after the lock", s)
	}
	if s := r.Sources[1]; s.Acted != 0 {
		t.Errorf("the phone: %+v", s)
	}
}

// TestMatch walks through registrations and calls and looks what each message is found to be.
func TestMatch(t *testing.T) {
	p, err := newPlayer(Config{Inside: inside, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	p.wire = &wire{first: start}
	at := start
	send := func(src, dst netip.AddrPort, text string) *edge.Exchange {
		at = at.Add(10 * time.Millisecond)
		p.x = edge.Exchange{}
		p.message(&message{at: at, src: src, dst: dst, b: []byte(text)})
		return &p.x
	}
	want := func(what string, x *edge.Exchange, m edge.Match, trust edge.Trust) {
		t.Helper()
		if x.Match != m || x.Trust != trust {
			t.Errorf("%s: match %d trust %d, want %d, %d", what, x.Match, x.Trust, m, trust)
		}
	}
	out := func(q request) *edge.Exchange { return send(phone, platform, q.String()) }
	in := func(q request, status int, tag string, fields ...string) *edge.Exchange {
		return send(platform, phone, reply(q.String(), status, tag, fields...))
	}

	register := request{method: "REGISTER", cseq: 1}
	want("REGISTER", out(register), edge.MatchNew, edge.Unknown)
	want("the same", out(register), edge.MatchRetransmission, edge.Unknown)
	want("200", in(register, 200, "platform-tag", "Contact: <sip:1001@192.168.1.20:5062>;expires=60"), edge.MatchReply, edge.Unknown)

	invite := request{method: "INVITE", uri: "sip:2@example.com", id: "one", cseq: 1}
	want("INVITE of a registered phone", out(invite), edge.MatchNew, edge.Known)
	cancel := invite
	cancel.method = "CANCEL"
	want("CANCEL", out(cancel), edge.MatchCancel, edge.Unknown)
	in(cancel, 200, "platform-tag")
	in(invite, 487, "platform-tag")
	bye := invite
	bye.method, bye.toTag = "ACK", "platform-tag"
	want("ACK of 487", out(bye), edge.MatchACK, edge.Unknown)

	invite.id, invite.cseq = "two", 1
	want("another INVITE", out(invite), edge.MatchNew, edge.Known)
	in(invite, 183, "platform-tag")
	prack := request{method: "PRACK", uri: "sip:2@example.com", id: "two", toTag: "platform-tag", cseq: 2}
	want("PRACK in an early dialog", out(prack), edge.MatchInDialog, edge.Known)
	in(invite, 200, "platform-tag")
	bye = request{method: "ACK", uri: "sip:2@example.com", id: "two", toTag: "platform-tag", cseq: 1}
	want("ACK of 200 with the branch of the INVITE", out(bye), edge.MatchInDialog, edge.Known)
	bye = request{method: "BYE", uri: "sip:2@example.com", id: "two", toTag: "platform-tag", cseq: 3}
	want("BYE", out(bye), edge.MatchInDialog, edge.Known)
	bye.toTag, bye.cseq = "another-tag", 4
	want("BYE of nothing", out(bye), edge.MatchNew, edge.Known)

	call := request{method: "INVITE", uri: "sip:1001@192.168.1.20", id: "three", user: "platform", cseq: 1}
	send(platform, phone, call.String())
	send(phone, platform, reply(call.String(), 200, "phone-tag"))
	back := request{method: "BYE", uri: "sip:2@example.com", id: "three", tag: "phone-tag", toTag: "f-three", cseq: 7}
	want("BYE in a call of the platform", out(back), edge.MatchInDialog, edge.Known)

	old := request{method: "REGISTER", id: "old", cseq: 1, branch: "1"} // RFC 2543
	out(old)
	want("RFC 2543", in(old, 401, "platform-tag"), edge.MatchReply, edge.Unknown)
	at = at.Add(2 * time.Minute)
	register.cseq = 50
	want("after its registration", out(register), edge.MatchNew, edge.Unknown)
}

// TestWhatFollows: what a capture shows to follow from a request that the edge would have stopped is neither judged nor let through.
func TestWhatFollows(t *testing.T) {
	c := newTape(t)
	invite := request{method: "INVITE", uri: "sip:2@example.com", cseq: 1}
	c.udp(stranger, platform, invite.String())
	c.udp(platform, stranger, reply(invite.String(), 200, "platform-tag"))
	next := invite
	next.toTag, next.branch = "platform-tag", "z9hG4bK-other"
	for _, method := range []string{"ACK", "BYE"} {
		next.method, next.cseq = method, next.cseq+1
		c.udp(stranger, platform, next.String())
	}
	c.udp(platform, stranger, reply(next.String(), 200, ""))
	s := &spy{refuse: func(*edge.Exchange) edge.Verdict {
		return edge.Verdict{Action: edge.Reply, Reason: "spy.seen", Status: 503}
	}}
	r := c.run(s.charge())
	if !reflect.DeepEqual(s.saw, []string{"INVITE"}) {
		t.Errorf("judged: %v", s.saw)
	}
	if r.Sources[0].Acted != 3 || r.Sources[0].Messages != 3 {
		t.Errorf("%+v", r.Sources)
	}
}

// TestAnswersAreWatchedOnce: of a request the first final answer counts, and of requests that were sent again too.
func TestAnswersAreWatchedOnce(t *testing.T) {
	c := newTape(t)
	q := request{method: "REGISTER", cseq: 1}.String()
	for range 2 {
		c.udp(stranger, platform, q)
	}
	for _, status := range []int{100, 401, 401} {
		c.udp(platform, stranger, reply(q, status, "platform-tag"))
	}
	c.udp(platform, stranger, reply(request{method: "REGISTER", cseq: 2}.String(), 200, "x")) // to nothing
	s := &spy{}
	c.run(s.charge())
	if !reflect.DeepEqual(s.saw, []string{"REGISTER", "REGISTER answered"}) {
		t.Errorf("%v", s.saw)
	}
}

// TestPeersAndModes: who is a peer is not judged, and where the mode is monitor, of all or of the check, nothing comes of verdicts; the report says what
// would have.
func TestPeersAndModes(t *testing.T) {
	c := newTape(t)
	for i := range 5 {
		q := request{method: "INVITE", uri: "sip:2@example.com", id: string(rune('a' + i)), cseq: 1}.String()
		c.udp(stranger, platform, q)
	}
	no := func(*edge.Exchange) edge.Verdict {
		return edge.Verdict{Action: edge.Drop, Reason: "spy.seen", Score: 10}
	}
	for name, one := range map[string]struct {
		change      func(*Config)
		judged      int
		acted, bans int
		would       int
	}{
		"stranger": {func(*Config) {}, 3, 5, 1, 0},
		"peer":     {func(c *Config) { c.Peer = func(edge.Flow) bool { return true } }, 0, 0, 0, 0},
		"monitor":  {func(c *Config) { c.Monitor = true }, 5, 0, 0, 1},
		"watches":  {func(c *Config) { c.Checks[0].Mode = judge.Monitor }, 5, 0, 0, 1},
	} {
		s := &spy{refuse: no}
		cfg := Config{Inside: inside, Key: testKey, Checks: []judge.Charge{s.charge()}}
		one.change(&cfg)
		r, err := Run(bytes.NewReader(c.bytes()), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.saw) != one.judged || r.Sources[0].Acted != uint64(one.acted) || len(r.Bans) != one.bans || len(r.WouldBan) != one.would {
			t.Errorf("%s: judged %d, %+v, bans %v, would be %v", name, len(s.saw), r.Sources, r.Bans, r.WouldBan)
		}
	}
}

// TestBefore: how many messages of a source the platform got before its ban are those of all its ports.
func TestBefore(t *testing.T) {
	c, n := newTape(t), 0
	ask := func(port uint16) {
		n++
		c.udp(netip.AddrPortFrom(stranger.Addr(), port), platform, request{method: "INVITE", uri: "sip:2@example.com", id: fmt.Sprint(n), cseq: 1}.String())
	}
	for i := range 7 {
		ask(uint16(5000 + i))
	}
	last := func(x *edge.Exchange) edge.Verdict {
		if x.From.Remote.Port() < 6000 {
			return edge.Verdict{}
		}
		return edge.Verdict{Action: edge.Drop, Reason: "spy.seen", Score: 10}
	}
	for range 4 {
		ask(6000)
	}
	if b := bannedFor(t, c.run((&spy{refuse: last}).charge())); b.Before != 7 {
		t.Errorf("%+v", b)
	}
}

// TestNetworkBan: where the neighbours of a network are banned one by one, the ban of the network is in the report, too, and who is stopped by it counts as banned.
func TestNetworkBan(t *testing.T) {
	var s scene
	first := caller{at: netip.MustParseAddrPort("198.51.100.20:5060"), agent: "friendly-scanner", stream: true}
	for i := range 9 {
		at := time.Duration(i) * time.Second
		if i == 8 {
			first.agent = "" // who is a good neighbour suffers with them
		}
		s.ask(at, first.neighbour(i), request{method: "INVITE", uri: "sip:1@example.com"}, 404)
	}
	r := s.run(t, allChecks())
	if len(r.Bans) != 9 || r.Bans[8].Source.String() != "198.51.100.0/24" || r.Bans[8].Reason != ban.ReasonNeighbours || r.Bans[8].At != r.Bans[7].At || r.Bans[8].Before != 0 {
		t.Errorf("bans %+v", r.Bans)
	}
	r.Score([]Label{{Kind: "attack", Class: "scan", Attackers: []edge.Source{{Prefix: netip.MustParsePrefix("198.51.100.16/29")}, {Prefix: netip.MustParsePrefix("198.51.100.24/30")}}}})
	if got := r.Labels[0].Innocent; len(got) != 1 || got[0] != "198.51.100.28" {
		t.Errorf("innocents hit: %v", got)
	}
}

// TestNetworkWouldBeBanned: the same where checks only watch: the network is foretold with the last of its neighbours.
func TestNetworkWouldBeBanned(t *testing.T) {
	var s scene
	first := caller{at: netip.MustParseAddrPort("198.51.100.20:5060"), agent: "friendly-scanner", stream: true}
	for i := range 9 {
		s.ask(time.Duration(i)*time.Second, first.neighbour(i), request{method: "INVITE", uri: "sip:1@example.com"}, 404)
	}
	checks := allChecks()
	for i := range checks {
		checks[i].Mode = judge.Monitor
	}
	r := s.run(t, checks)
	if len(r.Bans) != 0 || len(r.WouldBan) != 10 || r.WouldBan[8].Source.String() != "198.51.100.0/24" || r.WouldBan[8].Reason != ban.ReasonNeighbours || r.WouldBan[8].At != r.WouldBan[7].At {
		t.Errorf("bans %v, would be %+v", r.Bans, r.WouldBan)
	}
}

// TestWouldLock: where lockout only watches, the report says whom it would have locked, and that nobody was.
func TestWouldLock(t *testing.T) {
	var s scene
	for i := range 4 {
		s.login(time.Duration(i)*time.Second, caller{at: stranger}, request{method: "REGISTER", uri: "sip:example.com", user: "100"}, fmt.Sprint("guess", i), 401, 401)
	}
	checks := allChecks()
	for i := range checks {
		checks[i].Mode = judge.Monitor
	}
	r := s.run(t, checks)
	if len(r.Locks) != 0 || len(r.WouldLock) != 1 || r.WouldLock[0].Source != stranger.Addr().String() || r.WouldLock[0].Reason != "auth.lockout" || r.Sources[0].Acted != 0 {
		t.Errorf("locks %v, would be %v, %+v", r.Locks, r.WouldLock, r.Sources)
	}
}

// TestUnreadable: what is no SIP is stopped where SIP is spoken, and is nobody's business elsewhere.
func TestUnreadable(t *testing.T) {
	c := newTape(t)
	for _, text := range []string{"\r\n\r\n", "\x00\x00\x00\x00", "jaK"} {
		c.udp(stranger, platform, text)
	}
	media := netip.AddrPortFrom(platform.Addr(), 30_000)
	c.udp(stranger, media, "\x80\x00 RTP packet of a call")
	c.udp(stranger, media, "INVITE sip:1@example.com SIP/2.0\r\n\r\n")
	bad := "INVITE sip:1@203.0.113.10 SIP/2.0\r\nCSeq: 1 BYE\r\n\r\n"
	c.udp(stranger, platform, bad)
	c.udp(stranger, media, request{method: "OPTIONS", cseq: 1}.String()) // from now on SIP is spoken there
	c.udp(stranger, media, bad)
	r := c.run((&spy{}).charge())
	if r.Messages != 4 || r.Sources[0].Acted != 2 { // jaK, which no check minds, and the OPTIONS got through
		t.Errorf("%d messages, %+v", r.Messages, r.Sources)
	}
}

// TestJSON: the names that others rely on, and no null where a list is empty.
func TestJSON(t *testing.T) {
	c := newTape(t)
	c.udp(stranger, platform, "\r\n")
	b, err := json.Marshal(c.run())
	if err != nil || string(b) != `{"messages":0,"duration_s":0,"bans":[],"locks":[],"sources":[]}` {
		t.Errorf("%s, %v", b, err)
	}
	v6 := netip.MustParseAddrPort("[2001:db8::7]:5060")
	b, err = json.Marshal(&Report{Bans: []Ban{{edge.PortOf(v6), "flood.rate", 1.5, 3}}, Locks: []Lock{{"u", "*", "auth.user", 2}}, Sources: []Source{{edge.SourceOf(v6.Addr()), 4, 1, nil}}})
	want := `{"messages":0,"duration_s":0,"bans":[{"source":"[2001:db8::7]:5060","reason":"flood.rate","at_s":1.5,"messages_before":3}],` +
		`"locks":[{"user":"u","source":"*","reason":"auth.user","at_s":2}],"sources":[{"source":"2001:db8::/64","messages":4,"acted":1,"reasons":null}]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

// TestBounds: forged flows beyond what is counted are counted together, and nobody is taken for another.
func TestBounds(t *testing.T) {
	var c crowd
	c.init()
	c.most = 100
	for i := range 1000 {
		c.flow(netip.AddrPortFrom(phone.Addr(), uint16(i+1))).count(0)
	}
	if len(c.flows) != 100 || c.others.messages != 900 {
		t.Errorf("%d flows, %d of others", len(c.flows), c.others.messages)
	}
	c.bind(c.others, start.Add(time.Hour))
	if c.known(edge.Flow{Remote: netip.AddrPortFrom(phone.Addr(), 999)}, start) {
		t.Error("one of many is known for all")
	}
	r := newRing[int](3)
	for key := range uint64(10) {
		*r.enter(key) = int(key)
	}
	if r.n != 3 || len(r.index) != 3 || r.find(6) != nil || *r.find(9) != 9 || *r.enter(8) != 8 {
		t.Errorf("%+v", r)
	}
}

// TestSameAgain: the same capture gives the same report.
func TestSameAgain(t *testing.T) {
	file := everyday(t, 50)
	var first []byte
	for range 2 {
		r, err := Run(bytes.NewReader(file), Config{Inside: inside, Checks: allChecks(), Key: testKey})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("%s\n%s", first, b)
		}
		for _, s := range r.Sources {
			if s.Acted > 0 {
				t.Errorf("an ordinary phone: %+v", s)
			}
		}
	}
}

// TestValidate: without a platform there is nothing to judge.
func TestValidate(t *testing.T) {
	for _, cfg := range []Config{{}, {Inside: make([]netip.Prefix, 1)}} {
		if _, err := Run(bytes.NewReader(nil), cfg); err == nil {
			t.Errorf("%+v is fine", cfg)
		}
	}
}
