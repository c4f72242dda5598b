package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/bench/rounds"
)

// A series is one kind of load, put on several systems in turns.
type series struct {
	Title   string           `json:"title"`
	Unit    string           `json:"unit"` // what is counted: call or transaction
	Wire    string           `json:"wire"` // lo or tap
	Systems string           `json:"systems"`
	Load    load.Config      `json:"load"`
	Streams int              `json:"streams,omitempty"` // calls whose media is relayed, instead of Load
	Rounds  int              `json:"rounds"`
	Count   int              `json:"count"` // per round and system
	Results []rounds.Result  `json:"results"`
	Sums    []rounds.Summary `json:"summaries"`
}

// Titles of the series.
const (
	calls       = "Calls, saturated"
	paced       = "Calls, 800 a second"
	refreshes   = "REGISTER, saturated"
	voices      = "Media of 500 calls"
	tapCalls    = calls + ", over tap"
	tapRegister = refreshes + ", over tap"
)

// both is the -wire that has everything measured over loopback and the most telling over tap, too.
const both = "both"

// plan is what compare measures over a wire: lo, tap or both. Counts are such that a round of the slowest system takes some
// seconds. The generator never sleeps, so that no system pays for waking it: a receiver elsewhere would cost it nothing, either.
func plan(wire string, short bool) []*series {
	const all, relays, hidden = "ringwall,forwarder,kamailio-a,kamailio-b,kamailio-c", "ringwall,forwarder,kamailio-b,kamailio-c", ",ringwall-hidden,ringwall-judged"
	const express = ",ringwall-xdp,ringwall-hidden-xdp,ringwall-judged-xdp"
	saturated := func(m load.Mode) load.Config { return load.Config{Mode: m, Window: 32, Spin: true} }
	p := []*series{
		{Title: calls, Wire: "lo", Unit: "call", Systems: all + hidden, Rounds: 5, Count: 40000, Load: saturated(load.Call)},
		{Title: paced, Wire: "lo", Unit: "call", Systems: all, Rounds: 5, Count: 2400, Load: load.Config{Mode: load.Call, Window: 1024, Rate: 800, Spin: true}},
		{Title: refreshes, Wire: "lo", Unit: "transaction", Systems: relays + hidden, Rounds: 5, Count: 60000, Load: saturated(load.Register)},
		{Title: voices, Wire: "lo", Unit: "packet", Systems: "ringwall,ringwall-coalescing,rtpengine", Rounds: 5, Count: packetsIn(5*time.Second, 500), Streams: 500},
		{Title: tapCalls, Wire: "tap", Unit: "call", Systems: relays + hidden + express, Rounds: 5, Count: 40000, Load: saturated(load.Call)},
		{Title: tapRegister, Wire: "tap", Unit: "transaction", Systems: relays + hidden + express, Rounds: 5, Count: 60000, Load: saturated(load.Register)},
	}
	p = slices.DeleteFunc(p, func(s *series) bool { return wire != both && wire != s.Wire })
	if short {
		for _, s := range p {
			s.Rounds, s.Count = 3, s.Count/2
		}
	}
	return p
}

// A goal is a ratio of medians of CPU time per forwarded message that must be reached, or is only told.
type goal struct {
	series      string  // its title
	above, base string  // the ratio is that of above to base
	least, most float64 // at least, or at most, that; neither: only told
}

// goals of the comparison. What must be reached is written down in the project's plan for this release.
var goals = []goal{
	{calls, "kamailio-b", "ringwall", 2.1, 0},
	{calls, "kamailio-a", "ringwall", 0, 0},
	{calls, "kamailio-c", "ringwall", 0, 0},
	{calls, "kamailio-c", "ringwall-hidden", 4, 0},
	{calls, "kamailio-c", "ringwall-judged", 4, 0},
	{calls, "ringwall-hidden", "ringwall", 0, 0},
	{calls, "ringwall-judged", "ringwall-hidden", 0, 0},
	{calls, "ringwall", "forwarder", 0, 1.5},
	{calls, "ringwall-hidden", "forwarder", 0, 1.5},
	{calls, "ringwall-judged", "forwarder", 0, 1.5},
	{calls, "kamailio-b", "forwarder", 0, 0}, // what a relay that reads nothing would reach
	{calls, "kamailio-c", "forwarder", 0, 0},
	{paced, "kamailio-a", "ringwall", 0, 0},
	{paced, "kamailio-b", "ringwall", 0, 0},
	{paced, "kamailio-c", "ringwall", 0, 0},
	{paced, "ringwall", "forwarder", 0, 0},
	{refreshes, "kamailio-b", "ringwall", 3, 0},
	{refreshes, "kamailio-c", "ringwall", 0, 0},
	{refreshes, "kamailio-c", "ringwall-hidden", 0, 0},
	{refreshes, "kamailio-c", "ringwall-judged", 0, 0},
	{refreshes, "ringwall-hidden", "ringwall", 0, 0},
	{refreshes, "ringwall-judged", "ringwall-hidden", 0, 0},
	{refreshes, "ringwall", "forwarder", 0, 0},
	{refreshes, "kamailio-b", "forwarder", 0, 0},
	{voices, "rtpengine", "ringwall", 1.3, 0},
	{voices, "rtpengine", "ringwall-coalescing", 2, 0},
	{tapCalls, "kamailio-b", "ringwall", 0, 0},
	{tapCalls, "kamailio-c", "ringwall-hidden", 0, 0},
	{tapCalls, "kamailio-c", "ringwall-judged", 0, 0},
	{tapCalls, "ringwall", "forwarder", 0, 0},
	{tapCalls, "kamailio-b", "ringwall-xdp", 2.1, 0},
	{tapCalls, "kamailio-c", "ringwall-hidden-xdp", 4, 0},
	{tapCalls, "kamailio-c", "ringwall-judged-xdp", 4, 0},
	{tapCalls, "ringwall-xdp", "forwarder", 0, 0},
	{tapCalls, "ringwall-judged-xdp", "forwarder", 0, 1.5},
	{tapCalls, "kamailio-b", "forwarder", 0, 0},
	{tapCalls, "kamailio-c", "forwarder", 0, 0},
	{tapRegister, "kamailio-b", "ringwall-xdp", 3, 0},
	{tapRegister, "kamailio-c", "ringwall-judged-xdp", 0, 0},
	{tapRegister, "kamailio-b", "ringwall", 0, 0},
	{tapRegister, "kamailio-c", "ringwall-hidden", 0, 0},
	{tapRegister, "kamailio-c", "ringwall-judged", 0, 0},
	{tapRegister, "ringwall", "forwarder", 0, 0},
}

// A comparison is everything that the report tells.
type comparison struct {
	When     time.Time      `json:"when"`
	Took     time.Duration  `json:"took_ns"`
	Command  string         `json:"command"`
	Wire     string         `json:"wire"` // lo, tap or both
	Machine  rounds.Machine `json:"machine"`
	Ringwall string         `json:"ringwall"`
	Kamailio string         `json:"kamailio"`
	Launch   string         `json:"kamailio_command"`
	Engine   string         `json:"rtpengine"`
	Engines  string         `json:"rtpengine_command"`
	Before   string         `json:"load_average_before"`
	After    string         `json:"load_average_after"`
	Series   []*series      `json:"series"`
	Short    bool           `json:"short"`
	pinned   bool
}

// compare measures everything and writes the report.
func compare(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	var o options
	c := comparison{When: time.Now(), Machine: rounds.ThisMachine()}
	f.BoolVar(&c.Short, "short", false, "3 rounds instead of 5, with half of the calls")
	f.StringVar(&c.Wire, "wire", "lo", "what lies between generator and systems: lo, tap for a virtual network card (needs root), or both")
	out := f.String("out", "", "write the report to `FILE` (default: to the terminal)")
	f.StringVar(&o.binary, "ringwall", "", "the `binary` to measure (default: built from the working directory)")
	f.StringVar(&o.json, "json", "", "write all results to `FILE`")
	f.DurationVar(&o.linger, "linger", time.Second, "how long ringwall and Kamailio keep a finished transaction")
	if err := f.Parse(args); err != nil {
		return err
	}
	c.Command = fmt.Sprintf("bench compare -wire %s -short=%t -linger %v", c.Wire, c.Short, o.linger)
	wires, err := openWires(c.Wire)
	if err != nil {
		return fmt.Errorf("-wire: %w", err)
	}
	defer closeWires(wires)
	dir, err := os.MkdirTemp("", "ringwall-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := c.identify(ctx, &o, dir); err != nil {
		return err
	}
	if err := c.measure(ctx, &o, wires, dir, stderr); err != nil {
		return err
	}
	if err := writeJSON(o.json, c); err != nil {
		return err
	}
	if err := writeReport(&c, *out, stdout); err != nil {
		return err
	}
	var errs []error
	for _, s := range c.Series {
		errs = append(errs, firstInvalid(s.Results))
	}
	return errors.Join(errs...)
}

// openWires makes the wires that -wire says, before anything is measured.
func openWires(flag string) (map[string]*rounds.Wire, error) {
	names, wires := []string{flag}, map[string]*rounds.Wire{}
	if flag == both {
		names = []string{"lo", "tap"}
	}
	for _, name := range names {
		w, err := rounds.OpenWire(name)
		if err != nil {
			closeWires(wires)
			return nil, err
		}
		wires[name] = w
	}
	return wires, nil
}

func closeWires(wires map[string]*rounds.Wire) {
	for _, w := range wires {
		w.Close()
	}
}

// identify builds ringwall if need be and notes what is compared.
func (c *comparison) identify(ctx context.Context, o *options, dir string) (err error) {
	binary, err := o.ringwall(ctx, dir)
	if err != nil {
		return err
	}
	if c.Ringwall, err = revision(binary); err != nil {
		return err
	}
	k := rounds.Kamailio{Variant: "c", Linger: o.linger}
	if c.Kamailio, err = k.Version(ctx); err != nil {
		return err
	}
	c.Launch = k.CommandLine()
	c.Engines = rounds.Rtpengine{}.CommandLine()
	if c.Engine, err = (rounds.Rtpengine{}).Version(ctx); err != nil {
		return err
	}
	return nil
}

// revision tells which source a Go binary was built from.
func revision(binary string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", fmt.Errorf("identify %s: %w", binary, err)
	}
	commit, suffix := "unknown revision", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			suffix = " with changes"
		}
	}
	return fmt.Sprintf("%s%s, %s", commit, suffix, info.GoVersion), nil
}

func (c *comparison) measure(ctx context.Context, o *options, wires map[string]*rounds.Wire, dir string, stderr io.Writer) (err error) {
	cpus, err := placeProcessors(1, stderr)
	if err != nil {
		return err
	}
	c.pinned = len(cpus) > 0
	if c.Before, err = rounds.LoadAverage(); err != nil {
		return err
	}
	c.Series = plan(c.Wire, c.Short)
	for _, s := range c.Series {
		fmt.Fprintf(stderr, "%s: %d rounds of %d\n", s.Title, s.Rounds, s.Count)
		o.systems = s.Systems
		cfg := rounds.Config{Rounds: s.Rounds, Count: s.Count, Warm: s.Count / 4, Load: s.Load, Wire: wires[s.Wire], CPUs: cpus, Log: stderr}
		if s.Streams > 0 {
			cfg.Voice = &rounds.VoiceConfig{Streams: s.Streams}
			cfg.Voice.Systems, err = mediaSystems(s.Systems)
		} else {
			cfg.Systems, err = chooseSystems(ctx, o, s.Load.Mode, dir)
		}
		if err != nil {
			return err
		}
		if s.Results, err = rounds.Run(ctx, cfg); err != nil {
			return err
		}
		s.Sums = rounds.Summarize(s.Results)
	}
	c.Took = time.Since(c.When)
	c.After, err = rounds.LoadAverage()
	return err
}
