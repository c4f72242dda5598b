package proxy

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A token of ours says which URI is meant, not who wrote it: a caller outside may name any address in a Contact, a Refer-To or a body, and what
// a proxy of the platform sends out again leaves as a token like any other. So requests from outside go straight to a server inside only if
// it is one that the platform itself is known to have: of the pool, or met. For any other the platform gets them, which knows its own network.

// mostMet bounds the servers that are remembered besides those of the pool.
const mostMet = 1024

// met are the servers inside that sent requests by themselves, or named themselves in a Contact that nobody else can have written. They
// are learnt anew after a restart.
type met struct {
	adding sync.Mutex
	all    atomic.Pointer[map[netip.AddrPort]bool] // never written after it was stored
}

func (s *met) has(server netip.AddrPort) bool {
	all := s.all.Load()
	return all != nil && (*all)[server]
}

// add notes a server. One too many makes all others be learnt anew.
func (s *met) add(server netip.AddrPort) {
	if s.has(server) {
		return
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	all := map[netip.AddrPort]bool{server: true}
	if old := s.all.Load(); old != nil && len(*old) < mostMet {
		maps.Copy(all, *old)
	}
	s.all.Store(&all)
}

// ofPlatform reports whether there is a server of the platform at that address and port, by whatever transport.
func (l *lane) ofPlatform(server netip.AddrPort) bool {
	for i := range l.cfg.servers {
		if l.cfg.servers[i].Addr == server {
			return true
		}
	}
	return l.p.met.has(server)
}

// meets takes note of where the sender of x, a request from inside, can be reached: at the port of its Via, and over UDP at its source.
func (l *lane) meets(x *edge.Exchange) {
	if l.ordered { // it is ours
		return
	}
	if !l.ofPlatform(x.From.Remote) && !x.From.Transport.Stream() {
		l.p.met.add(x.From.Remote)
	}
	port := x.Msg.Via.Port
	if port == 0 {
		port = 5060
	}
	if via := netip.AddrPortFrom(x.From.Remote.Addr(), port); via != x.From.Remote && !l.ofPlatform(via) {
		l.p.met.add(via)
	}
}

// contactServer is the server of the platform that the Contact URI at contact names. False: it names none, or it may be that of somebody
// outside, which a proxy of the platform sends on.
func (l *lane) contactServer(m *sip.Message, contact sip.Span) (edge.Flow, bool) {
	flow, ok := l.serverAtURI(m, contact)
	if !ok || l.ofPlatform(flow.Remote) {
		return flow, ok
	}
	if !unrelayed(m) {
		return edge.Flow{}, false
	}
	l.p.met.add(flow.Remote)
	return flow, true
}

// unrelayed reports whether m, from inside, was written by who sent it: a request with one Via, or a response that recorded no way but ours. One
// from outside that a proxy sends on has two at least, for we recorded ourselves on its way out, too.
func unrelayed(m *sip.Message) bool {
	if m.IsRequest() {
		return single(m, sip.FieldVia)
	}
	return single(m, sip.FieldRecordRoute)
}
