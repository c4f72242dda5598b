package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/media"
)

func newDoctor() *cobra.Command {
	var of target
	var as output
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "look for what is wrong, and tell what to do about it",
		Long: "doctor asks the running ringwall what needs attention, has it look at its configuration file as it is now, looks through the\n" +
			"media of all calls for packets that are refused, and says what to do about each. It changes nothing. It exits 1 if it\n" +
			"found anything, and 69 if no service answers.",
		Args: cobra.NoArgs,
	}
	of.flags(cmd)
	as.flag(cmd, "table", "json")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error { return examine(cmd, &of, as.form) })
	return cmd
}

// examine prints what it finds.
func examine(cmd *cobra.Command, of *target, form string) error {
	var s status
	if err := of.call(cmd.Context(), "status", nil, &s); err != nil {
		return err
	}
	var calls []callState
	if err := of.call(cmd.Context(), "calls", nil, &calls); err != nil {
		return err
	}
	var file []concern
	if err := of.call(cmd.Context(), "file", nil, &file); err != nil {
		return err
	}
	found := append([]concern{}, slices.Concat(s.Attention, file, ofMedia(calls))...) // not nil: no concern is [] in JSON
	if err := printConcerns(cmd.OutOrStdout(), found, form); err != nil {
		return err
	}
	if n := len(found); n > 0 {
		return fmt.Errorf("%s found", count(n, "thing"))
	}
	return nil
}

func printConcerns(out io.Writer, found []concern, form string) error {
	if form == "json" {
		return printJSON(out, found)
	}
	for _, c := range found {
		if _, err := fmt.Fprintf(out, "%s: %s\n", paint(out, amber, c.ID), c.Text); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(out, paint(out, green, "nothing found"))
		return err
	}
	return nil
}

// ofFile is what is wrong with the configuration file as it is now: the service may run with what it was before. It is for the service to ask: paths in
// the file, and perhaps its own, begin where the service works, and the service's user may be the only one to read keys.
func ofFile(file string) (found []concern) {
	if file == "" {
		return nil
	}
	cfg, err := loadFile(file)
	if err == nil {
		err = checkCredentials(cfg, time.Now(), false)
	}
	if err != nil {
		return []concern{{"config.broken", "the configuration file has mistakes now, so ringwall would not start again with it: ringwall check " + file}}
	}
	for _, text := range cfg.Warnings() {
		found = append(found, concern{"config.warning", text})
	}
	return found
}

// mostOfMedia bounds what is said of media.
const mostOfMedia = 20

// ofMedia is what was refused of the media of calls.
func ofMedia(calls []callState) (found []concern) {
	for _, c := range calls {
		for i := range c.Streams {
			s := &c.Streams[i]
			for _, why := range slices.Sorted(maps.Keys(s.Refused)) {
				found = append(found, concern{"media.refused", fmt.Sprintf("call %d, %s to %s: %s for the %s of the %s %s", c.ID, c.Caller, c.Callee,
					count(int(s.Refused[why]), "packet"), s.Kind, s.From, s.refusal(why))})
			}
		}
	}
	if more := len(found) - mostOfMedia; more > 0 {
		found = append(found[:mostOfMedia], concern{"media.refused", fmt.Sprintf("%s more of that kind: ringwall calls -o json", count(more, "thing"))})
	}
	return found
}

// refusal says why packets were refused and what to do about it.
func (s *streamState) refusal(why string) string {
	switch {
	case why == media.RefusedSource.String() && s.Packets == 0:
		return fmt.Sprintf("came from another address than the %s that it named, and none from there: a phone behind a NAT of its own needs media.latch prefix24 or any for its kind "+
			"(docs/config.md), and one whose NAT rewrites SDP (SIP ALG) that turned off", dash(s.Named))
	case why == media.RefusedSource.String():
		return fmt.Sprintf("came from somebody else than %s, and went nowhere: nothing is to be done", dash(s.Locked))
	case why == media.RefusedEarly.String():
		return "came before it said where it would send from: nothing is to be done unless its beginning is missing"
	case why == media.RefusedRate.String():
		return "were more a second than media.packets allows: raise that if it is video"
	case why == media.RefusedIntegrity.String(), why == media.RefusedSTUN.String():
		return "were ICE checks without the password of this call, and went nowhere: nothing is to be done"
	}
	return "were neither RTP nor anything else that this port is for, and went nowhere: nothing is to be done"
}
