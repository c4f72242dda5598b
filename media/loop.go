package media

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxPacket is as much as a UDP packet can carry, bytes.
const maxPacket = 64 << 10

// A loop moves the packets of its streams in one goroutine: epoll tells which sockets have one, each is read, judged and sent on.
type loop struct {
	relay *Relay
	done  chan struct{}

	// Of the goroutine alone.
	waiter waiter
	ready  [turnEvents]*socket
	buf    [maxPacket]byte
	name   sockaddr // of the sender
	to     sockaddr
	answer []byte // to a STUN request
	now    time.Time

	panics atomic.Uint64

	mu      sync.Mutex // guards the following; never held while a packet is moved
	sockets []*socket  // by file descriptor
	gone    []*socket  // to be closed between turns: only then nobody holds their descriptors
	waker   int        // eventfd that ends a wait; -1 when the loop is over
	ending  bool
}

func newLoop(r *Relay) (*loop, error) {
	l := &loop{relay: r, done: make(chan struct{}), answer: make([]byte, 0, 128)}
	l.waiter.nap = &r.nap
	if err := l.waiter.open(); err != nil {
		return nil, fmt.Errorf("start the media relay: %w", err)
	}
	var err error
	if l.waker, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		l.waiter.ep.Close()
		return nil, fmt.Errorf("start the media relay: %w", os.NewSyscallError("eventfd", err))
	}
	if err = l.waiter.add(l.waker); err != nil {
		unix.Close(l.waker)
		l.waiter.ep.Close()
		return nil, fmt.Errorf("start the media relay: %w", err)
	}
	return l, nil
}

// watch makes the loop read p.
func (l *loop) watch(p *socket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waker < 0 {
		return ErrClosed
	}
	for len(l.sockets) <= p.fd {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[p.fd] = p
	return l.waiter.add(p.fd)
}

// forget has the loop close sockets once it holds none of them.
func (l *loop) forget(sockets []*socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waker < 0 {
		for _, p := range sockets {
			unix.Close(p.fd)
		}
		return
	}
	l.gone = append(l.gone, sockets...)
	l.wakeLocked()
}

func (l *loop) wakeLocked() {
	one := [8]byte{1}
	_, _ = unix.Write(l.waker, one[:])
}

// stop ends the loop and waits for that.
func (l *loop) stop() {
	l.mu.Lock()
	if l.waker >= 0 {
		l.ending = true
		l.wakeLocked()
	}
	l.mu.Unlock()
	<-l.done
}

func (l *loop) run() {
	defer close(l.done)
	for !l.over() {
		l.turn(l.waiter.wait())
	}
}

// over closes what forget was given, and everything if the loop is to end.
func (l *loop) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.gone {
		if p.fd < len(l.sockets) && l.sockets[p.fd] == p {
			l.sockets[p.fd] = nil
		}
		unix.Close(p.fd)
		if p.rtcp { // the second of a pair
			l.relay.freePort(p.local.Addr(), p.local.Port()-1, p.stream.rests)
		}
		l.gone[i] = nil
	}
	l.gone = l.gone[:0]
	if l.ending {
		unix.Close(l.waker)
		l.waker = -1
		l.waiter.ep.Close()
	}
	return l.ending
}

// turn moves one packet of every socket that is ready. A panic costs what is left of the turn; epoll tells of it again.
func (l *loop) turn(events []unix.EpollEvent) {
	defer func() {
		if recover() != nil {
			l.panics.Add(1)
		}
	}()
	l.now = l.relay.cfg.Now()
	ready := l.gather(events)
	for _, p := range ready {
		l.move(p)
	}
	l.waiter.count(len(ready), l.now)
	clear(ready)
}

// gather finds the sockets of events.
func (l *loop) gather(events []unix.EpollEvent) []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := range events {
		fd := int(events[i].Fd)
		if fd == l.waker {
			var b [8]byte
			_, _ = unix.Read(fd, b[:])
		} else if p := l.sockets[fd]; p != nil {
			l.ready[n] = p
			n++
		}
	}
	return l.ready[:n]
}

// move reads one packet from p and sends it on if it is accepted.
func (l *loop) move(p *socket) {
	b, from, ok := l.receive(p.fd)
	if !ok {
		return
	}
	out, to, b := p.stream.take(l, p, b, from)
	if out < 0 {
		return
	}
	if errno := l.send(out, b, to); errno != 0 {
		p.stream.failed(p.end.Other())
	}
}

// receive reads one packet. It fails if there is none, as after a checksum error.
func (l *loop) receive(fd int) ([]byte, netip.AddrPort, bool) {
	l.name.len = unix.SizeofSockaddrInet6
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&l.buf[0])), maxPacket, unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&l.name.raw)), uintptr(unsafe.Pointer(&l.name.len)))
	if errno != 0 {
		return nil, netip.AddrPort{}, false
	}
	return l.buf[:n], l.name.get(), true
}

// send sends b once. What the kernel does not take is lost, as it would be on the wire.
func (l *loop) send(fd int, b []byte, to *sockaddr) syscall.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&to.raw)), uintptr(to.len))
	return errno
}
