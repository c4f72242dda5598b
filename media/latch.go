package media

import (
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/edge"
)

// Refusal is why a packet was not accepted.
type Refusal uint8

// Refusals.
const (
	RefusedSource    Refusal = iota // from an address that is not the far end's
	RefusedEarly                    // before signalling said anything about this end
	RefusedFormat                   // not what the port is for: no RTP, RTCP, STUN or DTLS
	RefusedIntegrity                // a STUN check without the right password
	RefusedSTUN                     // STUN that nobody here asked for or answers
	RefusedRate                     // more packets a second than Remote.Rate
	Refusals         = iota         // how many there are
)

var refusalNames = [Refusals]string{"source", "early", "format", "integrity", "stun", "rate"}

// String is the name of r, as in counters.
func (r Refusal) String() string { return refusalNames[r%Refusals] }

// streak is how many packets in a row an address that signalling did not name must send, all of one SSRC, before it is accepted.
const streak = 3

// continuity is how far ahead of the last packet one from another port of the same address may be to be the same RTP source behind a NAT that
// has chosen a new port.
const continuity = 1000

// A candidate is an address that may be accepted if it goes on like this.
type candidate struct {
	from netip.AddrPort
	ssrc uint32
	seq  uint16
	n    int
}

// named is the address that the description gave for RTP or RTCP.
func (r *Remote) named(rtcp bool) netip.AddrPort {
	if rtcp {
		return r.RTCP
	}
	return r.RTP
}

// sendable reports whether media may be sent to the address a, which e's description named, though nothing has come from there.
func (s *Stream) sendable(e *end, a netip.AddrPort) bool {
	return !e.checking() && !e.held() && (e.remote.Trusted || e.remote.Proven && a.Addr() == e.remote.Signalling) && s.reachable(e, a)
}

// reachable reports whether anything may be sent to a, which e's description named. Where its signalling comes from is no address that only the
// description names.
func (s *Stream) reachable(e *end, a netip.AddrPort) bool {
	ip := a.Addr()
	if !ip.IsValid() || a.Port() == 0 || ip.IsUnspecified() || ip.IsMulticast() || ip.Is4() != e.rtp.local.Addr().Is4() {
		return false
	}
	if s.spec.Ends[e.rtp.end].Side == edge.Inside {
		return true
	}
	return !s.relay.ours(a) && (ip == e.remote.Signalling || s.relay.cfg.Guard(a) == nil)
}

// held reports whether e wants no media at all: RFC 3264 §8.4's 0.0.0.0, or port 0.
func (e *end) held() bool {
	return e.expected && (e.remote.RTP.Port() == 0 || !e.remote.RTP.Addr().IsValid() || e.remote.RTP.Addr().IsUnspecified())
}

// aim decides, after a description, whom p accepts and where it sends. named is what the description says about p; moved, that the end's address for
// RTP is another one than before.
func (s *Stream) aim(e *end, p *socket, named netip.AddrPort, moved bool) {
	p.again, p.wide, p.trial = true, moved || !p.source.IsValid(), candidate{}
	p.fixed = e.remote.Trusted && s.sendable(e, named)
	if p.source.IsValid() && !e.checking() && !e.held() && !e.names(p.source.Addr()) && (moved || e.remote.Latch == Strict) {
		p.source, p.far = netip.AddrPort{}, netip.AddrPort{}
	}
	switch {
	case e.held():
		p.far = netip.AddrPort{}
	case e.checking():
		p.far = netip.AddrPort{}
		if to := e.ice.chosen(p.rtcp); to.IsValid() {
			p.send(to)
		}
	case s.sendable(e, named) && (moved || p.fixed || !p.far.IsValid()):
		p.send(named)
	case !p.far.IsValid() && p.source.IsValid(): // back from hold
		p.send(p.source)
	}
}

// likelies are the addresses that signalling makes likely: where it comes from, and what the description names unless nothing may be sent there (or who
// forges that address as his packets' source would have us do it).
func (s *Stream) likelies(e *end) (list [3]netip.Addr) {
	list[0] = e.remote.Signalling
	for i, named := range [...]netip.AddrPort{e.remote.RTP, e.remote.RTCP} {
		if s.reachable(e, named) {
			list[1+i] = named.Addr()
		}
	}
	return list
}

// names reports whether signalling named the address a.
func (e *end) names(a netip.Addr) bool { return slices.Contains(e.likelies[:], a) && a.IsValid() }

// near reports whether a is a neighbour of what signalling named.
func (e *end) near(a netip.Addr) bool {
	for _, named := range e.likelies {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		if p, err := named.Prefix(bits); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}

// checking reports whether e does ICE: connectivity checks say who is accepted, not addresses.
func (e *end) checking() bool { return e.ice != nil && e.remote.ICE }

// admits decides whether b, of kind k, is accepted on p from the address from, and latches.
func (e *end) admits(p *socket, from netip.AddrPort, k kind, b []byte) bool {
	switch {
	case e.checking():
		return e.ice.valid(p.rtcp, from)
	case slices.Contains(e.barred, from):
		return false
	case from == p.source:
		p.trial.n = 0
		return true
	case p.open() && e.likely(p, from.Addr()):
		p.latch(e, from)
		return true
	case p.open() && p.wide && e.stretches(from.Addr()) && p.proven(from, k, b) && p.stream.reachable(e, from):
		p.latch(e, from)
		return true
	case p.source.IsValid() && from.Addr() == p.source.Addr() && e.continues(p, k, b):
		p.latch(e, from)
		return true
	}
	return false
}

// open reports whether a source other than p's may be accepted: there is none yet, or signalling has come since.
func (p *socket) open() bool { return p.again || !p.source.IsValid() }

// likely reports whether signalling makes a the far end's. Once its RTP has been accepted, RTCP is to come from the same address.
func (e *end) likely(p *socket, a netip.Addr) bool {
	if p.rtcp && e.rtp.source.IsValid() {
		return a == e.rtp.source.Addr() || a == e.likelies[2] && a.IsValid()
	}
	return e.names(a)
}

// stretches reports whether e's latch allows a though signalling did not name it.
func (e *end) stretches(a netip.Addr) bool {
	return e.remote.Latch == Any || e.remote.Latch == Prefix24 && e.near(a)
}

// proven reports whether b is the last one of a streak from one address: of one RTP source in sequence, or any packets where they are not RTP.
func (p *socket) proven(from netip.AddrPort, k kind, b []byte) bool {
	t := candidate{from: from}
	if k == rtp {
		t.ssrc, t.seq = ssrcOf(b), sequenceOf(b)
	}
	if last := p.trial; last.from == from && last.ssrc == t.ssrc && (k != rtp || t.seq-last.seq-1 < continuity) {
		t.n = last.n
	}
	t.n++
	p.trial = t
	return t.n >= streak
}

// continues reports whether b is the RTP source that p has accepted, further on: a NAT chose another port. It cannot be told of RTCP, whose
// port follows that of RTP.
func (e *end) continues(p *socket, k kind, b []byte) bool {
	if k != rtp || p.rtcp {
		return p.rtcp && k == rtcp && e.rtp.moved
	}
	return e.flow.started && ssrcOf(b) == e.flow.ssrc && sequenceOf(b)-e.flow.last-1 < continuity
}

// latch makes from p's only source, and where p sends unless that is fixed.
func (p *socket) latch(e *end, from netip.AddrPort) {
	p.moved = p.source.IsValid()
	if p.moved {
		e.count.moves++
	}
	p.source, p.again, p.wide, p.trial = from, false, false, candidate{}
	if p.rtcp {
		e.rtp.moved = false
	}
	if !p.fixed && !e.held() {
		p.send(from)
	}
}
