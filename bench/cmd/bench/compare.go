package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/bench/rounds"
)

// A series is one kind of load, put on several systems in turns.
type series struct {
	Title   string           `json:"title"`
	Unit    string           `json:"unit"` // what is counted: call or transaction
	Systems string           `json:"systems"`
	Load    load.Config      `json:"load"`
	Streams int              `json:"streams,omitempty"` // calls whose media is relayed, instead of Load
	Rounds  int              `json:"rounds"`
	Count   int              `json:"count"` // per round and system
	Results []rounds.Result  `json:"results"`
	Sums    []rounds.Summary `json:"summaries"`
}

// plan is what compare measures. Counts are such that a round of the slowest system takes some seconds. The generator never
// sleeps, so that no system pays for waking it: a receiver elsewhere would cost it nothing, either.
func plan(short bool) []*series {
	const all, hidden = "ringwall,forwarder,kamailio-a,kamailio-b,kamailio-c", ",ringwall-hidden,ringwall-judged"
	p := []*series{
		{Title: "Calls, saturated", Unit: "call", Systems: all + hidden, Rounds: 5, Count: 40000, Load: load.Config{Mode: load.Call, Window: 32, Spin: true}},
		{Title: "Calls, 800 a second", Unit: "call", Systems: all, Rounds: 5, Count: 2400, Load: load.Config{Mode: load.Call, Window: 1024, Rate: 800, Spin: true}},
		{Title: "REGISTER, saturated", Unit: "transaction", Systems: "ringwall,forwarder,kamailio-b,kamailio-c" + hidden, Rounds: 5, Count: 60000,
			Load: load.Config{Mode: load.Register, Window: 32, Spin: true}},
		{Title: "Media of 500 calls", Unit: "packet", Systems: "ringwall,ringwall-coalescing,rtpengine", Rounds: 5, Count: packetsIn(5*time.Second, 500), Streams: 500},
	}
	if short {
		for _, s := range p {
			s.Rounds, s.Count = 3, s.Count/2
		}
	}
	return p
}

// A goal is a ratio of medians of CPU time per forwarded message that must be reached, or is only told.
type goal struct {
	series      int
	above, base string  // the ratio is that of above to base
	least       float64 // 0: only told
}

// goals of the comparison. What must be reached is written down in the project's plan for this release.
var goals = []goal{
	{0, "kamailio-b", "ringwall", 2.1},
	{0, "kamailio-a", "ringwall", 0},
	{0, "kamailio-c", "ringwall", 0},
	{0, "kamailio-c", "ringwall-hidden", 4},
	{0, "kamailio-c", "ringwall-judged", 4},
	{0, "ringwall-hidden", "ringwall", 0},
	{0, "ringwall-judged", "ringwall-hidden", 0},
	{0, "ringwall", "forwarder", 0},
	{1, "kamailio-a", "ringwall", 0},
	{1, "kamailio-b", "ringwall", 0},
	{1, "kamailio-c", "ringwall", 0},
	{1, "ringwall", "forwarder", 0},
	{2, "kamailio-b", "ringwall", 3},
	{2, "kamailio-c", "ringwall", 0},
	{2, "kamailio-c", "ringwall-hidden", 0},
	{2, "kamailio-c", "ringwall-judged", 0},
	{2, "ringwall-hidden", "ringwall", 0},
	{2, "ringwall-judged", "ringwall-hidden", 0},
	{2, "ringwall", "forwarder", 0},
	{3, "rtpengine", "ringwall", 1.3},
	{3, "rtpengine", "ringwall-coalescing", 2},
}

// A comparison is everything that the report tells.
type comparison struct {
	When     time.Time      `json:"when"`
	Took     time.Duration  `json:"took_ns"`
	Command  string         `json:"command"`
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
	out := f.String("out", "", "write the report to `FILE` (default: to the terminal)")
	f.StringVar(&o.binary, "ringwall", "", "the `binary` to measure (default: built from the working directory)")
	f.StringVar(&o.json, "json", "", "write all results to `FILE`")
	f.DurationVar(&o.linger, "linger", time.Second, "how long ringwall and Kamailio keep a finished transaction")
	if err := f.Parse(args); err != nil {
		return err
	}
	c.Command = fmt.Sprintf("bench compare -short=%t -linger %v", c.Short, o.linger)
	dir, err := os.MkdirTemp("", "ringwall-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := c.identify(ctx, &o, dir); err != nil {
		return err
	}
	if err := c.measure(ctx, &o, dir, stderr); err != nil {
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

// identify builds ringwall if need be and notes what is compared.
func (c *comparison) identify(ctx context.Context, o *options, dir string) (err error) {
	if o.binary == "" {
		if o.binary, err = rounds.Build(ctx, dir); err != nil {
			return err
		}
	}
	if c.Ringwall, err = revision(o.binary); err != nil {
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

func (c *comparison) measure(ctx context.Context, o *options, dir string, stderr io.Writer) (err error) {
	cpus, err := placeProcessors(1, stderr)
	if err != nil {
		return err
	}
	c.pinned = len(cpus) > 0
	if c.Before, err = rounds.LoadAverage(); err != nil {
		return err
	}
	c.Series = plan(c.Short)
	for _, s := range c.Series {
		fmt.Fprintf(stderr, "%s: %d rounds of %d\n", s.Title, s.Rounds, s.Count)
		o.systems = s.Systems
		cfg := rounds.Config{Rounds: s.Rounds, Count: s.Count, Warm: s.Count / 4, Load: s.Load, CPUs: cpus, Log: stderr}
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
