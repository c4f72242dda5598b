package transport

import "sync"

// acquaintances are the servers that have a name without being configured. A connection is verified as one server, so at any time an
// address has one name at most.
type acquaintances struct {
	mu  sync.Mutex
	all map[Destination]*acquaintance
}

type acquaintance struct {
	name  string
	times int // introduced, less the times dismissed
}

// Introduce lets the server at to, where no Identity says who it is, be name from now on: when it is dialled over TLS its certificate must
// be for that (RFC 5922 §7.2) instead of for its address. False: it is somebody else already. Each true is taken back by a Dismiss.
func (s *Server) Introduce(to Destination, name string) bool {
	k := &s.keyring.met
	k.mu.Lock()
	a, known := k.all[to]
	switch {
	case known && a.name != name:
		k.mu.Unlock()
		return false
	case known:
		a.times++
	default:
		k.all[to] = &acquaintance{name, 1}
	}
	k.mu.Unlock()
	if !known {
		s.redial(map[Destination]bool{to: true})
	}
	return true
}

// Dismiss takes one Introduce of to back. After the last one connections to it that were verified by that name are closed once what they
// have queued is written.
func (s *Server) Dismiss(to Destination) {
	k := &s.keyring.met
	k.mu.Lock()
	a := k.all[to]
	last := false
	if a != nil {
		a.times--
		if last = a.times == 0; last {
			delete(k.all, to)
		}
	}
	k.mu.Unlock()
	if last {
		s.redial(map[Destination]bool{to: true})
	}
}

// nameOf is the name that to has, if it has one, else its address.
func (k *acquaintances) nameOf(to Destination) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.all[to]; a != nil {
		return a.name
	}
	return to.Addr.Addr().String()
}

// redial lets the next messages to these destinations go over connections that are made anew; those of now are closed once what they have
// queued is written.
func (s *Server) redial(to map[Destination]bool) {
	for _, c := range s.conns.to(to) {
		s.conns.forget(c)
		if !c.dialed {
			continue // it is the far end's
		}
		s.start(func() {
			c.drain()
			c.close(errClosed)
		})
	}
}
