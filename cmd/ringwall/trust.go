package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/judge"
)

func newTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "keep the list of users who are known good from a source",
		Long: "trust keeps the pairs of user and source that are known good: the platform accepted the user from there within 30 days, or you vouch for him.\n" +
			"Wrong passwords slow a user from where he is known good and lock him elsewhere, and a ban of such an address is one of single flows.\n" +
			"The list survives restarts. Trunks are `peers:` of the configuration; who is never banned is `ringwall allow`.",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newTrustList(), newTrustAdd(), newTrustRemove(), newTrustUnlock())
	return cmd
}

// parseWhom reads a user, a source, or a user and a source.
func parseWhom(args []string) (a userArgs, err error) {
	if len(args) == 0 {
		return a, nil
	}
	if looksLikeSource.MatchString(args[0]) && len(args) == 1 {
		a.Source = args[0]
	} else if a.User, err = parseUser(args[0]); err != nil {
		return a, err
	}
	if len(args) == 2 {
		a.Source = args[1]
	}
	if a.Source != "" {
		_, err = edge.ParseSource(a.Source)
	}
	return a, err
}

// onUser is a verb about a user, a source, or both. What cannot be read is bad usage, and needs no service.
func onUser(cmd *cobra.Command, of *target, work func(cmd *cobra.Command, a userArgs) error) {
	var c change
	of.flags(cmd)
	if cmd.Name() != "list" {
		c.flags(cmd, "log")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := parseWhom(args)
		if err != nil {
			return err
		}
		a.change = c
		return verb(func(cmd *cobra.Command, _ []string) error { return work(cmd, a) })(cmd, args)
	}
}

func newTrustList() *cobra.Command {
	var of target
	var as output
	cmd := &cobra.Command{Use: "list [USER|IP|PREFIX]", Short: "show who is known good, and from where", Args: cobra.MaximumNArgs(1)}
	as.flag(cmd, lists...)
	onUser(cmd, &of, func(cmd *cobra.Command, a userArgs) error {
		var list []judge.Pair
		if err := of.call(cmd.Context(), "trusted", a, &list); err != nil {
			return err
		}
		if len(list) == 0 && as.form == "table" {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "nobody is known good")
			return err
		}
		var rows [][]string
		for _, p := range list {
			rows = append(rows, []string{printable(p.User, false), p.Source.String(), as.moment(p.Seen), as.moment(p.Until)})
		}
		return as.print(cmd.OutOrStdout(), list, []string{"user", "source", "accepted", "until"}, rows)
	})
	return watchable(cmd)
}

func newTrustAdd() *cobra.Command {
	var of target
	cmd := &cobra.Command{
		Use:     "add USER IP",
		Short:   "vouch for a user at an address, for 30 days",
		Example: "  ringwall trust add alice@example.com 198.51.100.7 --reason \"moved\"",
		Args:    cobra.ExactArgs(2),
	}
	onUser(cmd, &of, func(cmd *cobra.Command, a userArgs) error {
		if err := of.call(cmd.Context(), "trust", a, nil); err != nil {
			return err
		}
		return a.say(cmd.OutOrStdout(), "%s is known good from %s", "%s would be known good from %s", a.User, a.Source)
	})
	return cmd
}

func newTrustRemove() *cobra.Command {
	var of target
	cmd := &cobra.Command{
		Use:   "remove USER|IP|PREFIX or remove USER IP",
		Short: "forget that a user is known good, or all that are at a source",
		Args:  cobra.RangeArgs(1, 2),
	}
	onUser(cmd, &of, func(cmd *cobra.Command, a userArgs) error {
		var list []judge.Pair
		if err := of.call(cmd.Context(), "distrust", a, &list); err != nil {
			return err
		}
		for _, p := range list {
			if err := a.say(cmd.OutOrStdout(), "%s is no longer known good from %v", "%s would no longer be known good from %v", printable(p.User, false), p.Source); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

func newTrustUnlock() *cobra.Command {
	var of target
	cmd := &cobra.Command{
		Use:   "unlock USER [IP|PREFIX]",
		Short: "forget the wrong passwords of a user: all, or those from one source",
		Args:  cobra.RangeArgs(1, 2),
	}
	onUser(cmd, &of, func(cmd *cobra.Command, a userArgs) error {
		if a.User == "" {
			return errors.New("users are locked, sources are banned: name a user, or use ringwall unban")
		}
		var list []held
		if err := of.call(cmd.Context(), "unlock", a, &list); err != nil {
			return err
		}
		return a.printReleased(cmd.OutOrStdout(), list)
	})
	return cmd
}

// printReleased tells what is no longer held against a user.
func (a *userArgs) printReleased(out io.Writer, list []held) error {
	for _, h := range list {
		from := "from everywhere"
		if h.Source.Prefix.IsValid() {
			from = "from " + h.Source.String()
		}
		was := "had failed"
		if !h.Until.IsZero() {
			was = "was locked"
		}
		if err := a.say(out, "%s is free %s (%s for %s)", "%s would be free %s (%s for %s)", a.User, from, was, h.Reason); err != nil {
			return err
		}
	}
	return nil
}

// handleTrust names the verbs about users on the control socket.
func (s *service) handleTrust() {
	s.admin.Handle("explain-user", answering(s.explainUser))
	s.admin.Handle("trusted", answering(s.trusted))
	s.admin.Handle("trust", answering(s.trust))
	s.admin.Handle("distrust", answering(s.distrust))
	s.admin.Handle("unlock", answering(s.unlock))
}

// choice is what a says in the judge's terms.
func (a *userArgs) choice() (c judge.Choice, err error) {
	c.User = a.User
	if a.Source != "" {
		c.From, err = edge.ParseSource(a.Source)
	}
	return c, err
}

// trusted answers the verb of that name.
func (s *service) trusted(a userArgs) ([]judge.Pair, error) {
	of, err := a.choice()
	j := s.judge()
	if j == nil {
		err = errNoChecks
	}
	if err != nil {
		return nil, err
	}
	return j.Pairs(of, time.Now()), nil
}

// trust answers the verb of that name.
func (s *service) trust(a userArgs) (struct{}, error) {
	j := s.judge()
	if j == nil {
		return struct{}{}, errNoChecks
	}
	addr, err := netip.ParseAddr(a.Source)
	if err != nil {
		return struct{}{}, fmt.Errorf("%s: a user is known good from one address, such as 198.51.100.7", a.Source)
	}
	if a.Dry {
		return struct{}{}, nil
	}
	if err := j.Vouch(a.User, addr.Unmap().WithZone(""), time.Now()); err != nil {
		return struct{}{}, err
	}
	s.log.Info("an operator vouches for a user", "event", event.Trust, "user", a.User, "source", a.Source, "why", a.Text)
	return struct{}{}, nil
}

// distrust answers the verb of that name with what was forgotten.
func (s *service) distrust(a userArgs) ([]judge.Pair, error) {
	of, err := a.choice()
	j := s.judge()
	if j == nil {
		err = errNoChecks
	}
	if err != nil {
		return nil, err
	}
	list := j.Pairs(of, time.Now())
	if !a.Dry {
		list = j.Forget(of, time.Now())
	}
	if len(list) == 0 {
		return nil, a.nothing("known good")
	}
	if a.Dry {
		return list, nil
	}
	s.log.Info("an operator has users forgotten", "event", event.Trust, "user", a.User, "source", a.Source, "pairs", len(list), "why", a.Text)
	return list, nil
}

// unlock answers the verb of that name with what was forgotten.
func (s *service) unlock(a userArgs) ([]held, error) {
	of, err := a.choice()
	j := s.judge()
	if j == nil {
		err = errNoChecks
	}
	if err != nil {
		return nil, err
	}
	if a.Dry {
		return s.lockedNow(j, &a, of)
	}
	list := []held{}
	s.eachKeeper(func(k edge.Keeper, enforced bool) {
		for _, h := range k.Release(j.UserHash(a.User), of.From, time.Now()) {
			list = append(list, held{Hold: h, Enforced: enforced})
			if h.Source.Prefix.IsValid() {
				j.Absolve(a.User, h.Source.Prefix.Addr())
			}
		}
	})
	if len(list) == 0 {
		return nil, a.nothing("locked")
	}
	s.log.Info("an operator unlocks a user", "event", event.Trust, "user", a.User, "source", a.Source, "why", a.Text)
	return list, nil
}

// lockedNow is what unlock would forget.
func (s *service) lockedNow(j *judge.Judge, a *userArgs, of judge.Choice) ([]held, error) {
	list := slices.DeleteFunc(s.holds(j.UserHash(a.User), time.Now()), func(h held) bool {
		return of.From != (edge.Source{}) && !of.From.Prefix.Overlaps(h.Source.Prefix)
	})
	if len(list) == 0 {
		return nil, a.nothing("locked")
	}
	return list, nil
}

// nothing says that whom a names is not what he should be.
func (a *userArgs) nothing(what string) error {
	switch {
	case a.User == "":
		return fmt.Errorf("nobody is %s from %s", what, a.Source)
	case a.Source == "":
		return fmt.Errorf("%s is not %s from anywhere", a.User, what)
	}
	return fmt.Errorf("%s is not %s from %s", a.User, what, a.Source)
}
