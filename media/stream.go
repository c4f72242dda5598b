package media

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Stream is one media line of a call: two ends, each with a pair of ports of ours, and packets moved between them. Its methods may
// be called from any goroutine.
type Stream struct {
	relay *Relay
	loop  *loop
	spec  Spec
	since time.Time
	owned bool // counted in Relay.owners; guarded by Relay.mu
	rests bool // its ports are to rest; constant once it is closed

	mu     sync.Mutex // guards the following; never held while a packet is moved
	closed bool
	ends   [Ends]end
}

// An end is one end of a stream as the relay knows it.
type end struct {
	rtp, rtcp socket
	remote    Remote
	expected  bool      // Expect has been called
	since     time.Time // Expect has been called first
	likelies  [3]netip.Addr
	barred    []netip.AddrPort
	full      time.Time // when as many packets as Remote.Rate allows may come at once (GCRA)
	ice       *ice      // own credentials, nil if none are offered
	flow      flow
	count     counts
}

// bind opens the two ports of e; want is the first one, 0 for any.
func (s *Stream) bind(e End, want uint16) error {
	place := s.spec.Ends[e]
	addr := s.relay.address(place)
	if !addr.IsValid() {
		return ErrAddress
	}
	port, rtp, rtcp, err := s.relay.takePorts(addr, want)
	if err != nil {
		return err
	}
	end := &s.ends[e]
	end.rtp = socket{stream: s, end: e, fd: rtp, local: netip.AddrPortFrom(addr, port)}
	end.rtcp = socket{stream: s, end: e, rtcp: true, fd: rtcp, local: netip.AddrPortFrom(addr, port+1)}
	return nil
}

// sockets are those of s that are open.
func (s *Stream) sockets() []*socket {
	var open []*socket
	for i := range s.ends {
		e := &s.ends[i]
		if e.rtp.stream != nil {
			open = append(open, &e.rtp, &e.rtcp)
		}
	}
	return open
}

// watch has the loop read the sockets of s.
func (s *Stream) watch() error {
	for _, p := range s.sockets() {
		if err := s.loop.watch(p); err != nil {
			return err
		}
	}
	return nil
}

// Port is our address and RTP port on the side of e: what its description is to name. RTCP has the next port.
func (s *Stream) Port(e End) netip.AddrPort { return s.ends[e].rtp.local }

// Spec is what s was opened with.
func (s *Stream) Spec() Spec { return s.spec }

// Admit ends the limit of Spec.Owner for s: the platform has authenticated him, or taken the call.
func (s *Stream) Admit() {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.disownLocked(s)
}

// Expect says what an offer or answer told about e. It may be called again and again; each call lets e's source change once more, within what
// Remote.Latch allows. Where nothing has changed, packets flow on as before; from an address that is not accepted any more they end at once.
func (s *Stream) Expect(e End, r Remote) {
	r.RTP, r.RTCP, r.Signalling = unmap(r.RTP), unmap(r.RTCP), r.Signalling.Unmap()
	if r.Trusted && r.Latch == Any {
		r.Latch = Strict
	}
	if r.Clock == 0 {
		r.Clock = 8000
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := &s.ends[e]
	if !end.expected {
		end.since = s.relay.cfg.Now()
	}
	r.Proven = r.Proven || end.remote.Proven && end.remote.Signalling == r.Signalling // an earlier description may come back into force
	moved := !end.expected || r.RTP != end.remote.RTP
	end.remote, end.expected = r, true
	end.likelies = s.likelies(end)
	s.aim(end, &end.rtp, r.RTP, moved)
	s.aim(end, &end.rtcp, r.RTCP, moved)
}

// Bar says what is not accepted from e, though signalling may make it likely: where other answers to the same offer come from. It takes the place of
// what was said before; list is kept.
func (s *Stream) Bar(e End, list []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := &s.ends[e]
	end.barred = list
	for _, p := range []*socket{&end.rtp, &end.rtcp} {
		if !slices.Contains(list, p.source) {
			continue
		}
		if p.far == p.source {
			p.far = netip.AddrPort{}
		}
		p.source = netip.AddrPort{}
	}
}

// Prove says that e's Signalling has shown that it receives what is sent there: see Remote.Proven.
func (s *Stream) Prove(e End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := &s.ends[e]
	if !end.expected || end.remote.Proven {
		return
	}
	end.remote.Proven = true
	for _, p := range []*socket{&end.rtp, &end.rtcp} {
		if named := end.remote.named(p.rtcp); !p.far.IsValid() && s.sendable(end, named) {
			p.send(named)
		}
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Close ends s: nothing is accepted or sent from now on, and the ports rest if both ends were described. Closing it again does nothing.
func (s *Stream) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.rests = s.ends[Caller].expected && s.ends[Callee].expected // else nobody has a reason to send
	s.mu.Unlock()
	s.relay.leave(s)
	s.loop.forget(s.sockets())
}

// OfferICE makes the relay an ICE-lite agent towards e (RFC 8445 §2.5) and returns the credentials that our description names there. Checks are
// answered at once, and once Expect says that the far end does ICE, only addresses that checked are accepted. Asked again, it
// returns the same credentials; restart makes new ones (RFC 8445 §9), and those of before hold until somebody has checked with them.
func (s *Stream) OfferICE(e End, restart bool) (ufrag, pwd string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := &s.ends[e]
	switch {
	case end.ice == nil:
		end.ice = newICE()
	case restart:
		end.ice = end.ice.restarted()
	}
	return end.ice.ufrag, end.ice.pwd
}
