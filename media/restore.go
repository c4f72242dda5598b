package media

import (
	"errors"
	"fmt"
	"net/netip"
)

// A State is what must be kept of a stream so that it goes on in another process: after a crash the far ends send on to the same ports. It has no
// pointers and may be written as JSON.
type State struct {
	Spec Spec
	Ends [Ends]EndState
}

// An EndState is the part of a State that belongs to one end.
type EndState struct {
	Port       uint16 // ours for RTP
	Expected   bool   // Expect was called, with Remote
	Remote     Remote
	RTP, RTCP  Latched
	Ufrag, Pwd string // what OfferICE returned; empty: it was not called
}

// Latched is where a port's packets come from and go to; invalid: unknown.
type Latched struct{ Source, Far netip.AddrPort }

var errNoPort = errors.New("its state names no port")

// State returns what Restore needs. It changes with Expect, Prove and OfferICE, and when a source latches (Stats.Source).
func (s *Stream) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := State{Spec: s.spec}
	for i := range s.ends {
		e := &s.ends[i]
		st.Ends[i] = EndState{Port: e.rtp.local.Port(), Expected: e.expected, Remote: e.remote,
			RTP: Latched{e.rtp.source, e.rtp.far}, RTCP: Latched{e.rtcp.source, e.rtcp.far}}
		if e.ice != nil {
			st.Ends[i].Ufrag, st.Ends[i].Pwd = e.ice.ufrag, e.ice.pwd
		}
	}
	return st
}

// Restore opens a stream again as State told it, on the same ports. The first packet that signalling makes likely may take the place of the
// source it had, since a NAT may have forgotten that one meanwhile. The error is as that of Open.
func (r *Relay) Restore(st State) (*Stream, error) {
	var ports [Ends]uint16
	for i, e := range st.Ends {
		if ports[i] = e.Port; e.Port == 0 {
			return nil, fmt.Errorf("restore a media stream: %w", errNoPort)
		}
	}
	s, err := r.open(st.Spec, ports)
	if err != nil {
		return nil, err
	}
	for i := range st.Ends {
		if e := &st.Ends[i]; e.Expected {
			s.Expect(End(i), e.Remote)
		}
		s.resume(End(i), &st.Ends[i])
	}
	return s, nil
}

// resume puts e's addresses back.
func (s *Stream) resume(e End, st *EndState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := &s.ends[e]
	if st.Ufrag != "" {
		end.ice = iceOf(st.Ufrag, st.Pwd)
	}
	end.rtp.resume(end, st.RTP)
	end.rtcp.resume(end, st.RTCP)
}

func (p *socket) resume(e *end, l Latched) {
	p.source = l.Source
	if l.Far.IsValid() {
		p.send(l.Far)
	}
	if e.checking() && l.Far.IsValid() {
		e.ice.part(p.rtcp).admit(l.Far, true)
	}
}
