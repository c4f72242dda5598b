// Package media relays calls' media: RTP, RTCP and whatever else a session description opens UDP ports for. The data plane in
// this package (Relay, Stream) moves packets between the two ends of a media line; it knows addresses and packet headers, not SIP.
//
// A packet is accepted only from who signalling made likely, and sent only to where packets were accepted from or what signalling
// proved; that is the whole defence against bleeding and injection, and it stands in latch.go.
package media

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Why a stream could not be opened.
var (
	ErrNoPorts = errors.New("no free media ports")                          // the range is full, or the process may not open more sockets
	ErrLimit   = errors.New("limit of media streams reached")               // RelayConfig.Streams
	ErrOwner   = errors.New("limit of media streams of one source reached") // RelayConfig.PerOwner, or Owned
	ErrAddress = errors.New("no media address of this side and IP version") // RelayConfig.Outside or Inside lacks it
	ErrClosed  = errors.New("media relay is closed")                        // after Relay.Close
)

// RelayConfig is what a Relay needs to know. Zero values take the default in brackets.
type RelayConfig struct {
	Outside, Inside []netip.Addr  // own media addresses of each side; see Place
	First, Last     uint16        // the ports of both sides; a pair takes an even one and the next [30000 to 39999]
	Streams         int           // streams at once [MostStreams]
	PerOwner        int           // streams that one Spec.Owner holds without having been admitted, and those whose ports rest [32]
	Owned           int           // the same of all together [Streams]
	Quarantine      time.Duration // how long a port rests before another call gets it, so that late packets never enter that [5 s]; negative: none
	Loops           int           // threads that relay [1]
	Coalesce        time.Duration // under load: sleep so long between packets to handle more of them per wake; they come later by as much [0: never]

	// Guard returns an error for an address outside that only a description named and that nothing may be sent to: loopback, an inside or own
	// address and the like (audit F21). Nil allows all but what no host has.
	Guard func(netip.AddrPort) error

	// Now is the clock [time.Now], read once per turn of a loop.
	Now func() time.Time
}

func (c *RelayConfig) setDefaults() {
	if c.First == 0 && c.Last == 0 {
		c.First, c.Last = 30000, 39999
	}
	c.Streams = cmp.Or(c.Streams, MostStreams)
	c.PerOwner = cmp.Or(c.PerOwner, 32)
	c.Owned = cmp.Or(c.Owned, c.Streams)
	c.Quarantine = cmp.Or(c.Quarantine, 5*time.Second)
	c.Loops = cmp.Or(c.Loops, 1)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Guard == nil {
		c.Guard = func(netip.AddrPort) error { return nil }
	}
}

// MostStreams is how many streams a relay has at once unless it is told otherwise.
const MostStreams = 20_000

// maxNap bounds RelayConfig.Coalesce: a packet of 20 ms of speech may not wait longer than that for the next one.
const maxNap = 20 * time.Millisecond

// Validate returns what makes c unusable.
func (c *RelayConfig) Validate() error {
	var errs []error
	if len(c.Outside) == 0 || len(c.Inside) == 0 {
		errs = append(errs, errors.New("media addresses: want at least one outside and one inside"))
	}
	errs = append(errs, usable("outside", c.Outside), usable("inside", c.Inside))
	if c.First < 1024 || c.Last <= c.First {
		errs = append(errs, fmt.Errorf("media ports %d to %d: want a range above 1023", c.First, c.Last))
	}
	if c.Streams < 1 || c.PerOwner < 1 || c.Owned < 1 || c.Loops < 1 {
		errs = append(errs, fmt.Errorf("media limits: %d streams, %d per source, %d of sources, %d loops: want at least 1 of each", c.Streams, c.PerOwner, c.Owned, c.Loops))
	}
	if c.Coalesce < 0 || c.Coalesce > maxNap {
		errs = append(errs, fmt.Errorf("media coalescing %v: want 0 to %v", c.Coalesce, maxNap))
	}
	return errors.Join(errs...)
}

// usable returns an error unless list has addresses of this machine only, as far as can be told.
func usable(side string, list []netip.Addr) error {
	for _, a := range list {
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
			return fmt.Errorf("%s media address %v: want one of this machine's addresses", side, a)
		}
	}
	return nil
}

// A Relay moves the packets of all streams. Its methods may be called from any goroutine.
type Relay struct {
	cfg   RelayConfig
	loops []*loop
	words maphash.Seed // see anonymize
	nap   atomic.Int64 // cfg.Coalesce, ns, or what SetCoalesce says

	mu      sync.Mutex // guards the following; never held while a packet is moved
	ports   map[netip.Addr]*portPool
	owners  map[netip.Addr]int // streams by Spec.Owner, until admitted, or until their ports have rested
	owned   int                // all of these
	resting []debt             // oldest first
	streams map[*Stream]struct{}
	closed  bool
}

// NewRelay starts a relay. It opens no port until a stream is opened.
func NewRelay(cfg RelayConfig) (*Relay, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, words: maphash.MakeSeed(), ports: map[netip.Addr]*portPool{}, owners: map[netip.Addr]int{}, streams: map[*Stream]struct{}{}}
	for _, list := range [][]netip.Addr{cfg.Outside, cfg.Inside} {
		for _, a := range list {
			if r.ports[a] == nil { // both sides may have the same address
				r.ports[a] = newPortPool(cfg.First, cfg.Last, max(cfg.Quarantine, 0))
			}
		}
	}
	r.nap.Store(int64(cfg.Coalesce))
	addProcessors(cfg.Loops)
	for range cfg.Loops {
		l, err := newLoop(r)
		if err != nil {
			r.Close()
			return nil, err
		}
		r.loops = append(r.loops, l)
		go l.run()
	}
	return r, nil
}

// SetCoalesce puts another RelayConfig.Coalesce in force, from the next crowd of packets on; one that Validate would refuse is cut to the nearest that it
// takes. It may be called at any time.
func (r *Relay) SetCoalesce(d time.Duration) { r.nap.Store(int64(min(max(d, 0), maxNap))) }

// processors guards the number of the scheduler's processors while it is changed.
var processors sync.Mutex

// addProcessors gives the scheduler n more processors, since so many are blocked while packets come (see waiter).
func addProcessors(n int) {
	processors.Lock()
	defer processors.Unlock()
	runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)+n))
}

// Close ends all streams and the relay, and returns when nothing of it runs any more.
func (r *Relay) Close() {
	r.mu.Lock()
	was := r.closed
	r.closed = true
	all := make([]*Stream, 0, len(r.streams))
	for s := range r.streams {
		all = append(all, s)
	}
	r.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	for _, l := range r.loops {
		l.stop()
	}
	if !was {
		addProcessors(-r.cfg.Loops)
	}
}

// Address is the relay's first media address of a side, invalid if it has none of that IP version.
func (r *Relay) Address(side edge.Side, ipv6 bool) netip.Addr {
	for _, a := range r.addresses(side) {
		if a.Is6() == ipv6 {
			return a
		}
	}
	return netip.Addr{}
}

func (r *Relay) addresses(side edge.Side) []netip.Addr {
	if side == edge.Inside {
		return r.cfg.Inside
	}
	return r.cfg.Outside
}

// address is the media address for an end at p.
func (r *Relay) address(p Place) netip.Addr {
	if p.Addr.IsValid() && p.Addr.Is6() == p.IPv6 && slices.Contains(r.addresses(p.Side), p.Addr) {
		return p.Addr
	}
	return r.Address(p.Side, p.IPv6)
}

// Streams is how many streams are open.
func (r *Relay) Streams() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.streams)
}

// Open opens the ports of one media line. The error is or wraps ErrNoPorts, ErrLimit, ErrOwner, ErrAddress or ErrClosed. Nothing is accepted or
// sent before Expect.
func (r *Relay) Open(spec Spec) (*Stream, error) { return r.open(spec, [Ends]uint16{}) }

// open is Open with the RTP ports to take, 0 for any.
func (r *Relay) open(spec Spec, ports [Ends]uint16) (*Stream, error) {
	s := &Stream{relay: r, spec: spec}
	if err := r.enter(s); err != nil {
		return nil, fmt.Errorf("open a media stream: %w", err)
	}
	for i := range s.ends {
		if err := s.bind(End(i), ports[i]); err != nil {
			s.Close()
			return nil, fmt.Errorf("open a media stream: %w", err)
		}
	}
	if err := s.watch(); err != nil {
		s.Close()
		return nil, fmt.Errorf("open a media stream: %w", err)
	}
	return s, nil
}

// enter counts s in if the limits allow it, and gives it to a loop.
func (r *Relay) enter(s *Stream) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	owner := ownerKey(s.spec.Owner)
	s.since = r.cfg.Now()
	r.forgive(s.since)
	switch {
	case r.closed:
		return ErrClosed
	case len(r.streams) >= r.cfg.Streams:
		return fmt.Errorf("%w: %d", ErrLimit, r.cfg.Streams)
	case owner.IsValid() && r.owners[owner] >= r.cfg.PerOwner:
		return fmt.Errorf("%w: %d of %v", ErrOwner, r.cfg.PerOwner, owner)
	case owner.IsValid() && r.owned >= r.cfg.Owned:
		return fmt.Errorf("%w: %d of all that nobody has authenticated", ErrOwner, r.cfg.Owned)
	}
	if owner.IsValid() {
		r.owners[owner]++
		r.owned++
		s.owned = true
	}
	s.loop = r.loops[len(r.streams)%len(r.loops)]
	r.streams[s] = struct{}{}
	return nil
}

// A debt is a stream that counts for its owner until its ports have rested.
type debt struct {
	owner netip.Addr
	until time.Time
}

// leave counts s out, but for its owner as long as its ports rest.
func (r *Relay) leave(s *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.rests && s.owned {
		s.owned = false
		r.resting = append(r.resting, debt{ownerKey(s.spec.Owner), r.cfg.Now().Add(max(r.cfg.Quarantine, 0))})
	}
	r.disownLocked(s)
	delete(r.streams, s)
}

// forgive takes what has rested off the owners' accounts; r.mu is held.
func (r *Relay) forgive(now time.Time) {
	for len(r.resting) > 0 && !r.resting[0].until.After(now) {
		r.disowned(r.resting[0].owner)
		r.resting = r.resting[1:]
	}
}

func (r *Relay) disownLocked(s *Stream) {
	if !s.owned {
		return
	}
	s.owned = false
	r.disowned(ownerKey(s.spec.Owner))
}

// disowned counts one stream less for owner; r.mu is held.
func (r *Relay) disowned(owner netip.Addr) {
	r.owned--
	if r.owners[owner]--; r.owners[owner] <= 0 {
		delete(r.owners, owner)
	}
}

// ownerKey is what counts as one source: an IPv4 address, or an IPv6 network of 64 bits, which one host may have for itself.
func ownerKey(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64)
	return p.Addr()
}

// takePorts takes the pair that begins with want, or any if want is 0, and opens its sockets. A pair that another process holds is left alone
// for a while and another one is tried.
func (r *Relay) takePorts(addr netip.Addr, want uint16) (port uint16, rtp, rtcp int, err error) {
	for range bindAttempts {
		if port, err = r.takePort(addr, want); err != nil {
			return 0, -1, -1, err
		}
		if rtp, rtcp, err = openPair(netip.AddrPortFrom(addr, port)); err == nil {
			return port, rtp, rtcp, nil
		}
		r.freePort(addr, port, true)
		if want != 0 || !inUse(err) {
			break
		}
	}
	return 0, -1, -1, fmt.Errorf("%w: %w", ErrNoPorts, err)
}

// bindAttempts is how many pairs that other processes hold are passed over.
const bindAttempts = 16

func (r *Relay) takePort(addr netip.Addr, want uint16) (uint16, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pool := r.ports[addr]
	if pool == nil {
		return 0, fmt.Errorf("%w: %v", ErrAddress, addr)
	}
	port, ok := pool.take(want, r.cfg.Now())
	if !ok {
		return 0, fmt.Errorf("%w: %d to %d of %v", ErrNoPorts, r.cfg.First, r.cfg.Last, addr)
	}
	return port, nil
}

func (r *Relay) freePort(addr netip.Addr, port uint16, rest bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[addr].free(port, rest, r.cfg.Now())
}

// ours reports whether a is one of the relay's own ports that are open. Others of its range may belong to a phone on this machine.
func (r *Relay) ours(a netip.AddrPort) bool {
	pool := r.ports[a.Addr()] // the map never changes
	if pool == nil || a.Port() < r.cfg.First || a.Port() > r.cfg.Last {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return pool.taken(a.Port() &^ 1)
}
