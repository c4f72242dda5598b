package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// allChecks is every check at work.
const allChecks = "{bruteforce: {mode: enforce}, contact: {mode: enforce}, dialprefix: {mode: enforce}, enumeration: {mode: enforce}, flood: {mode: enforce}, injection: {mode: enforce}, " +
	"lockout: {mode: enforce}, malformed: {mode: enforce}, method: {mode: enforce}, route: {mode: enforce}, scanner: {mode: enforce}, spray: {mode: enforce}, userguard: {mode: enforce}}"

// A watched is an edge with checks at work, on the port that tools look at, before a registrar that tells strangers which users it has.
type watched struct {
	*world
	edge      *siptest.Edge
	registrar *siptest.Registrar
	office    *siptest.UA // a registered phone
}

// passwords are those of the registrar's users, of an office with many phones among them.
func passwords() map[string]string {
	all := map[string]string{"100": "4711", "110": "hunter2", "office": "right"}
	for i := range 500 {
		all[deskUser(i)] = deskPassword(i)
	}
	return all
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	return newWatchedWith(t, siptest.Keys{"checks": allChecks})
}

// newWatchedWith is newWatched with other keys.
func newWatchedWith(t *testing.T, keys siptest.Keys) *watched {
	t.Helper()
	w := &watched{world: newWorld(t)}
	w.registrar = siptest.NewRegistrar(w.host("platform", "inside", "10.77.0.10").platform("platform"), passwords())
	w.registrar.Leaky = true
	w.edge = w.guard(worldOutside, keys)
	w.office = w.host("office", "outside", "203.0.113.20").phone("office", "udp", w.edge.Outside)
	w.logIn("right", 200)
	return w
}

// guard is an edge at an address outside, and at its port 5060, before the registrar.
func (w *watched) guard(outside string, keys siptest.Keys) *siptest.Edge {
	w.t.Helper()
	return siptest.StartEdge(w.t, siptest.Outlets{Outside: outside, Inside: worldInside, Upstream: []string{"sip:" + w.registrar.Addr.String()},
		More: []string{"udp:" + outside + ":5060", "tcp:" + outside + ":5060"}}, keys)
}

// logIn has the office's phone register, which must end so.
func (w *watched) logIn(password string, want int) {
	w.t.Helper()
	m := w.office.Register()
	w.office.Send(m)
	challenge := w.office.WaitIn(m.Get("Call-ID"), "final", siptest.Deadline)
	if challenge == nil || challenge.Status() != 401 {
		w.t.Fatalf("the office's phone is not challenged: %v", challenge)
	}
	again := siptest.Authorize(m, challenge, w.office.User, password)
	w.office.Send(again)
	if got := w.office.WaitIn(again.Get("Call-ID"), "final", siptest.Deadline); got == nil || got.Status() != want {
		w.t.Fatalf("the office's phone gets %v, want %d", got, want)
	}
}

// tool runs an attack tool on a host, and returns what it prints.
func (h *host) tool(args ...string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 60*time.Second)
	defer cancel()
	all := append(h.within(), args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Dir = h.t.TempDir() // where sipvicious keeps its sessions
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		h.t.Errorf("%s does not end: %s", h.name, out)
	}
	h.t.Logf("%s: %v\n%s", strings.Join(args, " "), err, out)
	return string(out)
}

// datagrams is how many UDP datagrams were sent on the host.
func (h *host) datagrams() (n int) {
	h.t.Helper()
	all := append(h.within(), "cat", "/proc/net/snmp")
	out, err := exec.Command(all[0], all[1:]...).Output()
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case fields[0] == "Udp:" && names == nil:
			names = fields
		case fields[0] == "Udp:":
			fmt.Sscan(fields[slices.Index(names, "OutDatagrams")], &n)
		}
	}
	return n
}

// ringwall runs a verb against the edge and returns what it prints.
func (w *watched) ringwall(args ...string) (string, error) {
	out, err := exec.Command(siptest.Binary(w.t), append(args, "--state", w.edge.State)...).CombinedOutput()
	return string(out), err
}

// bans are the sources that are banned.
func (w *watched) bans() []string {
	w.t.Helper()
	return w.bansOf(w.edge)
}

// bansOf are the sources that an edge bans.
func (w *watched) bansOf(e *siptest.Edge) (list []string) {
	w.t.Helper()
	out, err := exec.Command(siptest.Binary(w.t), "bans", "-o", "json", "--state", e.State).CombinedOutput()
	if err != nil {
		w.t.Fatalf("bans: %v: %s", err, out)
	}
	var all []struct{ Source, Reason string }
	if err := json.Unmarshal(out, &all); err != nil {
		w.t.Fatalf("bans: %v: %s", err, out)
	}
	for _, one := range all {
		list = append(list, one.Source+" "+one.Reason)
	}
	return list
}

// An attack is what one tool does on a host of its own, and what must not be in what it prints.
type attack struct {
	*host
	args  []string
	found []string
}

// attacks are the tools against an edge with every check, and svwar and svcrack against one at plain that does not know them by their marks.
func (w *watched) attacks(plain string) map[string]attack {
	words := filepath.Join(w.t.TempDir(), "words")
	if err := os.WriteFile(words, []byte(strings.Repeat("guess\n", 400)+"4711\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	users := []string{"| 100", "| 110"}
	all := map[string]attack{
		"svmap":   {nil, []string{"svmap", worldOutside}, []string{"| " + worldOutside}},
		"svwar":   {nil, []string{"svwar", "-e95-115", worldOutside}, users},
		"forced":  {nil, []string{"svwar", "-e95-115", "--force", worldOutside}, users},
		"invites": {nil, []string{"svwar", "-e95-115", "-m", "INVITE", "--force", worldOutside}, users},
		"svcrack": {nil, []string{"svcrack", "-u100", "-d", words, worldOutside}, []string{"4711"}},
		"nmap": {nil, []string{"nmap", "-sU", "-Pn", "-n", "-p5060", "--script", "+sip-methods,+sip-enum-users,+sip-brute,+sip-call-spoof", "--script-args",
			"unpwdb.timelimit=3s,sip-enum-users.minext=95,sip-enum-users.maxext=115,sip-call-spoof.extension=100", worldOutside},
			[]string{"sip-methods:", "sip-enum-users:", "Valid credentials", "sip-call-spoof:"}},
		"probe": {nil, []string{"sipsak", "-v", "-s", "sip:100@" + worldOutside}, nil},
		"flood": {nil, []string{"sipsak", "-F", "-e", "3000", "-s", "sip:100@" + worldOutside}, nil},
		"plain": {nil, []string{"svcrack", "-u100", "-d", words, plain}, []string{"4711"}},
		"alike": {nil, []string{"svwar", "-e95-115", "--force", plain}, users}, // known by nothing but what it asks
		"once":  {nil, []string{"svwar", "-e95-115", plain}, users},
	}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		one := all[name]
		siptest.NeedTool(w.t, one.args[0])
		one.host = w.host(name, "outside", fmt.Sprintf("203.0.113.%d", 61+i))
		all[name] = one
	}
	return all
}

// cut has a scanner come over TCP, where it is proven by its first message: it is banned, and its connections end at once (B6).
func (w *watched) cut() {
	w.t.Helper()
	h := w.host("stream", "outside", "203.0.113.60")
	var open []net.Conn
	for range 2 {
		c, err := h.idle(w.edge.Outside)
		if err != nil {
			w.t.Fatal(err)
		}
		open = append(open, c)
	}
	_, _ = open[0].Write(plainRequest("OPTIONS", "tcp", siptest.ID(), "User-Agent: friendly-scanner\r\n"))
	for _, c := range open {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			w.t.Errorf("a connection of a scanner that was found out: %v", err)
		}
	}
	w.edge.WaitLog(`msg="Blocking traffic from 203.0.113.60" event=ban reason=scanner.agent`)
}

// manyUsers is how many a source may ask for before it has too many denied (check enumeration).
const manyUsers = 10

// lateFor has the platform be late once: it answers nobody from the first user of its range that svwar on h asks for until h has asked for so many that the
// answers will tell on it.
func (w *watched) lateFor(h *host) {
	var late sync.Once
	w.registrar.OnReply(func(m *siptest.Received, _ *siptest.Message) {
		if sourceOf(m) == h.addr.String() && siptest.User(siptest.URI(m.Get("To"))) == "95" {
			late.Do(func() {
				if !siptest.Eventually(func() bool { return h.datagrams() > manyUsers+3 }) { // 100 and 110 are not denied
					w.t.Error("svwar waits for answers")
				}
			})
		}
	})
}

// sourceOf is the address of who sent what the platform got.
func sourceOf(m *siptest.Received) string {
	source, _, _ := strings.Cut(m.Get("X-Source"), ":")
	return source
}

// enumerated wants h banned by e for the users that it asked for, and that nobody whom it asks for now is asked for of the platform. What was on its way when the
// platform's tenth denial came back has passed, which is all that svwar sends before it hears of anybody: how much that is depends on the machine.
func (w *watched) enumerated(h *host, e *siptest.Edge, asked map[string]bool) {
	w.t.Helper()
	denied, known := 0, passwords()
	for user := range asked {
		if known[user] == "" {
			denied++
		}
	}
	if denied < manyUsers {
		w.t.Errorf("%s had %d users denied, %d in all: it is no test", h.name, denied, len(asked))
	}
	if !siptest.Eventually(func() bool { return slices.Contains(w.bansOf(e), h.addr.String()+" enumeration.users") }) {
		w.t.Errorf("%d users were denied to %s, and banned is %v", denied, h.name, w.bansOf(e))
	}
	more := h.phone("one-more", "udp", e.Outside)
	more.Send(more.Register())
	more.Wait("final", 2*hush)
	for _, m := range w.registrar.Log() {
		if strings.Contains(m.Get("To"), more.User) {
			w.t.Errorf("after the verdict this reaches the platform:\n%v", m)
		}
	}
}

// TestTools (T5, T12): svmap, svwar and svcrack of Debian, nmap's scripts for SIP and sipsak, all at once: they find nothing, what is sure to be an
// attack does not reach the platform, who only asks whether we live is answered, and a registered phone does not notice.
func TestTools(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWatched(t)
	const second = "203.0.113.6"
	w.run("ip addr add " + second + "/24 dev outside")
	plain := w.guard(second, siptest.Keys{"checks": strings.NewReplacer("scanner: {mode: enforce}", "scanner: {mode: off}", "contact: {mode: enforce}", "contact: {mode: off}").Replace(allChecks), "access": "{unify: true}"})
	w.cut()
	all, before := w.attacks(second), len(w.registrar.Log())
	var running sync.WaitGroup
	var probed string
	run := func(one attack) string {
		out := one.tool(one.args...)
		for _, text := range one.found {
			if strings.Contains(out, text) {
				t.Errorf("%v finds %q", one.args, text)
			}
		}
		return out
	}
	for name, one := range all {
		running.Go(func() {
			switch name {
			case "alike": // later, since the platform is late for it
			case "probe":
				probed = run(one)
			default:
				run(one)
			}
		})
	}
	running.Wait()
	w.lateFor(all["alike"].host)
	run(all["alike"])
	if !strings.Contains(probed, "SIP/2.0 200 OK") {
		t.Error("a probe is not answered")
	}
	asked := map[string]map[string]bool{all["alike"].addr.String(): {}, all["once"].addr.String(): {}}
	for _, m := range w.registrar.Log()[before:] {
		switch source := sourceOf(m); {
		case source == all["plain"].addr.String(): // until it is locked out
		case asked[source] != nil:
			asked[source][siptest.User(siptest.URI(m.Get("To")))] = true
		default:
			t.Errorf("this reaches the platform:\n%v", m)
		}
	}
	if n := len(asked[all["once"].addr.String()]); n != 1 {
		t.Errorf("%d users were asked for until svwar gave up, want the one it begins with", n)
	}
	w.enumerated(all["alike"].host, plain, asked[all["alike"].addr.String()])
	// Guesses without marks are found out by the third wrong password, and end at the 503.
	if n, after := all["plain"].datagrams(), int(plain.Counter(`reason="auth.lockout"`)); n > 100 || after < 1 || after > 25 {
		t.Errorf("svcrack sends %d messages, %d of them after the verdict", n, after)
	}
	if n := w.edge.Counter(`ringwall_refused_total{reason="flood.rate"}`); n < 500 {
		t.Errorf("%.0f of 3000 messages at once were too many", n)
	}
	for _, name := range []string{"svmap", "svwar", "forced", "invites", "svcrack", "nmap"} {
		addr := all[name].addr.String()
		out, err := w.ringwall("explain", addr)
		t.Logf("%s sent %d: %s", name, all[name].datagrams(), out)
		if err != nil || all[name].datagrams() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range w.bans() {
		if strings.HasPrefix(b, w.office.Addr.Addr().String()) || strings.HasPrefix(b, all["probe"].addr.String()) {
			t.Errorf("an innocent is banned: %s", b)
		}
		t.Log("banned:", b)
	}
	w.logIn("right", 200)
}

// TestGuesserStory (T10, B6): somebody without the marks of a tool guesses passwords. He is locked out after three, banned when he goes on, and
// the user gets in from where he always does.
func TestGuesserStory(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newWatched(t)
	crook := w.host("crook", "outside", "203.0.113.66").phone("office", "udp", w.edge.Outside)
	through := 0
	for range 40 {
		m := crook.Register()
		crook.Send(m)
		wait := siptest.Deadline
		if through >= 3 { // he is locked out, and may hear nothing
			wait = hush
		}
		challenge := crook.WaitIn(m.Get("Call-ID"), "final", wait)
		if challenge == nil || challenge.Status() != 401 {
			if challenge != nil && (challenge.Status() != 503 || challenge.Get("Retry-After") == "") {
				t.Fatalf("the crook gets %v", challenge)
			}
			continue
		}
		again := siptest.Authorize(m, challenge, "office", siptest.ID())
		crook.Send(again)
		if got := crook.WaitIn(again.Get("Call-ID"), "final", siptest.Deadline); got != nil && got.Status() == 401 {
			through++
		}
	}
	if through != 3 {
		t.Errorf("%d passwords were tried, want 3", through)
	}
	w.logIn("right", 200)
}
