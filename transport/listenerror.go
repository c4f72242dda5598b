package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/ringwall/ringwall/edge"
)

// A ListenError says in one sentence why an address could not be bound and what to do. It wraps the system's error.
type ListenError struct {
	Side      edge.Side
	Transport edge.Transport
	Addr      netip.AddrPort
	Holder    string // "process 812 (kamailio)" when the port is in use and its holder was found, else ""
	Err       error
}

// Unwrap returns the system's error.
func (e *ListenError) Unwrap() error { return e.Err }

// Error returns the sentence.
func (e *ListenError) Error() string {
	key := sideName(e.Side) + ".listen"
	return fmt.Sprintf("cannot listen on %s %v: %s", transportName(e.Transport), e.Addr, e.reason(key))
}

func (e *ListenError) reason(key string) string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE) && e.Holder != "":
		return fmt.Sprintf("the port is in use by %s; stop it, or change %s", e.Holder, key)
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("the port is in use by another process; stop it, or change %s", key)
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("this machine has no address %v; correct %s (and use advertise for a public address behind NAT)", e.Addr.Addr(), key)
	case errors.Is(e.Err, syscall.EACCES) && e.Addr.Port() < 1024:
		return fmt.Sprintf("ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it, or change %s", key)
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return fmt.Sprintf("the system does not permit it; check the service's sandbox, or change %s", key)
	case errors.Is(e.Err, syscall.EAFNOSUPPORT):
		return fmt.Sprintf("this machine has no support for that address family; change %s", key)
	}
	return e.Err.Error()
}

func sideName(s edge.Side) string {
	if s == edge.Inside {
		return "inside"
	}
	return "outside"
}

func transportName(t edge.Transport) string {
	if t == edge.TCP {
		return "tcp"
	}
	return "udp"
}

// String is how an operator writes l: "udp:10.0.0.1:5060".
func (l Listen) String() string { return transportName(l.Transport) + ":" + l.Addr.String() }

func (l Listen) validate() error {
	a := l.Addr.Addr()
	switch {
	case l.Side > edge.Inside || l.Transport > edge.TCP:
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
	if l.Advertise == "" {
		return nil
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

func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, label := range strings.Split(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.Trim(label, labelChars) != "" {
			return false
		}
	}
	return true
}

const labelChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
