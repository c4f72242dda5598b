package rounds

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/bench/floor"
	"github.com/ringwall/ringwall/bench/load"
	ringwall "github.com/ringwall/ringwall/config"
)

// roleVariable makes the test binary play a program of its own: "forwarder", "relay", or "spinner" with a child that spins too.
const roleVariable = "BENCH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "forwarder":
		exit(playForwarder())
	case "relay":
		exit(playRelay())
	case "spinner":
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), roleVariable+"=child")
		if err := child.Start(); err != nil {
			exit(err)
		}
		fmt.Fprintln(os.Stderr, "ready")
		spin()
	case "child":
		spin()
	case "mute":
		fmt.Fprintln(os.Stderr, "cannot do it")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func spin() {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		continue
	}
}

func playForwarder() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var cfg floor.Config
	f := flag.NewFlagSet("forwarder", flag.ContinueOnError)
	f.TextVar(&cfg.Outside, "outside", netip.AddrPort{}, "")
	f.TextVar(&cfg.Inside, "inside", netip.AddrPort{}, "")
	f.TextVar(&cfg.Upstream, "upstream", netip.AddrPort{}, "")
	f.BoolVar(&cfg.Drop, "drop", false, "")
	if err := f.Parse(os.Args[1:]); err != nil {
		return err
	}
	fw, err := floor.New(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	return fw.Run(ctx)
}

func TestTurnsThroughForwarderProcess(t *testing.T) {
	t.Setenv(roleVariable, "forwarder")
	var log bytes.Buffer
	results, err := Run(context.Background(), Config{
		Systems: []System{Forwarder{Command: []string{os.Args[0]}}},
		Rounds:  2, Warm: 100, Count: 1000, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 || strings.Count(log.String(), "round ") != 2 {
		t.Fatalf("%d results, log %q, want two of each", len(results), log.String())
	}
	for _, r := range results {
		if r.Invalid != "" || r.Load.Completed != 1000 {
			t.Errorf("round %d: completed %d, invalid %q", r.Round, r.Load.Completed, r.Invalid)
		}
		if r.CPUMicros <= 0 || r.LifeMicros < r.CPUMicros*0.99 || r.PerCall != r.CPUMicros/1000 || r.RSS <= 0 || r.Peak < r.RSS {
			t.Errorf("round %d: accounting does not add up: %+v", r.Round, r)
		}
	}
	s := Summarize(results)
	if len(s) != 1 || s[0].Ratio != 1 || s[0].Invalid != 0 {
		t.Errorf("summaries %+v, want one, valid, with ratio 1", s)
	}
}

func TestFloodAgainstTheFloorIsSilent(t *testing.T) {
	t.Setenv(roleVariable, "forwarder")
	results, err := Run(context.Background(), Config{
		Systems: []System{Forwarder{Command: []string{os.Args[0]}, Drop: true}},
		Rounds:  1, Warm: 100, Count: 2000, Log: io.Discard, Load: load.Config{Mode: load.Flood, Rate: 20000}})
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Invalid != "" || r.Load.CallerSent != 2000 || r.PerMessage != r.PerCall {
		t.Errorf("%+v, want 2000 packets sent, a valid run, and one message each", r)
	}
}

func TestAccountingIncludesChildren(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	t.Setenv(roleVariable, "spinner")
	p, err := startProcess(context.Background(), loopback, cmd, nil, "ready")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		children, _ := childrenOf(p.PID)
		for _, c := range children {
			_ = syscall.Kill(c, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		<-p.exited
	}()
	children, err := childrenOf(p.PID)
	if err != nil || len(children) != 1 {
		t.Fatalf("children %v (%v), want one", children, err)
	}
	for range 1000 {
		alone, err := cpuClock(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		child, err := cpuClock(children[0])
		if err != nil {
			t.Fatal(err)
		}
		tree, err := treeUsage(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		if child > 0 && tree.cpu >= alone+child {
			return
		}
		time.Sleep(time.Millisecond) // until the child has run at all
	}
	t.Error("the tree's CPU time never reached the sum of its two processes'")
}

func TestStartTellsWhyAProcessDidNotBecomeReady(t *testing.T) {
	t.Setenv(roleVariable, "mute")
	_, err := startProcess(context.Background(), loopback, exec.Command(os.Args[0]), nil, "ready")
	if err == nil || !strings.Contains(err.Error(), "cannot do it") {
		t.Errorf("got %v, want the words of the process", err)
	}
	if _, err := startProcess(context.Background(), loopback, exec.Command("/nonexistent"), nil, "ready"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that there is no such file", err)
	}
}

func TestAccountOfNobodyFails(t *testing.T) {
	if _, err := treeUsage(1 << 22); err == nil {
		t.Error("a process that does not exist was accounted")
	}
}

func TestSummaries(t *testing.T) {
	result := func(system string, us float64, invalid string) Result {
		return Result{System: system, PerMessage: us, PerCall: 7 * us, Invalid: invalid, Load: load.Report{PerSecond: 1000}}
	}
	s := Summarize([]Result{
		result("a", 4, ""), result("b", 7, ""),
		result("a", 2, ""), result("b", 5, ""),
		result("a", 3, ""), result("b", 1, "lost calls"),
	})
	if len(s) != 2 || s[0].PerMessage != (Spread{2, 3, 4}) || s[1].PerMessage != (Spread{5, 6, 7}) {
		t.Fatalf("spreads %+v, want 2/3/4 and 5/6/7", s)
	}
	if s[1].Ratio != 2 || s[1].Invalid != 1 || s[1].Rounds != 3 {
		t.Errorf("b: %+v, want ratio 2 and one invalid of three", s[1])
	}
	var out bytes.Buffer
	if err := Print(&out, "lo", s); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "system over lo ") || !strings.Contains(lines[2], "2/3") || !strings.Contains(lines[2], "5.00/6.00/7.00") {
		t.Errorf("table:\n%s", out.String())
	}
	if none := Summarize([]Result{result("a", 1, "bad")}); none[0].PerMessage != (Spread{}) {
		t.Errorf("a system without a valid round has figures: %+v", none[0])
	}
}

func TestLineWaiterFindsSplitWordAndKeepsTheEnd(t *testing.T) {
	w := &lineWaiter{want: "ready", found: make(chan struct{})}
	_, _ = io.WriteString(w, "not yet: rea")
	select {
	case <-w.found:
		t.Fatal("found before it was there")
	default:
	}
	_, _ = io.WriteString(w, "dy\n"+strings.Repeat("x", 2*keptOutput)+"the end")
	<-w.found
	if len(w.kept) > keptOutput || !strings.HasSuffix(w.tail(), "the end") {
		t.Errorf("kept %d bytes, ending %q", len(w.kept), w.tail()[len(w.tail())-10:])
	}
}

func TestRingwallTakesItsConfig(t *testing.T) {
	at := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	for i, extra := range []string{"", "access: {unknown: [INVITE]} # on DEVICE"} {
		text := Ringwall{Linger: time.Second, Extra: extra, Hidden: i == 0}.config(at(1), at(2), at(3), at(4), t.TempDir(), "edge0")
		if strings.HasSuffix(text, "on edge0\n") != (extra != "") {
			t.Errorf("%s\nlacks the device", text)
		}
		if _, err := ringwall.Parse("bench", []byte(text)); err != nil {
			t.Errorf("%s\n%v", text, err)
		}
	}
}
