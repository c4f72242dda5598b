package batch

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// controlSize is the room of one IP_PKTINFO control message.
const controlSize = 32

// A vector is what one recvmmsg or sendmmsg call works on: Size message headers and the memory they point at.
type vector struct {
	msgs    [Size]mmsghdr
	iovs    [Size]unix.Iovec
	names   [Size]unix.RawSockaddrInet4
	control [Size][controlSize]byte
	bufs    [Size][MaxDatagram]byte
	many    bool
}

func (v *vector) init(many bool) {
	v.many = many
	for i := range v.msgs {
		h := &v.msgs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&v.names[i]))
		h.Namelen = unix.SizeofSockaddrInet4
		h.Iov = &v.iovs[i]
		h.SetIovlen(1)
		v.iovs[i].Base = &v.bufs[i][0]
		v.iovs[i].SetLen(MaxDatagram)
		if many {
			h.Control = &v.control[i][0]
			h.SetControllen(controlSize)
		}
	}
}

// recv fills v with what is there. Only the entries that were used are made ready again.
func (v *vector) recv(fd uintptr) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&v.msgs)), Size, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	for i := range int(n) {
		v.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet4
		if v.many {
			v.msgs[i].hdr.SetControllen(controlSize)
		}
	}
	return int(n), 0
}

// send sends entries from to end and returns how many went out.
func (v *vector) send(fd uintptr, from, end int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&v.msgs[from])), uintptr(end-from), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func (v *vector) packet(i int) Packet {
	p := Packet{Data: v.bufs[i][:v.msgs[i].len], From: fromSockaddr(&v.names[i])}
	if v.many {
		// struct in_pktinfo: interface index, local address, header's destination address.
		p.To = netip.AddrFrom4([4]byte(v.control[i][24:28]))
	}
	return p
}

func (v *vector) put(i int, b []byte, from netip.Addr, to netip.AddrPort) {
	v.iovs[i].SetLen(copy(v.bufs[i][:], b))
	setSockaddr(&v.names[i], to)
	if v.many {
		c := v.control[i][:]
		binary.NativeEndian.PutUint64(c, 16+12) // cmsg_len
		binary.NativeEndian.PutUint32(c[8:], unix.IPPROTO_IP)
		binary.NativeEndian.PutUint32(c[12:], unix.IP_PKTINFO)
		src := from.As4()
		copy(c[20:24], src[:]) // ipi_spec_dst: the source to use
	}
}

func (v *vector) lend(i int, src *vector, to netip.AddrPort) {
	v.iovs[i].Base = &src.bufs[i][0]
	v.iovs[i].SetLen(int(src.msgs[i].len))
	setSockaddr(&v.names[i], to)
}

// fromSockaddr reads an address; ports stand in network byte order.
func fromSockaddr(s *unix.RawSockaddrInet4) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&s.Port))
	return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), binary.BigEndian.Uint16(port[:]))
}

func setSockaddr(s *unix.RawSockaddrInet4, a netip.AddrPort) {
	s.Family = unix.AF_INET
	s.Addr = a.Addr().As4()
	port := (*[2]byte)(unsafe.Pointer(&s.Port))
	binary.BigEndian.PutUint16(port[:], a.Port())
}

// Poll sleeps until one of fds has something to read, at most d. It blocks the calling thread (ppoll without telling the Go
// scheduler, which would cost 10 us per wake), so keep d at a few milliseconds and GOMAXPROCS above 1.
func Poll(d time.Duration, fds ...int) {
	var polled [2]unix.PollFd
	n := 0
	for _, fd := range fds {
		polled[n] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n++
	}
	ts := unix.NsecToTimespec(d.Nanoseconds())
	unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&polled)), uintptr(n), uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}
