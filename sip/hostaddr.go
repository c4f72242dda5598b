package sip

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// HostAddr reads the host of a URI or Via as an address, an IPv6 one with or without its brackets; false for a name. An IPv4-mapped address is
// the IPv4 address. It does not allocate.
func HostAddr(host []byte) (netip.Addr, bool) {
	if a, ok := dotted(host); ok {
		return a, true
	}
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

// dotted reads an IPv4 address as nearly all are written: four numbers of up to three digits that do not begin with a needless 0.
func dotted(host []byte) (netip.Addr, bool) {
	if len(host) < len("0.0.0.0") || len(host) > len("255.255.255.255") {
		return netip.Addr{}, false
	}
	var four [4]byte
	i := 0
	for k := range four {
		if k > 0 {
			if i >= len(host) || host[i] != '.' {
				return netip.Addr{}, false
			}
			i++
		}
		from, part := i, uint32(0)
		for ; i < len(host) && uint32(host[i])-'0' <= 9; i++ {
			part = 10*part + uint32(host[i]) - '0'
		}
		if n := i - from; n == 0 || n > 3 || part > 255 || n > 1 && host[from] == '0' {
			return netip.Addr{}, false
		}
		four[k] = byte(part)
	}
	return netip.AddrFrom4(four), i == len(host)
}

// AppendAddr appends a as netip writes it. Most are of IPv4, and hold up nobody.
func AppendAddr(dst []byte, a netip.Addr) []byte {
	if !a.Is4() {
		return a.AppendTo(dst)
	}
	four := a.As4()
	for i, part := range four {
		if i > 0 {
			dst = append(dst, '.')
		}
		switch {
		case part > 99:
			dst = append(dst, '0'+part/100, '0'+part/10%10, '0'+part%10)
		case part > 9:
			dst = append(dst, '0'+part/10, '0'+part%10)
		default:
			dst = append(dst, '0'+part)
		}
	}
	return dst
}

// AppendPort appends a port in decimal: strconv is made for larger numbers, and takes three times as long.
func AppendPort(dst []byte, port uint16) []byte {
	if port >= 10_000 {
		dst = append(dst, byte('0'+port/10_000))
	}
	if port >= 1000 {
		dst = append(dst, byte('0'+port/1000%10))
	}
	if port >= 100 {
		dst = append(dst, byte('0'+port/100%10))
	}
	if port >= 10 {
		dst = append(dst, byte('0'+port/10%10))
	}
	return append(dst, byte('0'+port%10))
}
