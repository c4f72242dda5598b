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

// sources answers where live bindings come from: by exact source (UDP: address and port; streams: the connection) and
// by address. Keys are hashes of 64 bits with a secret of this process, which nobody can aim at: that a stranger is
// taken for one of n known sources has the probability n/2^64.
type sources struct {
	seed  maphash.Seed
	flows []flowBucket // so many that each is a short list; by the lowest bits of the hash
	addrs []addrBucket // as many
}

// source counts the bindings of one flow or one address.
type source struct {
	hash     uint64
	bindings uint32
	until    uint32 // none is live then or later: Unix seconds. May be late after a deletion, never early.
}

// flowSource is the source that a flow is.
type flowSource struct {
	source
	kept   uint32 // when a keep-alive was last due: Unix seconds
	latest ID     // the binding of this flow that was put last; zero when that one is gone
}

type flowBucket struct {
	mu   sync.Mutex
	list []flowSource
}

type addrBucket struct {
	mu   sync.Mutex
	list []source
}

// Domains of the source hashes.
const (
	sourceUDP    = 'u'
	sourceStream = 's'
	sourceAddr   = 'a'
)

func (s *sources) init(buckets int) {
	s.seed = maphash.MakeSeed()
	s.flows = make([]flowBucket, buckets)
	s.addrs = make([]addrBucket, buckets)
}

// flow returns the bucket for the hash of a flow; their number is a power of two.
func (s *sources) flow(hash uint64) *flowBucket { return &s.flows[hash&uint64(len(s.flows)-1)] }

// addr returns the bucket for the hash of an address.
func (s *sources) addr(hash uint64) *addrBucket { return &s.addrs[hash&uint64(len(s.addrs)-1)] }

// find returns the source with this hash, or nil; it is good as long as the caller holds the lock.
func (b *flowBucket) find(hash uint64) *flowSource {
	for i := range b.list {
		if b.list[i].hash == hash {
			return &b.list[i]
		}
	}
	return nil
}

func (b *addrBucket) find(hash uint64) *source {
	for i := range b.list {
		if b.list[i].hash == hash {
			return &b.list[i]
		}
	}
	return nil
}

// Known reports whether f is exactly the source of a live binding: over UDP the address and port, over a stream the
// connection. It is right to the second; a source that has lost one of several bindings may stay known until the next
// Sweep after the last one expired. It is read for each new request from outside: no allocation, one short lock.
func (t *Table) Known(f edge.Flow, now time.Time) bool {
	h, ok := t.sources.flowHash(f)
	if !ok {
		return false
	}
	b := t.sources.flow(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.find(h)
	return one != nil && one.live(t.clock.at(now))
}

// KnownAddr reports, as exactly as Known, whether a live binding comes from this address, whatever the port. An IPv4
// address and its IPv6 mapping are one.
func (t *Table) KnownAddr(a netip.Addr, now time.Time) bool {
	h := t.sources.addrHash(a)
	b := t.sources.addr(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.find(h)
	return one != nil && one.live(t.clock.at(now))
}

// KnownIn reports whether a live binding comes from p. For more than one address it looks at every binding, a millisecond for 100,000.
func (t *Table) KnownIn(p netip.Prefix, now time.Time) bool {
	if p.IsSingleIP() {
		return t.KnownAddr(p.Addr(), now)
	}
	for i := range t.shards {
		if t.shards[i].from(p, t.clock.at(now).UnixNano()) {
			return true
		}
	}
	return false
}

// At returns the live binding that f is exactly the source of; of several the one that was put last, since they move
// together. It returns the zero ID when there is none, or when the last one was removed and the others have not been
// refreshed since.
func (t *Table) At(f edge.Flow, now time.Time) ID {
	id := t.sources.latest(f)
	if _, live := t.Get(id, now); !live {
		return ID{}
	}
	return id
}

// latest returns the binding of a flow that was put last.
func (s *sources) latest(f edge.Flow) ID {
	h, ok := s.flowHash(f)
	if !ok {
		return ID{}
	}
	b := s.flow(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.find(h); one != nil {
		return one.latest
	}
	return ID{}
}

// untilSecond is the first whole second at which what expires then (Unix nanoseconds) is over.
func untilSecond(expires int64) uint32 {
	const second = int64(time.Second)
	return uint32(min((expires+second-1)/second, math.MaxUint32))
}

// enter counts the flow and the address of the binding id that expires then (Unix nanoseconds).
func (s *sources) enter(id ID, f edge.Flow, expires int64) {
	until := untilSecond(expires)
	if h, ok := s.flowHash(f); ok {
		b := s.flow(h)
		b.mu.Lock()
		one := b.find(h)
		if one == nil {
			b.list = append(b.list, flowSource{source: source{hash: h}})
			one = &b.list[len(b.list)-1]
		}
		one.add(until)
		one.latest = id
		b.mu.Unlock()
	}
	h := s.addrHash(f.Remote.Addr())
	b := s.addr(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.find(h)
	if one == nil {
		b.list = append(b.list, source{hash: h})
		one = &b.list[len(b.list)-1]
	}
	one.add(until)
}

// stay notes that the binding id, which has entered with this flow, now expires then.
func (s *sources) stay(id ID, f edge.Flow, expires int64) {
	until := untilSecond(expires)
	if h, ok := s.flowHash(f); ok {
		b := s.flow(h)
		b.mu.Lock()
		if one := b.find(h); one != nil {
			one.until, one.latest = max(one.until, until), id
		}
		b.mu.Unlock()
	}
	h := s.addrHash(f.Remote.Addr())
	b := s.addr(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.find(h); one != nil {
		one.until = max(one.until, until)
	}
}

// leave undoes one enter of the same binding with the same flow; stays says that the binding was entered with it again.
func (s *sources) leave(id ID, f edge.Flow, stays bool) {
	if h, ok := s.flowHash(f); ok {
		b := s.flow(h)
		b.mu.Lock()
		if one := b.find(h); one != nil {
			if one.bindings--; one.bindings == 0 {
				b.list = dropped(b.list, one)
			} else if one.latest == id && !stays {
				one.latest = ID{}
			}
		}
		b.mu.Unlock()
	}
	h := s.addrHash(f.Remote.Addr())
	b := s.addr(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.find(h); one != nil {
		if one.bindings--; one.bindings == 0 {
			b.list = dropped(b.list, one)
		}
	}
}

// dropped is list without one, which lies in it: the last takes its place.
func dropped[S any](list []S, one *S) []S {
	last := len(list) - 1
	*one = list[last]
	clear(list[last:])
	return list[:last]
}

// keep reports whether a UDP flow is due for a keep-alive, and notes it. A flow of several bindings is due once.
func (s *sources) keep(f edge.Flow, now time.Time, interval time.Duration) bool {
	h, ok := s.flowHash(f)
	if !ok {
		return false
	}
	b := s.flow(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.find(h)
	if one == nil {
		return false
	}
	if age := now.Unix() - int64(one.kept); age >= 0 && age < int64(interval*9/10/time.Second) { // below: somebody has put the clock back
		return false
	}
	one.kept = uint32(now.Unix())
	return true
}

func (s source) live(now time.Time) bool { return now.Unix() < int64(s.until) }

func (s *source) add(until uint32) {
	s.bindings++
	s.until = max(s.until, until)
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
	var b [19]byte
	b[0] = domain
	*(*[16]byte)(b[1:]) = remote.Addr().As16() // an IPv4 address as its mapping
	binary.LittleEndian.PutUint16(b[17:], remote.Port())
	h := maphash.Bytes(s.seed, b[:])
	if zone := remote.Addr().Zone(); zone != "" {
		h = h*weight + maphash.String(s.seed, zone)
	}
	return h
}

// weight is what the sum of several hashes is multiplied with before the next is added, so that each counts by its place.
const weight = 0x9e3779b97f4a7c17
