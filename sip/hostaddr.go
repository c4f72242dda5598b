package sip

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// HostAddr reads the host of a URI or Via as an address, an IPv6 one with or without its brackets; false for a name. An IPv4-mapped address is
// the IPv4 address. It does not allocate.
func HostAddr(host []byte) (netip.Addr, bool) {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	if len(host) == 0 || len(host) > 45 || bytes.IndexByte(host, '%') >= 0 {
		return netip.Addr{}, false
	}
	if c := host[0]; c != ':' && (c < '0' || c > '9') && bytes.IndexByte(host, ':') < 0 {
		return netip.Addr{}, false
	}
	// ParseAddr keeps its argument only for a zone, which was excluded, or in an error, which is dropped here.
	a, err := netip.ParseAddr(unsafe.String(&host[0], len(host)))
	return a.Unmap(), err == nil
}
