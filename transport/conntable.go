package transport

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

const connShards = 32

// A connTable knows the open connections by number, those we dialled by their far end, and counts per source.
type connTable struct {
	total, perSource int           // limits
	last             atomic.Uint64 // number given last
	shards           [connShards]connShard

	mu      sync.Mutex // guards what follows; never held together with another lock
	count   int
	sources map[netip.Prefix]int // accepted and open
	dialed  map[dialKey]*conn    // ours, and those that have an alias
	crowd   crowd
}

type connShard struct {
	mu sync.RWMutex
	m  map[uint64]*conn
}

// A dialKey names a connection of ours that messages to one far end share.
type dialKey struct {
	side      edge.Side
	transport edge.Transport
	remote    netip.AddrPort
}

// A refusal says why a connection is not taken.
type refusal uint8

const (
	taken refusal = iota
	refusedTotal
	refusedSource
)

// newConnTable numbers connections from the present nanosecond on, so that a flow kept over a restart (in a token, or in the
// journal of bindings) cannot name another one.
func newConnTable(total, perSource int) *connTable {
	t := &connTable{total: total, perSource: perSource, sources: map[netip.Prefix]int{}, dialed: map[dialKey]*conn{}}
	t.last.Store(uint64(time.Now().UnixNano()))
	for i := range t.shards {
		t.shards[i].m = map[uint64]*conn{}
	}
	return t
}

func (t *connTable) shard(id uint64) *connShard { return &t.shards[id%connShards] }

// find returns the open connection that f names, or nil.
func (t *connTable) find(f edge.Flow) *conn {
	sh := t.shard(f.Conn)
	sh.mu.RLock()
	c := sh.m[f.Conn]
	sh.mu.RUnlock()
	if c == nil || c.flow != f {
		return nil
	}
	return c
}

// sourceOf is what ConnectionsPerSource counts: an IPv4 address or an IPv6 /64.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // cannot fail for these lengths
	return p
}

// admit counts an accepted connection from a, unless a has as many as one source may have, or there are as many as most. exempt: a may have
// any number.
func (t *connTable) admit(a netip.Addr, exempt bool, most int) refusal {
	source := sourceOf(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !exempt && t.sources[source] >= t.perSource:
		return refusedSource
	case t.count >= most:
		return refusedTotal
	}
	t.count++
	t.sources[source]++
	return taken
}

// number returns the next connection's.
func (t *connTable) number() uint64 { return t.last.Add(1) }

// put makes c known by its number.
func (t *connTable) put(c *conn) {
	sh := t.shard(c.flow.Conn)
	sh.mu.Lock()
	sh.m[c.flow.Conn] = c
	sh.mu.Unlock()
}

// shared returns our connection to key, or nil.
func (t *connTable) shared(key dialKey) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dialed[key]
}

// share puts c, about to be dialled, where the others find it, and returns it; or the one that somebody else has put there
// before; or nil if the table is full.
func (t *connTable) share(c *conn) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := c.dialKey()
	if first := t.dialed[key]; first != nil {
		return first
	}
	if t.count >= t.total {
		return nil
	}
	t.count++
	t.dialed[key] = c
	return c
}

// remove forgets c.
func (t *connTable) remove(c *conn) {
	sh := t.shard(c.flow.Conn)
	sh.mu.Lock()
	delete(sh.m, c.flow.Conn)
	sh.mu.Unlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	c.removed = true
	t.crowd.take(c)
	t.crowd.hold(c, 0)
	if key := c.dialKey(); t.dialed[key] == c {
		delete(t.dialed, key)
	}
	if !c.dialed {
		t.release(c.flow.Remote.Addr())
	}
}

func (t *connTable) release(a netip.Addr) {
	source := sourceOf(a)
	if t.sources[source]--; t.sources[source] <= 0 {
		delete(t.sources, source)
	}
}

// forget takes c out of the connections to share, at once, so that the next message dials anew.
func (t *connTable) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key := c.dialKey(); t.dialed[key] == c {
		delete(t.dialed, key)
	}
}

// to returns the secure connections that messages to any of the destinations share.
func (t *connTable) to(some map[Destination]bool) (all []*conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, c := range t.dialed {
		if key.transport.Secure() && some[c.destination()] {
			all = append(all, c)
		}
	}
	return all
}

// mayHold reports whether there may be connections from p. It looks at those we accepted only if p is one source: nobody whom we dialled
// shares an address with strangers.
func (t *connTable) mayHold(p netip.Prefix) bool {
	source := sourceOf(p.Addr())
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.Bits() < source.Bits() && t.count > 0 || t.sources[source] > 0
}

// crowded reports whether there are more connections from the source of a than one of strangers may have.
func (t *connTable) crowded(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sources[sourceOf(a)] > t.perSource
}

func (t *connTable) open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

func (t *connTable) all() []*conn {
	var all []*conn
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.RLock()
		for _, c := range sh.m {
			all = append(all, c)
		}
		sh.mu.RUnlock()
	}
	return all
}
