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

const (
	// turnEvents is how many sockets one turn of a loop serves, one packet each, so that none keeps the others waiting.
	turnEvents = 256
	// maxPacket is the largest packet moved, bytes: more than any link carries in one piece.
	maxPacket = 16 << 10
)

// A loop moves the packets of its streams in one goroutine: epoll tells which sockets have one, each is read, judged and sent on.
type loop struct {
	relay *Relay
	ep    *os.File
	raw   syscall.RawConn
	wait  func(fd uintptr) bool
	done  chan struct{}

	// Of the goroutine alone.
	events [turnEvents]unix.EpollEvent
	ready  [turnEvents]*socket
	n      int
	buf    [maxPacket]byte
	name   sockaddr // of the sender
	to     sockaddr
	answer []byte // to a STUN request
	now    time.Time

	panics atomic.Uint64

	mu      sync.Mutex // guards the following; never held while a packet is moved
	sockets []*socket  // by file descriptor
	gone    []*socket  // to be closed between turns: only then nobody holds their descriptors
	waker   int        // eventfd that ends a wait
}

func newLoop(r *Relay) (*loop, error) {
	l := &loop{relay: r, done: make(chan struct{}), waker: -1, answer: make([]byte, 0, 128)}
	l.wait = l.poll
	if err := l.open(); err != nil {
		if l.ep != nil {
			l.ep.Close()
		}
		if l.waker >= 0 {
			unix.Close(l.waker)
		}
		return nil, fmt.Errorf("start the media relay: %w", err)
	}
	return l, nil
}

// open makes what the loop waits with. The epoll descriptor is itself watched by the runtime's poller, so that waiting costs no thread.
func (l *loop) open() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(ep, true); err != nil {
		unix.Close(ep)
		return os.NewSyscallError("fcntl", err)
	}
	l.ep = os.NewFile(uintptr(ep), "media epoll")
	if l.raw, err = l.ep.SyscallConn(); err != nil {
		return err
	}
	if l.waker, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, l.waker, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.waker)}))
}

// watch makes the loop read p.
func (l *loop) watch(p *socket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.sockets) <= p.fd {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[p.fd] = p
	err := ErrClosed
	_ = l.raw.Control(func(ep uintptr) {
		err = unix.EpollCtl(int(ep), unix.EPOLL_CTL_ADD, p.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.fd)})
	})
	return err
}

// forget has the loop close sockets once it holds none of them.
func (l *loop) forget(sockets []*socket) {
	l.mu.Lock()
	l.gone = append(l.gone, sockets...)
	waker := l.waker
	if waker >= 0 && len(sockets) > 0 {
		one := [8]byte{1}
		_, _ = unix.Write(waker, one[:])
	}
	l.mu.Unlock()
}

// stop ends the loop and waits for that.
func (l *loop) stop() {
	l.ep.Close()
	<-l.done
}

func (l *loop) run() {
	defer close(l.done)
	for l.next() {
		l.turn()
		l.sweep()
	}
	l.sweep()
	l.mu.Lock()
	unix.Close(l.waker)
	l.waker = -1
	l.mu.Unlock()
}

// next waits until a socket is ready. It fails when the loop is stopped.
func (l *loop) next() bool {
	for l.n = 0; l.n == 0; {
		if l.raw.Read(l.wait) != nil { // it is closed
			return false
		}
	}
	return true
}

// poll is called by the runtime's poller, at once and again each time epoll has something new.
func (l *loop) poll(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&l.events[0])), turnEvents, 0, 0, 0)
	l.n = 0
	if errno == 0 {
		l.n = int(n)
	}
	return l.n > 0
}

// turn moves one packet of every socket that is ready. A panic costs what is left of the turn; epoll tells of it again.
func (l *loop) turn() {
	defer func() {
		if recover() != nil {
			l.panics.Add(1)
		}
	}()
	l.now = l.relay.cfg.Now()
	for _, p := range l.gather() {
		l.move(p)
	}
}

// gather finds the sockets of the events.
func (l *loop) gather() []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := range l.n {
		fd := int(l.events[i].Fd)
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

// sweep closes what forget was given.
func (l *loop) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.gone {
		if p.fd < len(l.sockets) && l.sockets[p.fd] == p {
			l.sockets[p.fd] = nil
		}
		unix.Close(p.fd)
		l.gone[i] = nil
	}
	l.gone = l.gone[:0]
	clear(l.ready[:])
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
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&l.buf[0])), maxPacket, unix.MSG_DONTWAIT|unix.MSG_TRUNC,
		uintptr(unsafe.Pointer(&l.name.raw)), uintptr(unsafe.Pointer(&l.name.len)))
	if errno != 0 || n > maxPacket {
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
