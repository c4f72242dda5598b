package rounds

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/ringwall/ringwall/bench/load"
)

// A Wire is what lies between the load generator and the system under test, with the addresses of both ends. Media is
// always measured over loopback.
type Wire struct {
	Name    string     // as in tables: lo or veth
	Device  string     // the interface at the edge's end
	Outside netip.Addr // where the edge meets callers
	Inside  netip.Addr // and where it meets the platform

	platform    netip.Addr
	ends        load.Ends
	edge, calls *namespace // of the system under test and of the generator; nil: where this process is
}

// loopback is the wire that needs no making.
var loopback = &Wire{Name: "lo", Device: load.Loopback.Device, Outside: netip.AddrFrom4([4]byte{127, 0, 10, 1}), Inside: netip.AddrFrom4([4]byte{127, 0, 10, 2}),
	platform: netip.AddrFrom4([4]byte{127, 0, 20, 1}), ends: load.Loopback}

// Names of the two ends of a veth pair. Each is in a namespace of its own, so nobody else's can be in the way.
const edgeDevice, callsDevice = "edge0", "calls0"

// veth is a pair of virtual interfaces with the addresses of RFC 2544 for benchmarks, 198.18.0.0/15: the edge and the
// platform in its lower half, the callers in its upper.
var veth = Wire{Name: "veth", Device: edgeDevice, Outside: netip.AddrFrom4([4]byte{198, 18, 10, 1}), Inside: netip.AddrFrom4([4]byte{198, 18, 10, 2}),
	platform: netip.AddrFrom4([4]byte{198, 18, 20, 1}),
	ends:     load.Ends{Device: callsDevice, First: netip.AddrFrom4([4]byte{198, 19, 1, 1}), Media: netip.AddrFrom4([4]byte{198, 19, 2, 1})}}

// OpenWire makes the wire of that name: "lo", the loopback interface, or "veth", a pair of virtual interfaces between two
// network namespaces, which are gone when it is closed or this process and the systems have ended, however they do. Who
// lacks CAP_NET_ADMIN or CAP_SYS_ADMIN for veth gets an error that is fs.ErrPermission.
func OpenWire(name string) (*Wire, error) {
	switch name {
	case loopback.Name:
		return loopback, nil
	case veth.Name:
		return openVeth()
	}
	return nil, fmt.Errorf("wire %q: want lo or veth", name)
}

func openVeth() (*Wire, error) {
	if err := mayMakeNamespaces(); err != nil {
		return nil, err
	}
	w := veth
	var err error
	if w.edge, err = newNamespace(); err != nil {
		return nil, err
	}
	if w.calls, err = newNamespace(); err == nil {
		err = w.connect()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &w, nil
}

// connect makes the pair. Every address of the callers' network is local at their end, as all of 127.0.0.0/8 is on loopback.
func (w *Wire) connect() error {
	err := w.edge.ip("link set lo up",
		fmt.Sprintf("link add %s type veth peer name %s netns %s", edgeDevice, callsDevice, w.calls.path()),
		fmt.Sprintf("addr add %s/15 dev %s", w.Outside, edgeDevice),
		fmt.Sprintf("addr add %s/15 dev %s", w.Inside, edgeDevice),
		"link set "+edgeDevice+" up")
	if err != nil {
		return fmt.Errorf("make the edge's end of the wire: %w", err)
	}
	err = w.calls.ip("link set lo up",
		fmt.Sprintf("addr add %s/15 dev %s", w.platform, callsDevice),
		fmt.Sprintf("route add local %s dev %s", netip.PrefixFrom(w.ends.First, 24).Masked(), callsDevice),
		"link set "+callsDevice+" up")
	if err != nil {
		return fmt.Errorf("make the generator's end of the wire: %w", err)
	}
	return nil
}

// Close lets the namespaces of a veth go; the wire must not be used again. It does nothing to loopback.
func (w *Wire) Close() error { return errors.Join(w.edge.close(), w.calls.close()) }

// generator opens the load generator at its end of the wire.
func (w *Wire) generator(cfg load.Config) (g *load.Generator, err error) {
	cfg.Ends = w.ends
	if !cfg.Platform.IsValid() {
		cfg.Platform = netip.AddrPortFrom(w.platform, 0)
	}
	err = w.calls.do(func() error {
		g, err = load.New(cfg)
		return err
	})
	return g, err
}

func (w *Wire) freePorts() (outside, inside netip.AddrPort, err error) {
	if outside, err = w.freePort("udp4", w.Outside); err == nil {
		inside, err = w.freePort("udp4", w.Inside)
	}
	return outside, inside, err
}

// freePort finds a port that nobody uses at this moment, at the edge's end.
func (w *Wire) freePort(network string, host netip.Addr) (port netip.AddrPort, err error) {
	err = w.edge.do(func() error {
		port, err = freePort(network, net.JoinHostPort(host.String(), "0"))
		return err
	})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port on %s: %w", host, err)
	}
	return port, nil
}

func freePort(network, addr string) (netip.AddrPort, error) {
	if network == "tcp4" {
		l, err := net.Listen(network, addr)
		if err != nil {
			return netip.AddrPort{}, err
		}
		defer l.Close()
		return netip.ParseAddrPort(l.Addr().String())
	}
	c, err := net.ListenPacket(network, addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	return netip.ParseAddrPort(c.LocalAddr().String())
}

// ip runs ip(8) in the namespace, once for all commands.
func (n *namespace) ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.do(cmd.Start); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}
