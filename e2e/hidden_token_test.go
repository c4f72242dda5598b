package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// otherNode: the node dies in the middle of calls, and another one takes its address, which shares the configuration and the key file with it
// and nothing else.
func otherNode(r *rig) {
	reg := siptest.NewRegistrar(r.platform, nil)
	phone, stranger := r.phone("alice"), r.phone("stranger")
	contact := r.register(reg, phone)
	calls := []*call{r.call(phone), r.callIn(contact, phone), r.call(phone), r.callIn(contact, phone), r.call(stranger), r.call(stranger)}
	r.edge.Kill()
	all, err := os.ReadDir(r.edge.State)
	if err != nil {
		r.Fatal(err)
	}
	for _, file := range all {
		if !slices.Contains([]string{"topology.key", "ringwall.yaml"}, file.Name()) {
			if err := os.RemoveAll(filepath.Join(r.edge.State, file.Name())); err != nil {
				r.Fatal(err)
			}
		}
	}
	r.edge.Start()
	if r.stream() { // connections are gone, and whom nobody can call has no other way
		phone.Hangup()
		stranger.Hangup()
		r.register(reg, phone)
		calls = calls[:4]
	}
	for i, c := range calls {
		r.reinvite(c.phone, c.platform)
		r.reinvite(c.platform, c.phone)
		if i%2 == 0 {
			r.bye(c.phone, c.platform)
		} else {
			r.bye(c.platform, c.phone)
		}
	}
}

// switched: hiding is switched off and on in the middle of calls, which go on as they began. What leaves meanwhile is not looked at.
func switched(r *rig) {
	phone, contact := r.registered("alice")
	calls := []*call{r.call(phone), r.callIn(contact, phone)}
	for _, hide := range []bool{false, true, false} {
		r.rewrite("topology:", fmt.Sprintf("topology: {hide: %v}", hide))
		if a := r.askReload(); !a.OK {
			r.Fatalf("%+v", a)
		}
		for _, c := range calls {
			r.onward(c.phone, c.platform)
			r.onward(c.platform, c.phone)
		}
		r.outside = nil
		calls = append(calls, r.call(phone), r.callIn(contact, phone))
	}
	for i, c := range calls {
		from, to := c.phone, c.platform
		if i%3 == 0 {
			from, to = to, from
		}
		from.Send("BYE")
		to.UA.Reply(to.UA.Expect("BYE"), 200)
		from.UA.Expect("200 BYE")
	}
}

// onward sends a re-INVITE that must arrive in its own dialog, whatever Request-URI and Route it has then.
func (r *rig) onward(from, to *siptest.Dialog) {
	r.Helper()
	from.UA.Send(from.Request("INVITE").WithBody("application/sdp", siptest.SDP))
	got := to.UA.Expect("INVITE")
	if got.Get("Call-ID") != to.CallID || siptest.Tag(got.Get("To")) != siptest.Tag(to.Local) {
		r.Errorf("%s does not know this dialog, but %s:\n%s", to.UA.User, to.CallID, got.Raw)
	}
	to.UA.Reply(got, 200)
	from.UA.Expect("200 INVITE")
	from.Send("ACK")
	to.UA.Expect("ACK")
}

// tokens are what one dialog shows to outside, in the same order for each.
func tokens(c *call, m *siptest.Message) []string {
	return []string{siptest.User(siptest.URI(c.phone.Routes[0])), siptest.User(c.phone.Target), m.Get("Call-ID")}
}

// unlinkable: what two dialogs of the same phone with the same server show has nothing in common.
func unlinkable(r *rig) {
	phone, contact := r.registered("alice")
	for name, begin := range map[string]func() *call{"outside": func() *call { return r.call(phone) }, "inside": func() *call { return r.callIn(contact, phone) }} {
		var all [][]string
		for range 12 {
			c := begin()
			all = append(all, tokens(c, phone.Log()[len(phone.Log())-1].Message))
			r.bye(c.phone, c.platform)
		}
		for i, a := range all {
			for j, b := range all[:i] {
				for _, token := range a {
					for _, other := range b {
						if s := shared(token, other); len(s) > 6 {
							r.Errorf("%s: %s of dialog %d and %s of dialog %d share %s", name, token, i, other, j, s)
						}
					}
				}
			}
		}
		const head = 2 // what kind of token it is, and the key's id
		for k := range all[0] {
			for at := head; at < len(all[0][k]); at++ {
				if same(all, k, at) {
					r.Errorf("%s: every token %d has %q at %d: %s", name, k, all[0][k][at], at, all[0][k])
				}
			}
		}
	}
}

// same reports whether token k of all dialogs has the same character at a place.
func same(all [][]string, k, at int) bool {
	for _, one := range all {
		if at >= len(one[k]) || one[k][at] != all[0][k][at] {
			return false
		}
	}
	return true
}

// shared is the longest text that stands in both.
func shared(a, b string) (longest string) {
	for i := range a {
		for j := i + len(longest) + 1; j <= len(a) && strings.Contains(b, a[i:j]); j++ {
			longest = a[i:j]
		}
	}
	return longest
}

// TestAlteredTokens: none verifies. Checks, which shut out who tries so many, are off here.
func TestAlteredTokens(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			keys := concealed(relaying)
			keys["checks"] = "{mode: off}"
			alteredTokens(newRig(t, w, keys))
		})
	}
}

// alteredTokens: a route token with any character changed or cut off is refused and counted, and so is a target token in a new request; one
// that is good gives no right.
func alteredTokens(r *rig) {
	phone, contact := r.registered("alice")
	for _, c := range []*call{r.call(phone), r.callIn(contact, phone)} {
		token := siptest.User(siptest.URI(c.phone.Routes[0]))
		before, sent := r.edge.Counter("ringwall_refused_total", "dialog.token"), 0.0
		for _, bad := range append(bent(token), token[:1], token[:len(token)/2], token[:len(token)-1], token+"A", token[:len(token)/2]+token[:len(token)/2]) {
			d := *c.phone
			d.Routes = []string{strings.Replace(d.Routes[0], token, bad, 1)}
			phone.Send(d.Request("INFO"))
			phone.Expect("481 INFO")
			sent++
		}
		if got := r.edge.Counted(before+sent, "ringwall_refused_total", "dialog.token") - before; got < sent {
			r.Errorf("%v bad tokens were counted, of %v", got, sent)
		}
		target := siptest.User(c.phone.Target)
		const least = 20 // characters of what is told from a user
		before, sent = r.edge.Counter("ringwall_refused_total", "topology.token"), 0
		for _, user := range append(bent(target), target[:least], target[:len(target)/2], target[:len(target)-1], target+"A", target[:least]+target[:len(target)/2]) {
			if user[0] != target[0] { // it is a user of whom the platform knows nothing
				continue
			}
			bad := phone.Request("INVITE", strings.Replace(c.phone.Target, target, user, 1))
			phone.Send(bad)
			phone.Send(siptest.AckOf(bad, phone.Expect("404")))
			sent++
		}
		if got := r.edge.Counted(before+sent, "ringwall_refused_total", "topology.token") - before; got < sent {
			r.Errorf("%v bad targets were counted, of %v", got, sent)
		}
		stranger := r.phone("stranger") // may begin no MESSAGE, whatever it knows
		stranger.Send(stranger.Request("MESSAGE", c.phone.Target))
		if r.stream() {
			stranger.Expect("405 MESSAGE")
		}
		r.platform.Silence(hush, "MESSAGE", "INFO")
		r.bye(c.phone, c.platform)
	}
}

// bent is a token with another character in a dozen of its places, the last among them.
func bent(token string) (all []string) {
	for at := len(token) - 1; at >= 0; at -= 1 + len(token)/12 {
		other := "A"
		if token[at] == 'A' {
			other = "B"
		}
		all = append(all, token[:at]+other+token[at+1:])
	}
	return all
}
