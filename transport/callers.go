package transport

import (
	"cmp"
	"crypto/tls"
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/edge"
)

// A Caller is a server that connects to us over TLS from somewhere, and must show who it is: no connection from there without a
// certificate that its Identity's authorities made for its Identity's ServerName (RFC 5922 §7.2), unless that is "". Of callers from one place the narrowest
// counts. Own is of no use here.
type Caller struct {
	From netip.Prefix
	Identity
}

// A caller is a Caller in force.
type caller struct {
	Caller
	who    *dialled
	config *tls.Config
}

// SetCallers replaces the callers at TLS listeners outside. The error is a *CertificateError; nothing has changed then. Connections from
// where another one, or none, was expected are closed once what they have queued is written.
func (s *Server) SetCallers(all []Caller) error {
	changed, err := s.keyring.setCallers(all)
	if err != nil || len(changed) == 0 {
		return err
	}
	for _, c := range s.conns.all() {
		a := c.flow.Remote.Addr()
		if c.dialed || c.flow.Transport != edge.TLS || c.flow.Side != edge.Outside ||
			!slices.ContainsFunc(changed, func(p netip.Prefix) bool { return p.Contains(a) }) {
			continue
		}
		s.start(func() {
			c.drain()
			c.close(errClosed)
		})
	}
	return nil
}

// setCallers puts all in force and returns from where callers are other ones now.
func (k *keyring) setCallers(all []Caller) (changed []netip.Prefix, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range all {
		if err := k.need(c.CA, KeyPair{}); err != nil {
			return nil, err
		}
	}
	for _, pair := range [2][2][]Caller{{k.callers, all}, {all, k.callers}} {
		for _, c := range pair[0] {
			if !slices.Contains(pair[1], c) {
				changed = append(changed, c.From)
			}
		}
	}
	k.callers = slices.SortedStableFunc(slices.Values(all), func(a, b Caller) int { return cmp.Compare(b.From.Bits(), a.From.Bits()) })
	k.drop()
	k.publish()
	return changed, nil
}

// callersInForce are the callers with what is loaded for them, the narrowest first. Those of before keep what came of their handshakes.
func (k *keyring) callersInForce(certificates []tls.Certificate, before []caller) (all []caller) {
	for _, c := range k.callers {
		who := &dialled{Identity: c.Identity, roots: k.cfg.Roots, state: new(dialState)}
		if f := k.pools[c.CA]; f != nil {
			who.roots = f.value.Pool
		}
		if i := slices.IndexFunc(before, func(b caller) bool { return b.Caller == c }); i >= 0 {
			who.state = before[i].who.state
		}
		all = append(all, caller{c, who, serverConfig(certificates, who.roots, Require, edge.TLS, func(state tls.ConnectionState) error {
			return who.named(state.PeerCertificates[0])
		})})
	}
	return all
}

// callerAt is the caller that a connection to a listener comes from, nil if none is expected there.
func (k *keyring) callerAt(from edge.Flow) *caller {
	if from.Transport != edge.TLS || from.Side != edge.Outside {
		return nil
	}
	now := k.current.Load()
	for i := range now.callers {
		if c := &now.callers[i]; c.From.Contains(from.Remote.Addr()) {
			if c.ServerName == "" {
				return nil
			}
			return c
		}
	}
	return nil
}
