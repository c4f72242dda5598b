package transport

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errorsAtOnce bounds how many entries of an error queue are read in one go, so that a storm of ICMP cannot keep a reader
// from its datagrams. The kernel raises the next error again.
const errorsAtOnce = 64

// readErrors takes what the error queue of u holds (ip(7), IP_RECVERR) and reports each datagram that did not arrive.
func (u *udpSocket) readErrors() {
	_ = u.raw.Control(u.readErrorsFd)
}

func (u *udpSocket) readErrorsFd(fd uintptr) {
	u.errMu.Lock()
	defer u.errMu.Unlock()
	for range errorsAtOnce {
		var name sockaddr
		var control [256]byte
		n, h, err := recvError(fd, u.errBuf[:], &name, control[:])
		if err != 0 {
			return
		}
		errno, ok := icmpErrno(control[:h.Controllen])
		to := getSockaddr(&name)
		if !ok || !to.IsValid() {
			continue
		}
		u.server.count.icmpErrors.Add(1)
		if undeliverable(errno) {
			u.server.undelivered(u.errBuf[:n], u.flow(to), errno)
		}
	}
}

// recvError is recvmsg with MSG_ERRQUEUE: the payload sent then, the address it was sent to, and the control message.
func recvError(fd uintptr, b []byte, name *sockaddr, control []byte) (int, *unix.Msghdr, syscall.Errno) {
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(len(b))
	h := &unix.Msghdr{Name: (*byte)(unsafe.Pointer(name)), Namelen: sockaddr6Len, Iov: &iov, Control: &control[0]}
	h.SetIovlen(1)
	h.SetControllen(len(control))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(h)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	return int(n), h, errno
}

// icmpErrno finds the extended error (struct sock_extended_err begins with the errno) among control messages.
func icmpErrno(control []byte) (syscall.Errno, bool) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if (v4 || v6) && len(m.Data) >= 4 {
			return syscall.Errno(binary.NativeEndian.Uint32(m.Data)), true
		}
	}
	return 0, false
}

// undeliverable reports whether errno, from ICMP, means that a retransmission would fare no better. EMSGSIZE is not one: the
// kernel has learned the path's MTU from it and will fragment the next copy.
func undeliverable(errno syscall.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EACCES, unix.EPROTO, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET:
		return true
	}
	return false
}
