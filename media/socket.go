package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket is one UDP port of ours, and the far end's on the other side of it. All but the first group is guarded by its stream.
type socket struct {
	stream *Stream
	end    End
	rtcp   bool
	fd     int
	local  netip.AddrPort

	source netip.AddrPort // whose packets are accepted; invalid: nobody's yet
	far    netip.AddrPort // where packets go; invalid: nowhere
	name   sockaddr       // far, for the kernel
	fixed  bool           // far is what a trusted description said, and no packet changes it
	again  bool           // signalling has come since source was accepted: it may change once
	wide   bool           // and it may become a stranger that Remote.Latch allows
	moved  bool           // source has changed to another port without signalling
	trial  candidate
}

// send makes to the address that packets go to.
func (p *socket) send(to netip.AddrPort) {
	p.far = to
	p.name.put(to)
}

// A sockaddr is an IPv4 or IPv6 socket address as the kernel reads and writes it.
type sockaddr struct {
	raw unix.RawSockaddrInet6
	len uint32
}

// get returns the address that the kernel wrote; a zone is left out.
func (sa *sockaddr) get() netip.AddrPort {
	switch sa.raw.Family {
	case unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), portOf(&four.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.raw.Addr), portOf(&sa.raw.Port))
	}
	return netip.AddrPort{}
}

// put writes to for a socket of its IP version.
func (sa *sockaddr) put(to netip.AddrPort) {
	if to.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa.raw))
		four.Family, four.Addr = unix.AF_INET, to.Addr().As4()
		putPort(&four.Port, to.Port())
		sa.len = unix.SizeofSockaddrInet4
		return
	}
	sa.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16()}
	putPort(&sa.raw.Port, to.Port())
	sa.len = unix.SizeofSockaddrInet6
}

func portOf(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

// openPair opens sockets at at and at the next port.
func openPair(at netip.AddrPort) (rtp, rtcp int, err error) {
	if rtp, err = openSocket(at); err != nil {
		return -1, -1, err
	}
	if rtcp, err = openSocket(netip.AddrPortFrom(at.Addr(), at.Port()+1)); err != nil {
		unix.Close(rtp)
		return -1, -1, err
	}
	return rtp, rtcp, nil
}

// openSocket opens a UDP socket that never blocks. It sends without DF and does not believe path MTUs of ICMP, which anybody can forge. It does not
// ask for ICMP errors: a far end that is not there yet is nothing to act on.
func openSocket(at netip.AddrPort) (fd int, err error) {
	family, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	discover := unix.IP_PMTUDISC_OMIT
	if at.Addr().Is6() {
		family, level, option, discover = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT
	}
	if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("open a socket for %v: %w", at, os.NewSyscallError("socket", err))
	}
	if err = unix.SetsockoptInt(fd, level, option, discover); err == nil && at.Addr().Is6() {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set up a socket for %v: %w", at, os.NewSyscallError("setsockopt", err))
	}
	if err = bind(fd, at); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind %v: %w", at, os.NewSyscallError("bind", err))
	}
	return fd, nil
}

func bind(fd int, at netip.AddrPort) error {
	if at.Addr().Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
}

// inUse reports whether err is another process's fault, so that another port may be free.
func inUse(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
