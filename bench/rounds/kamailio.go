package rounds

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/bench/load"
)

// kamailioConfig is one file for all variants; its head says what the command line adds.
//
//go:embed kamailio/edge.cfg
var kamailioConfig []byte

// Kamailio is the best-known peer, in three variants: "a" forwards without state; "b" relays transactions and stays in the path
// of dialogs; "c" is b that also hides the platform and looks at everything like a defended edge. All of them run with
// the fast allocators and two UDP workers.
type Kamailio struct {
	Variant string        // "a", "b" or "c"
	Binary  string        // default: kamailio, from the path
	Linger  time.Duration // how long tm keeps a finished transaction: wt_timer, as ringwall's timers.linger
}

// Name implements System.
func (k Kamailio) Name() string { return "kamailio-" + k.Variant }

// Traits implements System. Two workers read one socket, so messages overtake each other.
func (k Kamailio) Traits() load.Traits {
	return load.Traits{Reorders: true, Outbound: k.Variant == "a", Hides: k.Variant == "c", Masks: k.Variant == "c"}
}

// memory is what the processes share, in MB: at 15,000 calls a second those that linger for a second take some 500, and for 5 s, its default, as much as 3,000.
func (k Kamailio) memory() string {
	return strconv.Itoa(max(1024, int(1024*k.Linger.Seconds())))
}

// args are the command line's arguments, but for -c or what a running one needs.
func (k Kamailio) args(file string, listen, upstream netip.AddrPort) ([]string, error) {
	args := []string{"-x", "fm", "-X", "fm", "-m", k.memory(), "-M", "16", "-f", file, "-l", "udp:" + listen.String(),
		"-A", fmt.Sprintf("UPSTREAM=%q", "sip:"+upstream.String()), "-A", fmt.Sprintf("LINGER=%d", k.Linger.Milliseconds())}
	switch k.Variant {
	case "a":
		return args, nil
	case "b":
		return append(args, "-A", "WITH_STATE"), nil
	case "c":
		return append(args, "-A", "WITH_STATE", "-A", "WITH_DEFENCES"), nil
	}
	return nil, fmt.Errorf("kamailio variant %q: want a, b or c", k.Variant)
}

func (k Kamailio) binary() string {
	if k.Binary == "" {
		return "kamailio"
	}
	return k.Binary
}

// Start implements System. One address serves both sides, which is the cheapest for Kamailio.
func (k Kamailio) Start(ctx context.Context, wire *Wire, upstream netip.AddrPort, cpus []int) (*Process, error) {
	listen, err := wire.freePort("udp4", wire.Outside)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ringwall-bench-")
	if err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	p, err := k.startIn(ctx, wire, dir, listen, upstream, cpus)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	p.Target, p.Inside = listen, listen.Addr()
	p.clean = func() { os.RemoveAll(dir) }
	return p, nil
}

func (k Kamailio) startIn(ctx context.Context, wire *Wire, dir string, listen, upstream netip.AddrPort, cpus []int) (*Process, error) {
	file := filepath.Join(dir, "edge.cfg")
	if err := os.WriteFile(file, kamailioConfig, 0o600); err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	args, err := k.args(file, listen, upstream)
	if err != nil {
		return nil, err
	}
	args = append(args, "-DD", "-E", "-Y", dir, "-w", dir, "-P", filepath.Join(dir, "pid"))
	return startProcess(ctx, wire, exec.Command(k.binary(), args...), cpus, "edge ready")
}

// Version is what the binary calls itself, in one line.
func (k Kamailio) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, k.binary(), "-v").Output()
	if err != nil {
		return "", fmt.Errorf("ask kamailio for its version: %w", err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(strings.TrimPrefix(line, "version: ")), nil
}

// CommandLine is how it is started, with what differs at every start in capitals.
func (k Kamailio) CommandLine() string {
	placeholder := netip.MustParseAddrPort("127.0.0.1:5060")
	args, err := k.args("edge.cfg", placeholder, placeholder)
	if err != nil {
		return ""
	}
	line := strings.Join(append([]string{k.binary()}, args...), " ")
	line = strings.Replace(line, "udp:"+placeholder.String(), "udp:OUTSIDE", 1)
	return strings.Replace(line, `UPSTREAM="sip:`+placeholder.String()+`"`, `'UPSTREAM="sip:PLATFORM"'`, 1) + " -DD -E"
}
