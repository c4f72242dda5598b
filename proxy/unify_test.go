package proxy

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/judge"
)

// newUnified is a bench whose answers tell nobody which users there are.
func newUnified(t testing.TB, change func(*Config)) *bench {
	return newJudged(t, judge.Off, func(c *Config) {
		c.Unify = judge.Enforce
		if change != nil {
			change(c)
		}
	})
}

// A leaky platform answers strangers by whether it has a user.
type leaky struct {
	nonces int
	took   time.Duration // over a challenge
	denied time.Duration // over a denial
	denial string
	wrong  string // what a wrong password gets: "401" or a status line
	fields string // more header fields of all its answers
}

// answer is what it says to a request.
func (p *leaky) answer(msg string, at time.Time) (reply []byte, took time.Duration) {
	p.nonces++
	challenge := fmt.Sprintf("WWW-Authenticate: Digest realm=\"pbx\", nonce=\"%d/%032x\", opaque=\"%016x\", algorithm=md5, qop=\"auth\"\r\n", at.Unix(), p.nonces*7919, p.nonces*104729)
	status, extra, took := "401 Unauthorized", challenge, p.took
	switch known := strings.Contains(msg, "sip:100@"); {
	case !known:
		status, extra, took = p.denial, "", p.denied
	case strings.Contains(msg, "Authorization:") && p.wrong != "401":
		status, extra = p.wrong, ""
	}
	msg = strings.Replace(string(replyTo(msg, status)), "Content-Length", p.fields+extra+"Content-Length", 1)
	return []byte(msg), took
}

// asks sends a request and returns what the caller gets in the end, and how long it took.
func (b *bench) asks(p *leaky, msg []byte) (reply string, took time.Duration) {
	b.t.Helper()
	began := b.now
	b.send(b.outside, msg)
	reached := b.got(b.platform)
	if reached == "" {
		b.t.Fatalf("the platform gets nothing of %.60q; the caller %q", msg, b.got(b.caller))
	}
	answer, after := p.answer(reached, b.now)
	b.now = b.now.Add(after)
	b.send(b.inside, answer)
	if strings.HasPrefix(reached, "INVITE") {
		b.expect(b.platform, "ACK")
	}
	for range 200 {
		if reply = b.here(b.caller); reply != "" {
			took = b.now.Sub(began)
			if strings.HasPrefix(reached, "INVITE") {
				b.send(b.outside, []byte(strings.NewReplacer("INVITE", "ACK", "To: <sip:200@example.com>", "To: "+field(b.t, reply, "To")).Replace(string(msg))))
			}
			return reply, took
		}
		b.now = b.now.Add(time.Millisecond)
		b.l.timers(b.now)
	}
	b.t.Fatal("no answer")
	return "", 0
}

// here is what has arrived at c, "" if nothing has: it does not wait.
func (b *bench) here(c *net.UDPConn) string {
	b.t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	if err := raw.Read(func(fd uintptr) bool {
		n, _, _ = syscall.Recvfrom(int(fd), b.buf[:], syscall.MSG_DONTWAIT)
		return true
	}); err != nil {
		b.t.Fatal(err)
	}
	return string(b.buf[:max(n, 0)])
}

// changing is what differs from response to response.
var changing = regexp.MustCompile(`nonce="[0-9]+/|[0-9a-f]{16,32}|tag=r[0-9a-z]+|branch=z9hG4bK[0-9]+|tag=a[0-9]+|Call-ID: c[0-9]+|CSeq: [0-9]+|sip:[0-9]+@|rport=[0-9]+`)

// same makes responses comparable: their lengths, too, but where the request's own differ.
func same(msg string) string {
	return changing.ReplaceAllStringFunc(msg, func(s string) string {
		if strings.HasPrefix(s, "tag=r") || strings.HasPrefix(s, "nonce") || strings.ContainsAny(s[:1], "bcCsr") || strings.HasPrefix(s, "tag=a") {
			return "-"
		}
		return strings.Repeat("x", len(s))
	})
}

// TestUnified: whether a user exists or not, who asks without credentials, with wrong ones, and with those again, gets the same bytes, after the same time.
func TestUnified(t *testing.T) {
	for _, method := range []string{"REGISTER", "INVITE", "SUBSCRIBE"} {
		for _, denial := range []string{"404 Not Found", "403 Forbidden", "480 Temporarily Unavailable"} {
			for _, wrong := range []string{"401", "403 Forbidden (Bad auth)"} {
				if wrong != "401" && method == "SUBSCRIBE" { // whose 403 may mean anything
					continue
				}
				t.Run(method+" "+denial+" "+wrong, func(t *testing.T) {
					b := newUnified(t, nil)
					p := &leaky{took: 60 * time.Millisecond, denied: 2 * time.Millisecond, denial: denial, wrong: wrong, fields: "Server: pbx\r\nX-Leak: 1\r\n"}
					ask := func(user string, n int, answer string) (string, time.Duration) {
						msg := strings.Replace(string(register(user, n, answer)), "CSeq: 1", fmt.Sprint("CSeq: ", n), 1)
						return b.asks(p, []byte(strings.NewReplacer("REGISTER", method).Replace(msg)))
					}
					tries := func(user string, n int) (all []string, took []time.Duration) {
						answer := ""
						for i := range 3 {
							b.now = b.now.Add(123 * time.Millisecond)
							reply, t := ask(user, n+i, answer)
							all, took = append(all, same(reply)), append(took, t)
							if strings.Contains(reply, "nonce=") {
								answer = credentials(user, nonceOf(b.t, reply), fmt.Sprintf("%032x", n+i))
							}
						}
						return all, took // the time in nonces is that of the clock, see TestMimic
					}
					for i := range 3 { // the platform is seen first
						tries("100", 100*i+100)
					}
					want, long := tries("100", 1000)
					for i := range 5 {
						got, took := tries(fmt.Sprint(200+i), 2000+100*i)
						for k := range want {
							if got[k] != want[k] {
								t.Errorf("try %d is told by\n%s\nand not\n%s", k+1, got[k], want[k])
							}
							if d := took[k] - long[k]; d < -11*time.Millisecond || d > 11*time.Millisecond {
								t.Errorf("try %d takes %v, and not %v", k+1, took[k], long[k])
							}
						}
					}
					if strings.Contains(strings.Join(want, ""), "X-Leak") || strings.Contains(strings.Join(want, ""), "tag=b") {
						t.Errorf("%s", want)
					}
				})
			}
		}
	}
}

// TestUnifiedGuesses: who goes on guessing is asked with a nonce that stays the same and told apart, whether the user exists or not.
func TestUnifiedGuesses(t *testing.T) {
	b := newUnified(t, func(c *Config) { c.Challenge = judge.Enforce })
	p := &leaky{denial: "404 Not Found", wrong: "401"}
	guess := func(user string, n int) (all []string) {
		answer := ""
		for i := range 12 {
			b.now = b.now.Add(time.Second)
			msg := register(user, n+i, answer)
			b.send(b.outside, msg)
			if reached := b.got(b.platform); reached != "" {
				reply, _ := p.answer(reached, b.now)
				b.send(b.inside, reply)
			}
			b.now = b.now.Add(time.Second)
			b.l.timers(b.now)
			reply := b.expect(b.caller, "SIP/2.0 401")
			answer = credentials(user, nonceOf(b.t, reply), fmt.Sprintf("%032x", n+i))
			status, _, _ := strings.Cut(reply, "\r\n")
			all = append(all, fmt.Sprint(status, strings.Contains(reply, "qop"), strings.Contains(reply, "stale=true")))
		}
		return all
	}
	guess("100", 1000) // the platform is seen first
	if known, unknown := fmt.Sprint(guess("101", 3000)), fmt.Sprint(guess("102", 2000)); known != unknown {
		t.Errorf("%s\n%s", known, unknown)
	}
	b = newUnified(t, func(c *Config) { c.Challenge = judge.Enforce })
	if known, unknown := fmt.Sprint(guess("100", 1000)), fmt.Sprint(guess("102", 2000)); known != unknown {
		t.Errorf("%s\n%s", known, unknown)
	}
}

// TestSlowDenials: where the platform takes longer to deny than to challenge, its challenges wait.
func TestSlowDenials(t *testing.T) {
	b := newUnified(t, nil)
	p := &leaky{took: time.Millisecond, denied: 40 * time.Millisecond, denial: "404 Not Found", wrong: "401"}
	for i := range 4 {
		b.asks(p, register("200", i, ""))
	}
	if _, took := b.asks(p, register("100", 100, "")); took < 38*time.Millisecond || took > 55*time.Millisecond {
		t.Errorf("a challenge takes %v", took)
	}
}

// TestOthersNonce: with the nonce that one user got nobody finds out about another.
func TestOthersNonce(t *testing.T) {
	b := newUnified(t, nil)
	p := &leaky{denial: "404 Not Found", wrong: "401"}
	first, _ := b.asks(p, register("100", 1, ""))
	nonce := nonceOf(t, first)
	known, _ := b.asks(p, register("100", 2, credentials("100", strings.Repeat("0", 32), "x")))
	unknown, _ := b.asks(p, register("200", 3, credentials("200", nonce, "x")))
	if same(known) != same(unknown) || !strings.Contains(known, "stale=true") {
		t.Errorf("%s\n%s", known, unknown)
	}
}

// TestNotUnified: known users and other domains see the platform's own answers; so do guests where calls of strangers are accepted, and all where it is off.
func TestNotUnified(t *testing.T) {
	p := &leaky{denial: "404 Not Found", wrong: "401", fields: "X-Own: 1\r\n"}
	for name, c := range map[string]struct {
		change func(*Config)
		method string
		want   string
	}{
		"off":           {func(c *Config) { c.Unify = judge.Off }, "REGISTER", "404"},
		"monitor":       {func(c *Config) { c.Unify = judge.Monitor }, "REGISTER", "404"},
		"mode: monitor": {func(c *Config) { c.Monitor = true }, "REGISTER", "404"},
		"not here":      {func(c *Config) { c.NotUnified = []string{"example.com"} }, "REGISTER", "404"},
		"elsewhere":     {func(c *Config) { c.NotUnified = []string{"example.org"} }, "REGISTER", "401"},
		"guests":        {func(c *Config) { c.OpenInbound = []string{"example.com"} }, "INVITE", "404"},
		"no guests":     {func(c *Config) { c.OpenInbound = []string{"example.com"} }, "SUBSCRIBE", "407"},
	} {
		b := newUnified(t, c.change)
		b.reasons()
		got, _ := b.asks(p, []byte(strings.ReplaceAll(string(register("200", 1, "")), "REGISTER", c.method)))
		if !strings.HasPrefix(got, "SIP/2.0 "+c.want) || strings.Contains(got, "X-Own") != (c.want == "404") {
			t.Errorf("%s: %s", name, got)
		}
		told := strings.Contains(strings.Join(b.reasons(), "\n"), "unify.user")
		if want := c.want != "404" || strings.Contains(name, "monitor"); told != want {
			t.Errorf("%s: told: %v", name, told)
		}
	}
}

// TestUnifiedCallsEnd: an INVITE whose refusal waits is acknowledged to the platform at once and to nobody twice; its copies get nothing before, and the
// same after.
func TestUnifiedCallsEnd(t *testing.T) {
	b := newUnified(t, nil)
	p := &leaky{took: 100 * time.Millisecond, denial: "404 Not Found", wrong: "401"}
	invite := func(user string, n int) []byte {
		return []byte(strings.ReplaceAll(string(register(user, n, "")), "REGISTER", "INVITE"))
	}
	for i := range 3 {
		b.asks(p, invite("100", i))
	}
	b.send(b.outside, invite("200", 10))
	b.send(b.inside, []byte(strings.Replace(string(replyTo(b.expect(b.platform, "INVITE"), "100 Trying")), ";tag=b", "", 1)))
	b.silence(b.caller) // a 100 at once would tell that the platform thinks about it
	b.send(b.outside, invite("200", 10))
	b.l.timers(b.now)
	b.send(b.outside, invite("201", 11))
	second := b.expect(b.platform, "INVITE")
	reply, _ := p.answer(second, b.now)
	b.send(b.inside, reply)
	b.expect(b.platform, "ACK")
	b.send(b.outside, invite("201", 11))
	b.silence(b.caller)
	b.now = b.now.Add(120 * time.Millisecond)
	b.l.timers(b.now)
	var got string
	for msg := b.got(b.caller); msg != ""; msg = b.got(b.caller) {
		if strings.HasPrefix(msg, "SIP/2.0 401") || strings.HasPrefix(msg, "SIP/2.0 407") {
			got = msg
		}
	}
	if got == "" {
		t.Fatal("no refusal")
	}
	b.send(b.outside, invite("201", 11))
	if again := b.got(b.caller); again != got {
		t.Errorf("a copy gets %q, and not %q", again, got)
	}
}
