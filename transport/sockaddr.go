package transport

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sockaddr has room for an IPv4 or IPv6 socket address as the kernel writes it.
type sockaddr = unix.RawSockaddrInet6

const (
	sockaddr4Len = unix.SizeofSockaddrInet4
	sockaddr6Len = unix.SizeofSockaddrInet6
)

// get returns the address in sa; invalid if it is neither IPv4 nor IPv6. A scope (zone) is left out.
func getSockaddr(sa *sockaddr) netip.AddrPort {
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), hostOrder(&sa4.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), hostOrder(&sa.Port))
	}
	return netip.AddrPort{}
}

// putSockaddr writes to into sa, for a socket of to's own family.
func putSockaddr(sa *sockaddr, to netip.AddrPort) {
	if to.Addr().Is4() {
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		sa4.Family, sa4.Addr = unix.AF_INET, to.Addr().As4()
		binary.BigEndian.PutUint16(portBytes(&sa4.Port), to.Port())
		return
	}
	sa.Family, sa.Flowinfo, sa.Scope_id, sa.Addr = unix.AF_INET6, 0, 0, to.Addr().As16()
	binary.BigEndian.PutUint16(portBytes(&sa.Port), to.Port())
}

func hostOrder(p *uint16) uint16 { return binary.BigEndian.Uint16(portBytes(p)) }

func portBytes(p *uint16) []byte { return (*[2]byte)(unsafe.Pointer(p))[:] }
