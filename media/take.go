package media

import (
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// take judges the packet b, which came to p from an address, and says by which socket and where to send what: b, or an answer to a
// check; -1 if nothing is to be sent. It runs once per packet.
func (s *Stream) take(l *loop, p *socket, b []byte, from netip.AddrPort) (fd int, to *sockaddr, out []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.ends[p.end]
	if s.closed {
		return -1, nil, nil
	}
	k := unknown
	switch {
	case !s.spec.Opaque:
		k = classify(b, p.rtcp, e.remote.Mux)
	case e.ice != nil && isSTUN(b):
		k = stun
	}
	switch {
	case k == stun && e.ice != nil:
		return s.check(l, e, p, b, from)
	case !e.expected:
		e.count.refused[RefusedEarly]++
		return -1, nil, nil
	case k == junk:
		e.count.refused[RefusedFormat]++
		return -1, nil, nil
	case k == stun:
		e.count.refused[RefusedSTUN]++
		return -1, nil, nil
	case !e.admits(p, from, k, b):
		e.count.refused[RefusedSource]++
		return -1, nil, nil
	case e.remote.Rate > 0 && e.tooFast(l.now):
		e.count.refused[RefusedRate]++
		return -1, nil, nil
	}
	e.accepted(l, k, b)
	if (k == rtcp || k == rtp && isRTCPType(b)) && s.leaves(p.end) { // on the port of RTP, too, where nobody agreed on that
		anonymize(b, s.relay.words)
	}
	return s.forward(l, p, k, b)
}

// leaves reports whether what e sends goes from inside to outside.
func (s *Stream) leaves(e End) bool {
	return s.spec.Ends[e].Side == edge.Inside && s.spec.Ends[e.Other()].Side == edge.Outside
}

// tooFast reports whether a packet at now is over Remote.Rate.
func (e *end) tooFast(now time.Time) bool {
	if e.full.Before(now) {
		e.full = now
	}
	if e.full.Sub(now) >= time.Second {
		return true
	}
	e.full = e.full.Add(time.Second / time.Duration(e.remote.Rate))
	return false
}

// accepted counts b.
func (e *end) accepted(l *loop, k kind, b []byte) {
	c := &e.count
	if c.first.IsZero() {
		c.first = l.now
	}
	c.last = l.now
	if k == rtcp {
		c.rtcp++
		return
	}
	c.packets++
	c.bytes += uint64(len(b))
	if k == rtp {
		e.flow.add(b, ticks(l.now, e.remote.Clock))
	}
}

// ticks is now by a clock of so many ticks a second; only differences mean anything.
func ticks(now time.Time, clock uint32) uint32 {
	return uint32(now.Unix()*int64(clock) + int64(now.Nanosecond())*int64(clock)/int64(time.Second))
}

// forward chooses the way of an accepted packet: RTCP goes to the port that the other end wants it on.
func (s *Stream) forward(l *loop, p *socket, k kind, b []byte) (int, *sockaddr, []byte) {
	other := &s.ends[p.end.Other()]
	out := &other.rtp
	if (p.rtcp || k == rtcp) && !other.remote.Mux {
		out = &other.rtcp
	}
	if !out.far.IsValid() {
		other.count.waited++
		return -1, nil, nil
	}
	other.count.sent++
	l.to = out.name
	return out.fd, &l.to, b
}

// failed counts a packet to e that the kernel did not take.
func (s *Stream) failed(e End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[e].count.failed++
}
