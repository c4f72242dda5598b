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

// holdsGood reports whether somebody in network is known or never to be banned: its addresses answer for themselves.
func (b *Book) holdsGood(network netip.Prefix, at time.Time) bool {
	return b.cfg.KnownIn(network, at) || b.calls.within(network) || b.view.Load().exempt.OverlapsPrefix(network)
}

// joined notes that an address was banned that was not within the last day, and bans its network if that is one too many and nobody there is spared.
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
	if first == 0 || at.UnixNano()-first > int64(groupTime) || b.holdsGood(network, at) {
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

// An omen is which addresses of a network would have been banned last, did checks enforce that only watch, the oldest first: no ban tells them apart.
type omen struct {
	sources [neighbours4]netip.Prefix
	at      group
	told    int64 // when it was last said of the network; Unix nanoseconds
}

// recent is how many of g were within a day.
func (g *group) recent(at time.Time) (n int) {
	for _, one := range g {
		if one != 0 && at.UnixNano()-one <= int64(groupTime) {
			n++
		}
	}
	return n
}

// expect notes that an address would be banned, and reports whether its network would be for that and for others that are or would be, unless that was
// said while such a ban would last.
func (b *Book) expect(source edge.Source, at time.Time) (network edge.Source, due bool) {
	prefix, most := networkOf(source.Prefix)
	o := b.omens[prefix]
	if o == nil {
		if len(b.omens) >= b.cfg.Max {
			clear(b.omens)
		}
		o = new(omen)
		b.omens[prefix] = o
	}
	for i, one := range o.sources {
		if one == source.Prefix && at.UnixNano()-o.at[i] <= int64(groupTime) {
			return edge.Source{}, false
		}
	}
	copy(o.sources[:], o.sources[1:])
	copy(o.at[:], o.at[1:])
	last := len(o.at) - 1
	o.sources[last], o.at[last] = source.Prefix, at.UnixNano()
	n := o.at.recent(at)
	if g := b.groups[prefix]; g != nil {
		n += g.recent(at)
	}
	if n < most || at.UnixNano()-o.told < int64(b.cfg.First) || b.holdsGood(prefix, at) {
		return edge.Source{}, false
	}
	o.told = at.UnixNano()
	return edge.Source{Prefix: prefix}, true
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
	for network, o := range b.omens {
		if at.UnixNano()-o.at[len(o.at)-1] > int64(groupTime) {
			delete(b.omens, network)
		}
	}
}
