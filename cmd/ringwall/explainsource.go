package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
)

// knowledge is what is known of a source: the answer to the verb explain on the control socket. Its names are stable.
type knowledge struct {
	Source   edge.Source    `json:"source"`
	Standing string         `json:"standing"`        // "never banned", "banned", "partly banned", "remembered", "free"
	Never    *ban.Exemption `json:"never,omitempty"` // why it is never banned
	Bans     []ban.Ban      `json:"bans"`            // that it meets, with their messages
	Past     *ban.Ban       `json:"past,omitempty"`  // the last one, while it is remembered
	Known    bool           `json:"known"`           // a registered phone is there

	Users  int              `json:"users"`  // whom the platform accepted from there within 30 days
	Scores []judge.Standing `json:"scores"` // what checks hold against the address and against its ports, most first

	Remedies []string `json:"remedies"` // what would free it
}

// mostScores is how many scores of one address and its ports are told.
const mostScores = 8

// explainSource answers the verb explain.
func (s *service) explainSource(a sourceArgs) (e knowledge, err error) {
	if e.Source, err = s.asked(&a); err != nil {
		return e, err
	}
	now := time.Now()
	e.Bans, e.Remedies = append([]ban.Ban{}, s.bans.About(e.Source, now)...), []string{}
	addr := e.Source.Prefix.Addr()
	if a, err := edge.ParseSource(a.Source + "/128"); err == nil { // one IPv6 address was written, not its /64
		addr = a.Prefix.Addr()
	}
	e.Known = s.bindings.KnownAddr(addr, now)
	if why, never := s.bans.Exempt(addr); never {
		e.Never = &why
	}
	if b, active, found := s.bans.Get(e.Source, now); found && !active {
		e.Past = &b
	}
	e.Scores = []judge.Standing{}
	if j := s.judge(); j != nil {
		var scores []judge.Standing
		scores, e.Users = j.Explain(addr, now)
		e.Scores = append(e.Scores, scores[:min(len(scores), mostScores)]...)
	}
	e.stand()
	return e, nil
}

// stand draws the conclusions.
func (e *knowledge) stand() {
	whole := false
	for _, b := range e.Bans {
		whole = whole || b.Source.Prefix.Bits() <= e.Source.Prefix.Bits() && (b.Source.Port == 0 || b.Source == e.Source)
		e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall unban %v", b.Source), fmt.Sprintf("waiting until %s, and sending nothing in the last minute before",
			b.Until.Local().Format(time.DateTime)))
	}
	switch {
	case e.Never != nil:
		e.Standing, e.Remedies = "never banned", []string{}
	case whole:
		e.Standing = "banned"
	case len(e.Bans) > 0:
		e.Standing = "partly banned"
	case e.Past != nil:
		e.Standing = "remembered"
	default:
		e.Standing = "free"
	}
	if len(e.Remedies) > 0 {
		e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall allow add %v, for good", edge.Source{Prefix: e.Source.Prefix}))
	}
}

// explainOf asks the service about a source and prints what it says.
func explainOf(cmd *cobra.Command, of *target, as *listing, source string) error {
	var e knowledge
	if err := of.call(cmd.Context(), "explain", sourceArgs{Source: source, Operator: sshPeer()}, &e); err != nil {
		return err
	}
	if as.form == "json" {
		return as.print(cmd.OutOrStdout(), e, nil, nil)
	}
	return e.print(cmd.OutOrStdout())
}

// print writes e for a reader.
func (e *knowledge) print(out io.Writer) error {
	colour := green
	if strings.Contains(e.Standing, "banned") && e.Never == nil {
		colour = red
	}
	fmt.Fprintf(out, "%v: %s\n", e.Source, paint(out, colour, e.Standing))
	if e.Never != nil {
		fmt.Fprintf(out, "  because: %s (%v)\n", e.Never.Why, e.Never.Prefix)
	}
	if e.Known {
		fmt.Fprintln(out, "  a registered phone is there")
	}
	for i := range e.Bans {
		if err := printBan(out, &e.Bans[i]); err != nil {
			return err
		}
	}
	if e.Past != nil {
		fmt.Fprintf(out, "  banned before, until %s, for %s; %.2g offences still count for how long a next ban lasts\n",
			e.Past.Until.Local().Format(time.DateTime), e.Past.Reason, e.Past.Offences)
	}
	if e.Users > 0 {
		fmt.Fprintf(out, "  %s accepted from there within 30 days\n", count(e.Users, "user"))
	}
	for i := range e.Scores {
		printScore(out, &e.Scores[i])
	}
	if len(e.Remedies) > 0 {
		fmt.Fprintln(out, "\nwhat would free it")
	}
	for _, r := range e.Remedies {
		fmt.Fprintf(out, "  %s\n", r)
	}
	return nil
}

// printScore writes what is held against one source in a line.
func printScore(out io.Writer, s *judge.Standing) {
	parts := make([]string, 0, len(s.Parts))
	for _, p := range s.Parts {
		parts = append(parts, fmt.Sprintf("%s %.3g", p.Reason, p.Score))
	}
	level := string(s.Level)
	if s.Told {
		level += ", did all checks enforce"
	}
	fmt.Fprintf(out, "  score of %v: %.3g (%s), %.3g of it proven: %s\n", s.Source, s.Score, level, s.Proven, strings.Join(parts, ", "))
}

// printBan writes one ban with its evidence.
func printBan(out io.Writer, b *ban.Ban) error {
	fmt.Fprintf(out, "\n%v\n", b.Source)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t"+format+"\n", append([]any{name}, args...)...)
	}
	row("kind", "%s, by %s", hardness(b), b.By)
	row("reason", "%s", b.Reason)
	if b.Text != "" {
		row("text", "%s", printable(b.Text, false))
	}
	for _, p := range b.Parts {
		row("score", "%+.4g for %s", p.Score, p.Reason)
	}
	row("since", "%s", b.Since.Local().Format(time.DateTime))
	row("until", "%s (%v left)", b.Until.Local().Format(time.DateTime), time.Until(b.Until).Round(time.Second))
	row("first seen", "%s", b.First.Local().Format(time.DateTime))
	row("refused since", "%d", b.Count)
	row("offences", "%.2g", b.Offences)
	if b.Spares {
		row("spares", "known phones, and calls that were there before")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, m := range b.Messages {
		fmt.Fprintf(out, "\n  message of %s:\n", m.At.Local().Format(time.DateTime))
		for line := range strings.Lines(string(m.Text)) {
			fmt.Fprintf(out, "    %s\n", printable(strings.TrimRight(line, "\r\n"), false))
		}
	}
	return nil
}
