package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/config"
)

// status is the answer to the verb of that name on the control socket, and what `ringwall status -o json` prints. Its
// names are stable.
type status struct {
	State         string    `json:"state"` // "starting", "ready", "draining"
	Version       string    `json:"version"`
	PID           int       `json:"pid"`
	Since         time.Time `json:"since"`
	Mode          string    `json:"mode"`
	Config        string    `json:"config"` // file, "" for the defaults
	Outside       []string  `json:"outside"`
	Inside        []string  `json:"inside"`
	Admin         string    `json:"admin"` // "" if there is no admin port
	Upstreams     []string  `json:"upstreams"`
	UpstreamState string    `json:"upstream_state"`
	Demo          bool      `json:"demo"` // the upstream is the demonstration platform
	Bindings      int       `json:"bindings"`
	Transactions  int       `json:"transactions"`
	Pending       int       `json:"pending"`
	Connections   int64     `json:"connections"`
	EventsDropped uint64    `json:"events_dropped"`
}

func newStatus() *cobra.Command {
	var file, state, socket, form string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what a running ringwall does",
		Long: "status asks the running ringwall through its control socket. The socket is the one of the configuration file or of\n" +
			"the --state folder that the service was started with. It exits 69 if no service answers.",
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "config", "c", "", "configuration `FILE` of the service")
	flags.StringVar(&state, "state", "", "`DIR` that the service keeps its state in")
	flags.StringVar(&socket, "socket", "", "`PATH` of the control socket")
	flags.StringVarP(&form, "output", "o", "table", "form of the output: table or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if form != "table" && form != "json" {
			return fmt.Errorf("--output %q: want table or json", form)
		}
		return verb(func(cmd *cobra.Command, _ []string) error {
			return showStatus(cmd, file, state, socket, form)
		})(cmd, args)
	}
	return cmd
}

func showStatus(cmd *cobra.Command, file, state, socket, form string) error {
	if socket == "" {
		cfg, err := load(file, config.Overrides{State: state})
		if err != nil {
			return err
		}
		socket = cfg.Admin.Socket
	}
	var s status
	if err := admin.Call(cmd.Context(), socket, "status", nil, &s); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if form == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return s.table(out)
}

// table writes s for a reader.
func (s *status) table(out io.Writer) error {
	colour := amber
	if s.State == admin.Ready.String() {
		colour = green
	}
	configured := s.Config
	if configured == "" {
		configured = "defaults"
	}
	platform := strings.Join(s.Upstreams, " ")
	if s.Demo {
		platform += " (demonstration platform)"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"state", paint(out, colour, s.State)},
		{"version", s.Version},
		{"process", fmt.Sprintf("%d, since %s", s.PID, s.Since.Local().Format(time.DateTime))},
		{"config", configured + ", mode " + s.Mode},
		{"outside", strings.Join(s.Outside, " ")},
		{"inside", strings.Join(s.Inside, " ")},
		{"admin", s.Admin},
		{"upstream", platform + ": " + s.UpstreamState},
		{"bindings", fmt.Sprint(s.Bindings)},
		{"transactions", fmt.Sprintf("%d, %d pending", s.Transactions, s.Pending)},
		{"connections", fmt.Sprint(s.Connections)},
		{"events dropped", fmt.Sprint(s.EventsDropped)},
	} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
	return w.Flush()
}
