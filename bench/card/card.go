// Package card is another machine's network card for the benchmarks: the far end of a tap device, read and written frame by
// frame. Where sender and receiver are on one machine, the sender's processor does what the receiver's does elsewhere (routes,
// filters, finds the socket), which is a third of what it costs to forward a datagram over loopback. Over a tap sending ends
// where it ends with a card: at the ring from which the card takes frames.
package card

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"
	"unsafe"

	"github.com/ringwall/ringwall/bench/batch"
	"golang.org/x/sys/unix"
)

const (
	// most is how many frames one turn reads.
	most = batch.Size
	// longest is the longest train of datagrams that the kernel hands over as one frame, with what stands before it.
	longest = headerLen + 1<<16
	// room is where the frames of a turn are put, one behind the other.
	room = 4 * longest
)

// A Card is a tap device and what is at its far end. One goroutine uses it and its Conns.
type Card struct {
	name     string
	fd       int
	own, far linkAddr // of the far end, which is us, and of the device
	conns    []*Conn
	in       []byte // frames of this turn

	sent     int // frames
	handover time.Duration
}

// Open makes a tap device in the network namespace of the calling thread; it is gone with the Card. It can do what cards
// do: it completes checksums, and takes trains of datagrams (UDP_SEGMENT) whole. Who lacks CAP_NET_ADMIN gets an error that
// is fs.ErrPermission.
func Open(name string) (*Card, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a tap device: %w", &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err})
	}
	c := &Card{name: name, fd: fd, in: make([]byte, 0, room), own: linkAddr{0x02, 'c', 'a', 'l', 'l', 's'}}
	if err := c.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("make the tap device %s: %w", name, err), c.Close())
	}
	return c, nil
}

// offloads are what the far end can do for the sender.
const offloads = unix.TUN_F_CSUM | unix.TUN_F_USO4 | unix.TUN_F_USO6

func (c *Card) make() error {
	req, err := unix.NewIfreq(c.name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(c.fd, unix.TUNSETIFF, req); err != nil {
		return os.NewSyscallError("ioctl TUNSETIFF", err)
	}
	if err := unix.IoctlSetInt(c.fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		return os.NewSyscallError("ioctl TUNSETOFFLOAD", err)
	}
	var hw struct {
		name [unix.IFNAMSIZ]byte
		kind uint16
		addr linkAddr
		_    [32]byte
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&hw))); errno != 0 {
		return os.NewSyscallError("ioctl SIOCGIFHWADDR", errno)
	}
	c.far = hw.addr
	return nil
}

// Link is the link address of the far end, for the kernel's table of neighbours.
func (c *Card) Link() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", c.own[0], c.own[1], c.own[2], c.own[3], c.own[4], c.own[5])
}

// Sent is how many datagrams the kernel has been given, and what processor time it took to take them: to copy them, to find
// whose they are and to put them there. A machine with a real card pays for that itself.
func (c *Card) Sent() (datagrams int, took time.Duration) { return c.sent, c.handover }

// Close takes the device away.
func (c *Card) Close() error { return os.NewSyscallError("close", unix.Close(c.fd)) }

// Wait sleeps until there is a frame, at most d, as batch.Poll.
func (c *Card) Wait(d time.Duration) {
	if d > 0 && c.idle() {
		batch.Poll(d, c.fd)
	}
}

// A Conn is one UDP port at the far end, of one address or of any. It has the methods of a batch.Conn.
type Conn struct {
	card   *Card
	local  netip.AddrPort
	given  []batch.Packet // by the last TryReceive
	came   []batch.Packet // since
	out    [most][]byte
	queued int
	id     uint16
}

// Listen opens a port. An unspecified address is every one that no other Conn has. What came before anybody listened is nobody's.
func (c *Card) Listen(local netip.AddrPort) *Conn {
	if len(c.conns) == 0 {
		c.drain()
	}
	conn := &Conn{card: c, local: local}
	c.conns = append(c.conns, conn)
	return conn
}

// LocalAddr is what Listen was told.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Close forgets the port.
func (c *Conn) Close() error {
	c.card.conns = slices.DeleteFunc(c.card.conns, func(o *Conn) bool { return o == c })
	return nil
}

// TryReceive returns how many datagrams have come, without waiting. What any Conn of the Card was given before is invalid
// now.
func (c *Conn) TryReceive() (int, error) {
	c.given = c.given[:0]
	if c.card.idle() {
		if err := c.card.turn(); err != nil {
			return 0, err
		}
	}
	c.given, c.came = c.came, c.given
	return len(c.given), nil
}

// Packet returns datagram i of the last TryReceive.
func (c *Conn) Packet(i int) batch.Packet { return c.given[i] }

// idle reports whether everything that came was given to somebody.
func (c *Card) idle() bool {
	for _, conn := range c.conns {
		if len(conn.came) > 0 {
			return false
		}
	}
	return true
}

// turn reads what is there.
func (c *Card) turn() error {
	c.in = c.in[:0]
	for range most {
		at := len(c.in)
		if room-at < longest {
			return nil
		}
		n, err := c.read(c.in[at : at+longest])
		if n == 0 || err != nil {
			return err
		}
		c.in = c.in[:at+(n+63)&^63]
		c.deliver(c.in[at : at+n])
	}
	return nil
}

// drain throws away what is there. An error comes back with the next frame.
func (c *Card) drain() {
	for {
		if n, err := c.read(c.in[:longest]); n == 0 || err != nil {
			return
		}
	}
}

// read reads one frame, 0 if there is none.
func (c *Card) read(b []byte) (int, error) {
	iov := unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	n, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(c.fd), uintptr(unsafe.Pointer(&iov)), 1, ^uintptr(0), ^uintptr(0), unix.RWF_NOWAIT)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError("preadv2 of the tap device", errno)
}

// Queue copies b as the next datagram to send, from address from (of Conns with an unspecified one) to to. A full queue is
// sent at once.
func (c *Conn) Queue(b []byte, from netip.Addr, to netip.AddrPort) error {
	if c.queued == most {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	source := c.local
	if source.Addr().IsUnspecified() {
		source = netip.AddrPortFrom(from, source.Port())
	}
	c.id++
	c.out[c.queued] = c.card.append(c.out[c.queued][:0], source, to, c.id, b)
	c.queued++
	return nil
}

// Flush sends what is queued.
func (c *Conn) Flush() error {
	if c.queued == 0 {
		return nil
	}
	begin := batch.ThreadCPU()
	for _, frame := range c.out[:c.queued] {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.card.fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)))
		if errno != 0 {
			return os.NewSyscallError("write to the tap device", errno)
		}
	}
	c.card.handover += batch.ThreadCPU() - begin
	c.card.sent += c.queued
	c.queued = 0
	return nil
}
