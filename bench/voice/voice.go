// Package voice is the load of a media relay: many calls that talk both ways at 50 packets a second, in one thread. Every packet is looked at when it
// arrives: whose it is, where it came from, its size and its bytes.
package voice

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/ringwall/ringwall/bench/batch"
	"github.com/ringwall/ringwall/bench/load"
)

// Mode is what load.Report.Mode says of a voice run.
const Mode load.Mode = "voice"

// perSecond is how many packets one end of a call sends, size is how long each is: RTP with 20 ms of G.711.
const (
	perSecond = 50
	size      = 172
)

// MaxStreams is how many streams a Generator can have: one loopback address for each end.
const MaxStreams = 250 * 200

// A Generator is both ends of all streams. It is used by one goroutine.
type Generator struct {
	// Window is how many packets may be on their way at once; above that the generator waits rather than keeps to its rate. 0: no limit.
	Window int

	sides   [2]side
	streams int
	epoch   time.Time
	next    int // how many packets were sent since the generator was made
	packet  [size]byte
	want    [size]byte

	report    load.Report
	latencies []time.Duration
	got       []bool // by packet of the run
	first     int    // number of the run's first packet
	err       error
}

// A side is one end of every stream: a socket that has all addresses of loopback.
type side struct {
	conn   *batch.Conn
	net    byte             // second byte of its addresses
	relays []netip.AddrPort // by stream: the relay's port on this side
}

// New opens the sockets of a generator of n streams.
func New(n int) (*Generator, error) {
	if n < 1 || n > MaxStreams {
		return nil, fmt.Errorf("voice of %d streams: want 1 to %d", n, MaxStreams)
	}
	g := &Generator{streams: n, epoch: time.Now()}
	for i := range g.sides {
		conn, err := batch.ListenLoopback(0)
		if err == nil {
			g.sides[i] = side{conn: conn, net: byte(2 + i), relays: make([]netip.AddrPort, n)}
			err = conn.Detach()
		}
		if err != nil {
			g.Close()
			return nil, fmt.Errorf("open the sockets of voice: %w", err)
		}
	}
	for i := range g.packet {
		g.packet[i] = byte(i)
	}
	return g, nil
}

// Close closes the sockets.
func (g *Generator) Close() {
	for i := range g.sides {
		if c := g.sides[i].conn; c != nil {
			c.Close()
		}
	}
}

// address is that of stream i on s.
func (s *side) address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, s.net, byte(i/200 + 1), byte(i%200 + 1)})
}

// Ends are the two addresses of stream i.
func (g *Generator) Ends(i int) (a, b netip.AddrPort) {
	ends := [2]netip.AddrPort{}
	for k := range g.sides {
		s := &g.sides[k]
		ends[k] = netip.AddrPortFrom(s.address(i), s.conn.LocalAddr().Port())
	}
	return ends[0], ends[1]
}

// Aim tells where the ends of stream i send to.
func (g *Generator) Aim(i int, a, b netip.AddrPort) {
	g.sides[0].relays[i], g.sides[1].relays[i] = a, b
}

// patience is how long after the last packet the generator waits for what is on its way.
const patience = 2 * time.Second

// Run sends count packets at the rate of real calls, evenly in time over all streams and both ends, and returns what arrived.
func (g *Generator) Run(ctx context.Context, count int) (load.Report, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g.report = load.Report{Mode: Mode}
	g.latencies, g.got, g.first = make([]time.Duration, 0, count), make([]bool, count), g.next
	gap := time.Second / time.Duration(2*perSecond*g.streams)
	begin := time.Since(g.epoch)
	end := begin + time.Duration(count)*gap
	last, seen := begin, 0 // when something last happened, and how much had happened by then
	for now := begin; g.report.Completed < count && now < max(end, last)+patience; now = time.Since(g.epoch) {
		if err := errors.Join(ctx.Err(), g.err); err != nil {
			return g.report, fmt.Errorf("voice stopped after %d packets: %w", g.report.Started, err)
		}
		for g.report.Started < count && begin+time.Duration(g.report.Started)*gap <= now && g.mayStart() {
			g.sendNext(now)
		}
		g.flushAndRead()
		if did := g.report.Started + g.report.Completed; did != seen {
			last, seen = now, did
		}
	}
	g.report.SetTimes(time.Since(g.epoch)-begin, g.latencies)
	return g.report, nil
}

// mayStart reports whether one packet more may be on its way.
func (g *Generator) mayStart() bool {
	return g.Window == 0 || g.report.Started-g.report.Completed < g.Window
}

// Settle listens for d after a Run and adds what still arrives to its Report.
func (g *Generator) Settle(r load.Report, d time.Duration) (load.Report, error) {
	g.report = r
	for end := time.Now().Add(d); time.Now().Before(end) && g.err == nil; {
		g.flushAndRead()
	}
	return g.report, g.err
}

// sendNext sends packet g.next: the streams take turns, one end after the other.
func (g *Generator) sendNext(now time.Duration) {
	k, i := g.next/g.streams%2, g.next%g.streams
	s := &g.sides[k]
	g.note(s.conn.Queue(g.fill(&g.packet, g.next, now), s.address(i), s.relays[i]))
	g.next++
	g.report.Started++
}

// fill makes b the packet of that number: an RTP header whose SSRC is the stream's and the end's, the number, and when it was sent.
func (g *Generator) fill(b *[size]byte, number int, at time.Duration) []byte {
	k, i, turn := number/g.streams%2, number%g.streams, number/g.streams/2
	b[0], b[1] = 0x80, 0
	binary.BigEndian.PutUint16(b[2:], uint16(turn))
	binary.BigEndian.PutUint32(b[4:], uint32(turn)*160)
	binary.BigEndian.PutUint32(b[8:], uint32(2*i+k+1))
	binary.BigEndian.PutUint64(b[12:], uint64(number))
	binary.BigEndian.PutUint64(b[20:], uint64(at))
	return b[:]
}

func (g *Generator) flushAndRead() {
	for k := range g.sides {
		g.note(g.sides[k].conn.Flush())
	}
	for k := range g.sides {
		n, err := g.sides[k].conn.TryReceive()
		g.note(err)
		now := time.Since(g.epoch)
		for p := range n {
			g.check(k, g.sides[k].conn.Packet(p), now)
		}
	}
}

// check looks at a packet that came to side k.
func (g *Generator) check(k int, p batch.Packet, now time.Duration) {
	s := &g.sides[k]
	if len(p.Data) != size {
		g.fault(fmt.Sprintf("%d bytes came to %v from %v", len(p.Data), p.To, p.From))
		return
	}
	number := int(binary.BigEndian.Uint64(p.Data[12:]))
	sent := time.Duration(binary.BigEndian.Uint64(p.Data[20:]))
	if number < g.first || number-g.first >= len(g.got) {
		g.report.Unexpected++ // of an earlier run, or of nobody
		return
	}
	i := number % g.streams
	g.want = g.packet
	copy(g.want[:], g.fill(&g.want, number, sent))
	switch {
	case number/g.streams%2 == k, p.To != s.address(i), p.From != s.relays[i]:
		g.fault(fmt.Sprintf("packet %d of stream %d came to %v from %v, want %v from %v", number, i, p.To, p.From, s.address(i), s.relays[i]))
	case !bytes.Equal(p.Data, g.want[:]):
		g.fault(fmt.Sprintf("packet %d came altered: %x", number, p.Data))
	case g.got[number-g.first]:
		g.report.Repeated++
	default:
		g.got[number-g.first] = true
		g.report.Completed++
		g.latencies = append(g.latencies, now-sent)
	}
}

// keptExamples bounds how many faults are told.
const keptExamples = 5

func (g *Generator) fault(what string) {
	g.report.Faults++
	if len(g.report.Examples) < keptExamples {
		g.report.Examples = append(g.report.Examples, what)
	}
}

func (g *Generator) note(err error) {
	if err != nil && g.err == nil {
		g.err = err
	}
}
