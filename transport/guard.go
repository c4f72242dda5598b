package transport

import (
	"net/netip"
)

// GuardError names the rule by which the egress guard refused an address: "listener", "port", "unspecified", "link-local",
// "multicast", "broadcast", "own", "inside", "loopback", "private" or "reserved".
type GuardError string

// Error describes e for an operator.
func (e GuardError) Error() string { return "egress guard refuses the address: " + string(e) }

// Address blocks that netip has no name for. Private are RFC 1918, RFC 4193 and the shared space of RFC 6598.
var (
	private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")
	// reserved are RFC 6890's blocks that no host answers from: this network, class E, discard.
	reserved = prefixes("0.0.0.0/8", "240.0.0.0/4", "192.0.0.0/24", "100::/64", "::/96")
	// embedding blocks hold an IPv4 address at the given byte: NAT64 (RFC 6052), 6to4 (RFC 3056).
	embedding = []struct {
		prefix netip.Prefix
		at     int
	}{{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("2002::/16"), 2}}
	broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
)

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, p := range list {
		all[i] = netip.MustParsePrefix(p)
	}
	return all
}

// inside is what the egress guard knows of the platform. It is never written after it was made.
type inside struct {
	nets  []netip.Prefix
	addrs []netip.AddrPort
}

// SetInside puts other values in place of Config.InsideNets and Config.InsideAddrs, from the next message on. addrs holds no
// 4in6 addresses. It may be called at any time; the slices may not be written to afterwards.
func (s *Server) SetInside(nets []netip.Prefix, addrs []netip.AddrPort) {
	s.inside.Store(&inside{nets, addrs})
}

// Own reports whether a is an address of this machine.
func (s *Server) Own(a netip.Addr) bool { return s.local.own[a] }

// Guard is the egress guard: it refuses, with a GuardError, an address that only a message named and that nobody outside can
// have. listener is the outside listener the message would leave by. The source a message came from, and bindings and
// tokens made from it, need no guard. Where that listener is on loopback, as in a trial on one machine, other loopback
// addresses are allowed, except our own listeners and the platform's addresses.
func (s *Server) Guard(to netip.AddrPort, listener uint16) error {
	if int(listener) >= len(s.listeners) {
		return GuardError("listener")
	}
	if to.Port() == 0 {
		return GuardError("port")
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if to.Addr().IsLoopback() && s.listeners[listener].Addr.Addr().IsLoopback() {
		return s.guardLoopback(to)
	}
	if why := s.guardAddr(to.Addr()); why != "" {
		return why
	}
	return nil
}

// guardLoopback allows loopback but for the ports that are ours or the platform's.
func (s *Server) guardLoopback(to netip.AddrPort) error {
	for i := range s.listeners {
		if s.listeners[i].Addr == to {
			return GuardError("own")
		}
	}
	for _, a := range s.inside.Load().addrs {
		if a == to {
			return GuardError("inside")
		}
	}
	return nil
}

func (s *Server) guardAddr(a netip.Addr) GuardError {
	if why := kindOf(a); why != "" {
		return why
	}
	switch {
	case s.local.own[a]:
		return "own"
	case s.isInside(a):
		return "inside"
	case s.local.isBroadcast(a):
		return "broadcast"
	case a.IsLoopback():
		return "loopback"
	case within(private, a):
		return "private"
	case within(reserved, a):
		return "reserved"
	}
	for _, e := range embedding {
		if e.prefix.Contains(a) {
			raw := a.As16()
			return s.guardAddr(netip.AddrFrom4([4]byte(raw[e.at:])))
		}
	}
	return ""
}

func kindOf(a netip.Addr) GuardError {
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return "unspecified"
	case a.Zone() != "" || a.IsLinkLocalUnicast():
		return "link-local"
	case a.IsMulticast():
		return "multicast"
	case a == broadcast:
		return "broadcast"
	}
	return ""
}

func (s *Server) isInside(a netip.Addr) bool {
	in := s.inside.Load()
	for _, i := range in.addrs {
		if i.Addr() == a {
			return true
		}
	}
	return within(in.nets, a)
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// isBroadcast reports whether a is the directed broadcast address of a network this machine is on.
func (l *local) isBroadcast(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for _, p := range l.prefixes {
		if p.Addr().Is4() && p.Bits() < 31 && p.Contains(a) && a == lastOf(p) {
			return true
		}
	}
	return false
}

// lastOf returns the last address of an IPv4 prefix.
func lastOf(p netip.Prefix) netip.Addr {
	raw := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(raw)
}
