package edge

import (
	"fmt"
	"net/netip"
	"strings"
)

// A Source is what can be banned or allowed: every address of a prefix, or one port of one address: a flow over UDP behind a NAT,
// or the connection from there. The zero Source is none. It is comparable: Prefix is masked, never 4in6 and has no zone.
type Source struct {
	Prefix netip.Prefix
	Port   uint16 // 0: all ports
}

// SourceOf is the whole address a as operators mean it: one IPv4 address, or the /64 of an IPv6 address, which is one customer's.
func SourceOf(a netip.Addr) Source {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // cannot fail for these lengths; an invalid address gives the zero Prefix
	return Source{Prefix: p}
}

// PortOf is one port of one address.
func PortOf(a netip.AddrPort) Source {
	ip := a.Addr().Unmap().WithZone("")
	return Source{Prefix: netip.PrefixFrom(ip, ip.BitLen()), Port: a.Port()}
}

// ParseSource reads "198.51.100.7", "198.51.100.0/24", "198.51.100.7:5062", "2001:db8::7" (its /64), "2001:db8::7/128" or
// "[2001:db8::7]:5062". A mapped IPv4 address is the IPv4 address, a zone is left out: ban, unban, allow and explain agree on what is meant.
func ParseSource(text string) (Source, error) {
	s := text
	if i, j := strings.IndexByte(s, '%'), strings.IndexAny(s, "]/"); i >= 0 && j > i {
		s = s[:i] + s[j:]
	} else if i >= 0 {
		s = s[:i]
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return SourceOf(a), nil
	}
	if a, err := netip.ParseAddrPort(s); err == nil && a.Port() != 0 {
		return PortOf(a), nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return Source{Prefix: unmapped(p)}, nil
	}
	return Source{}, fmt.Errorf("%q is no address, prefix or address:port: write 198.51.100.7, 198.51.100.0/24 or 198.51.100.7:5062", text)
}

// unmapped is p masked; one of mapped IPv4 addresses becomes the IPv4 prefix.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// String is s as ParseSource reads it: "198.51.100.7", "198.51.100.0/24", "[2001:db8::1]:5062", "2001:db8::/64".
func (s Source) String() string {
	switch {
	case s.Port != 0:
		return netip.AddrPortFrom(s.Prefix.Addr(), s.Port).String()
	case s.Prefix.IsSingleIP() && s.Prefix.Addr().Is4():
		return s.Prefix.Addr().String()
	}
	return s.Prefix.String()
}

// MarshalText is String, for JSON.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseSource.
func (s *Source) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSource(string(text))
	return err
}

// Covers reports whether a message from there is one of s.
func (s Source) Covers(from netip.AddrPort) bool {
	return s.Prefix.Contains(from.Addr()) && (s.Port == 0 || s.Port == from.Port())
}
