package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ringwall/ringwall/replay"
)

// maxRows is how many rows a table of a replay has at most. JSON has all.
const maxRows = 25

// printReport prints what a replay found, for people: bans, locks, and the sources that something was done about.
func printReport(out io.Writer, r *replay.Report) error {
	var sources [][]string
	quiet, passed := 0, uint64(0)
	for _, s := range r.Sources {
		if s.Acted == 0 {
			quiet++
			passed += s.Messages
			continue
		}
		var why []string
		for _, one := range s.Reasons {
			why = append(why, string(one))
		}
		sources = append(sources, []string{s.Source.String(), strconv.FormatUint(s.Messages, 10), strconv.FormatUint(s.Acted, 10), strings.Join(why, ", ")})
	}
	switch {
	case len(r.Bans) == 0 && len(r.WouldBan) > 0:
		fmt.Fprintln(out, "\nnobody would have been banned, since checks only watch")
	case len(r.Bans) == 0:
		fmt.Fprintln(out, "\nnobody would have been banned")
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printRows(t, "at\tbanned\tfor\tmessages before", banRows(r.Bans))
	printRows(t, "at\tlocked user\tfrom\tfor", lockRows(r.Locks))
	printRows(t, "at\tbanned, did all checks enforce\tfor\tmessages before", banRows(r.WouldBan))
	printRows(t, "at\tlocked user, did all checks enforce\tfrom\tfor", lockRows(r.WouldLock))
	printRows(t, "source\tmessages\tstopped\tfor", sources)
	if quiet > 0 {
		fmt.Fprintf(t, "\n%s with %s: nothing was stopped\n", count(quiet, "other source"), count(int(passed), "message"))
	}
	for i := range r.Labels {
		printFinding(t, &r.Labels[i])
	}
	return t.Flush()
}

func banRows(list []replay.Ban) (rows [][]string) {
	for _, b := range list {
		rows = append(rows, []string{captureTime(b.At), b.Source.String(), string(b.Reason), strconv.FormatUint(b.Before, 10)})
	}
	return rows
}

func lockRows(list []replay.Lock) (rows [][]string) {
	for _, l := range list {
		rows = append(rows, []string{captureTime(l.At), printable(l.User, false), l.Source, string(l.Reason)})
	}
	return rows
}

// printRows prints a table, if it has rows.
func printRows(t io.Writer, heading string, list [][]string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(t, "\n%s\n", heading)
	for _, row := range list[:min(len(list), maxRows)] {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if more := len(list) - maxRows; more > 0 {
		fmt.Fprintf(t, "and %d more (-o json has all)\n", more)
	}
}

// printFinding prints how well a label was found.
func printFinding(t io.Writer, s *replay.Score) {
	share := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return strconv.FormatFloat(100**v, 'f', 1, 64) + " %"
	}
	fmt.Fprintf(t, "\nlabel\t%s (%s)\n", printable(s.Class, false), s.Kind)
	fmt.Fprintf(t, "recall\t%s\t%d of %d attackers found, %d banned\n", share(s.Recall), s.Found, s.Attackers, s.Banned)
	if s.Protected {
		fmt.Fprintf(t, "\t\tthe user they are after is locked for strangers\n")
	}
	fmt.Fprintf(t, "precision\t%s\tinnocent sources: %d banned, %d with a message stopped\n", share(s.Precision), len(s.Innocent), s.Touched)
	if s.Attackers > 0 {
		fmt.Fprintf(t, "let through\t%g\tmessages of an attacker (median; at most %g)\n", s.Through.Median, s.Through.Most)
		fmt.Fprintf(t, "verdict\t%s\tafter an attacker's first message (median; at most %s)\n", captureTime(s.Time.Median), captureTime(s.Time.Most))
	}
	if len(s.Innocent) > 0 {
		fmt.Fprintf(t, "innocent\t%s\n", strings.Join(s.Innocent, ", "))
	}
	if len(s.Missed) > 0 {
		fmt.Fprintf(t, "missed\t%s\n", strings.Join(s.Missed, ", "))
	}
}

// captureTime is a time of a capture.
func captureTime(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}
