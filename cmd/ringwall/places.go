package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/transport"
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// lostUpstream: an upstream has no address that can be used.
type lostUpstream struct {
	config.Upstream
	where string // in the configuration
	err   error
}

// Error names the upstream, where it stands in the configuration, and what is wrong.
func (l *lostUpstream) Error() string {
	return fmt.Sprintf("upstream %s (%s): %v", l.URI, l.where, l.err)
}

// Unwrap returns what is wrong.
func (l *lostUpstream) Unwrap() error { return l.err }

// reachable reports whether one of the inside listeners can send to a. Where none is configured, udp and tcp are made to fit.
func reachable(listen []config.Listen, t edge.Transport, a netip.Addr) bool {
	for _, l := range listen {
		if l.Transport == t && l.Addr.Addr().Is4() == a.Is4() {
			return true
		}
	}
	return len(listen) == 0 && t != edge.TLS
}

// localAddr is the address of this machine that packets to remote leave from. Nothing is sent.
func localAddr(ctx context.Context, remote netip.AddrPort) (netip.Addr, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", remote.String())
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Err != nil {
			err = op.Err
		}
		return netip.Addr{}, fmt.Errorf("this machine has no route to %v: %w", remote.Addr(), err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// listeners are the places of both sides, wildcards expanded. inside.listen left out is UDP and TCP on the address that
// routes to the first upstream.
func listeners(ctx context.Context, cfg *config.Config, first proxy.Upstream) ([]transport.Listen, error) {
	inside := cfg.Inside.Listen
	if len(inside) == 0 {
		local, err := localAddr(ctx, first.Addr)
		if err != nil {
			return nil, fail(exitUnavailable, err)
		}
		at := netip.AddrPortFrom(local, config.DefaultInsidePort)
		inside = []config.Listen{{Transport: edge.UDP, Addr: at}, {Transport: edge.TCP, Addr: at}}
	}
	outside, err := expand(cfg.Outside.Listen, edge.Outside, cfg.Outside.Advertise)
	if err != nil {
		return nil, err
	}
	in, err := expand(inside, edge.Inside, "")
	if err != nil {
		return nil, err
	}
	return append(outside, in...), nil
}

// expand makes transport's listeners of the configured ones. A wildcard of a family that this machine has no address of
// is passed over where the same entry of the file (a "*") or another one gives some.
func expand(from []config.Listen, side edge.Side, advertise string) ([]transport.Listen, error) {
	var all []transport.Listen
	var missing error
	for _, l := range from {
		some, err := transport.Expand(transport.Listen{Side: side, Transport: l.Transport, Addr: l.Addr, Advertise: advertise})
		if err != nil {
			missing = err
			continue
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil, missing
	}
	return all, nil
}

// bound names what is bound on a side, as the configuration would; the port of each is the one the kernel gave.
func bound(all []transport.Listener, side edge.Side) []string {
	var names []string
	for _, l := range all {
		if l.Side == side && !l.Spread {
			names = append(names, l.Transport.String()+":"+l.Addr.String())
		}
	}
	return names
}
