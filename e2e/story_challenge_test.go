package e2e

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// suspects lets odd messages come from an address, to a listener: a few that bring it on the greylist, or those of a scanner, for which it is banned without proof.
func suspects(t *testing.T, e *siptest.Edge, at netip.AddrPort, ip string, banned bool) {
	t.Helper()
	odd := siptest.NewPhone(t, "100", "udp", ip, at)
	last := `reason="challenge.source"`
	if banned {
		last = `reason="ban.soft"`
	}
	before := e.Counter("ringwall_refused_total", last)
	for range 4 {
		switch m := odd.Request("OPTIONS", "sip:100@example.com"); {
		case banned:
			odd.Send(m.Set("User-Agent", "friendly-scanner"))
		default:
			odd.SendTo(at, "udp", strings.Replace(m.String(), "CSeq: ", "CSeq: x", 1))
		}
	}
	if !banned {
		odd.Send(odd.Request("INVITE", "sip:100@example.com").Set("User-Agent", "sipsak 0.9.7").Set("Record-Route", "<sip:10.0.0.9;lr>"))
	}
	if !siptest.Eventually(func() bool { return e.Counter("ringwall_refused_total", last) > before }) {
		t.Fatal("nobody minds")
	}
}

// address is where the phone is.
func (p *baresip) address() string {
	p.t.Helper()
	config, err := os.ReadFile(filepath.Join(p.dir, "config"))
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^sip_listen\s+(127[0-9.]+):`).FindSubmatch(config)
	if m == nil {
		p.t.Fatalf("no address in %s", config)
	}
	return string(m[1])
}

// challenged is how many requests were asked to prove themselves first, of greylisted sources, or of banned ones.
func challenged(e *siptest.Edge, banned bool) float64 {
	if banned {
		return e.Counter("ringwall_refused_total", `reason="challenge.ban"`)
	}
	return e.Counter("ringwall_refused_total", `reason="challenge.source"`)
}

// greylisted lets a linphone behind a greylisted address and a baresip behind one that is banned without proof register and call each other.
func greylisted(t *testing.T, f *floor, password func(user string) string) {
	t.Helper()
	home := siptest.OwnIP()
	suspects(t, f.Edge, f.UDP, home, false)
	alice := f.linphone(subscription{user: "alice", password: password("alice"), transport: "udp", server: f.Outside, sip: home})
	if n := challenged(f.Edge, false); n < 2 { // the odd one, and the phone
		t.Errorf("the first phone was not challenged")
	}
	bob := newBaresip(t, "bob")
	suspects(t, f.Edge, f.UDP, bob.address(), true)
	bob.register(fmt.Sprintf(`<sip:bob@example.com;transport=udp>;auth_pass="%s";outbound="sip:%v;transport=udp";answermode=manual;regint=%d`,
		password("bob"), f.Outside, f.expires))
	if n := challenged(f.Edge, true); n < 1 {
		t.Errorf("the second phone was not challenged")
	}
	after := challenged(f.Edge, false) + challenged(f.Edge, true)
	for _, pair := range [][2]talker{{alice, bob}, {bob, alice}} {
		begin(pair[0], pair[1])
		pair[0].end()
		pair[1].ended()
	}
	if n := challenged(f.Edge, false) + challenged(f.Edge, true); n != after {
		t.Errorf("registered phones were challenged %v times", n-after)
	}
	for _, reason := range []string{"auth.lockout", "challenge.password", "bruteforce.guess"} {
		if n := f.Counter("ringwall_refused_total", fmt.Sprintf("reason=%q", reason)); n > 0 {
			t.Errorf("%s: %v", reason, n)
		}
	}
	alice.content()
}

// TestGreylistedPhones: real phones behind greylisted addresses do not notice: they register and call, and ask nobody for a password.
func TestGreylistedPhones(t *testing.T) {
	t.Parallel()
	siptest.NeedTool(t, "linphone-daemon")
	siptest.NeedTool(t, "baresip")
	for _, unify := range []string{"false", "true"} {
		t.Run("demonstration platform, unified "+unify, func(t *testing.T) {
			t.Parallel()
			f := newFloor(t, siptest.Outlets{}, siptest.Keys{"upstreams": "[]", "checks": allChecks, "access": "{unify: " + unify + "}", "trust": "{realm: ringwall.demo}"})
			greylisted(t, f, f.password)
		})
	}
	t.Run("Kamailio, unified", func(t *testing.T) {
		t.Parallel()
		k := newKamailio(t)
		f := newFloor(t, siptest.Outlets{Upstream: []string{k.uri("udp")}}, siptest.Keys{"checks": allChecks, "access": "{unify: true}", "trust": "{realm: example.com}"})
		greylisted(t, f, func(string) string { return kamailioPassword })
	})
}

// answersCalls makes the registrar deny the users that it does not have to callers, too, and challenge callers of the others.
func answersCalls(r *siptest.Registrar) {
	r.HandleOthers(func(m *siptest.Received) bool {
		switch _, there := passwords()[siptest.User(siptest.URI(m.Get("To")))]; {
		case m.Method() != "INVITE":
			return m.Method() == "ACK"
		case there:
			r.Reply(m, 407, siptest.With("Proxy-Authenticate", fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=MD5`, siptest.Realm, siptest.ID())))
		default:
			r.Reply(m, 404)
		}
		return true
	})
}

// TestUnifiedAnswers: with nothing but unified answers against it, svwar finds no user of a platform that tells everybody which it has, and svcrack
// can't tell a user from none.
func TestUnifiedAnswers(t *testing.T) {
	if !inWorld(t) {
		return
	}
	siptest.NeedTool(t, "svwar")
	siptest.NeedTool(t, "svcrack")
	w := newWatchedWith(t, siptest.Keys{"access": "{unify: true}", "checks": "{mode: off}"})
	answersCalls(w.registrar)
	const shown = "203.0.113.6"
	w.run("ip addr add " + shown + "/24 dev outside")
	w.guard(shown, siptest.Keys{"checks": "{mode: off}"})
	words := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(words, []byte("a\nb\nc\nd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{
		"shown":   {"svwar", "-e95-115", shown},
		"calls":   {"svwar", "-e95-115", "-m", "INVITE", shown},
		"war":     {"svwar", "-e95-115", worldOutside},
		"forced":  {"svwar", "-e95-115", "--force", worldOutside},
		"invites": {"svwar", "-e95-115", "-m", "INVITE", "--force", worldOutside},
		"user":    {"svcrack", "-u100", "-d", words, worldOutside},
		"nobody":  {"svcrack", "-u105", "-d", words, worldOutside},
	}
	var hosts []*host
	for i, name := range slices.Sorted(maps.Keys(all)) {
		hosts = append(hosts, w.host(name, "outside", fmt.Sprintf("203.0.113.%d", 61+i)))
	}
	var running sync.WaitGroup
	for _, h := range hosts {
		running.Go(func() {
			out := h.tool(all[h.name]...)
			found := strings.Contains(out, "| 100 ") && strings.Contains(out, "| 110 ")
			switch open := all[h.name][len(all[h.name])-1] == shown; {
			case open && !found:
				t.Errorf("%v finds nobody without unified answers: it is no test", all[h.name])
			case !open && strings.Contains(out, "| 1"):
				t.Errorf("%v tells users from others", all[h.name])
			}
		})
	}
	running.Wait()
	if n := w.edge.Counted(5, "ringwall_refused_total", `reason="unify.user"`); n < 5 {
		t.Errorf("%v unified answers", n)
	}
	w.logIn("right", 200)
}

// TestForgedThenReal (B3): packets of a scanner were forged in the name of an address, which is banned softly; the phone that appears there registers
// within two seconds, and calls.
func TestForgedThenReal(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWatched(t)
	home := w.host("home", "outside", "203.0.113.80")
	forger := home.phone("forger", "udp", w.edge.Outside)
	for range 50 {
		forger.Send(forger.Request("REGISTER", "sip:example.com").Set("User-Agent", "friendly-scanner"))
	}
	if !siptest.Eventually(func() bool { return slices.Contains(w.bans(), "203.0.113.80 scanner.agent") }) {
		t.Fatalf("banned: %v", w.bans())
	}
	before, begun := len(w.registrar.Log()), time.Now()
	phone := home.phone("110", "udp", w.edge.Outside)
	m := phone.Register()
	var challenge *siptest.Received
	for i := 0; challenge == nil && i < 4; i++ { // as phones repeat what is not answered
		phone.Send(m)
		challenge = phone.WaitIn(m.Get("Call-ID"), "401", 500*time.Millisecond)
	}
	if challenge == nil || len(w.registrar.Log()) != before {
		t.Fatalf("the phone gets %v, the platform %d messages", challenge, len(w.registrar.Log())-before)
	}
	for step, want := range []int{401, 200} {
		m = siptest.Authorize(m, challenge, "110", "hunter2")
		phone.Send(m)
		if challenge = phone.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline); challenge == nil || challenge.Status() != want {
			t.Fatalf("answer %d gets %v", step+1, challenge)
		}
		if want == 401 && !strings.HasSuffix(challenge.Get("WWW-Authenticate"), ", stale=true") {
			t.Errorf("the platform's challenge is %q", challenge.Get("WWW-Authenticate"))
		}
	}
	t.Logf("registered after %v", time.Since(begun))
	stranger := home.phone("stranger", "udp", w.edge.Outside)
	stranger.Send(stranger.Request("OPTIONS", "sip:110@example.com"))
	stranger.Silence(hush)
}
