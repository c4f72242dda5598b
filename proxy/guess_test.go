package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// A guesser tries passwords of users. It has fetched a nonce at an address and uses it from there, or from another one.
type guesser struct {
	fetch, use edge.Flow
	user       func(n int) string               // whose password the nth is
	write      func(n int, nonce string) []byte // the nth try
	tries      int
	right      func(relayed string, n int) bool // the platform has been asked with the password of the nth try
}

// guesses lets g go on, and returns how many passwords the platform was asked with. It refuses all of them.
func (b *bench) guesses(g guesser) (tested int) {
	b.t.Helper()
	const nonce = "0123456789abcdef0123456789abcdef"
	b.send(g.fetch, register("777", 1, ""))
	b.send(b.inside, with401(b.expect(b.platform, "REGISTER"), nonce))
	for n := range g.tries {
		b.now = b.now.Add(200 * time.Millisecond)
		b.send(g.use, g.write(n, nonce))
		relayed := b.got(b.platform)
		if relayed == "" {
			continue
		}
		if g.right(relayed, n) {
			tested++
		}
		b.send(b.inside, with401(relayed, fmt.Sprintf("fresh%027d", n)))
		if strings.HasPrefix(relayed, "INVITE") {
			b.expect(b.platform, "ACK")
		}
	}
	return tested
}

// tried is the response that stands for the nth password.
func tried(n int) string { return fmt.Sprintf("%032x", n+1) }

// asUsual is the answer with the nth password of a user to a challenge.
func asUsual(user, nonce string, n int) string { return credentials(user, nonce, tried(n)) }

// TestEachPasswordCounts: however a password is written, and wherever the nonce comes from, no more of them reach the platform than of who writes them as
// phones do.
func TestEachPasswordCounts(t *testing.T) {
	const most = 7 // of one user; the ban comes with the eighth
	junk := `Digest username="x", realm="junk", nonce="00112233445566778899aabbccddeeff", uri="sip:example.com", response="0"`
	one := func(write func(n int, nonce string) []byte) guesser {
		return guesser{user: func(int) string { return "100" }, write: write, tries: 10,
			right: func(relayed string, n int) bool { return strings.Contains(relayed, `response="`+tried(n)+`"`) }}
	}
	with := func(before string, name string) func(n int, nonce string) []byte {
		return func(n int, nonce string) []byte {
			return register("100", 10+n, before+strings.Replace(asUsual("100", nonce, n), "Authorization", name, 1))
		}
	}
	for name, g := range map[string]guesser{
		"as usual":                 one(with("", "Authorization")),
		"behind others":            one(with("Authorization: "+junk+"\r\n", "Authorization")),
		"in another field":         one(with("Authorization: "+junk+"\r\n", "Proxy-Authorization")),
		"behind another scheme":    one(with("Authorization: Basic eDp4\r\n", "Authorization")),
		"behind what is no scheme": one(with("Authorization: Digest\r\n", "Authorization")),
		"with backslashes": one(func(n int, nonce string) []byte {
			name := []string{`\100`, `1\00`, `10\0`, `\1\00`, `1\0\0`, `\10\0`, `\1\0\0`, `100`}[n%8]
			return register("100", 10+n, asUsual(name, nonce, n))
		}),
		"of nobody": one(func(n int, nonce string) []byte {
			msg := strings.Replace(string(newRequest("INVITE", 10+n)), "Content-Length", asUsual("100", nonce, n)+"\r\nContent-Length", 1)
			return []byte(strings.Replace(msg, "sip:alice@", "sip:", 1))
		}),
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprint(name, stream), func(t *testing.T) {
				b := newJudged(t, judge.Enforce, nil)
				g.fetch, g.use = b.outside, b.outside
				if stream {
					g.fetch.Transport, g.use.Transport = edge.TCP, edge.TCP
				}
				if tested := b.guesses(g); tested > most {
					t.Errorf("%d passwords get through", tested)
				}
			})
		}
	}
}

// TestOneAddressFetchesNonces: who has his nonces fetched from another address tries no password with them, neither of one user nor of many.
func TestOneAddressFetchesNonces(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	g := guesser{fetch: farAway(b), use: b.outside, tries: 10, write: func(n int, nonce string) []byte {
		user := fmt.Sprint(100 + n)
		return register(user, 10+n, asUsual(user, nonce, n))
	}, right: func(relayed string, n int) bool { return strings.Contains(relayed, "response=") }}
	if tested := b.guesses(g); tested > 0 {
		t.Errorf("%d passwords get through", tested)
	}
}

// farAway is a flow from another address.
func farAway(b *bench) edge.Flow {
	f := b.outside
	f.Remote = netip.MustParseAddrPort("127.0.0.99:5060")
	return f
}

// TestNewAddress: a phone that has another address from one moment to the next, and still uses the nonce that it got at the old one, is asked once more, as if that
// were too old, and is in. One that is registered from where it is goes on with whatever nonce it has, and where checks only watch everybody does.
func TestNewAddress(t *testing.T) {
	const nonce = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		mode       judge.Mode
		registered bool
	}{"a stranger": {judge.Enforce, false}, "watched": {judge.Monitor, false}, "registered there": {judge.Enforce, true}} {
		t.Run(name, func(t *testing.T) {
			b := newJudged(t, c.mode, nil)
			if c.registered {
				b.logsIn("100", 1, "200 OK\r\nContact: <sip:100@192.168.1.20>;expires=600")
			} else {
				b.send(farAway(b), register("100", 1, ""))
				b.send(b.inside, with401(b.expect(b.platform, "REGISTER"), nonce))
			}
			b.send(b.outside, register("100", 10, asUsual("100", nonce, 1)))
			asked := b.expect(b.platform, "REGISTER")
			if through := strings.Contains(asked, tried(1)); through != (c.registered || c.mode == judge.Monitor) {
				t.Fatalf("the platform is asked\n%s", asked)
			} else if through {
				return
			}
			b.send(b.inside, with401(asked, "fresh"+nonce))
			if again := b.expect(b.caller, "SIP/2.0 401"); !strings.Contains(again, "stale=true") {
				t.Errorf("the phone takes its password for wrong:\n%s", again)
			}
			b.send(b.outside, register("100", 11, asUsual("100", "fresh"+nonce, 2)))
			if asked = b.expect(b.platform, "REGISTER"); !strings.Contains(asked, tried(2)) {
				t.Fatalf("the platform is asked\n%s", asked)
			}
			b.send(b.inside, replyTo(asked, "200 OK"))
			b.expect(b.caller, "SIP/2.0 200")
			if known, wrong := b.wrong("100"); known != 1 || wrong != 0 {
				t.Errorf("known for %d users, %d passwords wrong", known, wrong)
			}
		})
	}
}

// TestTwoNames: credentials in two names are those of the first whose nonce went there; of one name all pass, as a chain of servers asks for them.
func TestTwoNames(t *testing.T) {
	b := newJudged(t, judge.Enforce, nil)
	const one, other = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	for i, nonce := range []string{one, other} {
		b.send(b.outside, register("100", i, ""))
		b.send(b.inside, with401(b.expect(b.platform, "REGISTER"), nonce))
		b.expect(b.caller, "SIP/2.0 401")
	}
	proxied := strings.Replace(asUsual("100", other, 2), "Authorization", "Proxy-Authorization", 1)
	for name, c := range map[string]struct {
		answers string
		want    [2]bool
	}{
		"one name":             {asUsual("100", one, 1) + "\r\n" + proxied, [2]bool{true, true}},
		"two names":            {asUsual("200", one, 1) + "\r\n" + proxied, [2]bool{true, false}},
		"one from nowhere":     {asUsual("100", "nowhere"+one, 1) + "\r\n" + proxied, [2]bool{false, true}},
		"another from nowhere": {asUsual("200", "nowhere"+one, 1) + "\r\n" + proxied, [2]bool{false, true}},
		"both from nowhere":    {asUsual("100", "nowhere"+one, 1) + "\r\n" + asUsual("100", "nowhere"+other, 2), [2]bool{false, false}},
	} {
		b.now = b.now.Add(time.Minute)
		b.send(b.outside, register("100", int(b.now.Unix()%1e6), c.answers))
		asked := b.expect(b.platform, "REGISTER")
		if got := [2]bool{strings.Contains(asked, tried(1)), strings.Contains(asked, tried(2))}; got != c.want {
			t.Errorf("%s: %v\n%s", name, got, asked)
		}
	}
}

// TestOpenNumbers: a number that anybody may call takes back no wrong password, whatever credentials come with the call; nor does a request that the platform
// refuses before it looks at them.
func TestOpenNumbers(t *testing.T) {
	const nonce = "0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		msg    func(n int) string
		status string
	}{
		"a call": {func(n int) string {
			return strings.Replace(string(newRequest("INVITE", n)), "sip:alice@", "sip:100@", 1)
		}, "200 OK"},
		"no such thing": {func(n int) string {
			return strings.Replace(string(register("100", n, "")), "Contact", "Require: x\r\nContact", 1)
		}, "420 Bad Extension"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newJudged(t, judge.Enforce, nil)
			b.send(b.outside, register("100", 1, ""))
			b.send(b.inside, with401(b.expect(b.platform, "REGISTER"), nonce))
			tested := 0
			for n := range 10 {
				b.now = b.now.Add(20 * time.Second)
				b.send(b.outside, register("100", 100+n, asUsual("100", nonce, n)))
				if relayed := b.got(b.platform); strings.Contains(relayed, tried(n)) {
					tested++
					b.send(b.inside, with401(relayed, nonce))
				}
				b.send(b.outside, []byte(strings.Replace(c.msg(200+n), "Content-Length", asUsual("100", nonce, 99)+"\r\nContent-Length", 1)))
				if relayed := b.got(b.platform); relayed != "" {
					b.send(b.inside, replyTo(relayed, c.status))
				}
			}
			if tested > 3 {
				t.Errorf("%d passwords get through", tested)
			}
		})
	}
}
