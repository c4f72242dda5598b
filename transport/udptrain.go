package transport

import (
	"encoding/binary"
	"math/bits"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Datagrams to one address travel through the kernel together, as a train: one way through routing, filters and queues for all of
// them, parted again at its end (UDP_SEGMENT of udp(7), Linux 4.18). All of a train are as long as the first one; only the last may be
// shorter. Messages of one call never overtake each other.

const (
	// fewest is from how many waiting datagrams on trains are made. With fewer there is no load, and a capture on this machine, which
	// may show a train as one packet, stays easy to read.
	fewest = 8
	// longestCar is the longest datagram that may travel in company, bytes, until the kernel says that the way is narrower: what has
	// to be fragmented travels alone. A whole batch of them fits into one train of 64 KiB.
	longestCar = 1472
)

// A segmentSize is the control message that tells the kernel how long the datagrams of a train are.
type segmentSize struct {
	hdr  unix.Cmsghdr
	size uint16
	_    [6]byte
}

// A kinship is a set of calls, by a hash of their Call-IDs: messages that share a bit keep their order.
type kinship uint64

// everyKin is that of messages of which nobody said what call they belong to.
const everyKin kinship = 1<<64 - 1

// kinOf is the kinship of the call that id names. The hash is no secret: who makes his ids collide keeps his messages in order.
func kinOf(id []byte) kinship {
	if len(id) < 8 {
		return everyKin
	}
	const spread = 0x9e3779b97f4a7c15
	h := binary.LittleEndian.Uint64(id) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(id[len(id)-8:]), 29)
	return 1 << (h * spread >> 58)
}

// partsTrains reports whether the kernel knows trains; one that does not would take them for one long datagram.
func (u *udpSocket) partsTrains() bool {
	var err error
	cerr := u.raw.Control(func(fd uintptr) { _, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT) })
	return cerr == nil && err == nil
}

// couple puts what is on the queue into trains.
func (q *sendQueue) couple() {
	q.trains, q.coupled = 0, 0
	var gone uint32 // messages that are in a train
	for i := range q.n {
		if gone&(1<<i) != 0 {
			continue
		}
		first := q.board(i)
		if q.n >= fewest && uint64(q.list[i].Len) <= q.longest {
			gone |= q.join(i, gone)
		}
		q.depart(first, &q.names[i])
	}
}

// join boards the later messages that can travel behind message i, and returns them. Those in gone are in other trains.
func (q *sendQueue) join(i int, gone uint32) (joined uint32) {
	var left kinship // of those that wait for a later train
	last := -1
	for j := i + 1; j < q.n; j++ {
		if gone&(1<<j) != 0 || q.names[j] != q.names[i] {
			continue
		}
		free := left&q.kin[j] == 0
		switch size := q.list[i].Len; {
		case free && q.list[j].Len == size:
			q.board(j)
			joined |= 1 << j
			continue
		case free && q.list[j].Len < size && last < 0:
			last = j
		}
		left |= q.kin[j]
	}
	if last >= 0 {
		q.board(last)
		joined |= 1 << last
	}
	return joined
}

// board puts message i at the end of the train that is being made, and returns its place.
func (q *sendQueue) board(i int) int {
	q.iovs[q.coupled], q.order[q.coupled] = q.list[i], uint8(i)
	q.coupled++
	return q.coupled - 1
}

// depart ends the train that began at place first and goes to name.
func (q *sendQueue) depart(first int, name *sockaddr) {
	h := &q.hdrs[q.trains].hdr
	h.Name, h.Iov, h.Control = (*byte)(unsafe.Pointer(name)), &q.iovs[first], nil
	h.SetIovlen(q.coupled - first)
	h.SetControllen(0)
	if q.coupled-first > 1 {
		c := &q.control[q.trains]
		c.size = uint16(q.iovs[first].Len)
		h.Control = (*byte)(unsafe.Pointer(c))
		h.SetControllen(int(unsafe.Sizeof(*c)))
	}
	q.trains++
}

// cars counts the datagrams of the trains from one up to another.
func (q *sendQueue) cars(from, to int) (n int) {
	for i := from; i < to; i++ {
		n += int(q.hdrs[i].hdr.Iovlen)
	}
	return n
}

// uncouple takes the trains from the one at off on apart, which the kernel did not take because of errno: now each datagram has a
// verdict of its own. Where the kernel can't part trains, or the way is too narrow for these, there will be none again.
func (q *sendQueue) uncouple(off int, errno syscall.Errno) {
	switch errno {
	case unix.EIO:
		q.longest = 0
	case unix.EINVAL, unix.EMSGSIZE:
		q.longest = uint64(q.hdrs[off].hdr.Iov.Len) - 1
	}
	first, all := q.coupled-q.cars(off, q.trains), q.coupled
	q.trains = 0
	for q.coupled = first; q.coupled < all; {
		q.coupled++
		q.depart(q.coupled-1, &q.names[q.order[q.coupled-1]])
	}
}
