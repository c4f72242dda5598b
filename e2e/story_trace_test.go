package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A tracer is a running `ringwall trace`.
type tracer struct {
	*testing.T
	cmd *exec.Cmd

	mu  sync.Mutex
	out bytes.Buffer
}

// Write keeps what the tracer shows.
func (tr *tracer) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.out.Write(b)
}

func (tr *tracer) shown() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.out.String()
}

// trace starts a tracer and waits until it sees what passes.
func (r *rig) trace(args ...string) *tracer {
	r.Helper()
	tr := &tracer{T: r.T}
	args = append([]string{"trace", "--socket", filepath.Join(r.edge.State, "ringwall.sock")}, args...)
	tr.cmd = exec.Command(siptest.Binary(r.T), args...)
	tr.cmd.Stdout = tr
	stderr, err := tr.cmd.StderrPipe()
	if err != nil {
		r.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	if line, err := bufio.NewReader(stderr).ReadString('\n'); !strings.HasPrefix(line, "tracing ") {
		r.Fatalf("trace begins with %q, %v", line, err)
	}
	return tr
}

// end waits until the last of what is to come is shown so many times, ends the tracer by INT, and returns everything.
func (tr *tracer) end(last string, times int) string {
	tr.Helper()
	if !siptest.Eventually(func() bool { return strings.Count(tr.shown(), last) >= times }) {
		tr.Errorf("the trace never shows %q", last)
	}
	if err := tr.cmd.Process.Signal(syscall.SIGINT); err != nil {
		tr.Error(err)
	}
	if err := tr.cmd.Wait(); err != nil {
		tr.Errorf("trace ended with %v", err)
	}
	return tr.shown()
}

// TestTraceStory: alice calls while an operator traces her, as a ladder and as JSON. Both show the call from INVITE to BYE, both
// sides of it, in order, and nothing of mallory's.
func TestTraceStory(t *testing.T) {
	t.Parallel()
	for _, w := range both {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t, w, nil)
			ladder, list := r.trace("--user", "alice"), r.trace("--user", "alice", "-o", "json")
			mallory, alice := r.phone("mallory"), r.phone("alice")
			r.invite(mallory)
			c := r.call(alice)
			r.bye(c.phone, c.platform)
			want := []string{"received outside INVITE", "sent inside INVITE", "received inside 200 OK", "sent outside 200 OK",
				"received outside ACK", "sent inside ACK", "received outside BYE", "sent inside BYE", "received inside 200 OK",
				"sent outside 200 OK"}
			if got := steps(t, list.end(`200 OK","cseq":"2 BYE"`, 2)); !slices.Equal(got, want) {
				t.Errorf("steps of the call\n%q, want\n%q", got, want)
			}
			text := ladder.end("2 BYE", 4)
			place := 0
			for _, arrow := range []string{"|-- INVITE", "||-- INVITE", "||<-", "200 OK --||", "|-- ACK", "||-- ACK", "|-- BYE", "||-- BYE",
				"||<-", "200 OK --||"} {
				i := strings.Index(text[place:], arrow)
				if i < 0 {
					t.Fatalf("no %q where it should stand in\n%s", arrow, text)
				}
				place += i + 1
			}
			if strings.Contains(text, "mallory") || !strings.Contains(text, "-- "+c.sent.Get("Call-ID")+"  alice -> bob") {
				t.Errorf("not alice's call alone:\n%s", text)
			}
		})
	}
}

// steps are the lines of a trace in JSON, without a 100 that the edge sent of its own accord.
func steps(t *testing.T, text string) (all []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var m struct{ Event, Side, Start string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if !strings.HasPrefix(m.Start, "100 ") {
			all = append(all, m.Event+" "+m.Side+" "+m.Start)
		}
	}
	return all
}

// TestBothCallIDs: a call that begins inside has another Call-ID outside. Operators who know one of them find the other: in traces by either, in the list of calls,
// also after a kill, and in the log.
func TestBothCallIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, udp, concealed(relaying))
	phone := r.phone("alice")
	contact := r.register(siptest.NewRegistrar(r.platform, nil), phone)
	c := r.callIn(contact, phone)
	own, far := c.sent.Get("Call-ID"), c.got.Get("Call-ID")
	r.away(own, far)
	for _, id := range []string{own, far} {
		tr := r.trace("--call", id, "-o", "json")
		r.ask(c.platform, c.phone, c.platform.Request("INFO"))
		r.bothNamed(tr.end(`200 OK","cseq"`, 2), own, far)
	}
	listed := func() {
		t.Helper()
		r.kept(1)
		if all := relayedCalls(t, r.edge); len(all) != 1 || all[0].CallID != own || all[0].Other != far {
			t.Errorf("the calls are %+v, want %q, outside %q", all, own, far)
		}
	}
	listed()
	r.edge.Kill()
	r.edge.Start()
	listed()
	r.bye(c.phone, c.platform)
	r.edge.WaitLog("call_id=" + own + " other_call_id=" + far)
}

// bothNamed wants each message of a trace to be named by the Call-ID that it had, and to name the other one.
func (r *rig) bothNamed(trace, own, far string) {
	r.Helper()
	for line := range strings.Lines(trace) {
		var m struct {
			Side   string
			CallID string `json:"call_id"`
			Other  string `json:"other_call_id"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			r.Fatalf("%q: %v", line, err)
		}
		want := [2]string{own, far}
		if m.Side == "outside" {
			want = [2]string{far, own}
		}
		if got := [2]string{m.CallID, m.Other}; got != want {
			r.Errorf("%s: named %q, want %q", line, got, want)
		}
	}
}
