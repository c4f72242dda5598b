package proxy

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
	"time"
)

// insistsOn is a phone or a tool that tries a password, whoever asks for it, as often as it is asked. False: it got no answer.
func (b *bench) insistsOn(user, password string, n int) bool {
	b.t.Helper()
	answer := ""
	for step := range 4 {
		b.now = b.now.Add(10 * time.Millisecond)
		b.send(b.outside, register(user, 10*n+step, answer))
		relayed := b.got(b.platform)
		if relayed != "" {
			b.send(b.inside, with401(relayed, fmt.Sprintf("platform%016d", 10*n+step)))
		}
		challenged := b.got(b.caller)
		if !strings.HasPrefix(challenged, "SIP/2.0 401") {
			return false
		}
		if strings.Contains(relayed, "Authorization:") {
			return true
		}
		nonce := nonceOf(b.t, challenged)
		answer = credentials(user, nonce, fmt.Sprintf("%x", md5.Sum([]byte(password+nonce))))
	}
	b.t.Fatalf("asked again and again")
	return false
}

// TestSlowGuesses (brute-source, 20 in a day; pw-diversity): who tries another password each 11 minutes is slower than every window, and banned at the 20th; a phone
// that tries its one wrong password again and again, for days, is not, and is back with the right one.
func TestSlowGuesses(t *testing.T) {
	for name, same := range map[string]bool{"guesser": false, "phone": true} {
		t.Run(name, func(t *testing.T) {
			b, n, every := newWary(t), 0, 11*time.Minute
			if same {
				every = time.Hour
			}
			for n = range 40 {
				b.now = b.now.Add(every)
				password := "wrong"
				if !same {
					password = fmt.Sprint("guess", n)
				}
				if !b.insistsOn("100", password, n) {
					break
				}
			}
			bans := b.bans.Bans(b.now)
			switch {
			case same && (n != 39 || len(bans) > 0):
				t.Errorf("the phone is stopped at try %d: %+v", n, bans)
			case !same && (n != 19 || len(bans) != 1 || bans[0].Reason != "bruteforce.slow" || !bans[0].Hard):
				t.Errorf("the guesser is stopped at try %d: %+v", n, bans)
			}
			if same {
				b.now = b.now.Add(25 * time.Hour)
				if got := b.logsIn("100", 100_000, "200 OK"); !strings.HasPrefix(got, "SIP/2.0 200") {
					t.Errorf("with the right password: %q", got)
				}
			}
		})
	}
}
