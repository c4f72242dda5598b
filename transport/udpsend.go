package transport

import (
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/xsk"
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
	fast  *xsk.Batch // nil: there is none
	n     int        // messages, in the order in which they were added:
	list  [batch]unix.Iovec
	names [batch]sockaddr
	kin   [batch]kinship

	longest uint64 // that may travel in company, bytes
	trains  int    // what the kernel gets
	coupled int
	order   [batch]uint8 // of the messages in the trains
	hdrs    [batch]mmsghdr
	iovs    [batch]unix.Iovec
	control [batch]segmentSize
	write   func(fd uintptr) bool
}

func newSendQueue(u *udpSocket) *sendQueue {
	q := &sendQueue{sock: u, v4: u.addr.Addr().Is4()}
	q.write = q.send
	if u.partsTrains() {
		q.longest = longestCar
	}
	for i := range q.hdrs {
		q.hdrs[i].hdr.Namelen = sockaddr6Len
		if q.v4 {
			q.hdrs[i].hdr.Namelen = sockaddr4Len
		}
		c := &q.control[i].hdr
		c.Level, c.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		c.SetLen(unix.CmsgLen(2))
	}
	if u.local != nil {
		q.fast = u.local.NewBatch()
	}
	return q
}

// add puts b, which belongs to the call of kin, on the queue, which has room. b stays unchanged until flush.
func (q *sendQueue) add(b []byte, to netip.AddrPort, kin kinship) {
	putSockaddr(&q.names[q.n], to)
	q.list[q.n].Base = unsafe.SliceData(b)
	q.list[q.n].SetLen(len(b))
	q.kin[q.n] = kin
	q.n++
}

// flush sends the queue and empties it.
func (q *sendQueue) flush() {
	if q.n == 0 {
		return
	}
	if q.fast != nil && q.expedite() {
		return
	}
	q.couple()
	if err := q.sock.raw.Write(q.write); err != nil {
		q.sock.server.count.droppedSend.Add(uint64(q.n))
	}
	q.n = 0
}

// send gives the whole queue to the kernel, past datagrams that it refuses. It never asks the poller to wait.
func (q *sendQueue) send(fd uintptr) bool {
	count := &q.sock.server.count
	sent, retries, waited := 0, 0, false
	for off := 0; off < q.trains; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&q.hdrs[off])), uintptr(q.trains-off), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == 0:
			sent += q.cars(off, off+int(n))
			off, retries = off+int(n), 0
			if off < q.trains { // stopped by an error, which the kernel has forgotten now: nobody else will be told
				q.sock.readErrorsFd(fd)
			}
		case errno == unix.EAGAIN && !waited:
			awaitWritable(fd)
			waited = true
		case errno == unix.EAGAIN:
			count.droppedSend.Add(uint64(q.cars(off, q.trains)))
			off = q.trains
		case errno == unix.ENOBUFS: // the interface's queue is full; this train is lost
			count.droppedSend.Add(uint64(q.cars(off, off+1)))
			off++
		case retries < errorRetries:
			q.sock.readErrorsFd(fd)
			retries++
		case q.cars(off, off+1) > 1:
			q.uncouple(off, errno)
			off, retries = 0, 0
		default:
			q.refused(off, errno)
			off, retries = off+1, 0
		}
	}
	count.packetsOut.Add(uint64(sent))
	return true
}

// refused reports the datagram of train i, which the kernel does not take.
func (q *sendQueue) refused(i int, errno syscall.Errno) {
	s := q.sock.server
	s.count.sendErrors.Add(1)
	h := &q.hdrs[i].hdr
	b := unsafe.Slice(h.Iov.Base, h.Iov.Len)
	s.undelivered(b, q.sock.flow(getSockaddr((*sockaddr)(unsafe.Pointer(h.Name)))), errno)
}

// awaitWritable waits up to sendPatience for room in the socket's send buffer.
func awaitWritable(fd uintptr) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, sendPatience)
}
