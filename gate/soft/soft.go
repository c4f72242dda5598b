// Package soft is the gate in user space: it refuses what the ban book says before anything of it is read, and closes the connections
// of who gets banned. It needs no privilege and works everywhere; gates in the kernel do the same earlier and cheaper.
package soft

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Book is what the gate mirrors: ban.Book.
type Book interface {
	// Refuses reports whether nothing of a flow is to be read, and counts it. It must be quick and take no lock.
	Refuses(edge.Flow, time.Time) bool
	// Holds is Refuses without counting.
	Holds(edge.Flow, time.Time) bool
}

// A Closer owns the connections: transport.Server.
type Closer interface {
	// CloseFrom closes the outside connections from a prefix that match says, at once, and returns how many.
	CloseFrom(p netip.Prefix, match func(edge.Flow) bool) int
}

// A Gate enforces a Book. All methods may be called by any goroutine.
type Gate struct {
	book                         Book
	packets, connections, closed atomic.Uint64
}

// New makes a gate of book.
func New(book Book) *Gate { return &Gate{book: book} }

// Refuses reports whether a datagram or a new connection is to be dropped. It is asked before anything of it is read: no lock, no
// allocation, and next to nothing while nobody is banned.
func (g *Gate) Refuses(from edge.Flow, at time.Time) bool {
	if !g.book.Refuses(from, at) {
		return false
	}
	if from.Transport.Stream() {
		g.connections.Add(1)
	} else {
		g.packets.Add(1)
	}
	return true
}

// Enforce closes the open connections of source that the book refuses at now, and returns how many there were.
func (g *Gate) Enforce(c Closer, source edge.Source, at time.Time) int {
	n := c.CloseFrom(source.Prefix, func(f edge.Flow) bool { return source.Covers(f.Remote) && g.book.Holds(f, at) })
	g.closed.Add(uint64(n))
	return n
}

// everywhere are the prefixes of all addresses.
var everywhere = [...]netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

// Sweep closes all open connections that the book refuses at now, and returns how many there were. It is for those that a ban spared and spares no
// more: a call is over, a phone not registered any more, an address off the allow list.
func (g *Gate) Sweep(c Closer, at time.Time) (n int) {
	for _, all := range everywhere {
		n += c.CloseFrom(all, func(f edge.Flow) bool { return g.book.Holds(f, at) })
	}
	g.closed.Add(uint64(n))
	return n
}

// Counters are totals since New.
type Counters struct {
	Packets     uint64 // datagrams dropped
	Connections uint64 // connections refused
	Closed      uint64 // connections closed because their source was banned
}

// Counters returns what has been counted.
func (g *Gate) Counters() Counters {
	return Counters{g.packets.Load(), g.connections.Load(), g.closed.Load()}
}
