package rounds

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A Spread is minimum, median and maximum of a figure over the rounds.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// A Summary is one system over all its valid rounds.
type Summary struct {
	System     string  `json:"system"`
	Rounds     int     `json:"rounds"`
	Invalid    int     `json:"invalid"`
	PerCall    Spread  `json:"us_per_call"`
	PerMessage Spread  `json:"us_per_message"`
	Ratio      float64 `json:"ratio"`                   // median per message over the first system's
	Handover   Spread  `json:"handover_us_per_message"` // load.Report.HandoverMicros
	UserShare  float64 `json:"user_share"`
	Busy       float64 `json:"busy"`
	PerSecond  float64 `json:"per_second"`
	P50Micros  float64 `json:"p50_us"`
	P99Micros  float64 `json:"p99_us"`
	RSS        float64 `json:"rss_bytes"`
	Peak       float64 `json:"peak_bytes"`
}

// Summarize takes medians over the valid rounds of each system, in the order in which systems first appear. Ratios are to the
// first system.
func Summarize(results []Result) []Summary {
	var out []Summary
	for _, name := range systemsOf(results) {
		s := summarize(name, results)
		s.Ratio = 1
		if len(out) > 0 && out[0].PerMessage.Median > 0 {
			s.Ratio = s.PerMessage.Median / out[0].PerMessage.Median
		}
		out = append(out, s)
	}
	return out
}

func systemsOf(results []Result) []string {
	var out []string
	for _, r := range results {
		if !slices.Contains(out, r.System) {
			out = append(out, r.System)
		}
	}
	return out
}

func summarize(name string, results []Result) Summary {
	s := Summary{System: name}
	var valid []Result
	for _, r := range results {
		if r.System != name {
			continue
		}
		s.Rounds++
		if r.Invalid != "" {
			s.Invalid++
			continue
		}
		valid = append(valid, r)
	}
	of := func(f func(*Result) float64) Spread { return spread(valid, f) }
	s.PerCall = of(func(r *Result) float64 { return r.PerCall })
	s.PerMessage = of(func(r *Result) float64 { return r.PerMessage })
	s.Handover = of(func(r *Result) float64 { return r.Load.HandoverMicros })
	s.UserShare = of(func(r *Result) float64 { return r.UserShare }).Median
	s.Busy = of(func(r *Result) float64 { return r.Busy }).Median
	s.PerSecond = of(func(r *Result) float64 { return r.Load.PerSecond }).Median
	s.P50Micros = of(func(r *Result) float64 { return r.Load.P50Micros }).Median
	s.P99Micros = of(func(r *Result) float64 { return r.Load.P99Micros }).Median
	s.RSS = of(func(r *Result) float64 { return float64(r.RSS) }).Median
	s.Peak = of(func(r *Result) float64 { return float64(r.Peak) }).Median
	return s
}

// spread takes f of every result; the median of an even number is the mean of the two in the middle.
func spread(results []Result, f func(*Result) float64) Spread {
	if len(results) == 0 {
		return Spread{}
	}
	values := make([]float64, len(results))
	for i := range results {
		values[i] = f(&results[i])
	}
	slices.SortFunc(values, cmp.Compare[float64])
	n := len(values)
	return Spread{Min: values[0], Median: (values[(n-1)/2] + values[n/2]) / 2, Max: values[n-1]}
}

// Print writes summaries of runs over wire as a table.
func Print(w io.Writer, wire string, summaries []Summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "system over "+wire+"\tvalid\tus/call min/med/max\tus/message min/med/max\tratio\thandover us\tuser %\tbusy %\tper second\tp50/p99 us\trss/peak MB")
	for _, s := range summaries {
		fmt.Fprintf(t, "%s\t%d/%d\t%.1f/%.1f/%.1f\t%.2f/%.2f/%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.0f/%.0f\t%.1f/%.1f\n", s.System, s.Rounds-s.Invalid, s.Rounds,
			s.PerCall.Min, s.PerCall.Median, s.PerCall.Max, s.PerMessage.Min, s.PerMessage.Median, s.PerMessage.Max, s.Ratio,
			s.Handover.Median, 100*s.UserShare, 100*s.Busy, s.PerSecond, s.P50Micros, s.P99Micros, mega(int64(s.RSS)), mega(int64(s.Peak)))
	}
	return t.Flush()
}
