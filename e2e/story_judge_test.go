package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/siptest"
)

// allChecks is every check at work.
const allChecks = "{bruteforce: {mode: enforce}, contact: {mode: enforce}, dialprefix: {mode: enforce}, enumeration: {mode: enforce}, flood: {mode: enforce}, injection: {mode: enforce}, " +
	"lockout: {mode: enforce}, malformed: {mode: enforce}, method: {mode: enforce}, route: {mode: enforce}, scanner: {mode: enforce}, spray: {mode: enforce}, userguard: {mode: enforce}}"

// A watched is an edge with every check at work, before a registrar that tells strangers which users it has.
type watched struct {
	*world
	edge      *siptest.Edge
	registrar *siptest.Registrar
	office    *siptest.UA // a registered phone
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{world: newWorld(t)}
	platform := w.host("platform", "inside", "10.77.0.10").platform("platform")
	w.registrar = siptest.NewRegistrar(platform, map[string]string{"100": "4711", "110": "hunter2", "office": "right"})
	w.edge = siptest.StartEdge(t, siptest.Outlets{Outside: worldOutside, Inside: worldInside, Upstream: []string{"sip:" + platform.Addr.String()}},
		siptest.Keys{"checks": allChecks})
	w.office = w.host("office", "outside", "203.0.113.20").phone("office", "udp", w.edge.Outside)
	w.logIn("right", 200)
	return w
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

// tool runs an attack tool on a host of its own, and returns what it prints.
func (w *watched) tool(name, addr string, args ...string) string {
	w.t.Helper()
	h := w.host(name, "outside", addr)
	ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Second)
	defer cancel()
	all := append(h.within(), args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	cmd.Dir = w.t.TempDir() // where sipvicious keeps its sessions
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		w.t.Errorf("%s does not end: %s", name, out)
	}
	w.t.Logf("%s: %v\n%s", strings.Join(args, " "), err, out)
	return string(out)
}

// bans are the sources that are banned.
func (w *watched) bans() (list []string) {
	w.t.Helper()
	out, err := exec.Command(siptest.Binary(w.t), "bans", "--state", w.edge.State, "-o", "json").Output()
	if err != nil {
		w.t.Fatalf("bans: %v", err)
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

// TestSipvicious (T5, T12): svmap, svwar and svcrack of Debian find nothing, and a registered phone does not notice.
func TestSipvicious(t *testing.T) {
	if !inWorld(t) {
		return
	}
	for _, tool := range []string{"svmap", "svwar", "svcrack"} {
		siptest.NeedTool(t, tool)
	}
	w := newWatched(t)
	before := len(w.registrar.Log())
	words := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(words, []byte("a\nb\nc\n4711\nd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := w.tool("map", "203.0.113.61", "svmap", worldOutside); strings.Contains(out, "| "+worldOutside) {
		t.Error("svmap finds the edge")
	}
	for i, args := range [][]string{{"--force"}, {"-m", "INVITE", "--force"}} {
		out := w.tool(fmt.Sprint("war", i), fmt.Sprintf("203.0.113.%d", 62+i), append(append([]string{"svwar", "-e95-115"}, args...), worldOutside)...)
		if strings.Contains(out, "| 100") || strings.Contains(out, "| 110") {
			t.Errorf("svwar %v finds users", args)
		}
	}
	if out := w.tool("crack", "203.0.113.70", "svcrack", "-u100", "-d", words, worldOutside); strings.Contains(out, "4711 ") || strings.Contains(out, "| 4711") {
		t.Error("svcrack finds the password")
	}
	if got := w.registrar.Log()[before:]; len(got) > 0 {
		t.Errorf("%d of their messages reach the platform, the first one:\n%v", len(got), got[0])
	}
	out, err := exec.Command(siptest.Binary(t), "explain", "203.0.113.61", "--state", w.edge.State).CombinedOutput()
	if t.Logf("%s", out); err != nil {
		t.Errorf("explain: %v", err)
	}
	for _, b := range w.bans() {
		if strings.HasPrefix(b, "203.0.113.20") {
			t.Errorf("the office is banned: %s", b)
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
		challenge := crook.WaitIn(m.Get("Call-ID"), "final", 100*time.Millisecond)
		if challenge == nil || challenge.Status() != 401 {
			if challenge != nil && (challenge.Status() != 503 || challenge.Get("Retry-After") == "") {
				t.Fatalf("the crook gets %v", challenge)
			}
			continue
		}
		again := siptest.Authorize(m, challenge, "office", siptest.ID())
		crook.Send(again)
		if got := crook.WaitIn(again.Get("Call-ID"), "final", time.Second); got != nil && got.Status() == 401 {
			through++
		}
	}
	if through != 3 {
		t.Errorf("%d passwords were tried, want 3", through)
	}
	w.logIn("right", 200)
}
