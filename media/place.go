package media

import (
	"net/netip"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sdp"
)

// On which of our addresses a line has its ports.

// places are where the ends of a line are that m.from describes. Where it has ports they stay, but for an end that has gone to the other version of
// IP. With ICE the address in a description says little: it may be none, or one of many.
func (l *lines) places(ln *line, md *sdp.Media, m *described) (at [Ends]Place) {
	if ln.stream != nil {
		at = ln.stream.Spec().Ends
	}
	for e := range at {
		p, was := &m.parties[e].Flow, ln.ends[e].remote.Signalling
		six := p.Remote.Addr().Is6()
		if ln.stream == nil || was.IsValid() && was.Is6() != six && l.has(p.Side, six) {
			at[e] = Place{Side: p.Side, IPv6: six, Addr: l.to.Near(*p)}
		}
	}
	if near := &at[m.from]; !md.Addr.IsUnspecified() && !(md.ICE && ln.stream != nil) && l.has(near.Side, md.Addr.Is6()) {
		near.IPv6 = md.Addr.Is6()
	}
	return at
}

// has reports whether the relay has an address of a side and version of IP.
func (l *lines) has(side edge.Side, ipv6 bool) bool {
	return l.to.Relay.Address(side, ipv6).IsValid()
}

// openLine opens the stream for a line that m.from describes.
func (l *lines) openLine(places [Ends]Place, md *sdp.Media, m *described) (*Stream, error) {
	spec := Spec{Ends: places, Opaque: !md.RTP}
	if p := &m.parties[Caller]; !l.known && p.Flow.Side == edge.Outside && p.Trust == edge.Unknown {
		spec.Owner = p.Flow.Remote.Addr()
	}
	return l.to.Relay.Open(spec)
}

// address is our media address on the side of p, of its version of IP if there is one.
func (l *lines) address(p *Party) netip.Addr {
	six := p.Flow.Remote.Addr().Is6()
	if a := l.to.Relay.Address(p.Flow.Side, six); a.IsValid() {
		return a
	}
	return l.to.Relay.Address(p.Flow.Side, !six)
}

func (l *lines) announced(a netip.Addr) netip.Addr {
	if other, ok := l.to.Announce[a]; ok {
		return other
	}
	return a
}
