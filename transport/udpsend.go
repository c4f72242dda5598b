package transport

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// sendPatience is how long a full socket is waited for before its datagrams are dropped, ms.
	sendPatience = 20
	// errorRetries: an error of sendmmsg may be the ICMP answer to an earlier datagram, which is cleared by being told; only
	// when it comes again and again is it about this one.
	errorRetries = 3
)

// A sendQueue gathers the datagrams that one goroutine sends through one socket.
type sendQueue struct {
	sock  *udpSocket
	v4    bool
	n     int
	hdrs  [batch]mmsghdr
	iovs  [batch]unix.Iovec
	names [batch]sockaddr
	write func(fd uintptr) bool
}

func newSendQueue(u *udpSocket) *sendQueue {
	q := &sendQueue{sock: u, v4: u.addr.Addr().Is4()}
	q.write = q.send
	for i := range q.hdrs {
		h := &q.hdrs[i].hdr
		h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(&q.names[i])), sockaddr6Len, &q.iovs[i]
		if q.v4 {
			h.Namelen = sockaddr4Len
		}
		h.SetIovlen(1)
	}
	return q
}

// add puts b on the queue, which has room. b stays unchanged until flush.
func (q *sendQueue) add(b []byte, to netip.AddrPort) {
	putSockaddr(&q.names[q.n], to)
	q.iovs[q.n].Base = unsafe.SliceData(b)
	q.iovs[q.n].SetLen(len(b))
	q.n++
}

// flush sends the queue and empties it.
func (q *sendQueue) flush() {
	if q.n == 0 {
		return
	}
	if err := q.sock.raw.Write(q.write); err != nil {
		q.sock.server.count.droppedSend.Add(uint64(q.n))
	}
	q.n = 0
}

// send gives the whole queue to the kernel, past datagrams that it refuses. It never asks the poller to wait.
func (q *sendQueue) send(fd uintptr) bool {
	count := &q.sock.server.count
	sent, retries, waited := 0, 0, false
	for off := 0; off < q.n; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&q.hdrs[off])), uintptr(q.n-off), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			off, sent, retries = off+int(n), sent+int(n), 0
			if off < q.n { // stopped by an error, which the kernel has forgotten now: nobody else will be told
				q.sock.readErrorsFd(fd)
			}
		case errno == unix.EAGAIN && !waited:
			awaitWritable(fd)
			waited = true
		case errno == unix.EAGAIN:
			count.droppedSend.Add(uint64(q.n - off))
			off = q.n
		case errno == unix.ENOBUFS: // the interface's queue is full; this one is lost
			count.droppedSend.Add(1)
			off++
		case retries < errorRetries:
			q.sock.readErrorsFd(fd)
			retries++
		default:
			q.refused(off, errno)
			off, retries = off+1, 0
		}
	}
	count.packetsOut.Add(uint64(sent))
	return true
}

// refused reports datagram i, which the kernel does not take.
func (q *sendQueue) refused(i int, errno syscall.Errno) {
	s := q.sock.server
	s.count.sendErrors.Add(1)
	b := unsafe.Slice(q.iovs[i].Base, q.iovs[i].Len)
	s.undelivered(b, q.sock.flow(getSockaddr(&q.names[i])), errno)
}

// awaitWritable waits up to sendPatience for room in the socket's send buffer.
func awaitWritable(fd uintptr) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, sendPatience)
}
