package proxy

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// A grudge is a check that holds two points against every MESSAGE.
type grudge struct{}

func (grudge) Inspect(x *edge.Exchange) *edge.Verdict {
	if x.Msg.Method != sip.MESSAGE {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Note, Reason: "test.grudge", Score: 2})
}

// newDoubting is a bench with a grudge that challenges whom it doubts.
func newDoubting(t testing.TB, change func(*Config)) *bench {
	j, err := judge.New(judge.Config{}, meter.NewKey([16]byte{7}), []judge.Charge{{Name: "grudge", Mode: judge.Enforce, Check: grudge{}, Reasons: []edge.Reason{"test.grudge"}}})
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, func(c *Config) {
		c.Judge, c.Challenge, c.Realm = j, judge.Enforce, "example.com"
		if change != nil {
			change(c)
		}
	})
}

// newWary is a bench with every check at work that challenges whom it doubts.
func newWary(t testing.TB) *bench {
	return newJudged(t, judge.Enforce, func(c *Config) { c.Challenge = judge.Enforce })
}

// with401 is a response with the platform's challenge.
func with401(msg, nonce string) []byte {
	return []byte(strings.Replace(string(replyTo(msg, "401 Unauthorized")), "Content-Length", `WWW-Authenticate: Digest realm="example.com", nonce="`+nonce+
		`", algorithm=MD5`+"\r\nContent-Length", 1))
}

// nonceOf is the nonce of the challenge in a response.
func nonceOf(t testing.TB, msg string) string {
	t.Helper()
	m := regexp.MustCompile(`nonce="([^"]*)"`).FindStringSubmatch(msg)
	if m == nil {
		t.Fatalf("no nonce in %q", msg)
	}
	return m[1]
}

// credentials answer a challenge; response stands for the password.
func credentials(user, nonce, response string) string {
	return fmt.Sprintf(`Authorization: Digest username="%s", realm="example.com", nonce="%s", uri="sip:example.com", response="%s"`, user, nonce, response)
}

// suspects gives the source of b 8 points, without proof.
func (b *bench) suspects() {
	for i := range 4 { // the third is the first to count, and brings what the others said
		b.send(b.outside, newRequest("MESSAGE", 90_000+i))
	}
	for b.got(b.platform) != "" {
	}
	b.drained()
}

// TestGreylisted: a greylisted source gets our challenge, and nothing of it the platform. Who answers it goes on without the credentials for it; the
// platform's challenge then says stale=true, and from there on all is as ever.
func TestGreylisted(t *testing.T) {
	b := newDoubting(t, nil)
	b.suspects()
	first := b.insists(register("100", 1, ""))
	b.silence(b.platform)
	if !strings.Contains(first, `WWW-Authenticate: Digest realm="example.com", nonce="`) || strings.Contains(first, "stale") {
		t.Errorf("%s", first)
	}
	b.send(b.outside, register("100", 2, credentials("100", nonceOf(t, first), "abc")))
	asked := b.expect(b.platform, "REGISTER")
	if strings.Contains(asked, "Authorization") {
		t.Errorf("the platform gets credentials that are not for it:\n%s", asked)
	}
	b.send(b.inside, with401(asked, "0123456789abcdef01234567"))
	second := b.expect(b.caller, "SIP/2.0 401")
	if !strings.Contains(second, `nonce="0123456789abcdef01234567", algorithm=MD5, stale=true`+"\r\n") {
		t.Errorf("the platform's challenge comes as\n%s", second)
	}
	b.send(b.outside, register("100", 3, credentials("100", "0123456789abcdef01234567", "def")))
	asked = b.expect(b.platform, "REGISTER")
	if !strings.Contains(asked, `response="def"`) {
		t.Errorf("credentials for the platform are changed:\n%s", asked)
	}
	b.send(b.inside, replyTo(asked, "200 OK"))
	b.expect(b.caller, "SIP/2.0 200")
	b.send(b.outside, register("100", 4, "")) // known good
	b.expect(b.platform, "REGISTER")
	if _, locks := b.wrong("100"); locks != 0 {
		t.Errorf("%d wrong passwords were counted", locks)
	}
}

// wrong is how many wrong passwords of user are held against the source of b.
func (b *bench) wrong(user string) (known, wrong int) {
	x := edge.Exchange{Msg: &b.l.msg, From: b.outside, At: b.now}
	if err := b.l.msg.Parse(register(user, 99_999, ""), true); err != nil {
		b.t.Fatal(err)
	}
	b.p.cfg.Load().Judge.Read(&x)
	return x.Asked.Known, x.Asked.Wrong
}

// insists sends a request twice, since an OPTIONS comes for the first, and returns the challenge that comes for the second.
func (b *bench) insists(msg []byte) string {
	b.t.Helper()
	b.send(b.outside, msg)
	if knock := b.expect(b.caller, "OPTIONS sip:"+b.outside.Remote.String()+" SIP/2.0\r\n"); 10*len(knock) > 13*len(msg) {
		b.t.Errorf("%d bytes for %d:\n%s", len(knock), len(msg), knock)
	}
	b.send(b.outside, msg)
	return b.expect(b.caller, "SIP/2.0 401 Unauthorized\r\n")
}

// A doubter is a check that wants everybody to prove himself who registers.
type doubter struct{}

func (doubter) Inspect(x *edge.Exchange) *edge.Verdict {
	if x.Msg.Method != sip.REGISTER {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Challenge, Reason: "test.doubt"})
}

// TestDoubted: whom a check doubts is asked as a greylisted one is, and no other.
func TestDoubted(t *testing.T) {
	for mode, asks := range map[judge.Mode]bool{judge.Enforce: true, judge.Monitor: false, judge.Off: false} {
		j, err := judge.New(judge.Config{}, meter.NewKey([16]byte{7}), []judge.Charge{{Name: "doubter", Mode: judge.Enforce, Check: doubter{}, Reasons: []edge.Reason{"test.doubt"}}})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config) { c.Judge, c.Challenge, c.Realm = j, mode, "example.com" })
		if !asks {
			b.send(b.outside, register("100", 1, ""))
			b.expect(b.platform, "REGISTER")
			continue
		}
		first := b.insists(register("100", 1, ""))
		b.silence(b.platform)
		b.send(b.outside, register("100", 2, credentials("100", nonceOf(t, first), "abc")))
		b.expect(b.platform, "REGISTER")
		stream := b.outside
		stream.Transport = edge.TCP
		b.send(stream, register("100", 3, ""))
		b.silence(b.platform)
	}
}

// TestKnock: a phone that answers the OPTIONS goes on with its request, which says nothing of who wrote it; nobody else answers for it, nor it for others.
func TestKnock(t *testing.T) {
	b := newDoubting(t, nil)
	b.suspects()
	msg := register("100", 1, "")
	b.send(b.outside, msg)
	knock := b.expect(b.caller, "OPTIONS ")
	other := b.outside
	other.Remote = netip.AddrPortFrom(other.Remote.Addr(), other.Remote.Port()+1)
	b.send(other, replyTo(knock, "200 OK"))
	b.send(b.outside, msg)
	b.expect(b.caller, "SIP/2.0 401")
	b.send(b.outside, replyTo(knock, "404 Not Found"))
	if b.l.proven(&edge.Exchange{From: b.outside, At: b.now}) {
		t.Error("an answer to OPTIONS proves who wrote the request")
	}
	b.send(b.outside, msg)
	asked := b.expect(b.platform, "REGISTER")
	b.send(b.inside, with401(asked, "0123456789abcdef01234567"))
	if got := b.expect(b.caller, "SIP/2.0 401"); strings.Contains(got, "stale") {
		t.Errorf("%s", got)
	}
	b.send(b.outside, register("100", 2, "")) // another Call-ID
	b.expect(b.caller, "OPTIONS ")
}

// TestNotChallenged: who is known, what belongs to something, and who is not greylisted is never challenged.
func TestNotChallenged(t *testing.T) {
	b := newDoubting(t, nil)
	b.send(b.outside, register("100", 1, ""))
	b.expect(b.platform, "REGISTER")
	b.suspects()
	b.bind("alice") // a registered phone
	b.send(b.outside, newRequest("INVITE", 2))
	invite := b.expect(b.platform, "INVITE")
	b.send(b.outside, newRequest("INVITE", 2))
	b.send(b.outside, newRequest("CANCEL", 2))
	b.expect(b.caller, "SIP/2.0 200")
	b.send(b.inside, replyTo(invite, "200 OK"))
	b.expect(b.caller, "SIP/2.0 200")
	peer := newDoubting(t, func(c *Config) {
		c.Peers = []Peer{{Name: "carrier", Host: "carrier", Match: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Transport: edge.UDP,
			Targets: []Upstream{{Addr: netip.MustParseAddrPort("127.0.0.1:9")}}}}
	})
	peer.suspects()
	peer.send(peer.outside, newRequest("INVITE", 3))
	peer.expect(peer.platform, "INVITE")
}

// TestGreylistMonitor: it is only told.
func TestGreylistMonitor(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"challenge: monitor": func(c *Config) { c.Challenge = judge.Monitor },
		"challenge: off":     func(c *Config) { c.Challenge = judge.Off },
		"mode: monitor":      func(c *Config) { c.Monitor = true },
	} {
		b := newDoubting(t, change)
		b.suspects()
		b.reasons()
		b.send(b.outside, register("100", 1, ""))
		b.expect(b.platform, "REGISTER")
		told := strings.Contains(strings.Join(b.reasons(), "\n"), "challenge.source")
		if told != (name != "challenge: off") {
			t.Errorf("%s: told: %v", name, told)
		}
	}
}

// TestWatchersChallengeNobody: where all checks only watch, nobody is challenged, neither for points nor for wrong passwords; it is told who would be.
func TestWatchersChallengeNobody(t *testing.T) {
	b := newDoubting(t, nil)
	watching := []judge.Charge{{Name: "grudge", Mode: judge.Monitor, Check: grudge{}, Reasons: []edge.Reason{"test.grudge"}}}
	if err := b.p.cfg.Load().Judge.Apply(watching); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		b.logsIn("100", 10*i, "401 Unauthorized")
	}
	b.suspects()
	b.send(b.outside, register("200", 200, ""))
	b.expect(b.platform, "REGISTER")
	told := b.told()
	if told["noted challenge.password would be challenged"] != 4 || told["noted challenge.source would be challenged"] == 0 || len(told) != 3 {
		t.Errorf("told %v", told)
	}
}

// TestB3: packets were forged in the name of an address that nobody knows, and it is banned, softly. The client that appears there registers: it
// answers the challenge. A ban with proof lets nothing through.
func TestB3(t *testing.T) {
	b := newWary(t)
	forged := b.outside
	for i := range 10_000 {
		b.now = b.now.Add(100 * time.Microsecond)
		forged.Remote = netip.AddrPortFrom(b.outside.Remote.Addr(), uint16(1024+i%60_000))
		b.send(forged, with("REGISTER", i, "User-Agent: friendly-scanner"))
	}
	if bans := b.bans.Bans(b.now); len(bans) != 1 || bans[0].Hard {
		t.Fatalf("banned: %v", bans)
	}
	began := b.now
	answer := ""
	for !strings.HasPrefix(answer, "SIP/2.0 401") { // as phones repeat what is not answered
		b.now = b.now.Add(500 * time.Millisecond)
		b.send(b.outside, register("100", 20_000, ""))
		answer = b.got(b.caller)
	}
	b.send(b.outside, register("100", 20_001, credentials("100", nonceOf(t, answer), "abc")))
	b.send(b.inside, with401(b.expect(b.platform, "REGISTER"), "0123456789abcdef01234567"))
	b.expect(b.caller, "SIP/2.0 401")
	b.send(b.outside, register("100", 20_002, credentials("100", "0123456789abcdef01234567", "def")))
	b.send(b.inside, replyTo(b.expect(b.platform, "REGISTER"), "200 OK"))
	b.expect(b.caller, "SIP/2.0 200")
	if took := b.now.Sub(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestOperatorsSoftBan: an operator's ban is no mistake about who wrote what.
func TestOperatorsSoftBan(t *testing.T) {
	b := newWary(t)
	if _, _, err := b.bans.Add(ban.Order{Ban: edge.Ban{Source: edge.SourceOf(b.outside.Remote.Addr()), Reason: ban.ReasonOperator, For: time.Hour}, By: ban.Operator}, b.now); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.send(b.outside, register("100", 1, ""))
		b.silence(b.caller)
	}
	nonce := string(b.p.nonces.Append(nil, b.outside, b.now))
	b.send(b.outside, register("100", 2, credentials("100", nonce, "x")))
	b.silence(b.caller)
	b.silence(b.platform)
}

// TestForgedFloodGetsLittle (B10): forged requests in the name of a banned address bring it few challenges, none larger than 1.3 times the request.
func TestForgedFloodGetsLittle(t *testing.T) {
	b := newWary(t)
	for i := range 20 {
		b.send(b.outside, with("REGISTER", i, "User-Agent: friendly-scanner"))
	}
	b.drained()
	in := 0
	begun := b.p.Status().Transactions
	for i := range 1000 {
		b.now = b.now.Add(time.Millisecond)
		msg := register(fmt.Sprint(i), 1000+i, "")
		in = len(msg)
		b.send(b.outside, msg)
	}
	messages, size := b.drained()
	if messages == 0 || messages > 26 || 10*size > 13*in*messages {
		t.Errorf("%d messages of %d bytes in all for requests of %d", messages, size, in)
	}
	if n := b.p.Status().Transactions - begun; n != 0 {
		t.Errorf("%d transactions", n)
	}
}

// TestGuessesAreTold (pw-diversity): after three wrong passwords our challenge has no qop and stays the same for five minutes.
func TestGuessesAreTold(t *testing.T) {
	b := newDoubting(t, nil)
	for i := range 3 {
		if got := b.logsIn("100", 10*i, "401 Unauthorized"); !strings.HasPrefix(got, "SIP/2.0 401") {
			t.Fatalf("wrong password %d: %q", i+1, got)
		}
	}
	b.send(b.outside, register("100", 100, ""))
	first := b.expect(b.caller, "SIP/2.0 401")
	b.now = b.now.Add(time.Second)
	b.send(b.outside, register("100", 101, credentials("100", "000000000000000000000020", "x"))) // the platform's nonce will not do
	second := b.expect(b.caller, "SIP/2.0 401")
	if strings.Contains(first+second, "qop") || nonceOf(t, first) != nonceOf(t, second) {
		t.Errorf("%s\n%s", first, second)
	}
	b.send(b.outside, register("200", 102, "")) // another user is not asked
	b.expect(b.platform, "REGISTER")
	b.send(b.outside, register("100", 103, credentials("100", nonceOf(t, second), "x")))
	b.send(b.inside, with401(b.expect(b.platform, "REGISTER"), "9123456789abcdef01234567"))
	b.expect(b.caller, "SIP/2.0 401")
	b.send(b.outside, register("100", 104, credentials("100", "9123456789abcdef01234567", "right")))
	b.send(b.inside, replyTo(b.expect(b.platform, "REGISTER"), "200 OK"))
	b.expect(b.caller, "SIP/2.0 200")
}
