package transport

import (
	"net"
	"net/netip"

	"github.com/ringwall/ringwall/edge"
)

// Route returns the flow for a new request to remote: the listener of that side, transport and address family whose address
// fits remote best. On Inside UDP it is this worker's spread socket, so that replies come back to this worker. False: no
// listener can reach remote.
func (o *Out) Route(side edge.Side, t edge.Transport, remote netip.AddrPort) (edge.Flow, bool) {
	ip := remote.Addr().Unmap()
	i := o.listenerFor(side, t, ip)
	if i < 0 {
		return edge.Flow{}, false
	}
	if spread := o.server.ports[i].spread; len(spread) > 0 {
		i = spread[o.worker]
	}
	return edge.Flow{Remote: netip.AddrPortFrom(ip, remote.Port()), Listener: uint16(i), Transport: t, Side: side}, true
}

// A routed is what Route asked for last, and which listener that is: it never changes, and most messages go where the one before went.
type routed struct {
	to       netip.Addr
	side     edge.Side
	t        edge.Transport
	listener int
}

func (o *Out) listenerFor(side edge.Side, t edge.Transport, to netip.Addr) int {
	if r := &o.routed; r.to != to || r.side != side || r.t != t || !to.IsValid() {
		*r = routed{to, side, t, o.server.local.route(o.server.listeners[:len(o.server.cfg.Listen)], side, t, to)}
	}
	return o.routed.listener
}

// local is what is known of this machine's own addresses, as of Open.
type local struct {
	prefixes []netip.Prefix      // of interfaces, with their lengths
	own      map[netip.Addr]bool // of interfaces, listeners, and advertised ones
	defaults [2]netip.Addr       // the IPv4 and IPv6 source addresses of the default route, if there is one
}

func newLocal(listen []Listen) (*local, error) {
	prefixes, err := localPrefixes()
	if err != nil {
		return nil, err
	}
	l := &local{prefixes: prefixes, own: map[netip.Addr]bool{}}
	for _, p := range prefixes {
		l.own[p.Addr()] = true
	}
	for _, x := range listen {
		l.own[x.Addr.Addr()] = true
		if a, ok := advertisedAddr(x.Advertise); ok {
			l.own[a] = true
		}
	}
	// Addresses of documentation: connecting a UDP socket asks the routing table and sends nothing.
	l.defaults = [2]netip.Addr{sourceFor("198.51.100.1:9"), sourceFor("[2001:db8::1]:9")}
	return l, nil
}

func advertisedAddr(advertise string) (netip.Addr, bool) {
	if a, err := netip.ParseAddrPort(advertise); err == nil {
		return a.Addr(), true
	}
	a, err := netip.ParseAddr(advertise)
	return a, err == nil
}

func sourceFor(remote string) netip.Addr {
	c, err := net.Dial("udp", remote)
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// Fitness of a listener's address for a remote one, rising.
const (
	unfit = iota
	fits
	fitsDefault // the default route leaves by it
	fitsLink    // remote is on its network
	fitsSame    // it is remote's own address
)

// route returns the index of the listener that fits best, the first of equals, or -1.
func (l *local) route(listeners []Listener, side edge.Side, t edge.Transport, remote netip.Addr) int {
	best, found := unfit, -1
	for i := range listeners {
		k := &listeners[i]
		if k.Side != side || k.Transport != t {
			continue
		}
		if f := l.fitness(k.Addr.Addr(), remote); f > best {
			best, found = f, i
		}
	}
	return found
}

func (l *local) fitness(ours, remote netip.Addr) int {
	switch {
	case ours.Is4() != remote.Is4(), ours.IsLoopback() && !remote.IsLoopback():
		return unfit
	case ours == remote:
		return fitsSame
	}
	for _, p := range l.prefixes {
		if p.Addr() == ours && p.Contains(remote) {
			return fitsLink
		}
	}
	if ours == l.defaults[0] || ours == l.defaults[1] {
		return fitsDefault
	}
	return fits
}
