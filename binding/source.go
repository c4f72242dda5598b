package binding

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
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
	flows index[flowSource]
	addrs index[source]
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

// index is a hash table of sources: so many buckets that each is a short list, sorted by the hash.
type index[S interface{ key() uint64 }] struct {
	buckets []bucket[S]
}

type bucket[S interface{ key() uint64 }] struct {
	mu   sync.Mutex
	list []S
}

// Domains of the source hashes.
const (
	sourceUDP    = 'u'
	sourceStream = 's'
	sourceAddr   = 'a'
)

func (s *sources) init(buckets int) {
	s.seed = maphash.MakeSeed()
	s.flows.buckets = make([]bucket[flowSource], buckets)
	s.addrs.buckets = make([]bucket[source], buckets)
}

// Known reports whether f is exactly the source of a live binding: over UDP the address and port, over a stream the
// connection. It is right to the second; a source that has lost one of several bindings may stay known until the next
// Sweep after the last one expired. It is read for each new request from outside: no allocation, one short lock.
func (t *Table) Known(f edge.Flow, now time.Time) bool {
	h, ok := t.sources.flowHash(f)
	if !ok {
		return false
	}
	b := t.sources.flows.bucket(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.find(h)
	return ok && b.list[i].live(now)
}

// KnownAddr reports, as exactly as Known, whether a live binding comes from this address, whatever the port. An IPv4
// address and its IPv6 mapping are one.
func (t *Table) KnownAddr(a netip.Addr, now time.Time) bool {
	h := t.sources.addrHash(a)
	b := t.sources.addrs.bucket(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.find(h)
	return ok && b.list[i].live(now)
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
func (s *sources) latest(f edge.Flow) (id ID) {
	h, ok := s.flowHash(f)
	if !ok {
		return id
	}
	b := s.flows.bucket(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, ok := b.find(h); ok {
		id = b.list[i].latest
	}
	return id
}

// enter counts the flow and the address of the binding id that expires then (Unix nanoseconds).
func (s *sources) enter(id ID, f edge.Flow, expires int64) {
	const second = int64(time.Second)
	until := uint32(min((expires+second-1)/second, math.MaxUint32))
	if h, ok := s.flowHash(f); ok {
		b := s.flows.bucket(h)
		b.mu.Lock()
		i, found := b.find(h)
		if !found {
			b.list = slices.Insert(b.list, i, flowSource{source: source{hash: h}})
		}
		b.list[i].add(until)
		b.list[i].latest = id
		b.mu.Unlock()
	}
	h := s.addrHash(f.Remote.Addr())
	b := s.addrs.bucket(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := b.find(h)
	if !found {
		b.list = slices.Insert(b.list, i, source{hash: h})
	}
	b.list[i].add(until)
}

// leave undoes one enter of the same binding with the same flow; stays says that the binding was entered with it again.
func (s *sources) leave(id ID, f edge.Flow, stays bool) {
	if h, ok := s.flowHash(f); ok {
		b := s.flows.bucket(h)
		b.mu.Lock()
		if i, ok := b.find(h); ok {
			if b.list[i].bindings--; b.list[i].bindings == 0 {
				b.list = slices.Delete(b.list, i, i+1)
			} else if b.list[i].latest == id && !stays {
				b.list[i].latest = ID{}
			}
		}
		b.mu.Unlock()
	}
	h := s.addrHash(f.Remote.Addr())
	b := s.addrs.bucket(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, ok := b.find(h); ok {
		if b.list[i].bindings--; b.list[i].bindings == 0 {
			b.list = slices.Delete(b.list, i, i+1)
		}
	}
}

// keep reports whether a UDP flow is due for a keep-alive, and notes it. A flow of several bindings is due once.
func (s *sources) keep(f edge.Flow, now time.Time, interval time.Duration) bool {
	h, ok := s.flowHash(f)
	if !ok {
		return false
	}
	b := s.flows.bucket(h)
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.find(h)
	if !ok || now.Unix()-int64(b.list[i].kept) < int64(interval*9/10/time.Second) {
		return false
	}
	b.list[i].kept = uint32(now.Unix())
	return true
}

func (s source) key() uint64 { return s.hash }

func (s source) live(now time.Time) bool { return now.Unix() < int64(s.until) }

func (s *source) add(until uint32) {
	s.bindings++
	s.until = max(s.until, until)
}

// bucket returns the one for a hash; their number is a power of two.
func (x *index[S]) bucket(h uint64) *bucket[S] { return &x.buckets[h&uint64(len(x.buckets)-1)] }

// find returns where the source with this hash is or would be; the caller holds the lock.
func (b *bucket[S]) find(h uint64) (int, bool) {
	return slices.BinarySearchFunc(b.list, h, func(s S, h uint64) int { return cmp.Compare(s.key(), h) })
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
