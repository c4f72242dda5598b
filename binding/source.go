package binding

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// GoneConn is the connection number of a flow whose connection belonged to an earlier run of ringwall. No connection
// has this number, so sending to such a flow fails (430, RFC 5626 §5.3.1) until the phone comes back.
const GoneConn = ^uint64(0)

// sourceShards is how many locks the sources are spread over.
const sourceShards = 64

// sources answers where live bindings come from: by exact source (UDP: address and port; streams: the connection) and
// by address. Keys are hashes of 64 bits with a secret of this process, which nobody can aim at: that a stranger is
// taken for one of n known sources has the probability n/2^64.
type sources struct {
	seed   maphash.Seed
	shards [sourceShards]sourceShard
}

type sourceShard struct {
	mu     sync.Mutex
	counts map[uint64]source
}

// source counts the bindings of one flow or one address.
type source struct {
	bindings uint32
	until    uint32 // none is live then or later: Unix seconds. May be late after a deletion, never early.
	kept     uint32 // when a keep-alive was last due: Unix seconds
}

// Domains of the source hashes.
const (
	sourceUDP    = 'u'
	sourceStream = 's'
	sourceAddr   = 'a'
)

func (s *sources) init() {
	s.seed = maphash.MakeSeed()
	for i := range s.shards {
		s.shards[i].counts = make(map[uint64]source)
	}
}

// Known reports whether f is exactly the source of a live binding: over UDP the address and port, over a stream the
// connection. It is right to the second; a source that has lost one of several bindings may stay known until the next
// Sweep after the last one expired. It is read for each new request from outside: no allocation, one short lock.
func (t *Table) Known(f edge.Flow, now time.Time) bool {
	h, ok := t.sources.flowHash(f)
	return ok && t.sources.live(h, now)
}

// KnownAddr reports, as exactly as Known, whether a live binding comes from this address, whatever the port. An IPv4
// address and its IPv6 mapping are one.
func (t *Table) KnownAddr(a netip.Addr, now time.Time) bool {
	return t.sources.live(t.sources.addrHash(a), now)
}

func (s *sources) live(h uint64, now time.Time) bool {
	shard := &s.shards[h%sourceShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return now.Unix() < int64(shard.counts[h].until)
}

// enter counts the flow and the address of a binding that expires then (Unix nanoseconds).
func (s *sources) enter(f edge.Flow, expires int64) {
	const second = int64(time.Second)
	until := uint32(min((expires+second-1)/second, math.MaxUint32))
	if h, ok := s.flowHash(f); ok {
		s.add(h, until)
	}
	s.add(s.addrHash(f.Remote.Addr()), until)
}

// leave undoes one enter with the same flow.
func (s *sources) leave(f edge.Flow) {
	if h, ok := s.flowHash(f); ok {
		s.drop(h)
	}
	s.drop(s.addrHash(f.Remote.Addr()))
}

func (s *sources) add(h uint64, until uint32) {
	shard := &s.shards[h%sourceShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c := shard.counts[h]
	c.bindings++
	c.until = max(c.until, until)
	shard.counts[h] = c
}

func (s *sources) drop(h uint64) {
	shard := &s.shards[h%sourceShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c := shard.counts[h]
	if c.bindings <= 1 {
		delete(shard.counts, h)
		return
	}
	c.bindings--
	shard.counts[h] = c
}

// keep reports whether a UDP flow is due for a keep-alive, and notes it. A flow of several bindings is due once.
func (s *sources) keep(f edge.Flow, now time.Time, interval time.Duration) bool {
	h, ok := s.flowHash(f)
	if !ok {
		return false
	}
	shard := &s.shards[h%sourceShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c, ok := shard.counts[h]
	at := now.Unix()
	if !ok || at-int64(c.kept) < int64(interval/time.Second)/2 {
		return false
	}
	c.kept = uint32(at)
	shard.counts[h] = c
	return true
}

// flowHash is the key of a flow. A stream whose connection is gone or not named is the source of nothing.
func (s *sources) flowHash(f edge.Flow) (uint64, bool) {
	if f.Transport.Stream() {
		var b [9]byte
		b[0] = sourceStream
		binary.LittleEndian.PutUint64(b[1:], f.Conn)
		return maphash.Bytes(s.seed, b[:]), f.Conn != 0 && f.Conn != GoneConn
	}
	return s.remoteHash(sourceUDP, f.Remote), true
}

// addrHash is the key of an address.
func (s *sources) addrHash(a netip.Addr) uint64 {
	return s.remoteHash(sourceAddr, netip.AddrPortFrom(a, 0))
}

func (s *sources) remoteHash(domain byte, remote netip.AddrPort) uint64 {
	var room [64]byte
	b := append(room[:0], domain)
	a := remote.Addr().As16() // an IPv4 address as its mapping
	b = append(b, a[:]...)
	b = binary.LittleEndian.AppendUint16(b, remote.Port())
	b = append(b, remote.Addr().Zone()...)
	return maphash.Bytes(s.seed, b)
}
