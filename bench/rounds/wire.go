package rounds

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/ringwall/ringwall/bench/card"
	"github.com/ringwall/ringwall/bench/load"
)

// A Wire is what lies between the load generator and the system under test, with the addresses of both ends. Media is
// always measured over loopback.
type Wire struct {
	Name    string     // as in tables: lo or tap
	Device  string     // the interface at the edge's end
	Outside netip.Addr // where the edge meets callers
	Inside  netip.Addr // and where it meets the platform

	platform netip.Addr
	ends     load.Ends
	edge     *namespace // of the system under test; nil: where this process is
}

// loopback is the wire that needs no making.
var loopback = &Wire{Name: "lo", Device: "lo", Outside: netip.AddrFrom4([4]byte{127, 0, 10, 1}), Inside: netip.AddrFrom4([4]byte{127, 0, 10, 2}),
	platform: netip.AddrFrom4([4]byte{127, 0, 20, 1}), ends: load.Loopback}

// tap is a virtual network card with the addresses of RFC 2544 for benchmarks, 198.18.0.0/15: the edge and the platform in
// its lower half, the callers in its upper. The device is in a namespace of its own, so nobody else's can be in the way.
var tap = Wire{Name: "tap", Device: "edge0", Outside: netip.AddrFrom4([4]byte{198, 18, 10, 1}), Inside: netip.AddrFrom4([4]byte{198, 18, 10, 2}),
	platform: netip.AddrFrom4([4]byte{198, 18, 20, 1}),
	ends:     load.Ends{First: netip.AddrFrom4([4]byte{198, 19, 1, 1}), Media: netip.AddrFrom4([4]byte{198, 19, 2, 1})}}

// tapNetwork is where all of tap's addresses are.
const tapNetwork = "198.18.0.0/15"

// OpenWire makes the wire of that name: "lo", the loopback interface, or "tap", a virtual network card in a network namespace,
// behind which the generator is as if on another machine; both are gone when it is closed or this process and the systems
// have ended, however they do. Who lacks CAP_NET_ADMIN or CAP_SYS_ADMIN for tap gets an error that is fs.ErrPermission.
func OpenWire(name string) (*Wire, error) {
	switch name {
	case loopback.Name:
		return loopback, nil
	case tap.Name:
		return openTap()
	}
	return nil, fmt.Errorf("wire %q: want lo or tap", name)
}

func openTap() (*Wire, error) {
	if err := mayMakeNamespaces(); err != nil {
		return nil, err
	}
	w := tap
	var err error
	if w.edge, err = newNamespace(); err != nil {
		return nil, err
	}
	err = w.edge.do(func() (err error) {
		w.ends.Card, err = card.Open(w.Device)
		return err
	})
	if err == nil {
		err = w.connect()
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &w, nil
}

// connect gives the device its addresses. The platform is the next hop to all callers, so the kernel has nobody to ask for.
func (w *Wire) connect() error {
	err := w.edge.ip("link set lo up",
		fmt.Sprintf("addr add %s/32 dev %s", w.Outside, w.Device),
		fmt.Sprintf("addr add %s/32 dev %s", w.Inside, w.Device),
		fmt.Sprintf("link set %s up", w.Device),
		fmt.Sprintf("neigh add %s lladdr %s dev %s nud permanent", w.platform, w.ends.Card.Link(), w.Device),
		fmt.Sprintf("route add %s via %s dev %s onlink", tapNetwork, w.platform, w.Device))
	if err != nil {
		return fmt.Errorf("connect the edge with its card: %w", err)
	}
	return nil
}

// Close takes the card away and lets the namespace go; the wire must not be used again. It does nothing to loopback.
func (w *Wire) Close() error {
	var err error
	if w.ends.Card != nil {
		err = w.ends.Card.Close()
	}
	return errors.Join(err, w.edge.close())
}

// generator opens the load generator at its end of the wire.
func (w *Wire) generator(cfg load.Config) (*load.Generator, error) {
	cfg.Ends = w.ends
	if !cfg.Platform.IsValid() {
		cfg.Platform = netip.AddrPortFrom(w.platform, 0)
	}
	return load.New(cfg)
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
