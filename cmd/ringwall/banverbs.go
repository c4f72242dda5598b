package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
)

func newBans() *cobra.Command {
	var of target
	var as output
	cmd := &cobra.Command{
		Use:   "bans",
		Short: "list who is banned",
		Long: "bans lists the sources that are banned, which were banned last first. hard: nothing of them is read, but for known phones and calls\n" +
			"that were there before; soft: their address is not proven, only new requests are dropped. `ringwall explain IP` tells why.",
		Args: cobra.NoArgs,
	}
	of.flags(cmd)
	as.flag(cmd, lists...)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		all, err := of.bans(cmd.Context())
		if err != nil {
			return err
		}
		return printBans(cmd.OutOrStdout(), &as, all)
	})
	return watchable(cmd)
}

// errEnd: the list is complete.
var errEnd = errors.New("the end")

// bans asks the service for every ban.
func (t *target) bans(ctx context.Context) ([]ban.Ban, error) {
	all := []ban.Ban{}
	err := t.stream(ctx, "bans", nil, func(raw json.RawMessage) error {
		var some []ban.Ban
		if err := json.Unmarshal(raw, &some); err != nil {
			return fmt.Errorf("read the bans: %w", err)
		}
		all = append(all, some...)
		if len(some) == 0 {
			return errEnd
		}
		return nil
	})
	if errors.Is(err, errEnd) {
		err = nil
	}
	slices.SortFunc(all, func(x, y ban.Ban) int {
		return cmp.Or(y.Since.Compare(x.Since), strings.Compare(x.Source.String(), y.Source.String()))
	})
	return all, err
}

func printBans(out io.Writer, as *output, all []ban.Ban) error {
	if len(all) == 0 && as.form == "table" {
		_, err := fmt.Fprintln(out, "nobody is banned")
		return err
	}
	var rows [][]string
	for _, b := range all {
		until := time.Until(b.Until).Round(time.Second).String()
		if as.form == "csv" {
			until = as.moment(b.Until)
		}
		rows = append(rows, []string{b.Source.String(), hardness(&b), string(b.Reason), string(b.By), as.moment(b.Since), until, fmt.Sprint(b.Count),
			strconv.FormatFloat(b.Score, 'g', 4, 64), printable(b.Text, false)})
	}
	until := "left"
	if as.form == "csv" {
		until = "until"
	}
	return as.print(out, all, []string{"source", "kind", "reason", "by", "since", until, "refused", "score", "text"}, rows)
}

// hardness is the kind of a ban in a word.
func hardness(b *ban.Ban) string {
	switch {
	case !b.Hard:
		return "soft"
	case b.Everything:
		return "everything"
	}
	return "hard"
}

// onSource is a verb about one source. A source that cannot be read is bad usage, and needs no service.
func onSource(cmd *cobra.Command, of *target, work func(cmd *cobra.Command, source string) error) {
	of.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := edge.ParseSource(args[0]); err != nil {
			return err
		}
		return verb(func(cmd *cobra.Command, args []string) error { return work(cmd, args[0]) })(cmd, args)
	}
}

// A span is a flag for a length of time that knows days.
type span time.Duration

// Set reads "30m" or "7d".
func (s *span) Set(text string) error {
	d, err := config.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("want a length of time above 0, such as 30s, 12h or 7d")
	}
	*s = span(d)
	return nil
}

// String is of pflag.Value, as is Type.
func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type is what help calls the value.
func (s *span) Type() string { return "TIME" }

func newBan() *cobra.Command {
	var of target
	var length span
	var args banArgs
	cmd := &cobra.Command{
		Use:   "ban IP|PREFIX|IP:PORT",
		Short: "ban a source",
		Long: "ban shuts a source out: an address (of IPv6 its /64), a network, or one port of an address. Open connections are closed. Phones\n" +
			"that are registered there and calls that were there before go on, unless --all is given. Without --for it lasts bans.first, and\n" +
			"longer for who was banned before. Ourselves, the platform, peers, the gateway, DNS servers, you (over SSH), trust.never_ban and the\n" +
			"allow list are never banned.",
		Example: "  ringwall ban 198.51.100.7 --for 30m --reason \"guesses passwords\"\n" +
			"  ringwall ban 203.0.113.0/24",
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.Var(&length, "for", "how long, such as 30m, 12h or 7d")
	args.flags(cmd, "list of bans")
	f.BoolVar(&args.Soft, "soft", false, "drop new requests only")
	f.BoolVar(&args.Everything, "all", false, "shut known phones and calls out, too")
	onSource(cmd, &of, func(cmd *cobra.Command, source string) error {
		args.Source, args.Operator, args.For = source, sshPeer(), time.Duration(length)
		var b ban.Ban
		if err := of.call(cmd.Context(), "ban", args, &b); err != nil {
			return err
		}
		spared := ""
		if b.Spares {
			spared = "; known phones and calls from there go on (--all: they do not)"
		}
		return args.say(cmd.OutOrStdout(), "%v is banned until %s%s", "%v would be banned until %s%s", b.Source, b.Until.Local().Format(time.DateTime), spared)
	})
	return cmd
}

func newUnban() *cobra.Command {
	var of target
	var c change
	cmd := &cobra.Command{
		Use:   "unban IP|PREFIX|IP:PORT",
		Short: "end a ban, and forget why",
		Long:  "unban ends the ban of a source and those of single ports in it. Its offences are forgotten: the next ban would be a first one.",
		Args:  cobra.ExactArgs(1),
	}
	c.flags(cmd, "log")
	onSource(cmd, &of, func(cmd *cobra.Command, source string) error {
		var lifted []ban.Ban
		if err := of.call(cmd.Context(), "unban", sourceArgs{source, sshPeer(), c}, &lifted); err != nil {
			return err
		}
		return c.printLifted(cmd.OutOrStdout(), lifted)
	})
	return cmd
}

// printLifted tells which bans are over.
func (c *change) printLifted(out io.Writer, lifted []ban.Ban) error {
	for _, b := range lifted {
		if err := c.say(out, "%v is free (it was banned for %s)", "%v would be free (it is banned for %s)", b.Source, b.Reason); err != nil {
			return err
		}
	}
	return nil
}

func newAllow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "allow",
		Short: "keep the list of who is never banned",
		Long: "allow keeps the allow list: addresses and networks that nobody bans, neither a check nor an operator. It survives restarts, and\n" +
			"always wins. Limits and checks of single messages still apply to who is on it.",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newAllowAdd(), newAllowRemove(), newAllowList())
	return cmd
}

func newAllowAdd() *cobra.Command {
	var of target
	var c change
	cmd := &cobra.Command{Use: "add IP|PREFIX", Short: "put a source on the allow list; bans in it end", Args: cobra.ExactArgs(1)}
	c.flags(cmd, "list")
	onSource(cmd, &of, func(cmd *cobra.Command, source string) error {
		var lifted []ban.Ban
		if err := of.call(cmd.Context(), "allow", sourceArgs{source, sshPeer(), c}, &lifted); err != nil {
			return err
		}
		s, _ := edge.ParseSource(source) // onSource did
		if err := c.say(cmd.OutOrStdout(), "%v is never banned from now on", "%v would never be banned", s); err != nil {
			return err
		}
		return c.printLifted(cmd.OutOrStdout(), lifted)
	})
	return cmd
}

func newAllowRemove() *cobra.Command {
	var of target
	var c change
	cmd := &cobra.Command{Use: "remove IP|PREFIX", Short: "take a source off the allow list", Args: cobra.ExactArgs(1)}
	c.flags(cmd, "log")
	onSource(cmd, &of, func(cmd *cobra.Command, source string) error {
		if err := of.call(cmd.Context(), "disallow", sourceArgs{source, sshPeer(), c}, nil); err != nil {
			return err
		}
		s, _ := edge.ParseSource(source) // onSource did
		return c.say(cmd.OutOrStdout(), "%v is no longer on the allow list", "%v would no longer be on the allow list", s)
	})
	return cmd
}

func newAllowList() *cobra.Command {
	var of target
	var as output
	cmd := &cobra.Command{Use: "list", Short: "show the allow list, and who else is never banned", Args: cobra.NoArgs}
	of.flags(cmd)
	as.flag(cmd, lists...)
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error {
		var all allowLists
		if err := of.call(cmd.Context(), "allowed", nil, &all); err != nil {
			return err
		}
		var rows [][]string
		for _, a := range all.Allowed {
			rows = append(rows, []string{a.Source.String(), "allowed", printable(a.Text, false)})
		}
		for _, e := range all.Never {
			rows = append(rows, []string{edge.Source{Prefix: e.Prefix}.String(), "never banned", e.Why})
		}
		return as.print(cmd.OutOrStdout(), all, []string{"source", "kind", "why"}, rows)
	})
	return watchable(cmd)
}
