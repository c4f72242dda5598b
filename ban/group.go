package ban

import (
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// ReasonNeighbours is why a network is banned: so many of its addresses were, on proof, within a day, and nobody known is there.
const ReasonNeighbours edge.Reason = "ban.neighbours"

// How many banned neighbours make their network banned: of 256 IPv4 addresses, of 65,536 /64 of IPv6.
const (
	neighbours4, network4 = 8, 24
	neighbours6, network6 = 3, 48
	groupTime             = 24 * time.Hour
)

// A group is when the last different addresses of a network were banned: Unix nanoseconds, the oldest first.
type group [neighbours4]int64

// groups are kept by network, as many as there may be bans.
type groups map[netip.Prefix]*group

// networkOf is the network that an address, or a /64 of IPv6, is a neighbour in, and how many of them make it banned.
func networkOf(p netip.Prefix) (network netip.Prefix, most int) {
	bits, most := network4, neighbours4
	if p.Addr().Is6() {
		bits, most = network6, neighbours6
	}
	network, _ = p.Addr().Prefix(bits) // cannot fail for these lengths
	return network, most
}

// alone reports whether the source of o is one whose neighbours count: an address that a check had banned on proof.
func (o *Order) alone() bool {
	return o.By == Judge && o.Hard && o.Source.Port == 0 && o.Source == edge.SourceOf(o.Source.Prefix.Addr())
}

// joined notes that an address was banned that was not within the last day, and bans its network if that is one too many. A network in which somebody
// is known, or is never to be banned, is spared: its addresses answer for themselves.
func (b *Book) joined(source edge.Source, at time.Time) []Change {
	network, most := networkOf(source.Prefix)
	g := b.groups[network]
	if g == nil {
		if len(b.groups) >= b.cfg.Max {
			b.groups = groups{} // who bans so many networks has other worries
		}
		g = new(group)
		b.groups[network] = g
	}
	copy(g[:], g[1:])
	g[len(g)-1] = at.UnixNano()
	first := g[len(g)-most]
	if first == 0 || at.UnixNano()-first > int64(groupTime) || b.cfg.KnownIn(network, at) || b.calls.within(network) ||
		b.view.Load().exempt.OverlapsPrefix(network) {
		return nil
	}
	o := Order{By: Judge, Ban: edge.Ban{Source: edge.Source{Prefix: network}, Hard: true, Reason: ReasonNeighbours,
		Parts: []edge.Part{{Reason: ReasonNeighbours, Score: float64(most)}}}}
	changes, _, err := b.add(&o, at)
	if err != nil {
		return nil // the book is full: the address itself is banned all the same
	}
	return changes
}

// sweepGroups forgets networks of which nobody was banned for a day.
func (b *Book) sweepGroups(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for network, g := range b.groups {
		if at.UnixNano()-g[len(g)-1] > int64(groupTime) {
			delete(b.groups, network)
		}
	}
}
