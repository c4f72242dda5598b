package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
)

// status is the answer to the verb of that name on the control socket, and what `ringwall status -o json` prints. Its
// names are stable.
type status struct {
	State         string      `json:"state"` // "starting", "ready", "draining"
	Version       string      `json:"version"`
	PID           int         `json:"pid"`
	Since         time.Time   `json:"since"`
	Mode          string      `json:"mode"`
	Config        string      `json:"config"` // file, "" for the defaults
	Checks        *checkState `json:"checks"`
	Hiding        string      `json:"hiding"` // "on" or "off", and what the guard does
	Outside       []string    `json:"outside"`
	Inside        []string    `json:"inside"`
	Admin         string      `json:"admin"` // "" if there is no admin port
	Upstreams     []string    `json:"upstreams"`
	UpstreamState string      `json:"upstream_state"`
	Peers         []peerState `json:"peers"`
	Demo          bool        `json:"demo"` // the upstream is the demonstration platform
	Bindings      int         `json:"bindings"`
	Calls         int         `json:"calls"` // that go on, as far as is known
	Media         *mediaState `json:"media"` // null: media is not relayed
	Transactions  int         `json:"transactions"`
	Pending       int         `json:"pending"`
	Connections   int64       `json:"connections"`
	AFXDP         *afxdpState `json:"af_xdp"` // null: not asked for
	Bans          banState    `json:"bans"`
	Memory        memoryState `json:"memory"`
	EventsDropped uint64      `json:"events_dropped"`
	Attention     []concern   `json:"attention"`
	Restart       []string    `json:"restart"` // keys whose new value waits for a restart
	Reload        *reloaded   `json:"reload"`  // the last one, null if there was none
}

func newStatus() *cobra.Command {
	var of target
	var as output
	var strict bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what a running ringwall does",
		Long: "status asks the running ringwall through its control socket. The socket is the one of the configuration file or of\n" +
			"the --state folder that the service was started with. What needs attention stands first. It exits 69 if no service\n" +
			"answers, and with --check 1 if anything needs attention.",
		Args: cobra.NoArgs,
	}
	of.flags(cmd)
	as.flag(cmd, "table", "json")
	cmd.Flags().BoolVar(&strict, "check", false, "exit 1 if anything needs attention")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error { return showStatus(cmd, &of, as.form, strict) })
	return watchable(cmd)
}

func showStatus(cmd *cobra.Command, of *target, form string, strict bool) error {
	var s status
	if err := of.call(cmd.Context(), "status", nil, &s); err != nil {
		return err
	}
	if err := s.print(cmd.OutOrStdout(), form); err != nil {
		return err
	}
	if n := len(s.Attention); strict && n > 0 {
		return fmt.Errorf("attention is needed for %s", count(n, "thing"))
	}
	return nil
}

// print writes s as form asks.
func (s *status) print(out io.Writer, form string) error {
	if form == "json" {
		return printJSON(out, s)
	}
	if len(s.Attention) > 0 {
		fmt.Fprintln(out, paint(out, amber, "needs attention"))
		for _, c := range s.Attention {
			fmt.Fprintf(out, "  %s: %s\n", c.ID, c.Text)
		}
		fmt.Fprintln(out)
	}
	return s.table(out)
}

// banState is the ban book in status. Its names are stable.
type banState struct {
	Hard        int    `json:"hard"`
	Soft        int    `json:"soft"`
	Remembered  int    `json:"remembered"` // banned before
	Allowed     int    `json:"allowed"`    // entries of the allow list
	Packets     uint64 `json:"packets_refused"`
	Connections uint64 `json:"connections_refused"`
}

// String is b for a reader.
func (b banState) String() string {
	return fmt.Sprintf("%d hard, %d soft; %s and %s refused", b.Hard, b.Soft, count(int(b.Packets), "packet"), count(int(b.Connections), "connection"))
}

// afxdpState is what goes past the sockets in status. Its names are stable.
type afxdpState struct {
	Works    bool   `json:"works"`
	Partners int    `json:"partners"` // busy far ends whose datagrams go that way
	In       uint64 `json:"in"`       // datagrams, as Out
	Out      uint64 `json:"out"`
}

// String is a for a reader; "": not asked for.
func (a *afxdpState) String() string {
	switch {
	case a == nil:
		return ""
	case !a.Works:
		return "not in use, the sockets serve"
	}
	return fmt.Sprintf("%s; %s in, %d out", count(a.Partners, "busy far end"), count(int(a.In), "datagram"), a.Out)
}

// configName is how a configuration is called: its file, or "defaults".
func configName(file string) string {
	if file == "" {
		return "defaults"
	}
	return file
}

// table writes s for a reader.
func (s *status) table(out io.Writer) error {
	colour := amber
	if s.State == admin.Ready.String() {
		colour = green
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "state\t%s\n", paint(out, colour, s.State))
	for _, row := range s.rows() {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}

// rows are what s tells besides what needs attention and the state, each with its name.
func (s *status) rows() (rows [][2]string) {
	platform := strings.Join(s.Upstreams, " ")
	if s.Demo {
		platform += " (demonstration platform)"
	}
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, [2]string{name, text})
		}
	}
	add("version", s.Version)
	add("process", fmt.Sprintf("%d, since %s", s.PID, s.Since.Local().Format(time.DateTime)))
	add("config", configName(s.Config)+", mode "+s.Mode)
	add("checks", s.Checks.String())
	add("hiding", s.Hiding)
	add("last reload", s.lastReload())
	add("outside", strings.Join(s.Outside, " "))
	add("inside", strings.Join(s.Inside, " "))
	if s.Admin != "" {
		add("admin", "http://"+s.Admin+" (/metrics, /healthz, /readyz)")
	}
	add("upstream", platform+": "+s.UpstreamState)
	for _, p := range s.Peers {
		add("peer", p.String())
	}
	add("registrations", fmt.Sprint(s.Bindings))
	add("calls", fmt.Sprint(s.Calls))
	add("media", s.Media.String())
	add("transactions", fmt.Sprintf("%d, %d pending", s.Transactions, s.Pending))
	add("connections", fmt.Sprint(s.Connections))
	add("af_xdp", s.AFXDP.String())
	add("bans", s.Bans.String())
	add("memory", s.Memory.String())
	add("events dropped", fmt.Sprint(s.EventsDropped))
	return rows
}

// lastReload tells when the last reload was and how it ended, "" if there was none.
func (s *status) lastReload() string {
	if s.Reload == nil {
		return ""
	}
	result := "ok"
	if !s.Reload.OK {
		result = "refused, " + s.Reload.why()
	}
	return s.Reload.At.Local().Format(time.DateTime) + ": " + result
}

// hiding says whether outside sees the platform.
func hiding(cfg *config.Config) string {
	state := "off: outside sees addresses and names of the platform"
	if cfg.Topology.Hide {
		state = "on"
	}
	return state + ", guard " + string(cfg.Topology.Guard)
}

// status is what the control socket tells.
func (s *service) status() status {
	p, all, now := s.proxy.Status(), s.transport.Listeners(), s.settings.Load()
	st := status{
		Restart: []string{}, State: s.admin.State().String(), Version: version(), PID: os.Getpid(), Since: s.since,
		Mode: string(now.cfg.Mode), Config: now.cfg.File, Checks: checkStates(now.cfg, s.innocence.valve.Load() != nil), Hiding: hiding(now.cfg),
		Outside: bound(all, edge.Outside), Inside: bound(all, edge.Inside),
		UpstreamState: p.Upstream, Peers: peerStates(p.Peers), Demo: s.platform != nil,
		Bindings: p.Bindings, Calls: s.callsUp(), Media: s.mediaState(), Transactions: p.Transactions, Pending: p.Pending,
		Connections: s.transport.Counters().ConnectionsOpen, EventsDropped: s.dropped(),
		Memory: memoryState{s.memory.Used(), s.memory.Limit(), s.memory.Pressure().String()},
	}
	if n := len(now.cfg.AFXDP.Interfaces); n > 0 {
		c := s.transport.Counters()
		st.AFXDP = &afxdpState{Works: s.transport.AFXDP() == nil, Partners: c.Partners, In: c.FramesIn, Out: c.FramesOut}
	}
	bans, gate := s.bans.Stats(), s.gate.Counters()
	st.Bans = banState{bans.Hard, bans.Soft, bans.Remembered, bans.Allowed, gate.Packets, gate.Connections}
	st.Restart, st.Reload, st.Attention = append(st.Restart, now.restart...), s.lastReload.Load(), s.facts(p, now).concerns()
	if a := s.admin.HTTPAddr(); a.IsValid() {
		st.Admin = a.String()
	}
	for _, u := range now.upstreams {
		st.Upstreams = append(st.Upstreams, u.Transport.String()+":"+u.Addr.String())
	}
	return st
}
