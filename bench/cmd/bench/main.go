// Command bench measures ringwall against the floor, a UDP forwarder that reads no SIP, and against Kamailio.
//
//	bench compare [flags]  measure all of them in turns, three kinds of load, and write a report; exit 1 if a run was invalid
//	bench [run] [flags]    take turns measuring the forwarder and ringwall, or what -systems says; exit 1 if a run was invalid
//	bench load [flags]     load something that runs already
//	bench media [flags]    take turns measuring ringwall's media relay and rtpengine
//	bench forwarder [flags] be the forwarder
//	bench relay [flags]    be the media relay
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/bench/floor"
	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/bench/rounds"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(exitCode(err))
	}
}

// exitCode follows sysexits(3), as ringwall's does: 77 when a permission is missing, 1 for all else.
func exitCode(err error) int {
	if errors.Is(err, fs.ErrPermission) {
		return 77
	}
	return 1
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	verb := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "run":
		return run(ctx, args, stdout, stderr)
	case "compare":
		return compare(ctx, args, stdout, stderr)
	case "load":
		return drive(ctx, args, stdout, stderr)
	case "forwarder":
		return forward(ctx, args, stderr)
	case "media":
		return measureMedia(ctx, args, stdout, stderr)
	case "relay":
		return relay(ctx, args, os.Stdin, stdout, stderr)
	}
	return fmt.Errorf("unknown verb %q: want compare, run, media, load, forwarder or relay", verb)
}

// loadFlags are the flags of the generator.
func loadFlags(f *flag.FlagSet) *load.Config {
	c := &load.Config{}
	f.Func("mode", "call, register, options or flood (default call)", func(s string) error { c.Mode = load.Mode(s); return nil })
	f.IntVar(&c.Window, "window", 32, "calls at once")
	f.IntVar(&c.Callers, "callers", 16, "addresses that call")
	f.IntVar(&c.Users, "users", 1024, "addresses-of-record in register mode")
	f.Float64Var(&c.Rate, "rate", 0, "calls or packets a second, open loop (default: closed loop)")
	f.BoolVar(&c.Spin, "spin", false, "the generator never sleeps, so the system under test pays for none of its wake-ups")
	return c
}

// options are the flags of run that the runner itself does not know.
type options struct {
	binary, json, systems, wire string
	workers                     int
	linger                      time.Duration
	bans                        int
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench run", flag.ContinueOnError)
	f.SetOutput(stderr)
	lc := loadFlags(f)
	cfg := rounds.Config{Log: stderr}
	var o options
	f.IntVar(&cfg.Rounds, "rounds", 5, "how often each system is measured")
	f.IntVar(&cfg.Count, "calls", 100000, "calls, transactions or packets measured per round")
	f.IntVar(&cfg.Warm, "warm", 0, "calls before that (default: a quarter of -calls)")
	f.StringVar(&cfg.Perf, "perf", "", "record each measured run with perf into `FILE`.system.round")
	f.StringVar(&o.binary, "ringwall", "", "the `binary` to measure (default: built from the working directory)")
	f.StringVar(&o.json, "json", "", "write all results to `FILE`")
	f.StringVar(&o.wire, "wire", "lo", "what lies between generator and systems: lo, or tap for a virtual network card (needs root)")
	f.StringVar(&o.systems, "systems", "forwarder,ringwall", "what to measure, the first is the measure of the others")
	f.IntVar(&o.workers, "workers", 1, "processors of the system under test; the generator gets the next one")
	f.DurationVar(&o.linger, "linger", time.Second, "how long ringwall and Kamailio keep a finished transaction")
	f.IntVar(&o.bans, "bans", 0, "so many sources are banned at ringwall, none of them a caller; at ringwall-banned the callers are, too")
	if err := f.Parse(args); err != nil {
		return err
	}
	if cfg.Warm == 0 {
		cfg.Warm = max(cfg.Count/4, 1)
	}
	cfg.Load = *lc
	var err error
	if cfg.Wire, err = rounds.OpenWire(o.wire); err != nil {
		return fmt.Errorf("-wire: %w", err)
	}
	defer cfg.Wire.Close()
	if cfg.CPUs, err = placeProcessors(o.workers, stderr); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ringwall-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if cfg.Systems, err = chooseSystems(ctx, &o, lc.Mode, dir); err != nil {
		return err
	}
	return report(ctx, cfg, o.json, stdout)
}

// placeProcessors gives the system under test the first processors and this process the next one.
func placeProcessors(workers int, stderr io.Writer) ([]int, error) {
	if runtime.NumCPU() <= workers {
		fmt.Fprintf(stderr, "bench: %d processors are too few to pin system and generator apart: not pinned\n", runtime.NumCPU())
		return nil, nil
	}
	var cpus []int
	for i := range workers {
		cpus = append(cpus, i)
	}
	runtime.GOMAXPROCS(2) // one for the generator, which blocks its own, one for the rest
	return cpus, rounds.Pin([]int{workers})
}

// ringwalls are the variants of ringwall by name: one with more lines in its config has them in Extra.
var ringwalls = map[string]rounds.Ringwall{
	"ringwall":        {},
	"ringwall-hidden": {Hidden: true},
	"ringwall-judged": {Hidden: true, Judged: true},
	"ringwall-banned": {Banned: true},

	"ringwall-xdp":        {Extra: expressly},
	"ringwall-hidden-xdp": {Hidden: true, Extra: expressly},
	"ringwall-judged-xdp": {Hidden: true, Judged: true, Extra: expressly},
}

// expressly has ringwall take datagrams past the sockets, where there is a wire.
const expressly = "af_xdp: {interfaces: [DEVICE]}\n"

func chooseSystems(ctx context.Context, o *options, mode load.Mode, dir string) ([]rounds.System, error) {
	var out []rounds.System
	for name := range strings.SplitSeq(o.systems, ",") {
		if variant, ok := ringwalls[name]; ok {
			binary, err := o.ringwall(ctx, dir)
			if err != nil {
				return nil, err
			}
			variant.Binary, variant.Called, variant.Linger, variant.Bans = binary, name, o.linger, o.bans
			variant.Extra += extraConfig(mode)
			out = append(out, variant)
			continue
		}
		switch name {
		case "forwarder":
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			out = append(out, rounds.Forwarder{Command: []string{self, "forwarder"}, Drop: mode == load.Flood})
		case "kamailio-a", "kamailio-b", "kamailio-c":
			out = append(out, rounds.Kamailio{Variant: strings.TrimPrefix(name, "kamailio-"), Linger: o.linger})
		default:
			return nil, fmt.Errorf("unknown system %q: want forwarder, %s, kamailio-a, kamailio-b or kamailio-c", name, strings.Join(slices.Sorted(maps.Keys(ringwalls)), ", "))
		}
	}
	return out, nil
}

// ringwall is the binary to measure, built into dir if no other was named.
func (o *options) ringwall(ctx context.Context, dir string) (_ string, err error) {
	if o.binary == "" {
		o.binary, err = rounds.Build(ctx, dir)
	}
	return o.binary, err
}

// extraConfig makes ringwall refuse what a flood sends.
func extraConfig(mode load.Mode) string {
	if mode == load.Flood {
		return "access: {unknown: [INVITE]}\n"
	}
	return ""
}

// document is the JSON file.
type document struct {
	When      time.Time        `json:"when"`
	CPUs      int              `json:"cpus"`
	Go        string           `json:"go"`
	Wire      string           `json:"wire"`
	Load      load.Config      `json:"load"`
	Summaries []rounds.Summary `json:"summaries"`
	Results   []rounds.Result  `json:"results"`
}

func report(ctx context.Context, cfg rounds.Config, file string, stdout io.Writer) error {
	results, err := rounds.Run(ctx, cfg)
	if err != nil {
		return err
	}
	wire := cfg.WireName()
	d := document{When: time.Now(), CPUs: runtime.NumCPU(), Go: runtime.Version(), Wire: wire, Load: cfg.Load, Summaries: rounds.Summarize(results), Results: results}
	if err := rounds.Print(stdout, wire, d.Summaries); err != nil {
		return err
	}
	if err := writeJSON(file, d); err != nil {
		return err
	}
	return firstInvalid(results)
}

// writeJSON writes v to file; an empty name means that nobody asked for it.
func writeJSON(file string, v any) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func firstInvalid(results []rounds.Result) error {
	for _, r := range results {
		if r.Invalid != "" {
			return fmt.Errorf("round %d of %s is invalid: %s\n%s", r.Round, r.System, r.Invalid, strings.Join(r.Load.Examples, "\n"))
		}
	}
	return nil
}

// drive loads something that runs already.
func drive(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench load", flag.ContinueOnError)
	f.SetOutput(stderr)
	lc := loadFlags(f)
	target := f.String("target", "", "the edge's outside `address:port`")
	platform := f.String("platform", "127.0.20.1:5080", "the `address:port` that the edge has as upstream")
	count := f.Int("calls", 10000, "calls, transactions or packets")
	f.BoolVar(&lc.Transparent, "transparent", false, "the target is a forwarder")
	f.Func("added", "a header `field` that the edge may add (repeatable)", func(s string) error { lc.Added = append(lc.Added, s); return nil })
	f.StringVar(&lc.Source, "source", "", "the header `field` in which the edge tells the caller's address")
	f.Func("rewritten", "a header `field` that the edge may rewrite (repeatable)", func(s string) error { lc.Rewritten = append(lc.Rewritten, s); return nil })
	if err := f.Parse(args); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(*target)
	if err != nil {
		return fmt.Errorf("-target: %w", err)
	}
	if lc.Platform, err = netip.ParseAddrPort(*platform); err != nil {
		return fmt.Errorf("-platform: %w", err)
	}
	return driveOnce(ctx, *lc, to, *count, stdout)
}

func driveOnce(ctx context.Context, lc load.Config, to netip.AddrPort, count int, stdout io.Writer) error {
	g, err := load.New(lc)
	if err != nil {
		return err
	}
	defer g.Close()
	g.Aim(to, netip.Addr{})
	r, runErr := g.Run(ctx, count)
	if runErr == nil {
		r, runErr = g.Settle(r, 200*time.Millisecond)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, string(b))
	return errors.Join(runErr, r.Valid())
}

// forward is the forwarder's process.
func forward(ctx context.Context, args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("bench forwarder", flag.ContinueOnError)
	f.SetOutput(stderr)
	var cfg floor.Config
	f.BoolVar(&cfg.Drop, "drop", false, "receive and drop")
	for name, to := range map[string]*netip.AddrPort{"outside": &cfg.Outside, "inside": &cfg.Inside, "upstream": &cfg.Upstream} {
		f.TextVar(to, name, netip.AddrPort{}, "IPv4 `address:port`")
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	fw, err := floor.New(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "ready")
	return fw.Run(ctx)
}
