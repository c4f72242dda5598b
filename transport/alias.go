package transport

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/edge"
)

// Connection reuse by RFC 5923: a server that has connected to us over TLS asks by ;alias in its Via that we send requests for its
// sent-by over the connection that is there. Granting that to the wrong one would hand it the calls of another, so it is granted only
// where dialling would have led to the same: a configured Destination, at the address that the connection comes from, whose Identity
// the client's certificate fulfils. Anybody else is dialled, which is never wrong.

// Alias lets requests to host and port, the sent-by of a Via with ;alias that came over from, use that connection, and reports whether
// they do. host is as written, port 0 the default of TLS.
func (s *Server) Alias(from edge.Flow, host []byte, port uint16) bool {
	if from.Transport != edge.TLS {
		return false
	}
	if port == 0 {
		port = 5061
	}
	c := s.conns.find(from)
	if c == nil || c.dialed || c.strange.Load() {
		return false
	}
	key := dialKey{from.Side, from.Transport, netip.AddrPortFrom(from.Remote.Addr(), port)}
	if now := c.alias.Load(); now != nil {
		return *now == key
	}
	d := s.keyring.current.Load().dialled[Destination{key.side, key.remote}]
	if d == nil || !d.isCalled(string(host), key.remote.Addr()) {
		return false
	}
	if !d.certified(c) {
		c.strange.Store(true) // whatever else it asks for: verifying is not cheap
		return false
	}
	if !s.conns.alias(c, key) {
		return false
	}
	s.count.aliases.Add(1)
	return true
}

// isCalled reports whether host, a sent-by's, is the name or the address of d.
func (d *dialled) isCalled(host string, at netip.Addr) bool {
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.Unmap() == at
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), d.ServerName)
}

// certified reports whether the client of c has shown a certificate that verifies, for the listener as for d, and is the one that the
// server of d would show.
func (d *dialled) certified(c *conn) bool {
	c.mu.Lock()
	over, ok := c.nc.(*tls.Conn)
	c.mu.Unlock()
	if !ok {
		return false
	}
	state := over.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return false
	}
	return verifyPeer(state, d, x509.ExtKeyUsageClientAuth) == nil
}

// Certified reports whether the server that to leads to has a client certificate of its own to see from us, so that requests to it
// may ask for connection reuse.
func (o *Out) Certified(to edge.Flow) bool {
	if to.Transport != edge.TLS || to.Conn != 0 {
		return false
	}
	d := o.server.keyring.current.Load().dialled[Destination{to.Side, to.Remote}]
	return d != nil && d.Own != (KeyPair{})
}

// alias puts c where messages to key find it, unless there is a connection already or c has been removed.
func (t *connTable) alias(c *conn, key dialKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.removed || t.dialed[key] != nil {
		return false
	}
	c.alias.Store(&key)
	t.dialed[key] = c
	return true
}
