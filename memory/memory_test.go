package memory

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ringwall/ringwall/edge"
)

func TestAuto(t *testing.T) {
	const mib = int64(1) << 20
	for _, c := range []struct{ most, want int64 }{
		{16384 * mib, 4096 * mib}, {2048 * mib, 512 * mib}, {1024 * mib, 512 * mib}, {512 * mib, 384 * mib}, {128 * mib, 96 * mib},
	} {
		if got := auto(c.most); got != c.want {
			t.Errorf("of %d MiB: %d MiB, want %d", c.most/mib, got/mib, c.want/mib)
		}
	}
	if n := Auto(); n <= 0 || n > machine() {
		t.Errorf("this machine: %d of %d", n, machine())
	}
}

func TestGroup(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing":   {nil, none},
		"version 2": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000},
		"parent": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
			"sys/fs/cgroup/a/memory.max": "500\n"}, 500},
		"container": {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "700\n"}, 700},
		"version 1": {map[string]string{"proc/self/cgroup": "4:memory:/x\n0::/\nnonsense\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "300\n"}, 300},
		"host's path": {map[string]string{"proc/self/cgroup": "4:memory:/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "400\n"}, 400},
		"no limit": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, none},
		"rubbish":  {map[string]string{"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/memory.max": "-3\n"}, none},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := group(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// A fake is a process of 1,000 bytes.
type fake struct {
	*Watch
	now       time.Time
	bytes     int64
	garbage   int64
	collected int
	bounded   int64
	log       []string
}

func newFake() *fake {
	f := &fake{now: time.Unix(1, 0)}
	f.Watch = &Watch{
		told:    func(p edge.Pressure, used int64, _ time.Time) { f.log = append(f.log, fmt.Sprint(p, " ", used)) },
		read:    func() int64 { return f.bytes + f.garbage },
		collect: func() { f.collected++; f.garbage = 0 },
		bound:   func(n int64) { f.bounded = n },
	}
	f.SetLimit(1000)
	return f
}

// at lets d pass and bytes be in use, looking often.
func (f *fake) at(bytes int64, d time.Duration) edge.Pressure {
	f.bytes = bytes
	for end := f.now.Add(d); ; f.now = f.now.Add(every) {
		f.look(f.now)
		if !f.now.Before(end) {
			return f.Pressure()
		}
	}
}

func TestPressure(t *testing.T) {
	f := newFake()
	for i, step := range []struct {
		bytes   int64
		last    time.Duration
		want    edge.Pressure
		bounded int64
	}{
		{0, 0, edge.Calm, 680},
		{699, time.Minute, edge.Calm, 680},
		{700, 0, edge.Tight, 830},
		{600, ease - every, edge.Tight, 830},    // not so soon
		{650, time.Minute, edge.Tight, 830},     // not by so little
		{649, ease, edge.Calm, 680},             //
		{849, 0, edge.Tight, 830},               //
		{850, 0, edge.Scarce, 930},              //
		{950, 0, edge.Drought, 1000},            //
		{5000, time.Minute, edge.Drought, 1000}, // and nothing breaks
		{0, ease, edge.Scarce, 930},             // a step at a time
		{0, ease, edge.Tight, 830},              //
		{900, 0, edge.Scarce, 930},              //
		{0, 2 * ease, edge.Calm, 680},           //
		{1000, 0, edge.Drought, 1000},           // two steps at once
	} {
		if got := f.at(step.bytes, step.last); got != step.want || f.bounded != step.bounded {
			t.Fatalf("step %d: %v with a bound of %d, want %v with %d", i, got, f.bounded, step.want, step.bounded)
		}
	}
	if f.Used() != 1000 || f.Limit() != 1000 {
		t.Errorf("%d of %d", f.Used(), f.Limit())
	}
	if want := "[tight 700 calm 649 tight 849 scarce 850"; fmt.Sprint(f.log[:4]) != want+"]" {
		t.Errorf("told %v", f.log)
	}
}

// TestGarbageEndsPressure: memory that is only waiting for the collector keeps nobody out for long, and is not collected more often
// than pressure may change.
func TestGarbageEndsPressure(t *testing.T) {
	f := newFake()
	f.at(750, 0)
	f.garbage = 300
	if p := f.at(300, 0); p != edge.Tight {
		t.Fatal(p)
	}
	if p := f.at(300, ease); p != edge.Calm || f.collected != 1 {
		t.Errorf("%v after %d collections", p, f.collected)
	}
	f.collected = 0
	if p := f.at(800, 20*ease); p != edge.Tight || f.collected > 20 {
		t.Errorf("%v, %d collections in %v", p, f.collected, 20*ease)
	}
}

func TestLimitChanges(t *testing.T) {
	f := newFake()
	f.at(600, 0)
	f.SetLimit(700)
	if p := f.at(600, 0); p != edge.Scarce {
		t.Errorf("%v at 600 of 700", p)
	}
	f.SetLimit(2000)
	if p := f.at(600, 3*ease); p != edge.Calm {
		t.Errorf("%v at 600 of 2000", p)
	}
}

// TestThisProcess: what is measured is about what this process has.
func TestThisProcess(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	w := New(1<<40, nil)
	if got, want := debug.SetMemoryLimit(-1), int64(1<<40)/100*68; got != want {
		t.Errorf("the runtime stays within %d, want %d", got, want)
	}
	before := w.read()
	big := make([]byte, 64<<20)
	for i := range big {
		big[i] = 1
	}
	if grown := w.read() - before; math.Abs(float64(grown-64<<20)) > 16<<20 {
		t.Errorf("grown by %d for 64 MiB", grown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	for w.Used() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if w.Used() < int64(len(big)) || w.Pressure() != edge.Calm {
		t.Errorf("%d in use, %v", w.Used(), w.Pressure())
	}
}
