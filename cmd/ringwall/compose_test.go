package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/admin"
	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transport"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("disk is full"), exitFailure},
		{fail(exitUnavailable, errors.New("no route")), exitUnavailable},
		{fmt.Errorf("call: %w", admin.ErrUnreachable), exitUnavailable},
		{&seal.PermissionError{Path: "k", Mode: 0o644}, exitPermission},
		{&transport.ListenError{Err: unix.EACCES}, exitPermission},
		{&transport.ListenError{Err: unix.EADDRINUSE}, exitFailure},
		{notWritable("/d", &fs.PathError{Op: "mkdir", Path: "/d", Err: unix.EROFS}), exitPermission},
		{notWritable("/d", unix.ENOSPC), exitFailure},
		{config.Errors{{Message: "x"}}, exitConfig},
	} {
		err := verb(func(*cobra.Command, []string) error { return c.err })(nil, nil)
		if got := exitCode(err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
	if got := exitCode(errors.New("unknown flag: --x")); got != exitUsage {
		t.Errorf("an error that no verb made: exit code %d, want %d", got, exitUsage)
	}
}

func listenerOf(side edge.Side, tr edge.Transport, addr string, spread bool) transport.Listener {
	return transport.Listener{Side: side, Transport: tr, Addr: netip.MustParseAddrPort(addr), Spread: spread}
}

var someListeners = []transport.Listener{
	listenerOf(edge.Outside, edge.UDP, "127.0.0.1:5060", false),
	listenerOf(edge.Outside, edge.TCP, "127.0.0.1:5060", false),
	listenerOf(edge.Outside, edge.UDP, "[2001:db8::1]:5060", false),
	listenerOf(edge.Outside, edge.TCP, "192.0.2.1:5060", false),
	listenerOf(edge.Outside, edge.UDP, "192.0.2.1:5060", false),
	listenerOf(edge.Inside, edge.UDP, "10.0.0.1:5070", false),
	listenerOf(edge.Inside, edge.UDP, "10.0.0.1:40001", true),
}

// TestListenerNames takes bindings' listeners through the journal: each comes back as itself, and a worker's own socket as
// the listener whose address it shares.
func TestListenerNames(t *testing.T) {
	for i, l := range someListeners {
		want := uint16(i)
		if l.Spread {
			want = 5
		}
		if got, ok := findListener(someListeners, listenerName(someListeners, uint16(i))); !ok || got != want {
			t.Errorf("%v came back as %d, %v", l.Addr, got, ok)
		}
	}
	for name, want := range map[string]int{
		"outside:udp:192.0.2.1:5061":      4, // another port
		"outside:udp:192.0.2.99:5060":     0, // another address: the first of the family
		"outside:udp:[2001:db8::2]:5060":  2,
		"outside:tcp:[2001:db8::2]:5060":  -1,
		"inside:tcp:10.0.0.1:5070":        -1,
		"":                                -1,
		"outside:udp:":                    -1,
		"outside:udp:192.0.2.1:5060:more": -1,
	} {
		got, ok := findListener(someListeners, name)
		if ok != (want >= 0) || ok && int(got) != want {
			t.Errorf("%q is %d, %v, want %d", name, got, ok, want)
		}
	}
	if got := listenerName(someListeners, 99); got != "" {
		t.Errorf("a listener that does not exist is called %q", got)
	}
}

func TestBestFirst(t *testing.T) {
	want := []string{"udp:192.0.2.1:5060", "tcp:192.0.2.1:5060", "udp:[2001:db8::1]:5060", "udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"}
	if got := bestFirst(someListeners); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestDefaultListeners leaves both lists out: every address outside, and the one that routes to the platform inside.
func TestDefaultListeners(t *testing.T) {
	all, err := listeners(t.Context(), config.Default(), proxy.Upstream{Addr: netip.MustParseAddrPort("127.0.0.1:5080")})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"outside udp:127.0.0.1:5060", "outside tcp:127.0.0.1:5060", "inside udp:127.0.0.1:5070", "inside tcp:127.0.0.1:5070"}
	var got []string
	for _, l := range all {
		if l.Addr.Addr().IsUnspecified() {
			t.Errorf("%v is a wildcard", l)
		}
		if l.Addr.Addr() == netip.MustParseAddr("127.0.0.1") {
			side := "outside "
			if l.Side == edge.Inside {
				side = "inside "
			}
			got = append(got, side+l.String())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("on 127.0.0.1: got %v, want %v", got, want)
	}
}

// TestDefaultsAreAccepted translates the default configuration: the rooms take it.
func TestDefaultsAreAccepted(t *testing.T) {
	cfg := proxyConfig(config.Default(), []proxy.Upstream{{Addr: netip.MustParseAddrPort("127.0.0.1:5080")}}, nil)
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if cfg.Unknown.Any || !cfg.Unknown.Allows(sip.INVITE) || cfg.Unknown.Allows(sip.MESSAGE) || !cfg.Known.Any {
		t.Errorf("access: %+v %+v", cfg.Unknown, cfg.Known)
	}
	for _, calls := range []int{1, 1_000_000} {
		c := config.Default()
		c.Limits.Calls = calls
		if err := proxyConfig(c, cfg.Upstreams, nil).Validate(); err != nil {
			t.Errorf("limits.calls %d: %v", calls, err)
		}
	}
}

func TestLockState(t *testing.T) {
	state := t.TempDir() + "/state.db"
	first, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("another ringwall (pid %d) uses ", os.Getpid())
	if _, err := lockState(state); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lockState(state)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

func TestNoColourOffTheTerminal(t *testing.T) {
	if got := paint(new(bytes.Buffer), red, "x"); got != "x" {
		t.Errorf("painted %q for a buffer", got)
	}
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := paint(f, red, "x"); got != "x" {
		t.Errorf("painted %q for a file", got)
	}
}
