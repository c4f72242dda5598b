package xsk

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	// Frames that wait to be read, and to be sent: as many as a socket's buffers hold of usual messages.
	receivePlaces = 4096
	sendPlaces    = 2048
	frameSize     = 2048
	// kernelHeadroom is what the kernel keeps free in front of each received frame (XDP_PACKET_HEADROOM).
	kernelHeadroom = 256
	// batch is how many frames Next takes at once.
	batch = 32
)

// A Port is one queue of an interface: a socket of AF_XDP with its rings and the memory of its frames. One goroutine reads it; any may send.
type Port struct {
	ifindex int
	name    string
	queue   int
	file    *os.File
	raw     syscall.RawConn
	memory  []byte
	fill    writer[uint64] // free places for the kernel to write to
	done    reader[uint64] // places that the kernel has sent
	receive reader[unix.XDPDesc]
	send    writer[unix.XDPDesc]

	got   []unix.XDPDesc // batch of them at most
	woken bool
	read  func(uintptr) bool

	sending sync.Mutex // send, done and free
	free    []uint64
	write   func(uintptr)

	in, out, bad atomic.Uint64
	lost         atomic.Bool // closed, perhaps since the interface is gone
}

// openPort makes a Port for one queue of dev.
func openPort(dev *net.Interface, queue int) (p *Port, err error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket of AF_XDP: %w", err)
	}
	p = &Port{ifindex: dev.Index, name: dev.Name, queue: queue, got: make([]unix.XDPDesc, 0, batch)}
	p.read, p.write = p.next, p.wake
	if err := p.prepare(fd, queue); err != nil {
		unix.Close(fd)
		p.unmap()
		return nil, err
	}
	p.file = os.NewFile(uintptr(fd), fmt.Sprintf("xsk %s/%d", dev.Name, queue))
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// prepare gives the socket its memory and rings, and binds it.
func (p *Port) prepare(fd, queue int) (err error) {
	const places = receivePlaces + sendPlaces
	if p.memory, err = unix.Mmap(-1, 0, places*frameSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("get memory for frames: %w", err)
	}
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&p.memory[0]))), Len: uint64(len(p.memory)), Size: frameSize}
	if _, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG, uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0); errno != 0 {
		if errno == unix.ENOBUFS {
			return fmt.Errorf("lock %d MiB of memory for frames: more than may be locked; raise it (ulimit -l, LimitMEMLOCK) or give CAP_IPC_LOCK", places*frameSize>>20)
		}
		return fmt.Errorf("share memory for frames with the kernel: %w", errno)
	}
	for _, r := range []struct{ option, places int }{
		{unix.XDP_UMEM_FILL_RING, receivePlaces}, {unix.XDP_UMEM_COMPLETION_RING, sendPlaces}, {unix.XDP_RX_RING, receivePlaces}, {unix.XDP_TX_RING, sendPlaces},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_XDP, r.option, r.places); err != nil {
			return fmt.Errorf("ask for a ring: %w", err)
		}
	}
	if err := p.mapRings(fd); err != nil {
		return err
	}
	for i := range uint64(receivePlaces) {
		p.fill.stage(i * frameSize)
	}
	p.fill.publish()
	for i := range uint64(sendPlaces) {
		p.free = append(p.free, (receivePlaces+i)*frameSize)
	}
	return p.bind(fd, queue)
}

// bind gives the socket its queue. Whoever had it last, as ringwall before a restart, may have closed it and the kernel not be done with that: it takes a moment.
func (p *Port) bind(fd, queue int) error {
	for tries := 0; ; tries++ {
		err := unix.Bind(fd, &unix.SockaddrXDP{Flags: unix.XDP_COPY, Ifindex: uint32(p.ifindex), QueueID: uint32(queue)})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EBUSY) || tries == 50:
			return fmt.Errorf("bind to the queue: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *Port) mapRings(fd int) (err error) {
	var at unix.XDPMmapOffsets
	size := uint32(unsafe.Sizeof(at))
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS, uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
		return fmt.Errorf("ask where rings are: %w", errno)
	}
	if p.fill.ring, err = mapRing[uint64](fd, at.Fr, receivePlaces, unix.XDP_UMEM_PGOFF_FILL_RING); err != nil {
		return err
	}
	if p.done.ring, err = mapRing[uint64](fd, at.Cr, sendPlaces, unix.XDP_UMEM_PGOFF_COMPLETION_RING); err != nil {
		return err
	}
	if p.receive.ring, err = mapRing[unix.XDPDesc](fd, at.Rx, receivePlaces, unix.XDP_PGOFF_RX_RING); err != nil {
		return err
	}
	p.send.ring, err = mapRing[unix.XDPDesc](fd, at.Tx, sendPlaces, unix.XDP_PGOFF_TX_RING)
	return err
}

// enter puts p into the program's table of sockets.
func (p *Port) enter(sockets *ebpf.Map) (err error) {
	cerr := p.raw.Control(func(fd uintptr) { err = sockets.Update(uint32(p.queue), uint32(fd), ebpf.UpdateAny) })
	return errors.Join(cerr, err)
}

// close ends the reader, and what is sent from now on takes the sockets. The memory stays until unmap.
func (p *Port) close() {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.lost.Store(true)
	if p.file != nil {
		p.file.Close()
	}
}

func (p *Port) unmap() {
	for _, r := range []interface{ unmap() }{&p.fill, &p.done, &p.receive, &p.send} {
		r.unmap()
	}
	if p.memory != nil {
		_ = unix.Munmap(p.memory)
		p.memory = nil
	}
}

// Interface is the index of p's interface.
func (p *Port) Interface() int { return p.ifindex }

// Next waits for frames and returns how many there are to read; those of the call before are no longer valid. The error is net.ErrClosed, after Close or
// when the interface is gone.
func (p *Port) Next() (int, error) {
	for _, d := range p.got {
		p.fill.stage(d.Addr &^ (frameSize - 1))
	}
	p.fill.publish()
	for p.got = p.got[:0]; len(p.got) == 0; {
		p.woken = false
		if err := p.raw.Read(p.read); err != nil && len(p.got) == 0 {
			if p.lost.Load() {
				return 0, net.ErrClosed
			}
			p.awaitReadable()
		}
	}
	p.in.Add(uint64(len(p.got)))
	return len(p.got), nil
}

// awaitReadable waits a moment without the poller, which declines to while there is nothing but an error.
func (p *Port) awaitReadable() {
	_ = p.raw.Control(func(fd uintptr) { _, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10) })
}

// next is called by the runtime's poller, at once and again each time the socket wakes.
func (p *Port) next(uintptr) bool {
	if p.got = p.receive.take(p.got, batch); len(p.got) == 0 && !p.woken {
		p.woken = true
		return false
	}
	return true
}

// Datagram returns what is in frame i, valid until Next, with where it came from and which address of ours it is for; nil where the frame is bad.
func (p *Port) Datagram(i int) (b []byte, from, to netip.AddrPort) {
	d := p.got[i]
	b, from, to = readFrame(p.memory[d.Addr:][:d.Len:d.Len])
	if b == nil {
		p.bad.Add(1)
	}
	return b, from, to
}

// post writes a frame with datagram, and reports whether there was room, and the interface is that wide. The caller holds sending.
func (p *Port) post(to *path, from, remote netip.AddrPort, id uint16, datagram []byte) bool {
	header := ip6Len + udpLen
	if remote.Addr().Is4() {
		header = ip4Len + udpLen
	}
	if header+len(datagram) > to.mtu || p.lost.Load() {
		return false // to be parted, or by another way
	}
	last := len(p.free) - 1
	if last < 0 {
		return false
	}
	at := p.free[last]
	n := writeFrame(p.memory[at:][:frameSize], to.link, from, remote, id, datagram)
	if !p.send.stage(unix.XDPDesc{Addr: at, Len: uint32(n)}) {
		return false
	}
	p.free = p.free[:last]
	return true
}

// hold begins a turn of sending: what was sent is free again.
func (p *Port) hold() {
	p.sending.Lock()
	p.free = p.done.take(p.free, sendPlaces)
}

// release ends it: the kernel may send n frames more, at the next kick.
func (p *Port) release(n int) {
	p.send.publish()
	p.sending.Unlock()
	p.out.Add(uint64(n))
}

// kick has the kernel send what is on the ring.
func (p *Port) kick() { _ = p.raw.Control(p.write) }

// wake is kick with the descriptor. The kernel sends up to 32 frames at a call and says EAGAIN if there are more; what another goroutine's call takes along is gone.
func (p *Port) wake(fd uintptr) {
	for range 2 + sendPlaces/batch {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EAGAIN && errno != unix.EBUSY && errno != unix.ENOBUFS || p.send.waiting() == 0 {
			return
		}
	}
}

// drops is how many frames the kernel lost because p's rings were full.
func (p *Port) drops() uint64 {
	var st struct{ rxDropped, rxInvalid, txInvalid, rxRingFull, fillEmpty, txEmpty uint64 }
	size := uint32(unsafe.Sizeof(st))
	_ = p.raw.Control(func(fd uintptr) {
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_XDP, unix.XDP_STATISTICS, uintptr(unsafe.Pointer(&st)), uintptr(unsafe.Pointer(&size)), 0)
	})
	return st.rxDropped + st.rxRingFull + st.fillEmpty
}
