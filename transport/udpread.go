package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

const (
	// batch is how many datagrams one system call moves.
	batch = 32
	// slotSkew keeps the slots of a batch from falling on the same cache sets.
	slotSkew   = 17 * 64
	controlLen = 64
	// longestKeepalive: no datagram of up to four bytes is SIP; phones send such to keep NAT bindings open.
	longestKeepalive = 4
)

// A mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// A receiver reads one socket in batches. Its arrays are given to the kernel at every call and re-initialised only where
// the kernel wrote.
type receiver struct {
	sock    *udpSocket
	hdrs    [batch]mmsghdr
	iovs    [batch]unix.Iovec
	names   [batch]sockaddr
	control [batch][controlLen]byte
	slots   []byte
	stride  int

	n     int
	errno syscall.Errno
	woken bool
	read  func(fd uintptr) bool
}

func newReceiver(u *udpSocket, maxMessage int) *receiver {
	r := &receiver{sock: u, stride: maxMessage + slotSkew}
	r.slots = make([]byte, batch*r.stride)
	r.read = r.receive
	for i := range r.hdrs {
		r.iovs[i].Base = &r.slots[i*r.stride]
		r.iovs[i].SetLen(maxMessage)
		h := &r.hdrs[i].hdr
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&r.names[i])), &r.iovs[i]
		h.SetIovlen(1)
		if u.side == edge.Inside {
			h.Control = &r.control[i][0]
		}
		r.reset(i)
	}
	return r
}

// reset makes entry i ready for the kernel again.
func (r *receiver) reset(i int) {
	h := &r.hdrs[i].hdr
	h.Namelen, h.Flags = sockaddr6Len, 0
	if h.Control != nil {
		h.SetControllen(controlLen)
	}
}

// receive is called by the runtime's poller, at once and again each time the socket wakes. A wake without a datagram may be
// an error in the error queue, so it is handed up.
func (r *receiver) receive(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN && !r.woken {
		r.woken = true
		return false
	}
	r.n, r.errno = int(n), errno
	return true
}

// next waits for datagrams and returns how many came, or an error when the socket is closed. No other error ends it.
func (r *receiver) next() (int, error) {
	for {
		r.n, r.errno, r.woken = 0, 0, false
		err := r.sock.raw.Read(r.read)
		switch {
		case errors.Is(err, net.ErrClosed):
			return 0, err
		case err != nil:
			// The poller declines to wait while the socket has nothing but errors to tell.
			r.sock.awaitReadable()
			r.sock.readErrors()
		case r.errno != 0:
			r.sock.readErrors()
		default:
			return r.n, nil
		}
	}
}

// awaitReadable waits a moment for u without the poller.
func (u *udpSocket) awaitReadable() {
	_ = u.raw.Control(func(fd uintptr) {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10)
	})
}

// datagram returns entry i: its bytes (nil if they are not to be handled) and where they came from.
func (r *receiver) datagram(i int, s *Server) ([]byte, netip.AddrPort) {
	h := &r.hdrs[i]
	from, by := getSockaddr(&r.names[i]), 0
	if h.hdr.Flags&unix.MSG_TRUNC != 0 {
		s.count.droppedTooLarge.Add(1)
		return nil, from
	}
	if h.hdr.Control != nil {
		by = interfaceIndex(r.control[i][:h.hdr.Controllen])
	}
	b := r.slots[i*r.stride:][:h.len:h.len]
	if !s.takes(r.sock, b, from, by) {
		return nil, from
	}
	return b, from
}

// takes reports whether b, which came to the address of u from a far end and by an interface (of inside addresses only), is to be handled; where not it is counted.
func (s *Server) takes(u *udpSocket, b []byte, from netip.AddrPort, by int) bool {
	switch {
	case len(b) > s.cfg.MaxMessage:
		s.count.droppedTooLarge.Add(1)
	case !answerable(from):
		s.count.droppedSource.Add(1)
	case u.side == edge.Inside && !s.weak.admits(by):
		s.count.droppedWeakHost.Add(1)
	case len(b) <= longestKeepalive:
		s.count.keepalives.Add(1)
	default:
		return true
	}
	return false
}

// answerable reports whether a datagram from a can be answered. A link-local IPv6 source would need its zone.
func answerable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && !(ip.Is6() && ip.IsLinkLocalUnicast())
}

// readUDP is the goroutine of one socket: batch in, lane, batch out.
func (s *Server) readUDP(u *udpSocket, o *Out, lane Lane) {
	r := newReceiver(u, s.cfg.MaxMessage)
	for {
		n, err := r.next()
		if err != nil {
			return
		}
		at := time.Now()
		s.count.packetsIn.Add(uint64(n))
		for i := range n {
			if b, from := r.datagram(i, s); b != nil {
				if f := u.flow(from); !s.refuses(f, at) {
					s.receive(lane, b, f, at)
				}
			}
			r.reset(i)
		}
		o.Flush()
	}
}
