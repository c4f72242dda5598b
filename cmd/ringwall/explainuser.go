package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
)

// userArgs are the arguments of verbs about a user: of trust, and of explain.
type userArgs struct {
	User   string `json:"user,omitempty"`   // as parseUser returns it
	Source string `json:"source,omitempty"` // as the operator wrote it; "": any
	change
}

// acquaintance is what is known of a user: the answer to the verb explain-user on the control socket. Its names are stable.
type acquaintance struct {
	User          string         `json:"user"`
	Standing      string         `json:"standing"`      // "free", "failing", "slowed", "locked", "protected"
	Registrations []registration `json:"registrations"` // in force
	Known         []judge.Pair   `json:"known"`         // from where the platform accepted the user within 30 days
	Held          []held         `json:"held"`          // wrong passwords, and locks
	Remedies      []string       `json:"remedies"`      // what would free the user
}

// A registration is one phone of a user.
type registration struct {
	User      string    `json:"user"`
	Source    string    `json:"source"`
	Transport string    `json:"transport"`
	Contact   string    `json:"contact"` // as the phone wrote it
	Until     time.Time `json:"until"`
}

// held is what one check holds against the passwords of a user.
type held struct {
	edge.Hold
	Enforced bool `json:"enforced"` // false: the check only watches
	Known    bool `json:"known"`    // the user is known good from there: slowed, not locked
}

// looksLikeSource is what somebody who means an address would write.
var looksLikeSource = regexp.MustCompile(`^(\d+(\.\d+)+|[0-9a-fA-F]*:[0-9a-fA-F:.]*|\[.*)([/:%].*)?$`)

// errUser says how a user is written.
var errUser = errors.New("want a user such as alice, alice@example.com or sip:alice@example.com")

// parseUser reads a user as an operator writes him, and returns user or user@host, the host in lower case.
func parseUser(text string) (string, error) {
	whole := text
	if scheme, _, found := strings.Cut(text, ":"); !found || !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		whole = "sip:" + text
	}
	if !strings.Contains(whole, "@") {
		whole += "@host.invalid"
	}
	uri, err := sip.ParseURI([]byte(whole), sip.Span{End: uint32(len(whole))})
	if err != nil || !uri.User.Present() {
		return "", fmt.Errorf("%q: %w", text, errUser)
	}
	user, host := string(uri.User.Of([]byte(whole))), strings.ToLower(string(uri.Host.Of([]byte(whole))))
	if host == "host.invalid" {
		return user, nil
	}
	return user + "@" + host, nil
}

// errNoChecks says that there is nobody who would know.
var errNoChecks = errors.New("no check is on, so nothing is remembered of users: see checks in the configuration")

// explainUser answers the verb explain-user.
func (s *service) explainUser(a userArgs) (e acquaintance, err error) {
	e = acquaintance{User: a.User, Registrations: []registration{}, Held: []held{}, Known: []judge.Pair{}, Remedies: []string{}}
	now := time.Now()
	for _, b := range s.bindings.Of(a.User, now) {
		e.Registrations = append(e.Registrations, registration{b.AOR, b.Flow.Remote.String(), b.Flow.Transport.String(), printable(b.Contact, false), b.Expires})
	}
	j := s.judge()
	if j == nil {
		e.Standing = "free"
		return e, nil
	}
	e.Known = j.Pairs(judge.Choice{User: a.User}, now)
	e.Held = s.holds(j.UserHash(a.User), now)
	for i := range e.Held {
		h := &e.Held[i]
		h.Known = slices.ContainsFunc(e.Known, func(p judge.Pair) bool { return p.Source == h.Source })
	}
	e.stand()
	return e, nil
}

// holds is what all checks hold against a user.
func (s *service) holds(user uint64, now time.Time) (list []held) {
	list = []held{}
	s.eachKeeper(func(k edge.Keeper, enforced bool) {
		for _, h := range k.Held(user, now) {
			list = append(list, held{Hold: h, Enforced: enforced})
		}
	})
	slices.SortFunc(list, func(a, b held) int { return b.Until.Compare(a.Until) })
	return list
}

// eachKeeper calls do for the checks that lock users, and says whether they do so now.
func (s *service) eachKeeper(do func(k edge.Keeper, enforced bool)) {
	cfg := s.settings.Load().cfg
	s.benching.Lock()
	defer s.benching.Unlock()
	for name, one := range s.bench.rows {
		if k, ok := one.(edge.Keeper); ok {
			do(k, cfg.Checks.Of(name) == config.CheckEnforce && cfg.Mode != config.Monitor)
		}
	}
}

// stand draws the conclusions: the worst thing that is held against the user, and what would end it.
func (e *acquaintance) stand() {
	ranks := []string{"free", "failing", "slowed", "locked", "protected"}
	worst := 0
	for i := range e.Held {
		rank := slices.Index(ranks, e.Held[i].kind())
		worst = max(worst, rank)
		if e.Held[i].kind() == "locked" {
			e.Remedies = append(e.Remedies, fmt.Sprintf("ringwall trust add %s %v: one try a minute from there", e.User, e.Held[i].Source))
		}
		if until := e.Held[i].Until; !until.IsZero() {
			e.Remedies = append(e.Remedies, "waiting until "+until.Local().Format(time.DateTime))
		}
	}
	if e.Standing = ranks[worst]; worst > 0 {
		e.Remedies = append([]string{fmt.Sprintf("ringwall trust unlock %s", e.User), "a right password from there"}, e.Remedies...)
	}
	if e.Standing == "protected" {
		e.Remedies = slices.DeleteFunc(e.Remedies, func(r string) bool { return strings.HasPrefix(r, "a right") })
	}
}

// kind is what h comes to.
func (h *held) kind() string {
	switch {
	case h.Until.IsZero() || !h.Enforced:
		return "failing"
	case !h.Source.Prefix.IsValid():
		return "protected"
	case h.Known:
		return "slowed"
	}
	return "locked"
}

// explainUserOf asks the service about a user and prints what it says.
func explainUserOf(cmd *cobra.Command, of *target, as *output, user string) error {
	var e acquaintance
	if err := of.call(cmd.Context(), "explain-user", userArgs{User: user}, &e); err != nil {
		return err
	}
	if as.form == "json" {
		return printJSON(cmd.OutOrStdout(), e)
	}
	return e.print(cmd.OutOrStdout())
}

// print writes e for a reader.
func (e *acquaintance) print(out io.Writer) error {
	colour := map[string]string{"free": green, "failing": amber, "slowed": amber}[e.Standing]
	if colour == "" {
		colour = red
	}
	fmt.Fprintf(out, "%s: %s\n", printable(e.User, false), paint(out, colour, e.Standing))
	for _, r := range e.Registrations {
		fmt.Fprintf(out, "  registered from %s (%s) until %s as %s\n", r.Source, r.Transport, r.Until.Local().Format(time.DateTime), r.Contact)
	}
	for _, p := range e.Known {
		fmt.Fprintf(out, "  known good from %v, last at %s, until %s\n", p.Source, p.Seen.Local().Format(time.DateTime), p.Until.Local().Format(time.DateOnly))
	}
	if len(e.Registrations)+len(e.Known) == 0 {
		fmt.Fprintln(out, "  not registered, and not accepted by the platform within 30 days")
	}
	for i := range e.Held {
		fmt.Fprintf(out, "  %s\n", e.Held[i].sentence())
	}
	if len(e.Remedies) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nwhat would free the user")
	for _, r := range e.Remedies {
		if _, err := fmt.Fprintf(out, "  %s\n", r); err != nil {
			return err
		}
	}
	return nil
}

// sentence tells h.
func (h *held) sentence() string {
	from := fmt.Sprintf("%s from %v", count(h.Failures, "wrong password"), h.Source)
	if !h.Source.Prefix.IsValid() {
		from = "wrong passwords from " + count(h.Failures, "source")
	}
	until := h.Until.Local().Format(time.DateTime)
	switch {
	case h.Until.IsZero():
		return fmt.Sprintf("%s (%s counts them)", from, h.Reason)
	case !h.Enforced:
		return fmt.Sprintf("%s: would be locked until %s, but for mode: monitor (%s)", from, until, h.Reason)
	}
	return from + ": " + map[string]string{"slowed": "one try a minute from there", "locked": "locked from there",
		"protected": "one try in a while from everywhere that is not listed above"}[h.kind()] + fmt.Sprintf(" until %s (%s)", until, h.Reason)
}
