package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	checks "github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// newJudged is a bench with every check at work.
func newJudged(t testing.TB, mode judge.Mode, change func(*Config)) *bench {
	key := meter.NewKey([16]byte{7})
	var list []judge.Charge
	for _, r := range checks.List() {
		list = append(list, judge.Charge{Name: r.Name, Mode: mode, Check: r.New(checks.Config{}, key), Reasons: r.Reasons})
	}
	j, err := judge.New(judge.Config{}, key, list)
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, func(c *Config) {
		c.Judge = j
		if change != nil {
			change(c)
		}
	})
}

// register is a REGISTER of a phone, with an answer to the challenge if there is one.
func register(user string, n int, answer string) []byte {
	fields := []string{"Contact: <sip:" + user + "@192.168.1.20>", "User-Agent: ExamplePhone 4.0"}
	if answer != "" {
		fields = append(fields, answer)
	}
	b := strings.ReplaceAll(string(with("REGISTER", n, fields...)), "sip:echo@", "sip:"+user+"@")
	return []byte(b)
}

// logsIn goes through a registration that the platform ends with status, and returns what the phone got last.
func (b *bench) logsIn(user string, n int, status string) string {
	b.t.Helper()
	b.now = b.now.Add(10 * time.Millisecond)
	b.send(b.outside, register(user, n, ""))
	first := b.got(b.platform)
	if first == "" {
		return b.got(b.caller)
	}
	nonce := fmt.Sprintf("%024d", n)
	b.send(b.inside, []byte(strings.Replace(string(replyTo(first, "401 Unauthorized")), "Content-Length", `WWW-Authenticate: Digest realm="r", nonce="`+nonce+`"`+"\r\nContent-Length", 1)))
	b.expect(b.caller, "SIP/2.0 401")
	b.send(b.outside, register(user, n+1, fmt.Sprintf(`Authorization: Digest username="%s", realm="r", nonce="%s", uri="sip:example.com", response="%032x"`, user, nonce, n)))
	second := b.got(b.platform)
	if second == "" {
		return b.got(b.caller)
	}
	b.send(b.inside, replyTo(second, status))
	return b.got(b.caller)
}

// TestLockout (T10): three wrong passwords; then one 503 "Try later" with Retry-After, then silence; nobody is banned for it, and others get in.
func TestLockout(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	for i := range 3 {
		if got := b.logsIn("100", 10*i, "401 Unauthorized"); !strings.HasPrefix(got, "SIP/2.0 401") {
			t.Fatalf("wrong password %d: %q", i+1, got)
		}
	}
	if got := b.logsIn("100", 100, "200 OK"); !strings.HasPrefix(got, "SIP/2.0 503 Try later") || !strings.Contains(got, "Retry-After: 18") {
		t.Errorf("after three: %q", got)
	}
	if got := b.logsIn("100", 110, "200 OK"); got != "" {
		t.Errorf("after that: %q", got)
	}
	if got := b.logsIn("200", 120, "200 OK"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("another user: %q", got)
	}
	if bans := b.bans.Bans(b.now); len(bans) > 0 {
		t.Errorf("banned: %v", bans)
	}
	b.now = b.now.Add(31 * time.Minute)
	if got := b.logsIn("100", 130, "200 OK"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("half an hour later: %q", got)
	}
}

// TestNumbersBehindTokens: a hidden platform hands on where phones redirect calls to, as tokens. Who dials those is known by the numbers that they stand for: with a
// phone of his own, which redirects each call to another one, nobody tries prefixes unseen.
func TestNumbersBehindTokens(t *testing.T) {
	b := newJudged(t, judge.Enforce, func(c *Config) {
		c.Hide, c.Guard = true, GuardLog
		c.Topology = topo.Config{CallID: true, Domain: "example.com"}
	})
	through := 0
	for i := range 8 {
		b.now = b.now.Add(20 * time.Second)
		b.send(b.outside, newRequest("INVITE", 10*i+1))
		contact := fmt.Sprintf("Contact: <sip:%d0046500729221@%s>\r\n", 900+i, b.inside.Remote)
		first := b.got(b.platform)
		if first == "" {
			break
		}
		b.send(b.inside, answerOf(first, "302 Moved Temporarily", contact))
		uri := target(field(t, b.expect(b.caller, "SIP/2.0 302"), "Contact"))
		b.expect(b.platform, "ACK")
		if strings.Contains(uri, "46500729221") {
			t.Fatalf("no token: %s", uri)
		}
		b.send(b.outside, asking("INVITE", uri, 10*i+2))
		invite := b.got(b.platform)
		if invite == "" {
			break
		}
		if !strings.Contains(invite, "46500729221@") {
			t.Fatalf("the platform gets\n%s", invite)
		}
		through++
		b.send(b.inside, replyTo(invite, "404 Not Found"))
		b.expect(b.caller, "SIP/2.0 404")
		b.expect(b.platform, "ACK")
	}
	if through != 5 {
		t.Errorf("%d prefixes get through", through)
	}
	if all := strings.Join(b.reasons(), " "); !strings.Contains(all, "dialprefix.source") {
		t.Errorf("reasons: %s", all)
	}
}

// TestGuesserIsBanned (B6): who answers challenges at full speed is banned hard within a second, before 40 of its messages got through.
func TestGuesserIsBanned(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	began, through := b.now, 0
	for i := range 50 {
		if len(b.bans.Bans(b.now)) > 0 {
			break
		}
		b.tries(b.outside, "100", 10*i, "401 Unauthorized")
		through += 2
	}
	bans := b.bans.Bans(b.now)
	if len(bans) != 1 || bans[0].Source.String() != "127.0.0.1" && bans[0].Source.String() != b.outside.Remote.String() {
		t.Fatalf("%v after %d", bans, through)
	}
	if took := b.now.Sub(began); took > time.Second || through > 40 {
		t.Errorf("banned after %v and %d messages", took, through)
	}
}

// tries goes through a registration from a flow that goes on without waiting for answers, and reports whether the platform was asked with
// the password; it answers with status.
func (b *bench) tries(from edge.Flow, user string, n int, status string) bool {
	b.now = b.now.Add(5 * time.Millisecond)
	nonce := fmt.Sprintf("%024d", n)
	b.send(from, register(user, n, ""))
	if first := b.got(b.platform); first != "" {
		b.send(b.inside, []byte(strings.Replace(string(replyTo(first, "401 Unauthorized")), "Content-Length", `WWW-Authenticate: Digest realm="r", nonce="`+nonce+`"`+"\r\nContent-Length", 1)))
	}
	b.send(from, register(user, n+1, fmt.Sprintf(`Authorization: Digest username="%s", realm="r", nonce="%s", uri="sip:example.com", response="%032x"`, user, nonce, n)))
	second := b.got(b.platform)
	if second != "" {
		b.send(b.inside, replyTo(second, status))
	}
	if from == b.outside {
		b.drained()
	}
	return second != ""
}

// TestGuesserInAnOffice (B8): phones that boot together behind one address all register, nobody knows the site; one of the flows guesses passwords and is
// banned alone.
func TestGuesserInAnOffice(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	flow := func(port int) edge.Flow {
		f := b.outside
		f.Remote = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.77"), uint16(port))
		return f
	}
	for i := range 200 {
		if !b.tries(flow(20_000+i), fmt.Sprint(1000+i), 10*i, "200 OK") {
			t.Fatalf("phone %d of a booting office is turned away", i)
		}
	}
	for i := range 20 {
		b.tries(flow(666), "1005", 100_000+10*i, "401 Unauthorized")
	}
	bans := b.bans.Bans(b.now)
	if len(bans) != 1 || bans[0].Source.String() != "127.0.0.77:666" || !bans[0].Hard {
		t.Fatalf("banned: %v", bans)
	}
	for i := range 200 {
		if !b.tries(flow(20_000+i), fmt.Sprint(1000+i), 200_000+10*i, "200 OK") {
			t.Fatalf("phone %d does not get in any more", i)
		}
	}
}

// scannerSays is a request with a scanner's User-Agent.
func scannerSays(n int) []byte { return with("OPTIONS", n, "User-Agent: friendly-scanner") }

// TestForgedPackets (F5, B1, B4): packets of a scanner in the name of others: one bans nobody at all, any number bans no customer and no peer.
func TestForgedPackets(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	stranger := b.outside
	stranger.Remote = netip.MustParseAddrPort("198.51.100.77:5060")
	b.send(stranger, scannerSays(1))
	if bans := b.bans.Bans(b.now); len(bans) > 0 {
		t.Fatalf("one forged packet: %v", bans)
	}
	b.logsIn("100", 10, "200 OK")
	victim := b.outside
	for i := range 10_000 {
		b.now = b.now.Add(100 * time.Microsecond)
		victim.Remote = netip.AddrPortFrom(b.outside.Remote.Addr(), uint16(1024+i%60_000))
		b.send(victim, scannerSays(100+i))
	}
	b.send(b.outside, scannerSays(20_000)) // his port, too
	if bans := b.bans.Bans(b.now); len(bans) > 0 {
		t.Errorf("a customer in whose name packets are forged: %v", bans)
	}
	told := 0
	for e, ok := b.p.ring.Next(); ok; e, ok = b.p.ring.Next() {
		if e.Reason == judge.ReasonSpoof && strings.HasPrefix(e.Message, "spoof suspected: attacks in the name of 127.0.0.1, where users are known") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the operator is told %d times", told)
	}
	if got := b.logsIn("100", 30_000, "200 OK"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("he gets %q", got)
	}
}

// TestMonitorJudges: in either monitor mode all gets through, each message is told with what would become of it, and the ban that there would be once.
func TestMonitorJudges(t *testing.T) {
	for name, b := range map[string]*bench{
		"checks": newJudged(t, judge.Monitor, nil),
		"mode":   newJudged(t, judge.Monitor, func(c *Config) { c.Monitor = true }),
	} {
		for i := range 5 {
			b.send(b.outside, with("INVITE", i, "User-Agent: friendly-scanner"))
			if got := b.got(b.platform); !strings.HasPrefix(got, "INVITE") {
				t.Errorf("%s: message %d: %q", name, i, got)
			}
		}
		if bans := b.bans.Bans(b.now); len(bans) > 0 {
			t.Errorf("%s: %v", name, bans)
		}
		told := b.told()
		if dropped := told["noted scanner.agent would be dropped"]; dropped != 5 {
			t.Errorf("%s: told %v", name, told)
		}
		if told["would_ban scanner.agent would ban, for new requests only, 127.0.0.1"] != 1 {
			t.Errorf("%s: told %v", name, told)
		}
	}
}

// TestMonitorLocks: lockout that only watches says when it would lock a user, and what his next tries would get.
func TestMonitorLocks(t *testing.T) {
	b := newJudged(t, judge.Monitor, nil)
	for i := range 5 {
		b.logsIn("100", 10*i, "401 Unauthorized")
	}
	told := b.told()
	if told["noted auth.lockout would lock the user for this source"] != 1 || told["noted auth.lockout would be answered"] != 1 ||
		told["noted auth.lockout would be dropped"] != 3 {
		t.Errorf("told %v", told)
	}
}

// TestMonitorSpares: of who is never banned no ban is foretold, but why there is none.
func TestMonitorSpares(t *testing.T) {
	b := newJudged(t, judge.Monitor, nil)
	if _, err := b.bans.Allow(edge.SourceOf(b.outside.Remote.Addr()), "", b.now); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		b.send(b.outside, with("INVITE", i, "User-Agent: friendly-scanner"))
	}
	if told := b.told(); told["noted ban.never 127.0.0.1 is never banned: it is on the allow list"] != 1 {
		t.Errorf("told %v", told)
	}
}

// told counts events by what they say.
func (b *bench) told() map[string]int {
	all := map[string]int{}
	for e, ok := b.p.ring.Next(); ok; e, ok = b.p.ring.Next() {
		all[fmt.Sprintf("%s %s %s", e.Name, e.Reason, e.Message)]++
	}
	return all
}

// TestPeersAreNotJudged (B4).
func TestPeersAreNotJudged(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	x := edge.Exchange{Msg: &b.l.msg, From: b.inside, At: b.now, Trust: edge.Peer}
	if err := b.l.msg.Parse(scannerSays(1), true); err != nil {
		t.Fatal(err)
	}
	b.l.cfg = b.p.cfg.Load()
	if v := b.l.hear(&x); v != (edge.Verdict{}) {
		t.Errorf("%+v", v)
	}
}

// TestProtectedUser (brute-aor): whose password is tried from eight places gets in where the platform accepted him, and from other addresses of that network; from
// elsewhere who begins to register is asked first who he is, and one password in five minutes is let through.
func TestProtectedUser(t *testing.T) {
	b := newWary(t)
	at := func(text string) edge.Flow {
		f := b.outside
		f.Remote = netip.MustParseAddrPort(text)
		return f
	}
	if got := b.logsIn("100", 0, "200 OK"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Fatalf("at home: %q", got)
	}
	n := 100
	guess := func(from edge.Flow) bool {
		n += 10
		return b.tries(from, "100", n, "401 Unauthorized")
	}
	for i := range 8 {
		if !guess(at(fmt.Sprintf("127.7.%d.1:5060", i))) {
			t.Fatalf("guess %d does not get through", i)
		}
	}
	if guess(at("127.8.1.1:5060")) {
		t.Error("a ninth does")
	}
	elsewhere := b.outside
	elsewhere.Remote = netip.AddrPortFrom(netip.MustParseAddr("127.8.1.2"), 5060)
	b.send(elsewhere, register("100", 1, ""))
	b.silence(b.platform)
	if told := b.told(); told["refused userguard.sources "] == 0 {
		t.Errorf("told %v", told)
	}
	answer := credentials("100", "000000000000000000000000", "x")
	b.send(at("127.0.0.200:5060"), register("100", 2, answer)) // the network of home
	b.expect(b.platform, "REGISTER")
	b.send(at("127.8.1.3:5060"), register("100", 3, answer))
	b.silence(b.platform)
}

// TestSlowProber: who tries a method that nobody knows each minute is greylisted after some ten, and never banned for that alone; a phone behind the same address that
// answers is let in.
func TestSlowProber(t *testing.T) {
	for _, over := range []edge.Transport{edge.UDP, edge.TCP} {
		b := newJudged(t, judge.Enforce, func(c *Config) {
			c.Challenge, c.Unknown = judge.Enforce, MethodSet(sip.REGISTER, sip.INVITE)
		})
		prober := b.outside
		prober.Transport = over
		for n := range 60 {
			b.send(prober, newRequest("FOO", n))
			if n == 3 {
				b.send(b.outside, register("100", 100, ""))
				b.expect(b.platform, "REGISTER")
			}
			b.now = b.now.Add(time.Minute)
		}
		b.drained()
		if bans := b.bans.Bans(b.now); len(bans) > 0 {
			t.Errorf("%v: banned: %v", over, bans)
		}
		b.send(b.outside, register("200", 200, ""))
		b.send(b.outside, replyTo(b.expect(b.caller, "OPTIONS "), "200 OK"))
		b.silence(b.platform)
		b.send(b.outside, register("200", 200, ""))
		b.expect(b.platform, "REGISTER")
	}
}
