package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/replay"
)

// A replaying is what the verb was asked for.
type replaying struct {
	capture, file, labels string
	as                    output
	inside                []string

	platform []netip.Prefix // that inside names, or that was found
}

func newReplay() *cobra.Command {
	var r replaying
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "judge a capture: who would have been banned, when and why",
		Long: "replay reads a capture (pcap or pcapng, gzip or not) of the traffic between a platform and the internet, and judges it as the running\n" +
			"ringwall would, by the clock of the capture. It opens no socket and changes nothing.\n\n" +
			"Every check enforces, unless a configuration (--config) says what any of them is for: then it counts, as do its peers, domains and bans.\n" +
			"--inside names the platform's addresses in the capture; left out, they are who answers REGISTERs and challenges in it, or else\n" +
			"answers most. A capture that is cut in the middle is judged up to there, and replay exits 1.",
		Example: "  ringwall replay monday.pcap.gz\n" +
			"  ringwall replay --config ringwall.yaml --inside 203.0.113.0/28 -o json monday.pcap.gz\n" +
			"  ringwall replay --labels labels.csv m01_office_plus_attackers.pcap.gz",
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVarP(&r.file, "config", "c", "", "configuration `FILE`; without one, or without a mode of any check in it, all enforce")
	flags.StringSliceVar(&r.inside, "inside", nil, "`PREFIX` or address of the platform in the capture, may be repeated")
	r.as.flag(cmd, "table", "json")
	flags.StringVar(&r.labels, "labels", "", "`FILE` (CSV) that says what is in the capture, to be compared with")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.capture = args[0]
		if err := r.check(); err != nil {
			return err
		}
		return verb(func(cmd *cobra.Command, _ []string) error { return r.run(cmd) })(cmd, args)
	}
	return cmd
}

// check reads the flags. Its errors are bad usage.
func (r *replaying) check() error {
	for _, text := range r.inside {
		p, err := prefixOf(text)
		if err != nil {
			return fmt.Errorf("--inside %q is no address or prefix: write 203.0.113.5 or 203.0.113.0/28", text)
		}
		r.platform = append(r.platform, p)
	}
	return nil
}

// prefixOf reads a prefix, or an address as a prefix of it alone.
func prefixOf(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

func (r *replaying) run(cmd *cobra.Command) error {
	cfg, err := r.config()
	if err != nil {
		return err
	}
	var labels []replay.Label
	if r.labels != "" {
		if labels, err = readLabels(r.labels, r.capture); err != nil {
			return err
		}
	}
	if len(r.platform) == 0 {
		if err := r.infer(); err != nil {
			return err
		}
	}
	f, err := os.Open(r.capture)
	if err != nil {
		return fmt.Errorf("read the capture: %w", err)
	}
	defer f.Close()
	settings, notes := replayConfig(cfg, r.platform)
	report, err := replay.Run(f, settings)
	if report == nil {
		return fmt.Errorf("%s: %w", r.capture, err)
	}
	report.Score(labels)
	report.Notes = append(notes, report.Notes...)
	if perr := r.print(cmd, report); perr != nil {
		return perr
	}
	if err != nil { // it was cut, and what came before is told
		return fmt.Errorf("%s: %w", r.capture, err)
	}
	return nil
}

// config is that of the flag; nil: there is none.
func (r *replaying) config() (*config.Config, error) {
	if r.file == "" {
		return nil, nil
	}
	return loadFile(r.file)
}

// infer finds the platform in the capture.
func (r *replaying) infer() error {
	f, err := os.Open(r.capture)
	if err != nil {
		return fmt.Errorf("read the capture: %w", err)
	}
	defer f.Close()
	r.platform, err = replay.Infer(f)
	if errors.Is(err, replay.ErrNoPlatform) {
		return fmt.Errorf("%s: %w, with --inside", r.capture, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.capture, err)
	}
	return nil
}

func readLabels(file, capture string) ([]replay.Label, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the labels: %w", err)
	}
	defer f.Close()
	labels, err := replay.ReadLabels(f, capture)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return labels, nil
}

// replayKey makes the hashes of a replay. It is no secret: a capture can't aim at tables before it was made, and the same one is to give
// the same report every time.
var replayKey = meter.NewKey([16]byte([]byte("ringwall replay!")))

// replayConfig is cfg (nil: none was named) in the terms of replay, with what is to be said of it.
func replayConfig(cfg *config.Config, platform []netip.Prefix) (out replay.Config, notes []string) {
	switch {
	case cfg == nil:
		cfg = enforcing(config.Default())
		notes = append(notes, "no configuration was named: every check enforces, with its defaults")
	case !cfg.Checks.Said():
		cfg = enforcing(cfg)
		notes = append(notes, "checks have no mode in this configuration: every one enforces here, and only watches in a running ringwall")
	}
	out = replay.Config{Key: replayKey, Inside: platform, First: cfg.Bans.First, Longest: cfg.Bans.Longest, Monitor: cfg.Mode == config.Monitor}
	out.Judge.Domains = cfg.Domains
	out.Checks, _ = charges(cfg, checkConfig(cfg, addresses(platform)), &bench{}, replayKey)
	switch {
	case len(out.Checks) == 0:
		notes = append(notes, "every check is off in this configuration: nothing is judged")
	case out.Monitor:
		notes = append(notes, "mode is monitor in this configuration: nothing is acted on")
	}
	for _, p := range cfg.Trust.NeverBan {
		out.Never = append(out.Never, ban.Exemption{Prefix: p, Why: "trust.never_ban"})
	}
	nets, named := peerNets(cfg.Peers)
	out.Peer = func(f edge.Flow) bool {
		return slices.ContainsFunc(nets, func(one peerNet) bool {
			return one.from.Contains(f.Remote.Addr()) && one.transport == f.Transport
		})
	}
	for _, name := range named {
		notes = append(notes, fmt.Sprintf("%s is not looked up: its addresses count as strangers, unless match names them", name))
	}
	return out, notes
}

// enforcing is cfg with every check at work.
func enforcing(cfg *config.Config) *config.Config {
	changed := *cfg
	changed.Checks.Mode = config.CheckEnforce
	return &changed
}

// mostOwn is how many addresses of a prefix the platform is taken to have itself: those that nobody else is in the right to name.
const mostOwn = 256

// addresses are those of prefixes, of each the first ones.
func addresses(prefixes []netip.Prefix) (list []netip.Addr) {
	for _, p := range prefixes {
		for a, n := p.Masked().Addr(), 0; p.Contains(a) && n < mostOwn; a, n = a.Next(), n+1 {
			list = append(list, a)
		}
	}
	return list
}

// A peerNet is where requests of a peer come from.
type peerNet struct {
	from      netip.Prefix
	transport edge.Transport
}

// peerNets are the addresses of peers that the configuration itself says, and the names that it leaves to the DNS, which knows nothing of
// the day of the capture.
func peerNets(peers []config.Peer) (nets []peerNet, named []string) {
	for _, p := range peers {
		matches := p.Match
		if len(matches) == 0 {
			matches = []config.Match{{Host: p.URI.Host}}
		}
		for _, m := range matches {
			from := m.Prefix
			if a, err := netip.ParseAddr(m.Host); err == nil {
				from = netip.PrefixFrom(a, a.BitLen())
			}
			if from.IsValid() {
				nets = append(nets, peerNet{from, p.URI.Transport})
			} else {
				named = append(named, "peer "+p.Name+": "+m.Host)
			}
		}
	}
	return nets, named
}

// print tells what was found.
func (r *replaying) print(cmd *cobra.Command, report *replay.Report) error {
	if r.as.form == "json" {
		for _, note := range report.Notes {
			fmt.Fprintln(cmd.ErrOrStderr(), note)
		}
		return printJSON(cmd.OutOrStdout(), report)
	}
	var names []string
	for _, p := range r.platform {
		names = append(names, edge.Source{Prefix: p}.String())
	}
	how := ""
	if len(r.inside) == 0 {
		how = " (found in the capture)"
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s in %s, platform %s%s\n", count(int(report.Messages), "message"), captureTime(report.Duration), strings.Join(names, ", "), how)
	for _, note := range report.Notes {
		fmt.Fprintf(out, "%s: %s\n", paint(out, amber, "note"), note)
	}
	return printReport(out, report)
}
