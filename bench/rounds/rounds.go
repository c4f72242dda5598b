package rounds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/bench/voice"
)

// Config says what to measure.
type Config struct {
	Systems []System // the first one is what the others are compared with
	Rounds  int      // how often each system is measured
	Warm    int      // calls before measuring begins
	Count   int      // calls, transactions or packets that are measured
	Load    load.Config
	Wire    *Wire        // between generator and systems; nil: loopback
	Voice   *VoiceConfig // measure media instead of SIP; Systems and Load are not used
	CPUs    []int        // of the system under test; empty: not pinned
	Perf    string       // if not empty: "perf record" each measured run into this file, the round and system appended
	Log     io.Writer
}

// A Result is one measured run of one system. The usual unit is the microsecond.
type Result struct {
	System     string      `json:"system"`
	Round      int         `json:"round"`
	CPUMicros  float64     `json:"cpu_us"`         // of the process tree, over the measured calls
	PerCall    float64     `json:"us_per_call"`    // CPU per completed call
	PerMessage float64     `json:"us_per_message"` // CPU per message forwarded
	UserShare  float64     `json:"user_share"`     // of the CPU time, from tick accounting
	Busy       float64     `json:"busy"`           // CPU time over elapsed time
	Sleeps     float64     `json:"sleeps_per_message"`
	RSSBefore  int64       `json:"rss_before_bytes"` // VmRSS when ready, before any call
	RSS        int64       `json:"rss_bytes"`        // VmRSS after the measured calls
	Peak       int64       `json:"peak_bytes"`       // VmHWM
	Others     float64     `json:"others"`           // share of one processor that other processes used meanwhile
	Stolen     float64     `json:"stolen"`           // share of one processor that the host took meanwhile
	LifeMicros float64     `json:"life_cpu_us"`      // CPU of the whole life by wait4, start and warm-up included
	Load       load.Report `json:"load"`
	Invalid    string      `json:"invalid,omitempty"` // why the run does not count
}

// messages is how many messages one call, transaction or packet makes the system handle: receive and send, or refuse.
func messages(r *load.Report) int {
	switch {
	case r.Mode == load.Call:
		return 7
	case r.Mode == load.Flood, r.Mode == load.Options && r.PlatformGot == 0: // refused, or answered by the system itself
		return 1
	case r.Mode == voice.Mode:
		return 1
	}
	return 2
}

// settle is how long after the measured calls the generator listens for what must not come.
const settle = 200 * time.Millisecond

// noisy is the share of one processor that others may use during a run before a warning is given.
const noisy = 0.05

// Run measures the systems in turns and returns every result. Each round begins with the next system.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	var all []Result
	order := names(&cfg)
	for round := range cfg.Rounds {
		for i := range order {
			which := (round + i) % len(order)
			r, err := one(ctx, &cfg, which, round+1)
			if err != nil {
				return all, fmt.Errorf("round %d, %s: %w", round+1, order[which], err)
			}
			all = append(all, r)
			r.log(cfg.Log)
		}
	}
	slices.SortStableFunc(all, func(a, b Result) int {
		return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(slices.Index(order, a.System), slices.Index(order, b.System)))
	})
	return all, nil
}

// WireName is the name of the wire that cfg measures over.
func (cfg *Config) WireName() string { return cmp.Or(cfg.Wire, loopback).Name }

func names(cfg *Config) []string {
	var out []string
	if cfg.Voice != nil {
		for _, s := range cfg.Voice.Systems {
			out = append(out, s.Name())
		}
		return out
	}
	for _, s := range cfg.Systems {
		out = append(out, s.Name())
	}
	return out
}

// log writes one line about a run, and a second one if something else used the machine meanwhile.
func (r *Result) log(w io.Writer) {
	fmt.Fprintf(w, "round %d %-10s %7.2f us/call %6.2f us/message busy %3.0f %% %9.0f/s p50 %6.0f us p99 %6.0f us rss %5.1f MB %s\n", r.Round,
		r.System, r.PerCall, r.PerMessage, 100*r.Busy, r.Load.PerSecond, r.Load.P50Micros, r.Load.P99Micros, mega(r.RSS), r.Invalid)
	if r.Noisy() {
		fmt.Fprintf(w, "  warning: other processes used %.0f %% of a processor, the host %.0f %%\n", 100*r.Others, 100*r.Stolen)
	}
}

// Noisy reports whether others used the machine so much during the run that its figures may be off.
func (r *Result) Noisy() bool { return r.Others > noisy || r.Stolen > noisy }

func mega(n int64) float64 { return float64(n) / (1 << 20) }

// one measures one system once: that of the number which.
func one(ctx context.Context, cfg *Config, which, round int) (r Result, err error) {
	if cfg.Voice != nil {
		return oneVoice(ctx, cfg, cfg.Voice.Systems[which], round)
	}
	s, lc, wire := cfg.Systems[which], cfg.Load, cmp.Or(cfg.Wire, loopback)
	lc.Traits = s.Traits()
	if lc.Transparent {
		lc.Callers = 1
	}
	g, err := wire.generator(lc)
	if err != nil {
		return r, err
	}
	defer g.Close()
	p, err := s.Start(ctx, wire, g.Platform(), cfg.CPUs)
	if err != nil {
		return r, err
	}
	g.Aim(p.Target, p.Inside)
	return measured(ctx, cfg, g, p, s.Name(), round)
}

// A generator puts load on a system that runs.
type generator interface {
	Run(ctx context.Context, count int) (load.Report, error)
	Settle(r load.Report, d time.Duration) (load.Report, error)
}

// measured measures p, which is the system of that name, and stops it.
func measured(ctx context.Context, cfg *Config, g generator, p *Process, name string, round int) (Result, error) {
	r, err := measure(ctx, cfg, g, p, fmt.Sprintf("%s.%s.%d", cfg.Perf, name, round))
	life, stopErr := p.Stop()
	if err != nil {
		return r, err
	}
	r.System, r.Round, r.LifeMicros = name, round, micros(life)
	if stopErr != nil && r.Invalid == "" {
		r.Invalid = stopErr.Error()
	}
	return r, nil
}

// measure warms the system up and takes its CPU time over the measured calls.
func measure(ctx context.Context, cfg *Config, g generator, p *Process, perfFile string) (Result, error) {
	ready, err := treeUsage(p.PID)
	if err != nil {
		return Result{}, err
	}
	warm, err := g.Run(ctx, cfg.Warm)
	if err == nil {
		_, err = g.Settle(warm, settle)
	}
	if err != nil {
		return Result{}, fmt.Errorf("warm up: %w", err)
	}
	runtime.GC() // the generator's, so that it does not fall into the measured time
	stopPerf, err := startPerf(cfg.Perf != "", p.PID, perfFile)
	if err != nil {
		return Result{}, err
	}
	all, err := readMachineUsage()
	if err != nil {
		return Result{}, err
	}
	before, err := treeUsage(p.PID)
	if err != nil {
		return Result{}, err
	}
	report, runErr := g.Run(ctx, cfg.Count)
	after, err := treeUsage(p.PID)
	allAfter, statErr := readMachineUsage()
	stopPerf()
	if err := errors.Join(err, runErr, statErr); err != nil {
		return Result{}, err
	}
	if report, err = g.Settle(report, settle); err != nil {
		return Result{}, err
	}
	r := result(before, after, report)
	r.RSSBefore = ready.rss
	r.Others, r.Stolen = othersSince(all, allAfter, after.cpu-before.cpu)
	return r, nil
}

// result is the difference of two readings, spread over the messages that were forwarded between them.
func result(before, after usage, report load.Report) Result {
	cpu := after.cpu - before.cpu
	r := Result{CPUMicros: micros(cpu), RSS: after.rss, Peak: after.peak, Load: report}
	if report.Completed > 0 {
		r.PerCall = r.CPUMicros / float64(report.Completed)
		r.PerMessage = r.PerCall / float64(messages(&report))
		r.Sleeps = float64(after.switches-before.switches) / float64(report.Completed*messages(&report))
	}
	if ticks := after.user - before.user + after.sys - before.sys; ticks > 0 {
		r.UserShare = float64(after.user-before.user) / float64(ticks)
	}
	if report.Seconds > 0 {
		r.Busy = cpu.Seconds() / report.Seconds
	}
	if err := report.Valid(); err != nil {
		r.Invalid = err.Error()
	}
	return r
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// startPerf records a profile of process pid until the returned function is called.
func startPerf(on bool, pid int, file string) (stop func(), err error) {
	if !on {
		return func() {}, nil
	}
	cmd := exec.Command("perf", "record", "-q", "-g", "-F", "999", "-p", fmt.Sprint(pid), "-o", file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("record a profile: %w", err)
	}
	time.Sleep(300 * time.Millisecond) // until perf has attached
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // perf ends with the signal it was sent
	}, nil
}
