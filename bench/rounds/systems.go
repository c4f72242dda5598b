package rounds

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

// Forwarder is the floor: package bench/floor as a process of its own.
type Forwarder struct {
	Command []string // program and arguments in front of the flags -outside, -inside, -upstream, -drop
	Drop    bool     // receive and drop instead, for floods
}

// Name implements System.
func (Forwarder) Name() string { return "forwarder" }

// Traits implements System.
func (Forwarder) Traits() load.Traits { return load.Traits{Transparent: true} }

// Start implements System.
func (f Forwarder) Start(ctx context.Context, wire *Wire, upstream netip.AddrPort, cpus []int) (*Process, error) {
	outside, inside, err := wire.freePorts()
	if err != nil {
		return nil, err
	}
	args := append(f.Command[1:len(f.Command):len(f.Command)], "-outside", outside.String(), "-inside", inside.String(), "-upstream", upstream.String(), fmt.Sprintf("-drop=%t", f.Drop))
	p, err := startProcess(ctx, wire, exec.Command(f.Command[0], args...), cpus, "ready")
	if err != nil {
		return nil, err
	}
	p.Target, p.Inside = outside, inside.Addr()
	return p, nil
}

// Ringwall is ringwall itself, from an empty state directory at every start.
type Ringwall struct {
	Binary string
	Called string        // its name in tables; default: ringwall
	Linger time.Duration // timers.linger: short, so that a saturated run does not measure the size of a table
	Hidden bool          // topology.hide, and the guard that goes with it
	Judged bool          // every check enforces
	Extra  string        // more lines for the config file; DEVICE in them becomes Wire.Device
	Bans   int           // so many sources are banned, none of them a caller
	Banned bool          // and the callers, too
}

// Name implements System.
func (r Ringwall) Name() string { return cmp.Or(r.Called, "ringwall") }

// Traits implements System. Max-Breadth is RFC 5393's, X-Source the default of headers.source.
func (r Ringwall) Traits() load.Traits {
	return load.Traits{Added: []string{"Max-Breadth"}, Source: "X-Source", Hides: r.Hidden}
}

// config is the file that ringwall is measured with; dir is its state directory, device the interface of its addresses.
func (r Ringwall) config(outside, inside, upstream, admin netip.AddrPort, dir, device string) string {
	topology := "{hide: false, guard: off}"
	if r.Hidden {
		topology = "{hide: true, guard: log}"
	}
	checks := "checks: {mode: off}"
	if r.Judged {
		checks = allChecks()
	}
	return fmt.Sprintf(`version: 1
outside: {listen: ["udp:%s"]}
inside: {listen: ["udp:%s"]}
upstreams: [{uri: "sip:%s"}]
mode: enforce
timers: {linger: %s, drain: 1s}
limits: {calls: 1000000}
topology: %s
media: {relay: off}
state: %s
admin: {http: %s, socket: %s}
%s
%s
`, outside, inside, upstream, r.Linger, topology, filepath.Join(dir, "state.db"), admin, filepath.Join(dir, "ringwall.sock"), checks, strings.ReplaceAll(r.Extra, "DEVICE", device))
}

// allChecks has every check enforce. A few callers send what thousands would, so floods are counted and not acted on; pike of Kamailio's variant c has
// limits that are never reached, too.
func allChecks() string {
	var all []string
	for _, c := range check.List() {
		what := "mode: enforce"
		if c.Name == "flood" {
			what += ", rate: unlimited"
		}
		all = append(all, c.Name+": {"+what+"}")
	}
	return "checks: {" + strings.Join(all, ", ") + "}"
}

// Start implements System.
func (r Ringwall) Start(ctx context.Context, wire *Wire, upstream netip.AddrPort, cpus []int) (*Process, error) {
	outside, inside, err := wire.freePorts()
	if err != nil {
		return nil, err
	}
	admin, err := wire.freePort("tcp4", netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ringwall-bench-")
	if err != nil {
		return nil, fmt.Errorf("start ringwall: %w", err)
	}
	file := filepath.Join(dir, "ringwall.yaml")
	text := r.config(outside, inside, upstream, admin, dir, wire.Device)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("start ringwall: %w", err)
	}
	if err := r.ban(ctx, wire.ends.First, filepath.Join(dir, "state.db")); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	p, err := startProcess(ctx, wire, exec.Command(r.Binary, "run", "--config", file), cpus, "ready")
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	p.Target, p.Inside = outside, inside.Addr()
	p.clean = func() { os.RemoveAll(dir) }
	return p, nil
}

// ban writes a state file that holds the bans; first is the first caller.
func (r Ringwall) ban(ctx context.Context, first netip.Addr, file string) error {
	if r.Bans == 0 && !r.Banned {
		return nil
	}
	now := time.Now()
	book, err := ban.New(ban.Config{Max: r.Bans + 1024})
	if err != nil {
		return err
	}
	db, err := statefile.Open(file)
	if err != nil {
		return err
	}
	defer db.Close()
	journal, err := ban.OpenJournal(ctx, db, book, now, state.Options{})
	if err != nil {
		return err
	}
	add := func(source edge.Source) error {
		_, _, err := book.Add(ban.Order{Ban: edge.Ban{Source: source, Hard: true, Reason: ban.ReasonOperator, For: 24 * time.Hour}, By: ban.Operator}, now)
		return err
	}
	if r.Banned { // each alone, as callers would be
		for i := range load.MostCallers {
			if err := add(edge.SourceOf(load.CallerAddr(first, i))); err != nil {
				return err
			}
		}
	}
	for i := range r.Bans {
		if err := add(edge.SourceOf(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}))); err != nil {
			return err
		}
	}
	return journal.Close(ctx)
}

// Build builds ringwall from the module in the working directory into dir and returns the binary's path.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "ringwall")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=auto", "-o", binary, "./cmd/ringwall")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ringwall: %w\n%s", err, out)
	}
	return binary, nil
}
