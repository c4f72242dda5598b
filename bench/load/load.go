// Package load is the benchmark's load generator: callers on many addresses and the platform they call, in one
// thread, with the system under test between them. Every message is compared at its far end with the message as it was
// sent, so a figure is never that of an edge which loses or bends something.
//
// A call is INVITE with SDP, 100, 180, 200, ACK, BYE, 200: seven messages into the proxy and seven out of it.
package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/ringwall/ringwall/bench/batch"
	"github.com/ringwall/ringwall/bench/card"
)

// Mode is what the callers do.
type Mode string

// Modes.
const (
	Call     Mode = "call"     // whole calls
	Register Mode = "register" // REGISTER and its 200, forwarded
	Options  Mode = "options"  // OPTIONS and its 200, from the edge or the platform
	Flood    Mode = "flood"    // what a scanner sends; nothing may come back or go through
)

// Config says how to load the system under test. Zero values take the default in brackets.
type Config struct {
	Mode     Mode           // [Call]
	Platform netip.AddrPort // the platform's own address [127.0.20.1, any port]
	Ends                    // [Loopback]
	Callers  int            // how many addresses call, at most 250 [16]
	Users    int            // how many addresses-of-record register, rounded up to a multiple of Callers [1024]
	Window   int            // calls at once; an open loop starts no more than that either [32]
	Rate     float64        // calls a second, started whether earlier ones are done or not (open loop); 0: closed loop
	T1       time.Duration  // RFC 3261 §17.1.1.1; a call fails after 64*T1 [500 ms]
	Domain   string         // of the Request-URIs [example.com]
	Spin     bool           // never sleep while a run lasts, so that the system under test pays for no wake-up of ours
	Traits                  // of the system under test
}

// Ends are where the callers are.
type Ends struct {
	First netip.Addr // the first caller's address, IPv4; those of the others follow
	Media netip.Addr // what the platform's session descriptions name; nobody listens there
	Card  *card.Card `json:"-"` // of the other machine on which callers and platform are; nil: they are on this one's loopback interface
}

// Loopback has the callers in 127.0.0.0/8.
var Loopback = Ends{First: netip.AddrFrom4([4]byte{127, 1, 0, 1}), Media: netip.AddrFrom4([4]byte{127, 2, 0, 1})}

// Traits are what the generator must know about the system under test. The zero value is a strict SIP proxy that keeps the
// order of messages.
type Traits struct {
	Transparent bool     // forwards bytes and knows no SIP: nothing at all may change, and one caller at a time
	Outbound    bool     // the callers' outbound proxy: they send everything to it, and it needs no Record-Route
	Hides       bool     // gives callers a Contact of its own for the platform's, and shows them no address of the inside
	Masks       bool     // gives the platform a Call-ID, Contact and Via of its own for the callers', too
	Reorders    bool     // its workers overtake each other, so that ACK may come after BYE, and 100 or 180 after 200
	Added       []string // header fields it may add to requests, besides Via and Record-Route
	Source      string   // the header field in which it must tell the platform each caller's "address:port;udp"; empty: none
	Rewritten   []string // header fields whose value it may replace
}

func (c *Config) setDefaults() {
	if c.Mode == "" {
		c.Mode = Call
	}
	if !c.Platform.IsValid() {
		c.Platform = netip.MustParseAddrPort("127.0.20.1:0")
	}
	if c.Ends == (Ends{}) {
		c.Ends = Loopback
	}
	if c.Callers == 0 {
		c.Callers = 16
	}
	if c.Users == 0 {
		c.Users = 1024
	}
	c.Users = (c.Users + c.Callers - 1) / max(c.Callers, 1) * c.Callers
	if c.Window == 0 {
		c.Window = 32
	}
	if c.T1 == 0 {
		c.T1 = 500 * time.Millisecond
	}
	if c.Domain == "" {
		c.Domain = "example.com"
	}
}

// Validate returns what makes c unusable.
func (c *Config) Validate() error {
	var errs []error
	switch c.Mode {
	case Call, Register, Options, Flood:
	default:
		errs = append(errs, fmt.Errorf("mode %q: want call, register, options or flood", c.Mode))
	}
	if !c.Platform.Addr().Is4() {
		errs = append(errs, fmt.Errorf("platform %s: want an IPv4 address and port", c.Platform))
	}
	if !c.First.Is4() || !c.Media.Is4() {
		errs = append(errs, fmt.Errorf("callers from %s, media at %s: want IPv4 addresses", c.First, c.Media))
	}
	if c.Callers < 1 || c.Callers > MostCallers {
		errs = append(errs, fmt.Errorf("callers %d: want 1 to 250", c.Callers))
	}
	if c.Window < 1 || c.Window > 65536 {
		errs = append(errs, fmt.Errorf("window %d: want 1 to 65536", c.Window))
	}
	if c.Rate < 0 || c.Mode == Flood && c.Rate == 0 {
		errs = append(errs, fmt.Errorf("rate %g: want more than 0 in an open loop and in a flood", c.Rate))
	}
	return errors.Join(errs...)
}

// MostCallers is how many addresses may call.
const MostCallers = 250

// CallerAddr is the address of caller i, from 0, where the IPv4 address first is that of caller 0.
func CallerAddr(first netip.Addr, i int) netip.Addr {
	b := first.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(i))
	return netip.AddrFrom4(b)
}

// A Generator is the callers and the platform. It is used by one goroutine.
type Generator struct {
	cfg      Config
	rules    rules
	script   *script
	target   netip.AddrPort // where callers send their first requests
	secret   [][]byte       // addresses inside, which callers of a system that hides must not see
	inside   netip.Addr     // where the platform expects the edge to send from; invalid: anywhere
	callers  []netip.AddrPort
	out      socket // the callers': all their addresses on one port
	platform socket
	wait     func(time.Duration) // for either

	epoch     time.Time
	now       time.Duration // since epoch, read once per batch
	calls     []call        // the slots; call n lives in slot n % len(calls)
	free      []uint32
	rounds    []uint32 // how often each slot was used
	nextScan  time.Duration
	got       message // the message being looked at
	tag       []byte
	seed      maphash.Seed
	branches  map[uint64]struct{} // hashes of the Vias that the edge added
	contacts  []uint64            // per registering user: hash of the Contact that the platform saw
	flooded   uint32              // packets of floods so far
	report    Report
	faults    faults
	latencies []time.Duration
	err       error // of a socket
	handed    handover
}

// handover is what a card gave to the kernel.
type handover struct {
	datagrams int
	took      time.Duration
}

// New opens the generator's sockets, in the network namespace of the calling thread; it may be used from any other.
func New(cfg Config) (*Generator, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Generator{cfg: cfg, epoch: time.Now(), seed: maphash.MakeSeed(), branches: map[uint64]struct{}{}}
	if cfg.Card != nil {
		g.listenAt(cfg.Card, cfg.Platform)
	} else if err := g.openSockets(cfg.Platform); err != nil {
		return nil, err
	}
	for i := range cfg.Callers {
		g.callers = append(g.callers, netip.AddrPortFrom(CallerAddr(cfg.First, i), g.out.LocalAddr().Port()))
	}
	g.script = newScript(rand.Uint32(), cfg, g.callers, g.platform.LocalAddr())
	g.rules = newRules(&cfg, g.script)
	g.calls = make([]call, cfg.Window)
	g.rounds = make([]uint32, cfg.Window)
	for i := range g.calls {
		g.free = append(g.free, uint32(i))
	}
	g.contacts = make([]uint64, cfg.Users)
	return g, nil
}

// A socket is a batch.Conn or a card's.
type socket interface {
	TryReceive() (int, error)
	Packet(i int) batch.Packet
	Queue(b []byte, from netip.Addr, to netip.AddrPort) error
	Flush() error
	LocalAddr() netip.AddrPort
	Close() error
}

// openSockets opens the callers' socket and the platform's. Nothing but this thread wakes up when they get something: who
// sends pays for every wake-up.
func (g *Generator) openSockets(platformAddr netip.AddrPort) error {
	out, err := batch.ListenLoopback(0)
	if err != nil {
		return fmt.Errorf("open the callers' socket: %w", err)
	}
	platform, err := batch.Listen(platformAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("open the platform's socket: %w", err), out.Close())
	}
	if err = errors.Join(out.Detach(), platform.Detach()); err != nil {
		return errors.Join(fmt.Errorf("take the sockets to this thread: %w", err), out.Close(), platform.Close())
	}
	g.out, g.platform = out, platform
	g.wait = func(d time.Duration) { batch.Wait(out, platform, d) }
	return nil
}

// Ports at a card, where nobody else takes any.
const callersPort, platformPort = 5070, 5080

func (g *Generator) listenAt(c *card.Card, platform netip.AddrPort) {
	if platform.Port() == 0 {
		platform = netip.AddrPortFrom(platform.Addr(), platformPort)
	}
	g.out = c.Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), callersPort))
	g.platform = c.Listen(platform)
	g.wait = c.Wait
}

// Platform is the address of the platform: the upstream of the system under test.
func (g *Generator) Platform() netip.AddrPort { return g.platform.LocalAddr() }

// Aim tells the callers where the system under test listens and the platform which address it sends from (the zero Addr:
// any).
func (g *Generator) Aim(target netip.AddrPort, inside netip.Addr) {
	g.target, g.inside = target, inside
	if g.secret = nil; g.cfg.Hides {
		g.secret = [][]byte{[]byte(g.Platform().Addr().String())}
		if inside.IsValid() && inside != target.Addr() {
			g.secret = append(g.secret, []byte(inside.String()))
		}
	}
}

// Close closes the sockets.
func (g *Generator) Close() error { return errors.Join(g.out.Close(), g.platform.Close()) }

// Run makes count calls (transactions, packets) and returns what happened. The error is that of ctx or of a socket; whether
// the calls were good is the Report's to say.
func (g *Generator) Run(ctx context.Context, count int) (Report, error) {
	if !g.target.IsValid() {
		return Report{}, errors.New("load run without a target: Aim was not called")
	}
	runtime.LockOSThread() // for ThreadCPU
	defer runtime.UnlockOSThread()
	g.report = Report{Mode: g.cfg.Mode, Hides: g.cfg.Hides, Reorders: g.cfg.Reorders}
	g.faults = faults{}
	g.latencies = make([]time.Duration, 0, count)
	cpu := batch.ThreadCPU()
	if g.cfg.Card != nil {
		g.handed.datagrams, g.handed.took = g.cfg.Card.Sent()
	}
	begin := time.Since(g.epoch)
	g.now = begin
	for g.report.Completed+g.report.Failed < count {
		if err := ctx.Err(); err != nil {
			return g.finish(begin, cpu), fmt.Errorf("load run stopped after %d of %d: %w", g.report.Completed, count, err)
		}
		if err := g.step(begin, count); err != nil {
			return g.finish(begin, cpu), err
		}
	}
	return g.finish(begin, cpu), nil
}

// Settle listens for d after a Run, adds what still arrives to that run's Report, and returns it.
func (g *Generator) Settle(r Report, d time.Duration) (Report, error) {
	g.report = r
	for end := time.Since(g.epoch) + d; g.now < end; g.now = time.Since(g.epoch) {
		if err := g.step(0, 0); err != nil {
			return g.report, err
		}
	}
	g.addFaults()
	return g.report, nil
}

func (g *Generator) finish(begin, cpu time.Duration) Report {
	r := &g.report
	r.SetTimes(time.Since(g.epoch)-begin, g.latencies)
	if messages := r.CallerSent + r.CallerGot + r.PlatformSent + r.PlatformGot; messages > 0 {
		r.GeneratorMicros = float64(batch.ThreadCPU()-cpu) / float64(time.Microsecond) / float64(messages)
	}
	if g.cfg.Card != nil {
		if n, took := g.cfg.Card.Sent(); n > g.handed.datagrams {
			r.HandoverMicros = float64(took-g.handed.took) / float64(time.Microsecond) / float64(n-g.handed.datagrams)
		}
	}
	g.addFaults()
	return *r
}

func (g *Generator) addFaults() {
	g.report.Faults, g.report.Leaks = g.faults.count, g.faults.leaks
	g.report.Examples = g.faults.examples
}

// step is one turn of the loop: read both sockets, start what is due, look at the timers, send, sleep if nothing happened.
func (g *Generator) step(begin time.Duration, count int) error {
	n := g.readCallers()
	g.startDue(begin, count)
	g.note(g.out.Flush())
	n += g.readPlatform()
	g.note(g.platform.Flush())
	g.runTimers()
	if n == 0 && !g.cfg.Spin {
		g.wait(g.idle(begin, count))
	}
	return g.err
}

// note keeps the first error of a socket; step returns it.
func (g *Generator) note(err error) {
	if err != nil && g.err == nil {
		g.err = fmt.Errorf("load generator: %w", err)
	}
}

// maxSleep bounds how long the loop sleeps, so that timers and other goroutines get their turn.
const maxSleep = 2 * time.Millisecond

// idle is how long the loop may sleep: until the next start of an open loop is due.
func (g *Generator) idle(begin time.Duration, count int) time.Duration {
	if g.cfg.Rate == 0 || g.report.Started >= count {
		return maxSleep
	}
	return min(maxSleep, g.due(begin)-time.Since(g.epoch))
}

// due is when an open loop starts its next call.
func (g *Generator) due(begin time.Duration) time.Duration {
	return begin + time.Duration(float64(g.report.Started)/g.cfg.Rate*float64(time.Second))
}

func (g *Generator) readCallers() int {
	n, err := g.out.TryReceive()
	g.note(err)
	g.now = time.Since(g.epoch)
	g.report.CallerGot += n
	for i := range n {
		g.callerGot(g.out.Packet(i))
	}
	return n
}

func (g *Generator) readPlatform() int {
	n, err := g.platform.TryReceive()
	g.note(err)
	g.report.PlatformGot += n
	for i := range n {
		g.platformGot(g.platform.Packet(i))
	}
	return n
}

// startDue starts what the window (closed loop) or the clock (open loop, flood) allows.
func (g *Generator) startDue(begin time.Duration, count int) {
	for g.report.Started < count {
		at := g.now
		if g.cfg.Rate > 0 {
			if at = g.due(begin); at > g.now {
				return
			}
		}
		if g.cfg.Mode == Flood {
			g.scanOnce()
			continue
		}
		if len(g.free) == 0 {
			return
		}
		g.start(at)
	}
}
