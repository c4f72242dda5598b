package transport

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/edge"
)

// Expand turns a wildcard address into one Listen per local address of that family, link-local IPv6 left out. Other
// addresses come back alone. Port 0 stays 0.
func Expand(l Listen) ([]Listen, error) {
	wild := l.Addr.Addr()
	if !wild.IsUnspecified() {
		return []Listen{l}, nil
	}
	prefixes, err := localPrefixes()
	if err != nil {
		return nil, fmt.Errorf("expand %v: %w", l, err)
	}
	var all []Listen
	for _, p := range prefixes {
		if a := p.Addr(); a.Is4() == wild.Is4() && !a.IsLinkLocalUnicast() {
			one := l
			one.Addr = netip.AddrPortFrom(a, l.Addr.Port())
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("expand %v: this machine has no address of that family", l)
	}
	return all, nil
}

// localPrefixes lists the addresses of this machine's interfaces with their prefix lengths, each once.
func localPrefixes() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list local addresses: %w", err)
	}
	var all []netip.Prefix
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		p, ok := prefixOf(a)
		if ok && !seen[p.Addr()] {
			seen[p.Addr()] = true
			all = append(all, p)
		}
	}
	return all, nil
}

func prefixOf(a net.Addr) (netip.Prefix, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(ip.Unmap(), ones), ok
}

// String is how an operator writes l: "udp:10.0.0.1:5060".
func (l Listen) String() string { return l.Transport.String() + ":" + l.Addr.String() }

func (l Listen) validate() error {
	a := l.Addr.Addr()
	switch {
	case l.Side > edge.Inside || l.Transport >= edge.Transports:
		return fmt.Errorf("%v: unknown side or transport", l)
	case !a.IsValid():
		return fmt.Errorf("%v: not an address", l)
	case a.IsUnspecified():
		return fmt.Errorf("%v: a wildcard must be expanded first", l)
	case a.Is4In6():
		return fmt.Errorf("%v: write the IPv4 address itself", l)
	case a.Zone() != "" || a.IsLinkLocalUnicast() || a.IsMulticast():
		return fmt.Errorf("%v: link-local and multicast addresses cannot be listened on", l)
	}
	if _, err := sentBy(l.Advertise, l.Addr); err != nil {
		return fmt.Errorf("%v: %w", l, err)
	}
	return nil
}

// sentBy is the sent-by (RFC 3261 §18.1.1) of a listener bound to addr: host and port, both always present, so that no peer
// has reason to look for SRV records.
func sentBy(advertise string, addr netip.AddrPort) (string, error) {
	if advertise == "" {
		return addr.String(), nil
	}
	host, port := advertise, strconv.Itoa(int(addr.Port()))
	if h, p, err := net.SplitHostPort(advertise); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return "", fmt.Errorf("advertise %q: port is not 1 to 65535", advertise)
		}
		host, port = h, p
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return net.JoinHostPort(ip.String(), port), nil
	}
	if !isHostname(host) {
		return "", fmt.Errorf("advertise %q: not a host name or address", advertise)
	}
	return host + ":" + port, nil
}

const labelChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, labelChars) != "" {
			return false
		}
	}
	return true
}

// newListener describes a bound address. A spread socket has a port of its own, which replaces an advertised one.
func newListener(l Listen, bound netip.AddrPort, spread bool) (Listener, error) {
	advertise := l.Advertise
	if host, _, err := net.SplitHostPort(advertise); err == nil && spread {
		advertise = host
	}
	by, err := sentBy(advertise, bound)
	if err != nil {
		return Listener{}, err
	}
	via := "SIP/2.0/" + strings.ToUpper(l.Transport.String()) + " " + by
	return Listener{Side: l.Side, Transport: l.Transport, Addr: bound, Via: via, SentBy: by, Spread: spread}, nil
}
