package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/transport"
)

// maxExplained is the longest file that explain reads: a message fits in 64 KiB.
const maxExplained = 1 << 20

func newExplain() *cobra.Command {
	var of target
	var as output
	var message, from string
	cmd := &cobra.Command{
		Use:   "explain IP|PREFIX|IP:PORT|USER or explain --message FILE",
		Short: "tell what is known of a source or a user, or what becomes of a message",
		Long: "explain with a source asks the running ringwall what it knows of it: whether it is banned, why, on what messages, until when, and\n" +
			"what would free it. With a user it tells where he is registered and known good, his wrong passwords and locks, and what would free him.\n\n" +
			"explain --message reads a SIP message from a file (- is standard input; lines may end in LF) and shows it as it would leave on the other\n" +
			"side with this configuration and its key file, with a word on each change. Nothing is sent and no service is needed. Where the\n" +
			"key file can't be read, a key that is thrown away afterwards takes its place.",
		Example: "  ringwall explain 198.51.100.7\n" +
			"  ringwall explain alice@example.com\n" +
			"  ringwall explain --message invite.txt --from inside\n" +
			"  ringwall explain --message bye.txt --from outside --config /etc/ringwall/ringwall.yaml",
		Args: cobra.MaximumNArgs(1),
	}
	of.flags(cmd)
	as.flag(cmd, "table", "json")
	cmd.Flags().StringVar(&message, "message", "", "`FILE` with the message")
	cmd.Flags().StringVar(&from, "from", "inside", "`SIDE` that it comes from: inside or outside")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		side, ok := map[string]edge.Side{"inside": edge.Inside, "outside": edge.Outside}[from]
		switch {
		case !ok:
			return fmt.Errorf("--from %q: want inside or outside", from)
		case message == "" && len(args) == 0, message != "" && len(args) > 0:
			return errors.New("name a source, a user, or the file with a message: --message FILE")
		case message != "":
			return verb(func(cmd *cobra.Command, _ []string) error { return explain(cmd, &of, message, side, as.form) })(cmd, args)
		}
		whom, err := parseWhom(args)
		if err != nil {
			return err
		}
		return verb(func(cmd *cobra.Command, args []string) error {
			if whom.User != "" {
				return explainUserOf(cmd, &of, &as, whom.User)
			}
			return explainOf(cmd, &of, &as, whom.Source)
		})(cmd, args)
	}
	return cmd
}

// explain shows the message in a file as it would leave on the other side, with the configuration and the key file that of names.
func explain(cmd *cobra.Command, of *target, message string, from edge.Side, form string) error {
	cfg, err := load(of.file, config.Overrides{State: of.state})
	if err != nil {
		return err
	}
	before, err := readMessage(cmd.InOrStdin(), message)
	if err != nil {
		return err
	}
	keys, own, err := explainKeys(cfg)
	if err != nil {
		return err
	}
	after, err := proxy.Preview(explainConfig(cmd.Context(), cfg), keys, explainListeners(cfg), before, from, time.Now())
	if err != nil {
		return err
	}
	after = described(cfg, after, edge.Inside-from)
	if !own {
		fmt.Fprintln(cmd.ErrOrStderr(), "the key file cannot be read: tokens are those of a key that is thrown away")
	}
	if !cfg.Topology.Hide {
		fmt.Fprintln(cmd.ErrOrStderr(), "topology.hide is false: the platform is not hidden")
	}
	side := [...]string{edge.Outside: "inside", edge.Inside: "outside"}[from]
	if form == "json" {
		return printJSON(cmd.OutOrStdout(), explanation{side, string(after), changesOf(before, after, from), len(before), len(after)})
	}
	return tellMessage(cmd.OutOrStdout(), side, before, after, changesOf(before, after, from))
}

// An explanation is what explain tells of a message as JSON.
type explanation struct {
	SeenFrom string       `json:"seen_from"` // outside or inside
	Message  string       `json:"message"`   // as it is seen there
	Changes  []difference `json:"changes"`
	Before   int          `json:"bytes_before"`
	After    int          `json:"bytes_after"`
}

// tellMessage tells people the same.
func tellMessage(out io.Writer, side string, before, after []byte, changes []difference) error {
	fmt.Fprintf(out, "as it is seen %s:\n\n", side)
	for line := range strings.Lines(string(after)) {
		fmt.Fprintf(out, "  %s\n", printable(strings.TrimRight(line, "\r\n"), false))
	}
	fmt.Fprintln(out, "\nchanges:")
	fmt.Fprintln(out)
	for _, c := range changes {
		fmt.Fprintf(out, "  %-20s %s\n", c.Field, c.Why)
	}
	_, err := fmt.Fprintf(out, "\n%d bytes before, %d after (%+d)\n", len(before), len(after), len(after)-len(before))
	return err
}

// readMessage reads a message whose lines may end in LF.
func readMessage(stdin io.Reader, file string) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the message: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxExplained))
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	if bytes.Contains(text, []byte("\r\n")) {
		return text, nil
	}
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
	var b bytes.Buffer
	for line := range bytes.SplitSeq(bytes.TrimSuffix(head, []byte("\n")), []byte("\n")) {
		if name, _, _ := bytes.Cut(line, []byte(":")); strings.EqualFold(string(name), "Content-Length") { // it counted other line ends
			line = fmt.Appendf(nil, "Content-Length: %d", len(body))
		}
		b.Write(append(line, "\r\n"...))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes(), nil
}

// explainKeys opens the key file without making one; own: it is that of cfg.
func explainKeys(cfg *config.Config) (keys *seal.Keys, own bool, err error) {
	if _, err := os.Stat(cfg.Topology.KeyFile); err == nil {
		keys, err := seal.Open(cfg.Topology.KeyFile)
		if err == nil || !errors.Is(err, fs.ErrPermission) {
			return keys, true, err
		}
	}
	dir, err := os.MkdirTemp("", "ringwall-explain-")
	if err != nil {
		return nil, false, err
	}
	defer os.RemoveAll(dir)
	keys, err = seal.Open(filepath.Join(dir, "key"))
	return keys, false, err
}

// explainConfig is cfg in the proxy's terms. An upstream whose name does not lead anywhere just now keeps its name at an address of no use.
func explainConfig(ctx context.Context, cfg *config.Config) proxy.Config {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var all []proxy.Upstream
	if r, err := resolve.New(resolve.Config{}); err == nil && len(cfg.Upstreams) > 0 {
		all, _ = upstreams(ctx, cfg, r.Lookup)
	}
	if len(all) == 0 {
		for _, u := range cfg.Upstreams {
			at, _ := netip.ParseAddr(u.Host)
			if !at.IsValid() {
				at = netip.AddrFrom4([4]byte{192, 0, 2, 2})
			}
			all = append(all, proxy.Upstream{URI: u.URI, Addr: netip.AddrPortFrom(at, cmp.Or(u.Port, config.DefaultPort(u.Transport))), Transport: u.Transport})
		}
	}
	if len(all) == 0 { // the demonstration platform
		all = []proxy.Upstream{{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 5080)}}
	}
	return proxyConfig(cfg, all, nil)
}

// explainListeners are the listeners of cfg as far as they name us; wildcards and those left out get an address for documentation.
func explainListeners(cfg *config.Config) []transport.Listener {
	var all []transport.Listener
	add := func(side edge.Side, list []config.Listen, last byte, advertise string) {
		if len(list) == 0 {
			list = []config.Listen{{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), config.DefaultInsidePort)}}
		}
		for _, l := range list {
			addr := l.Addr
			if addr.Addr().IsUnspecified() {
				addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), addr.Port())
			}
			host := addr.String()
			if advertise != "" {
				host = fmt.Sprintf("%s:%d", advertise, addr.Port())
			}
			all = append(all, transport.Listener{Side: side, Transport: l.Transport, Addr: addr, SentBy: host,
				Via: "SIP/2.0/" + strings.ToUpper(l.Transport.String()) + " " + host})
		}
	}
	add(edge.Outside, cfg.Outside.Listen, 10, cfg.Outside.Advertise)
	add(edge.Inside, cfg.Inside.Listen, 11, "")
	return all
}
