package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/bench/rounds"
)

// writeReport writes the report to file, or to stdout if that is empty.
func writeReport(c *comparison, file string, stdout io.Writer) error {
	var b bytes.Buffer
	c.write(&b)
	if file == "" {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintf(stdout, "report written to %s after %v\n", file, c.Took.Round(time.Second))
	return nil
}

func (c *comparison) write(w io.Writer) {
	fmt.Fprintf(w, "# ringwall beside Kamailio and a bare forwarder\n\nWritten by `make bench` on %s after %v. What the runner does and promises is told in "+
		"[docs/rooms/bench.md](../docs/rooms/bench.md).\n\n", c.When.UTC().Format("2006-01-02 15:04 MST"), c.Took.Round(time.Second))
	c.writeGoals(w)
	c.writeSetting(w)
	for _, s := range c.Series {
		s.write(w)
	}
	c.writeLeaks(w)
	c.writeNoise(w)
	fmt.Fprint(w, caveats)
}

// writeGoals writes the ratios of medians, and the ratios of each round, which what disturbs a whole round does not move.
func (c *comparison) writeGoals(w io.Writer) {
	fmt.Fprint(w, "## Ratios\n\nProcessor time per forwarded message. Above 1: the one after \"/\" is cheaper. \"With handover\": with what a machine with a real card pays to receive (below).\n\n"+
		"| load | ratio | of medians | in one round, min to max | with handover | goal | |\n|---|---|---|---|---|---|---|\n")
	for _, g := range goals {
		s := c.titled(g.series)
		if s == nil {
			continue // of another wire
		}
		ratio := s.ratio(g.above, g.base)
		want, verdict := g.judge(ratio)
		low, high := s.roundRatios(g.above, g.base)
		fmt.Fprintf(w, "| %s | %s / %s | %s | %s to %s | %s | %s | %s |\n", s.Title, g.above, g.base, figure(ratio, 2), figure(low, 2), figure(high, 2), figure(s.received(g.above, g.base), 2), want, verdict)
	}
}

// judge tells what g asks for, and whether ratio is that.
func (g *goal) judge(ratio float64) (want, verdict string) {
	reached := ratio >= g.least
	switch {
	case g.most > 0:
		want, reached = fmt.Sprintf("at most %.1f", g.most), ratio <= g.most
	case g.least > 0:
		want = fmt.Sprintf("at least %.1f", g.least)
	default:
		return "reported", ""
	}
	if reached {
		return want, "reached"
	}
	return want, "**not reached**"
}

// titled is the series of that title, nil if it was not measured.
func (c *comparison) titled(title string) *series {
	if i := slices.IndexFunc(c.Series, func(s *series) bool { return s.Title == title }); i >= 0 {
		return c.Series[i]
	}
	return nil
}

func (c *comparison) writeSetting(w io.Writer) {
	m := c.Machine
	pinned := "system under test on processor 0, generator on processor 1"
	if !c.pinned {
		pinned = "nothing pinned: too few processors"
	}
	fmt.Fprintf(w, "\n## Machine and commands\n\n| | |\n|---|---|\n| processor | %s, %d of them visible; %s |\n| memory | %.0f GB |\n| kernel | Linux %s |\n"+
		"| Go | %s |\n| ringwall | %s; `mode: enforce`, `GOMAXPROCS=1`, `timers.linger` as below |\n| Kamailio | %s |\n| rtpengine | %s |\n"+
		"| load average before, after | %s, %s |\n\n", m.Model, m.CPUs, pinned, float64(m.Memory)/(1<<30), m.Kernel, m.Go, c.Ringwall, c.Kamailio, c.Engine, c.Before, c.After)
	fmt.Fprintf(w, "    %s\n    %s\n    %s\n\nThat is variant c; b is without `-A WITH_DEFENCES`, a also without `-A WITH_STATE`. The file is "+
		"[rounds/kamailio/edge.cfg](rounds/kamailio/edge.cfg).\n", c.Command, c.Engines, c.Launch)
}

// write writes one kind of load as a table.
func (s *series) write(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n%d rounds, in each %d %ss per system after %d to warm up; ", s.Title, s.Rounds, s.Count, s.Unit, s.Count/4)
	delay := "p50 / p99 of the answer"
	if s.Streams > 0 {
		delay = "p50 / p99 of the way"
		fmt.Fprintf(w, "each of %d calls sends 50 packets of 172 bytes a second from both ends, evenly in time.\n\n", s.Streams)
	} else if s.Load.Rate > 0 {
		fmt.Fprintf(w, "open loop.\n\n")
	} else {
		fmt.Fprintf(w, "closed loop, %d at once.\n\n", s.Load.Window)
	}
	fmt.Fprintf(w, "| system, over %s | valid | us CPU per %s, min / median / max | us per message, min / median / max | to ringwall | handover, us per message | %ss a second | busy | in user mode | "+
		"%s |\n|---|---|---|---|---|---|---|---|---|---|\n", s.Wire, s.Unit, s.Unit, delay)
	for _, sum := range s.Sums {
		fmt.Fprintf(w, "| %s | %d of %d | %s | %s | %s | %s | %s | %.0f %% | %.0f %% | %.2f / %.2f ms |\n", sum.System, sum.Rounds-sum.Invalid, sum.Rounds, spread(sum.PerCall, 1),
			spread(sum.PerMessage, 2), figure(s.ratio(sum.System, "ringwall"), 2), figure(sum.Handover.Median, 2), figure(sum.PerSecond, 0), 100*sum.Busy, 100*sum.UserShare, sum.P50Micros/1000, sum.P99Micros/1000)
	}
}

func spread(s rounds.Spread, digits int) string {
	return fmt.Sprintf("%s / **%s** / %s", figure(s.Min, digits), figure(s.Median, digits), figure(s.Max, digits))
}

// figure writes v; 0 means that there was no valid run.
func figure(v float64, digits int) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// ratio is that of the medians per message of two systems; 0 if one of them has none.
func (s *series) ratio(above, base string) float64 {
	a, _ := s.median(above)
	b, _ := s.median(base)
	return over(a, b)
}

// received is ratio with what the kernel took to hand messages over to the systems; 0 where that was not measured.
func (s *series) received(above, base string) float64 {
	a, toAbove := s.median(above)
	b, toBase := s.median(base)
	if toAbove == 0 || toBase == 0 {
		return 0
	}
	return over(a+toAbove, b+toBase)
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// median is that of a system's processor time per message, and that of its handover.
func (s *series) median(system string) (own, handover float64) {
	for _, sum := range s.Sums {
		if sum.System == system {
			return sum.PerMessage.Median, sum.Handover.Median
		}
	}
	return 0, 0
}

// roundRatios is the range of the ratios within single rounds in which both runs were valid.
func (s *series) roundRatios(above, base string) (low, high float64) {
	of := func(system string, round int) float64 {
		for _, r := range s.Results {
			if r.System == system && r.Round == round && r.Invalid == "" {
				return r.PerMessage
			}
		}
		return 0
	}
	for round := 1; round <= s.Rounds; round++ {
		a, b := of(above, round), of(base, round)
		if a == 0 || b == 0 {
			continue
		}
		if low == 0 || a/b < low {
			low = a / b
		}
		high = max(high, a/b)
	}
	return low, high
}

// writeLeaks tells what callers saw of the inside, through the systems that hide it.
func (c *comparison) writeLeaks(w io.Writer) {
	fmt.Fprint(w, "\n## What callers saw of the inside\n\nEvery message that came back to a caller was searched for the addresses of the platform and of the edge's inside.\n\n"+
		"| load | system | messages | that named one |\n|---|---|---|---|\n")
	for _, s := range c.Series {
		for _, sum := range s.Sums {
			messages, leaks, hides := 0, 0, false
			for _, r := range s.Results {
				if r.System == sum.System {
					messages, leaks, hides = messages+r.Load.CallerGot, leaks+r.Load.Leaks, hides || r.Load.Hides
				}
			}
			if hides {
				fmt.Fprintf(w, "| %s | %s | %d | %d |\n", s.Title, sum.System, messages, leaks)
			}
		}
	}
}

// writeNoise tells which runs others disturbed, which do not count, and what Kamailio's workers did to the order.
func (c *comparison) writeNoise(w io.Writer) {
	fmt.Fprint(w, "\n## What disturbed the runs\n\n")
	runs, noisy, worst := 0, 0, 0.0
	var lines []string
	for _, s := range c.Series {
		overtaken, missing, calls := 0, 0, 0
		for _, r := range s.Results {
			runs++
			if r.Noisy() {
				noisy++
			}
			worst = max(worst, r.Others+r.Stolen)
			if r.Invalid != "" {
				lines = append(lines, fmt.Sprintf("- %s, round %d of %s does not count: %s.", s.Title, r.Round, r.System, r.Invalid))
			}
			if r.Load.Retransmitted > 0 {
				lines = append(lines, fmt.Sprintf("- %s, round %d of %s: %d retransmissions.", s.Title, r.Round, r.System, r.Load.Retransmitted))
			}
			if r.Load.Reorders {
				overtaken, missing, calls = overtaken+r.Load.Overtaken, missing+r.Load.Missing, calls+r.Load.Completed
			}
		}
		if overtaken > 0 {
			lines = append(lines, fmt.Sprintf("- %s: %d messages of %d calls came out of order through Kamailio's two workers, and %d of the 180 overtaken by their 200 were dropped. "+
				"Allowed, and counted as forwarded.", s.Title, overtaken, calls, missing))
		}
	}
	fmt.Fprintf(w, "During %d of %d runs other processes (or the host) used more than 5 %% of a processor, %.0f %% at most.", noisy, runs, 100*worst)
	if noisy > 0 {
		fmt.Fprint(w, " **The figures are provisional: absolute times and the scatter are those of a shared machine.**")
	}
	fmt.Fprintf(w, "\n\n%s\n", strings.Join(lines, "\n"))
}

// caveats end every report.
const caveats = `
## How to read this

- Kamailio runs with its fast allocators. Debian's default allocator is for debugging and several times slower; comparing with it would be a trap.
- Both keep a finished transaction for the same time, a second, so that a saturated run does not measure the size of a table.
- ringwall-hidden is ringwall with topology.hide and guard: log, and neither asks a check; c is Kamailio with topoh, which leaves REGISTER alone.
- ringwall-judged is ringwall-hidden with every check enforcing; floods are counted and not acted on, since 16 callers send what thousands would. Media is not relayed.
- Kamailio has one address for both sides and adds one Record-Route; ringwall has a socket and an address on each side. That favours Kamailio.
- a neither retransmits nor keeps itself in a dialog's path: the callers use it as their outbound proxy. c looks at a Contact with an IP address and lets it
  pass, because the callers have one. Its limits are never reached.
- The generator never sleeps while it measures, so no system pays for waking it.
- All seven messages of a call count as forwarded, also the 100 that ringwall and Kamailio b and c make themselves.
- At 800 calls a second wake-ups of a sleeping process are most of the cost, and the machine's scheduler makes the latencies.
- Media: every packet is looked at when it arrives (whose, from where, its size and bytes); a run in which one is lost does not count. The way ends when the generator reads
  the packet, so its own turn is in the delay. ringwall is its media relay in a process of its own; coalescing lets packets gather for as long as docs/config.md advises. rtpengine relays
  in user space, with two threads and an ordinary call (RTP/AVP, no transcoding); its kernel module is another league for both.
- lo is the loopback interface: the sender's processor takes each datagram up to the receiver's socket, so a system pays here for what its messages cost the machine that receives them, and not for what those that it gets cost its own.
- tap is a virtual network card whose far end the generator reads and writes frame by frame, as another machine would through its own card. What a system sends ends at the card's ring; what it gets, the generator's processor takes up to
  the system's socket, as on lo. How long that took is "handover": a machine with a card pays for it itself. It has the generator's copying in it, so it is rather too much than too little.
- The card completes checksums and takes trains of datagrams whole (UDP_SEGMENT), as cards do; of the systems here ringwall's sockets send such. What it delivers comes one by one.
- ringwall-...-xdp are those with af_xdp. The 16 callers send as much as carriers do, so both sides go past the sockets; what phones send that say little takes sockets.
- The figures are those of lo or tap and one processor. Ratios carry over to other machines, absolute times do not.
`
