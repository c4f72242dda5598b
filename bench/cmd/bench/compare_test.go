package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/bench/rounds"
)

func TestEveryGoalIsMeasured(t *testing.T) {
	for _, short := range []bool{false, true} {
		p := plan(both, short)
		byTitle := (&comparison{Series: p}).titled
		for _, g := range goals {
			systems := strings.Split(byTitle(g.series).Systems, ",")
			for _, want := range []string{g.above, g.base} {
				if !slices.Contains(systems, want) {
					t.Errorf("%s does not measure %s", g.series, want)
				}
			}
		}
		for _, s := range p {
			if s.Rounds < 3 || s.Count < 1000 {
				t.Errorf("%s: %d rounds of %d are too few", s.Title, s.Rounds, s.Count)
			}
		}
	}
}

// invented is a comparison of round figures.
func invented() *comparison {
	c := &comparison{When: time.Unix(0, 0), Took: 90 * time.Second, Command: "bench compare", Machine: rounds.Machine{Model: "Some CPU", CPUs: 2, Kernel: "6.1", Go: "go1.26"},
		Ringwall: "0123456789ab, go1.26", Kamailio: "kamailio 5.6", Launch: "kamailio -x fm -X fm", Before: "0.1 0.2 0.3", After: "1.1 0.2 0.3", pinned: true, Wire: both, Series: plan(both, true)}
	micros := map[string]float64{"ringwall": 5, "forwarder": 4, "kamailio-a": 7, "kamailio-b": 11, "kamailio-c": 20, "ringwall-coalescing": 3, "rtpengine": 8, "ringwall-hidden": 5.3, "ringwall-judged": 5.9, "ringwall-xdp": 3, "ringwall-hidden-xdp": 3.5, "ringwall-judged-xdp": 4}
	for _, s := range c.Series {
		for round := 1; round <= s.Rounds; round++ {
			for system := range strings.SplitSeq(s.Systems, ",") {
				us := micros[system] + float64(round)/10
				hides := system == "kamailio-c" || system == "ringwall-hidden" || system == "ringwall-judged"
				lr := load.Report{CallerGot: 400, Hides: hides}
				if s.Wire == "tap" {
					lr.HandoverMicros = 1
				}
				s.Results = append(s.Results, rounds.Result{System: system, Round: round, PerMessage: us, PerCall: 7 * us, Load: lr})
			}
		}
		s.Sums = rounds.Summarize(s.Results)
	}
	return c
}

func TestReportTellsRatiosAndGoals(t *testing.T) {
	var out bytes.Buffer
	invented().write(&out)
	for _, want := range []string{
		"| Calls, saturated | kamailio-b / ringwall | 2.15 | 2.13 to 2.18 | - | at least 2.1 | reached |",
		"| REGISTER, saturated | kamailio-b / ringwall | 2.15 | 2.13 to 2.18 | - | at least 3.0 | **not reached** |",
		"| Calls, 800 a second | ringwall / forwarder | 1.24 | 1.23 to 1.24 | - | reported |  |",
		"| Media of 500 calls | rtpengine / ringwall-coalescing | 2.56 | 2.52 to 2.61 | - | at least 2.0 | reached |", "| p50 / p99 of the way |",
		"Some CPU, 2 of them visible; system under test on processor 0",
		"| 0.1 0.2 0.3, 1.1 0.2 0.3 |",
		"| system, over lo | valid |", "| system, over tap | valid |", "| Calls, saturated, over tap | kamailio-b / ringwall | 2.15 | 2.13 to 2.18 | 1.97 | reported |  |",
		"| kamailio-c | 3 of 3 | 140.7 / **141.4** / 142.1 | 20.10 / **20.20** / 20.30 | 3.88 | - |",
		"During 0 of 117 runs",
		"| Calls, saturated | kamailio-c / ringwall-hidden | 3.67 | 3.63 to 3.72 | - | at least 4.0 | **not reached** |",
		"| Calls, saturated | ringwall-hidden | 1200 | 0 |",
		"| Calls, saturated | ringwall-judged / forwarder | 1.45 | 1.44 to 1.46 | - | at most 1.5 | reached |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(out.String(), "provisional") {
		t.Error("a quiet run is called provisional")
	}
}

func TestWireChoosesTheSeries(t *testing.T) {
	for wire, want := range map[string]int{"lo": 4, "tap": 2, both: 6} {
		p := plan(wire, false)
		if len(p) != want {
			t.Errorf("-wire %s measures %d series, want %d", wire, len(p), want)
		}
		for _, s := range p {
			if wire != both && s.Wire != wire || strings.Contains(s.Title, "tap") != (s.Wire == "tap") {
				t.Errorf("-wire %s measures %q over %s", wire, s.Title, s.Wire)
			}
		}
	}
	var out bytes.Buffer
	(&comparison{Series: plan("lo", true)}).writeGoals(&out)
	if strings.Contains(out.String(), "tap") {
		t.Errorf("a comparison over lo tells of tap:\n%s", out.String())
	}
}

func TestReportIsHonest(t *testing.T) {
	c := invented()
	for i := range c.Series[0].Results {
		r := &c.Series[0].Results[i]
		switch {
		case r.System == "kamailio-b":
			r.Invalid = "3 incomplete"
		case r.System == "ringwall" && r.Round == 2:
			r.Others, r.Load.Retransmitted = 0.5, 4
		case r.System == "ringwall-hidden":
			r.Load.Leaks = 2
		case r.System == "kamailio-c":
			r.Load = load.Report{Hides: true, Reorders: true, Overtaken: 7, Missing: 2, Completed: 100}
		}
	}
	c.Series[0].Sums = rounds.Summarize(c.Series[0].Results)
	var out bytes.Buffer
	c.write(&out)
	for _, want := range []string{
		"| Calls, saturated | kamailio-b / ringwall | - | - to - | - | at least 2.1 | **not reached** |",
		"| kamailio-b | 0 of 3 |",
		"round 1 of kamailio-b does not count: 3 incomplete",
		"round 2 of ringwall: 4 retransmissions",
		"21 messages of 300 calls came out of order",
		"| Calls, saturated | ringwall-hidden | 1200 | 6 |", "During 1 of 117 runs", "50 % at most", "provisional",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

func TestReportGoesWhereItShould(t *testing.T) {
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "REPORT.md")
	if err := writeReport(invented(), file, &out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(text, []byte("# ringwall beside Kamailio")) || !strings.Contains(out.String(), file) {
		t.Errorf("file begins %q (%v), told %q", text[:min(len(text), 40)], err, out.String())
	}
	out.Reset()
	if err := writeReport(invented(), "", &out); err != nil || !bytes.Equal(out.Bytes(), text) {
		t.Errorf("the terminal got something else (%v)", err)
	}
}

func TestRevisionOfABinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := revision(self); err != nil || !strings.Contains(got, "revision") && len(got) < 12 {
		t.Errorf("revision %q, %v", got, err)
	}
	if _, err := revision(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no binary has a revision")
	}
}
