package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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
	Standing string         `json:"standing"`        // "never banned", "banned", "partly banned", "locked", "remembered", "free"
	Never    *ban.Exemption `json:"never,omitempty"` // why it is never banned
	Bans     []ban.Ban      `json:"bans"`            // that it meets, with their messages
	Past     *ban.Ban       `json:"past,omitempty"`  // the last one, while it is remembered
	Known    bool           `json:"known"`           // a registered phone is there

	Users  int              `json:"users"`  // whom the platform accepted from there within 30 days
	Scores []judge.Standing `json:"scores"` // what checks hold against the address and against its ports, most first
	Locks  []held           `json:"locks"`  // wrong passwords of users from there, and locks: those that last longest
	More   int              `json:"more_locks,omitempty"`

	Remedies []string `json:"remedies"` // what would free it
}

// mostScores is how many scores of one address and its ports are told, and how many users to a reader; mostLocks how many users at most.
const (
	mostScores = 8
	mostLocks  = 100
)

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
	e.Scores, e.Locks = []judge.Standing{}, []held{}
	if j := s.judge(); j != nil {
		var scores []judge.Standing
		scores, e.Users = j.Explain(addr, now)
		e.Scores = append(e.Scores, scores[:min(len(scores), mostScores)]...)
		locks := s.locksFrom(j, e.Source, now)
		e.More = max(0, len(locks)-mostLocks)
		e.Locks = append(e.Locks, locks[:len(locks)-e.More]...)
	}
	e.stand()
	return e, nil
}

// locksFrom is what all checks hold against users from a source, the longest lock first.
func (s *service) locksFrom(j *judge.Judge, source edge.Source, now time.Time) (list []held) {
	good := j.Pairs(judge.Choice{From: source}, now)
	s.eachKeeper(func(k edge.Keeper, enforced bool) {
		for _, h := range k.From(source, now) {
			known := slices.ContainsFunc(good, func(p judge.Pair) bool { return p.Source == h.Source && strings.EqualFold(p.User, h.User) })
			list = append(list, held{Hold: h, Enforced: enforced, Known: known})
		}
	})
	slices.SortFunc(list, func(a, b held) int { return cmp.Or(b.Until.Compare(a.Until), strings.Compare(a.User, b.User)) })
	return list
}

// stand draws the conclusions.
func (e *knowledge) stand() {
	whole := false
	for _, b := range e.Bans {
		whole = whole || b.Source.Prefix.Bits() <= e.Source.Prefix.Bits() && (b.Source.Port == 0 || b.Source == e.Source)
		wait := "waiting until " + b.Until.Local().Format(time.DateTime)
		if b.By != ban.Operator {
			wait += ", and sending nothing in the last minute before"
		}
		e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall unban %v", b.Source), wait)
	}
	switch {
	case e.Never != nil:
		e.Standing, e.Remedies = "never banned", []string{}
	case whole:
		e.Standing = "banned"
	case len(e.Bans) > 0:
		e.Standing = "partly banned"
	case len(e.locked()) > 0:
		e.Standing = "locked"
	case e.Past != nil:
		e.Standing = "remembered"
	default:
		e.Standing = "free"
	}
	if len(e.Remedies) > 0 {
		e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall allow add %v, for good", edge.Source{Prefix: e.Source.Prefix}))
	}
	for _, h := range e.locked() {
		if h.User == "" {
			e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall trust unlock USER %v, with the name in the credentials for USER", h.Source))
			continue
		}
		e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall trust unlock %s %v", h.name(), h.Source))
	}
	if i := slices.IndexFunc(e.Scores, func(s judge.Standing) bool { return s.Free > 0 && !s.Told }); i >= 0 && len(e.Bans) == 0 {
		e.Remedies = append(e.Remedies, fmt.Sprintf("%v without another offence: nothing worth a look is held against it then", e.Scores[i].Free.Round(time.Second)))
	}
}

// locked are the locks of users from there, as many as are told.
func (e *knowledge) locked() (list []held) {
	for _, h := range e.Locks {
		if kind := h.kind(); (kind == "locked" || kind == "slowed") && len(list) < mostScores {
			list = append(list, h)
		}
	}
	return list
}

// explainOf asks the service about a source and prints what it says.
func explainOf(cmd *cobra.Command, of *target, as *output, source string) error {
	var e knowledge
	if err := of.call(cmd.Context(), "explain", sourceArgs{Source: source, Operator: sshPeer()}, &e); err != nil {
		return err
	}
	if as.form == "json" {
		return printJSON(cmd.OutOrStdout(), e)
	}
	return e.print(cmd.OutOrStdout())
}

// print writes e for a reader.
func (e *knowledge) print(out io.Writer) error {
	colour := green
	switch {
	case strings.Contains(e.Standing, "banned") && e.Never == nil:
		colour = red
	case e.Standing == "locked":
		colour = amber
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
	for i := range e.Locks[:min(len(e.Locks), mostScores)] {
		h := &e.Locks[i]
		fmt.Fprintf(out, "  %s: %s\n", h.name(), h.sentence())
	}
	if more := len(e.Locks) + e.More - mostScores; more > 0 {
		fmt.Fprintf(out, "  and passwords of %s more\n", count(more, "user"))
	}
	if len(e.Bans) == 0 && len(e.Scores) > 0 { // else they stand with the ban
		printMessages(out, e.Scores[0].Messages)
	}
	if len(e.Remedies) > 0 {
		fmt.Fprintln(out, "\nwhat would free it")
	}
	for _, r := range e.Remedies {
		fmt.Fprintf(out, "  %s\n", r)
	}
	return nil
}

// name is that of the user, where it stood in From or To.
func (h *held) name() string {
	if h.User == "" {
		return "a name in credentials"
	}
	return printable(h.User, false)
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
		printMessage(out, m.Text)
	}
	return nil
}

// printMessages writes the last messages that gave a source away.
func printMessages(out io.Writer, list [][]byte) {
	for _, m := range list {
		fmt.Fprintln(out, "\n  message:")
		printMessage(out, m)
	}
}

// printMessage writes a message that a stranger wrote.
func printMessage(out io.Writer, text []byte) {
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(out, "    %s\n", printable(strings.TrimRight(line, "\r\n"), false))
	}
}
