package rounds

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	busy, steal, err := parseStat([]byte("cpu  100 5 50 9999 77 3 2 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"))
	if err != nil || busy != 1600*time.Millisecond || steal != 80*time.Millisecond {
		t.Errorf("busy %v, steal %v, %v, want 1.6s without idle and iowait, and 80ms", busy, steal, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 x 8 9"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestOthersSince(t *testing.T) {
	at := time.Unix(100, 0)
	before := machineUsage{at: at, busy: 10 * time.Second, own: time.Second, steal: time.Second}
	after := machineUsage{at: at.Add(10 * time.Second), busy: 25 * time.Second, own: 6 * time.Second, steal: 2 * time.Second}
	others, stolen := othersSince(before, after, 8*time.Second)
	if others != 0.2 || stolen != 0.1 { // 15 s busy, 5 of them ours, 8 the system's
		t.Errorf("others %g, stolen %g, want 0.2 and 0.1", others, stolen)
	}
	if others, _ := othersSince(before, after, 11*time.Second); others != 0 {
		t.Errorf("others %g: ticks are coarse, less than nothing is nothing", others)
	}
	if others, stolen := othersSince(before, before, 0); others != 0 || stolen != 0 {
		t.Errorf("in no time: %g and %g", others, stolen)
	}
}

func TestReadingsOfThisMachine(t *testing.T) {
	m := ThisMachine()
	if m.CPUs < 1 || m.Memory <= 0 || m.Kernel == "" || !strings.HasPrefix(m.Go, "go") && !strings.HasPrefix(m.Go, "devel") {
		t.Errorf("%+v", m)
	}
	if l, err := LoadAverage(); err != nil || len(strings.Fields(l)) != 3 {
		t.Errorf("load average %q, %v", l, err)
	}
	u, err := readMachineUsage()
	if err != nil || u.busy <= 0 || u.own <= 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if got := valueOf([]byte("a : b\nmodel name\t: Some CPU: 3\n"), "model name"); got != "Some CPU: 3" {
		t.Errorf("model %q", got)
	}
}

func TestOtherProcessesAreNoticed(t *testing.T) {
	r := Result{System: "x", Others: 0.2}
	var out bytes.Buffer
	r.log(&out)
	if !r.Noisy() || !strings.Contains(out.String(), "warning: other processes used 20 %") {
		t.Errorf("noisy %v, log %q", r.Noisy(), out.String())
	}
	if quiet := (Result{Others: 0.01, Stolen: 0.01}); quiet.Noisy() {
		t.Error("one percent is called noise")
	}
}
