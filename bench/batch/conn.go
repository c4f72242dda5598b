// Package batch moves UDP datagrams many at a time for the benchmarks: recvmmsg and sendmmsg inside syscall.RawConn
// closures, the cheapest way Go has (measured within 0.1 us of C per message when saturated). It is Linux and IPv4 only,
// and deliberately not the transport room: what measures a program must not share the code that it measures.
package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Size is the largest number of datagrams that one system call moves.
const Size = 64

// MaxDatagram is the largest datagram in bytes that is sent or received whole; what is longer arrives cut.
const MaxDatagram = 4096

// socketBuffer is the receive buffer asked of the kernel, bytes.
const socketBuffer = 8 << 20

// A Conn is one UDP socket with a batch of received and a batch of queued datagrams. One goroutine at a time may
// use its receiving half and one its sending half.
type Conn struct {
	conn  io.Closer
	local netip.AddrPort
	raw   syscall.RawConn
	fd    int // for Wait and Detach; valid until Close
	many  bool
	in    vector
	out   vector

	received int // datagrams of the last Receive
	queued   int
	recvErr  syscall.Errno
	sent     int // of the queued ones
	sendErr  syscall.Errno
	// Closures for RawConn, made once so that nothing allocates per call.
	recv func(fd uintptr) bool
	poll func(fd uintptr) bool
	send func(fd uintptr) bool
}

// A Packet is one received datagram. Data is borrowed until the next Receive.
type Packet struct {
	Data []byte
	From netip.AddrPort
	To   netip.Addr // the local address it was sent to; only a Conn made by ListenLoopback knows it
}

// Listen binds a UDP socket to local.
func Listen(local netip.AddrPort) (*Conn, error) {
	return listen(local, false)
}

// ListenLoopback binds one UDP socket to port (0: any) of every address of the loopback interface, all of 127.0.0.0/8. It
// tells where each datagram was sent to and lets Queue choose each datagram's source.
func ListenLoopback(port uint16) (*Conn, error) {
	return listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port), true)
}

// listen binds a socket to local; with many, to the loopback interface and with IP_PKTINFO, too.
func listen(local netip.AddrPort, many bool) (*Conn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
		var err error
		if cerr := rc.Control(func(fd uintptr) { err = setOptions(int(fd), many) }); cerr != nil {
			return cerr
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), "udp4", local.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", local, err)
	}
	conn := pc.(*net.UDPConn)
	c := &Conn{conn: conn, local: conn.LocalAddr().(*net.UDPAddr).AddrPort(), many: many}
	if c.raw, err = conn.SyscallConn(); err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("listen on %s: %w", local, err)
	}
	if err := c.raw.Control(func(fd uintptr) { c.fd = int(fd) }); err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("listen on %s: %w", local, err)
	}
	c.in.init(many)
	c.out.init(many)
	c.bindClosures()
	return c, nil
}

func setOptions(fd int, many bool) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, socketBuffer); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	if !many {
		return nil
	}
	if err := unix.BindToDevice(fd, "lo"); err != nil {
		return os.NewSyscallError("setsockopt SO_BINDTODEVICE lo", err)
	}
	return os.NewSyscallError("setsockopt IP_PKTINFO", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
}

func (c *Conn) bindClosures() {
	c.poll = func(fd uintptr) bool {
		c.received, c.recvErr = c.in.recv(fd)
		return true
	}
	c.recv = func(fd uintptr) bool {
		c.received, c.recvErr = c.in.recv(fd)
		return c.recvErr != unix.EAGAIN
	}
	c.send = func(fd uintptr) bool {
		for c.sent < c.queued {
			n, errno := c.out.send(fd, c.sent, c.queued)
			if errno != 0 {
				c.sendErr = errno
				return errno != unix.EAGAIN
			}
			c.sent += n
		}
		c.sendErr = 0
		return true
	}
}

// LocalAddr is the address the socket is bound to.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Detach takes the socket away from the runtime's poller, which otherwise wakes one of its threads for every datagram, at
// the cost of whoever sends it. From then on TryReceive and Wait are the only ways to receive.
func (c *Conn) Detach() error {
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	}
	if err := c.conn.Close(); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	c.fd, c.conn, c.raw = fd, detached(fd), detached(fd)
	return nil
}

// detached is a non-blocking file descriptor that the runtime's poller does not know: a syscall.RawConn that never waits to
// read.
type detached int

// Control implements syscall.RawConn.
func (d detached) Control(f func(fd uintptr)) error { f(uintptr(d)); return nil }

// Read implements syscall.RawConn, but tries once.
func (d detached) Read(f func(fd uintptr) bool) error { f(uintptr(d)); return nil }

// Write implements syscall.RawConn. While the send buffer is full it blocks its thread.
func (d detached) Write(f func(fd uintptr) bool) error {
	for !f(uintptr(d)) {
		fds := []unix.PollFd{{Fd: int32(d), Events: unix.POLLOUT}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
	}
	return nil
}

// Close implements io.Closer.
func (d detached) Close() error { return os.NewSyscallError("close", unix.Close(int(d))) }

// Receive waits for datagrams through the runtime's poller and returns how many came, at most Size. Read them with Packet.
func (c *Conn) Receive() (int, error) { return c.receive(c.recv) }

// TryReceive is Receive without waiting: 0 if nothing is there.
func (c *Conn) TryReceive() (int, error) { return c.receive(c.poll) }

func (c *Conn) receive(f func(uintptr) bool) (int, error) {
	c.received = 0
	if err := c.raw.Read(f); err != nil {
		return 0, err
	}
	switch c.recvErr {
	case 0:
		return c.received, nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError("recvmmsg", c.recvErr)
}

// Packet returns datagram i of the last Receive.
func (c *Conn) Packet(i int) Packet { return c.in.packet(i) }

// Queue copies b as the next datagram to send from local address from (ignored unless the Conn was made by ListenLoopback)
// to to. A full queue is sent at once.
func (c *Conn) Queue(b []byte, from netip.Addr, to netip.AddrPort) error {
	if c.queued == Size {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	c.out.put(c.queued, b, from, to)
	c.queued++
	return nil
}

// QueueReceived queues the datagrams of src's last Receive for to, without copying them: Flush before src receives again.
// Nothing else may be queued, and c must be used for nothing but QueueReceived.
func (c *Conn) QueueReceived(src *Conn, to netip.AddrPort) {
	for i := range src.received {
		c.out.lend(i, &src.in, to)
	}
	c.queued = src.received
}

// Flush sends what is queued, waiting for the socket's send buffer if it must.
func (c *Conn) Flush() error {
	if c.queued == 0 {
		return nil
	}
	c.sent = 0
	err := c.raw.Write(c.send)
	c.queued = 0
	if err != nil {
		return err
	}
	if c.sendErr != 0 {
		return os.NewSyscallError("sendmmsg", c.sendErr)
	}
	return nil
}

// Close closes the socket; a waiting Receive returns an error.
func (c *Conn) Close() error { return c.conn.Close() }

// ThreadCPU is the processor time that the calling thread has used.
func ThreadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// Wait sleeps until a or b has something to read, at most d, as Poll.
func Wait(a, b *Conn, d time.Duration) {
	if d > 0 {
		Poll(d, a.fd, b.fd)
	}
}
