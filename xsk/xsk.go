// Package xsk moves UDP datagrams past the kernel's socket path, between a network interface and rings that are shared with the kernel (AF_XDP). Only
// datagrams of and to partners go that way: far ends that much is sent to, over an interface and to a neighbour that the kernel itself names. All
// others, and these whenever there is doubt, take the sockets, so nothing depends on it.
package xsk

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

const (
	// maxPartners bounds the far ends that are partners at the same time, all local addresses together.
	maxPartners = 1024
	// maxMTU is the largest MTU of an interface whose frames fit into a place of the shared memory, bytes.
	maxMTU = frameSize - kernelHeadroom - 14 - 4
)

// Config is what Open needs.
type Config struct {
	Interfaces []string // to attach to
	Generic    bool     // attach in generic mode even where the driver could do better
	Log        *slog.Logger

	enough int // samples in one turn; 0: enough
}

// A Set is what is attached. Its methods may be called from any goroutine.
type Set struct {
	log      *slog.Logger
	partners *ebpf.Map // of the program: who is a partner
	ports    []*Port
	links    []link.Link
	kernel   kernel
	enough   int

	mu     sync.Mutex
	locals []*Local
	asked  chan ask
	end    chan struct{}
	wg     sync.WaitGroup
}

// Open attaches to every interface of cfg, or to none. What it needs: CAP_NET_ADMIN, CAP_BPF, CAP_NET_RAW, 12 MiB of memory that may be locked for each queue, Linux 5.9,
// an MTU of 1,774 at most.
func Open(cfg Config) (*Set, error) {
	s := &Set{log: cfg.Log, asked: make(chan ask, 256), end: make(chan struct{}), kernel: &netlinkKernel{}, enough: cmp.Or(cfg.enough, enough)}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.open(cfg); err != nil {
		s.detach()
		s.Free()
		return nil, err
	}
	s.wg.Go(s.watch)
	return s, nil
}

func (s *Set) open(cfg Config) (err error) {
	if s.partners, err = newPartners(); err != nil {
		return fmt.Errorf("make the table of partners: %w", err)
	}
	for _, name := range cfg.Interfaces {
		if err := s.attach(name, cfg.Generic); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	return nil
}

// attach puts the program on an interface, and a Port on each of its queues.
func (s *Set) attach(name string, generic bool) error {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	switch {
	case dev.Flags&net.FlagLoopback != 0:
		return errors.New("is the loopback interface, which has no hardware to spare the kernel from")
	case dev.MTU > maxMTU:
		return fmt.Errorf("has an MTU of %d; %d is the most that AF_XDP takes here", dev.MTU, maxMTU)
	}
	queues := receiveQueues(name)
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Name: "ringwall_xsk", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues)})
	if err != nil {
		return fmt.Errorf("make the table of sockets: %w", err)
	}
	defer sockets.Close() // the program holds it
	for q := range queues {
		p, err := openPort(dev, q)
		if err != nil {
			return fmt.Errorf("queue %d: %w", q, err)
		}
		s.ports = append(s.ports, p)
		if err := p.enter(sockets); err != nil {
			return fmt.Errorf("queue %d: %w", q, err)
		}
	}
	l, err := s.load(dev, sockets, generic)
	if err != nil {
		return err
	}
	s.links = append(s.links, l)
	return nil
}

// receiveQueues counts the receive queues of an interface.
func receiveQueues(name string) int {
	all, _ := os.ReadDir("/sys/class/net/" + name + "/queues")
	n := 0
	for _, e := range all {
		if len(e.Name()) > 2 && e.Name()[:2] == "rx" {
			n++
		}
	}
	return max(1, n)
}

// Ports are the queues that were attached, each to be read by one goroutine.
func (s *Set) Ports() []*Port { return slices.Clone(s.ports) }

// Local says that datagrams to addr are ours, and returns what knows the partners there. The caller reads all Ports and has a socket bound to addr for
// what doesn't come this way.
func (s *Set) Local(addr netip.AddrPort) *Local {
	l := &Local{set: s, addr: addr}
	l.paths.Store(&map[netip.Addr]*path{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locals = append(s.locals, l)
	return l
}

// Close detaches. From then on everything takes the sockets; readers of Ports get net.ErrClosed. Free comes after it.
func (s *Set) Close() {
	close(s.end)
	s.wg.Wait()
	s.detach()
}

// Free gives the memory of frames back. Nobody reads Ports or sends any more.
func (s *Set) Free() {
	for _, p := range s.ports {
		p.unmap()
	}
}

func (s *Set) detach() {
	for _, l := range s.links {
		l.Close()
	}
	for _, p := range s.ports {
		p.close()
	}
	if s.partners != nil {
		s.partners.Close()
	}
}

// Stats are totals since Open, except Partners.
type Stats struct {
	Partners int    // far ends at the moment
	In, Out  uint64 // datagrams
	Bad      uint64 // frames that are no whole datagram to us: cut, or with a wrong checksum
	Dropped  uint64 // by the kernel, because a reader did not keep up
}

// Stats returns what has been counted.
func (s *Set) Stats() (st Stats) {
	for _, p := range s.ports {
		st.In += p.in.Load()
		st.Out += p.out.Load()
		st.Bad += p.bad.Load()
		st.Dropped += p.drops()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.locals {
		st.Partners += len(*l.paths.Load())
	}
	return st
}

// A Local is one UDP address of ours.
type Local struct {
	set   *Set
	addr  netip.AddrPort
	paths atomic.Pointer[map[netip.Addr]*path]
}

// A path is how to reach a partner.
type path struct {
	port *Port
	link linkAddr
	mtu  int
	busy atomic.Bool // since the watch looked last
	idle int         // how many times in a row it was not, for the watch
}

// An ask is a far end that much seems to be sent to.
type ask struct {
	local  *Local
	remote netip.Addr
}

// A Batch sends for one goroutine, from one Local.
type Batch struct {
	local *Local
	id    uint16
	seen  uint
	ports []*Port // with frames of this batch
	held  *Port   // where frames are being written, and how many
	n     int
}

// NewBatch returns a Batch from l.
func (l *Local) NewBatch() *Batch {
	return &Batch{local: l, id: uint16(rand.Uint32())}
}

// sample: one of so many datagrams to who is no partner is looked at for who might become one.
const sample = 16

// Add copies datagram b to a frame for to and reports whether it did; where not, b is for the socket. Frames leave with Flush, which must follow soon: until
// then others who send over the same interface wait.
func (b *Batch) Add(datagram []byte, to netip.AddrPort) bool {
	p := (*b.local.paths.Load())[to.Addr()]
	if p == nil {
		if b.seen++; b.seen%sample == 0 {
			select {
			case b.local.set.asked <- ask{b.local, to.Addr()}:
			default:
			}
		}
		return false
	}
	if !p.busy.Load() {
		p.busy.Store(true)
	}
	if b.held != p.port {
		b.release()
		b.held = p.port
		p.port.hold()
	}
	b.id++
	if !p.port.post(p, b.local.addr, to, b.id, datagram) {
		return false
	}
	b.n++
	return true
}

// release ends the turn at the port that is held.
func (b *Batch) release() {
	if b.held == nil {
		return
	}
	b.held.release(b.n)
	if b.n > 0 && !slices.Contains(b.ports, b.held) {
		b.ports = append(b.ports, b.held)
	}
	b.held, b.n = nil, 0
}

// Flush hands what was added to the kernel.
func (b *Batch) Flush() {
	b.release()
	for _, p := range b.ports {
		p.kick()
	}
	b.ports = b.ports[:0]
}
