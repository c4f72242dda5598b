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

// mustOpenVeth opens a veth for the length of a test.
func mustOpenVeth(t *testing.T) *Wire {
	t.Helper()
	siptest.NeedTool(t, "ip")
	w, err := OpenWire("veth")
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
		{&veth, "198.18.0.0/15"}, // RFC 2544, appendix C.2.2
	}
	for _, tt := range tests {
		w, within, used := tt.wire, netip.MustParsePrefix(tt.net), map[netip.Addr]bool{}
		all := []netip.Addr{w.Outside, w.Inside, w.platform, w.ends.Media}
		local := netip.PrefixFrom(w.ends.First, 24).Masked()
		for i := range load.MostCallers {
			caller := load.CallerAddr(w.ends.First, i)
			if !local.Contains(caller) {
				t.Errorf("%s: caller %s is not in %s, the network at its end", w.Name, caller, local)
			}
			all = append(all, caller)
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
	if _, err := OpenWire("string"); err == nil || !strings.Contains(err.Error(), `wire "string": want lo or veth`) {
		t.Errorf("got %v", err)
	}
	if w, err := OpenWire("lo"); w != loopback || err != nil || w.Close() != nil {
		t.Errorf("lo: %v, %v", w, err)
	}
}

func TestWireErrorsTellTheCommand(t *testing.T) {
	w := mustOpenVeth(t)
	if err := w.edge.ip("link set nowhere up"); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v, want the words of ip about the device", err)
	}
	if err := w.connect(); err == nil || !strings.Contains(err.Error(), "the edge's end") {
		t.Errorf("got %v, want that the devices are there already", err)
	}
}

// TestVethCarriesEveryCaller sends from callers to the edge and back: sources and destinations must be right.
func TestVethCarriesEveryCaller(t *testing.T) {
	w := mustOpenVeth(t)
	home, err := os.Readlink(ownNetwork)
	if err != nil {
		t.Fatal(err)
	}
	var edge, callers *batch.Conn
	err = errors.Join(w.edge.do(func() (err error) {
		edge, err = batch.Listen(netip.AddrPortFrom(w.Outside, 0))
		return err
	}), w.calls.do(func() (err error) {
		callers, err = batch.ListenDevice(w.ends.Device, 0)
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer edge.Close()
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
	if _, err := net.InterfaceByName(edgeDevice); err == nil {
		t.Errorf("%s is in the network of the test", edgeDevice)
	}
}

// pass sends a datagram and returns it as it arrived.
func pass(t *testing.T, out *batch.Conn, from netip.Addr, in *batch.Conn, to netip.AddrPort) batch.Packet {
	t.Helper()
	if err := errors.Join(out.Queue([]byte("hello"), from, to), out.Flush()); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Receive(); n != 1 || err != nil {
		t.Fatalf("%d datagrams, %v, want one", n, err)
	}
	return in.Packet(0)
}

func TestClosedVethIsGone(t *testing.T) {
	w := mustOpenVeth(t)
	paths := []string{w.edge.path(), w.calls.path()}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.edge, w.calls = nil, nil // for the test's own Close
	for _, p := range paths {
		if target, err := os.Readlink(p); err == nil && strings.HasPrefix(target, "net:") {
			t.Errorf("%s still holds %s", p, target)
		}
	}
}

// TestSystemRunsAtTheEdgesEnd looks at a started system: it alone is counted, pinned, and in the edge's namespace.
func TestSystemRunsAtTheEdgesEnd(t *testing.T) {
	w := mustOpenVeth(t)
	t.Setenv(roleVariable, "forwarder")
	p, err := Forwarder{Command: []string{os.Args[0]}}.Start(context.Background(), w, netip.AddrPortFrom(w.platform, 5080), []int{0})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	want, err := os.Readlink(w.edge.path())
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

// TestCallsAndRegistrationsOverVeth checks every message of forwarder and ringwall over a veth.
func TestCallsAndRegistrationsOverVeth(t *testing.T) {
	w := mustOpenVeth(t)
	t.Setenv(roleVariable, "forwarder")
	t.Chdir("../..")
	binary, err := Build(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	systems := []System{Forwarder{Command: []string{os.Args[0]}}}
	for _, r := range []Ringwall{{Called: "ringwall"}, {Called: "ringwall-judged", Hidden: true, Judged: true}} {
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
