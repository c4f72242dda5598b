package rounds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/bench/batch"
	"github.com/ringwall/ringwall/bench/load"
	"github.com/ringwall/ringwall/siptest"
	"golang.org/x/sys/unix"
)

// mustOpenTap opens a tap for the length of a test.
func mustOpenTap(t *testing.T) *Wire {
	t.Helper()
	siptest.NeedTool(t, "ip")
	w, err := OpenWire("tap")
	if errors.Is(err, fs.ErrPermission) {
		siptest.Missing(t, "root to make network namespaces")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestAddressesOfWires(t *testing.T) {
	tests := []struct {
		wire *Wire
		net  string
	}{
		{loopback, "127.0.0.0/8"},
		{&tap, tapNetwork}, // RFC 2544, appendix C.2.2
	}
	for _, tt := range tests {
		w, within, used := tt.wire, netip.MustParsePrefix(tt.net), map[netip.Addr]bool{}
		all := []netip.Addr{w.Outside, w.Inside, w.platform, w.ends.Media}
		for i := range load.MostCallers {
			all = append(all, load.CallerAddr(w.ends.First, i))
		}
		for _, a := range all {
			if !within.Contains(a) || used[a] {
				t.Errorf("%s: %s is not in %s or used twice", w.Name, a, within)
			}
			used[a] = true
		}
	}
}

func TestUnknownWireIsNamed(t *testing.T) {
	if _, err := OpenWire("string"); err == nil || !strings.Contains(err.Error(), `wire "string": want lo or tap`) {
		t.Errorf("got %v", err)
	}
	if w, err := OpenWire("lo"); w != loopback || err != nil || w.Close() != nil {
		t.Errorf("lo: %v, %v", w, err)
	}
}

func TestWireErrorsTellTheCommand(t *testing.T) {
	w := mustOpenTap(t)
	if err := w.edge.ip("link set nowhere up"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want the words of ip about the device", err)
	}
	if err := w.connect(); err == nil || !strings.Contains(err.Error(), "connect the edge") {
		t.Errorf("got %v, want that the addresses are there already", err)
	}
}

// TestTapCarriesEveryCaller sends from callers to the edge and back: sources and destinations must be right.
func TestTapCarriesEveryCaller(t *testing.T) {
	w := mustOpenTap(t)
	home, err := os.Readlink(ownNetwork)
	if err != nil {
		t.Fatal(err)
	}
	var edge *batch.Conn
	err = w.edge.do(func() (err error) {
		edge, err = batch.Listen(netip.AddrPortFrom(w.Outside, 0))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
	callers := w.ends.Card.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), 5070))
	defer callers.Close()
	for _, i := range []int{0, 15, load.MostCallers - 1} {
		caller := netip.AddrPortFrom(load.CallerAddr(w.ends.First, i), callers.LocalAddr().Port())
		if p := pass(t, callers, caller.Addr(), edge, edge.LocalAddr()); p.From != caller {
			t.Errorf("a datagram of %s came from %s", caller, p.From)
		}
		if p := pass(t, edge, netip.Addr{}, callers, caller); p.From != edge.LocalAddr() || p.To != caller.Addr() {
			t.Errorf("a datagram for %s came from %s to %s", caller, p.From, p.To)
		}
	}
	if now, err := os.Readlink(ownNetwork); err != nil || now != home {
		t.Errorf("the thread is in %s (%v), was in %s", now, err, home)
	}
	if _, err := net.InterfaceByName(w.Device); err == nil {
		t.Errorf("%s is in the network of the test", w.Device)
	}
}

// A port is a socket's or a card's.
type port interface {
	Queue(b []byte, from netip.Addr, to netip.AddrPort) error
	Flush() error
	TryReceive() (int, error)
	Packet(i int) batch.Packet
}

// pass sends a datagram and returns it as it arrived, which it has when the kernel took it: all is on this machine.
func pass(t *testing.T, out port, from netip.Addr, in port, to netip.AddrPort) batch.Packet {
	t.Helper()
	if err := errors.Join(out.Queue([]byte("hello"), from, to), out.Flush()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(siptest.Deadline); time.Now().Before(deadline); {
		n, err := in.TryReceive()
		if n > 1 || err != nil {
			t.Fatalf("%d datagrams, %v, want one", n, err)
		}
		if n == 1 {
			return in.Packet(0)
		}
	}
	t.Fatalf("no datagram came from %s to %s", from, to)
	return batch.Packet{}
}

// pathOf names a namespace while this process has it open.
func pathOf(n *namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

func TestClosedTapIsGone(t *testing.T) {
	w := mustOpenTap(t)
	path := pathOf(w.edge)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.edge, w.ends.Card = nil, nil // for the test's own Close
	if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, "net:") {
		t.Errorf("%s still holds %s", path, target)
	}
}

// TestSystemRunsAtTheEdgesEnd looks at a started system: it alone is counted, pinned, and in the edge's namespace.
func TestSystemRunsAtTheEdgesEnd(t *testing.T) {
	w := mustOpenTap(t)
	t.Setenv(roleVariable, "forwarder")
	p, err := Forwarder{Command: []string{os.Args[0]}}.Start(context.Background(), w, netip.AddrPortFrom(w.platform, 5080), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	want, err := os.Readlink(pathOf(w.edge))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.PID)); err != nil || got != want {
		t.Errorf("it is in %s (%v), want %s", got, err, want)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID)); err != nil || got != self {
		t.Errorf("the process that is counted is %s (%v), want %s", got, err, self)
	}
	if children, err := childrenOf(p.PID); err != nil || len(children) != 0 {
		t.Errorf("it has children %v (%v)", children, err)
	}
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(p.PID, &cpus); err != nil || cpus.Count() != 1 || !cpus.IsSet(0) {
		t.Errorf("it may run on %d processors (%v), want the first alone", cpus.Count(), err)
	}
}

// TestCallsAndRegistrationsOverTap checks every message of forwarder and ringwall, by sockets and past them.
func TestCallsAndRegistrationsOverTap(t *testing.T) {
	w := mustOpenTap(t)
	t.Setenv(roleVariable, "forwarder")
	t.Chdir("../..")
	binary, err := Build(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	systems := []System{Forwarder{Command: []string{os.Args[0]}}}
	for _, r := range []Ringwall{{Called: "ringwall"}, {Called: "ringwall-judged", Hidden: true, Judged: true}, {Called: "ringwall-xdp", Extra: "af_xdp: {interfaces: [DEVICE]}\n"}} {
		r.Binary, r.Linger = binary, time.Second
		systems = append(systems, r)
	}
	for _, mode := range []load.Mode{load.Call, load.Register} {
		t.Run(string(mode), func(t *testing.T) {
			results, err := Run(context.Background(), Config{Systems: systems, Wire: w, Rounds: 1, Warm: 50, Count: 300, Log: io.Discard, Load: load.Config{Mode: mode}})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Invalid != "" || r.Load.Completed != 300 || r.PerMessage <= 0 {
					t.Errorf("%s: completed %d, %g us a message, invalid %q\n%s", r.System, r.Load.Completed, r.PerMessage, r.Invalid, strings.Join(r.Load.Examples, "\n"))
				}
			}
		})
	}
}
