package transport

import (
	"net/netip"
	"slices"
)

// What a Server takes in while it serves. Connections that are open go on as they began.

// SetProxyProtocol replaces Config.ProxyProtocol for new connections. The slice may not be written to afterwards.
func (s *Server) SetProxyProtocol(balancers []netip.Prefix) { s.balancers.Store(&balancers) }

// SetConnectionsPerSource replaces that of Config, at least 1, for new connections.
func (s *Server) SetConnectionsPerSource(most int) {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	s.conns.perSource = max(1, most)
}

// SetCertificates replaces what Config.TLS says of certificates, client certificates and their authorities, for new connections. The error
// is a *CertificateError where a file cannot be used; nothing has changed then.
func (s *Server) SetCertificates(t TLS) error {
	if err := t.validate(s.cfg.Listen); err != nil {
		return err
	}
	return s.keyring.setOwn(t)
}

// setOwn does it.
func (k *keyring) setOwn(t TLS) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Equal(k.cfg.Certificates, t.Certificates) && k.cfg.ClientCertificates == t.ClientCertificates && k.cfg.ClientCA == t.ClientCA {
		return nil
	}
	for _, p := range t.Certificates {
		if err := k.need(Source{}, p); err != nil {
			return err
		}
	}
	if err := k.need(t.ClientCA, KeyPair{}); err != nil {
		return err
	}
	k.cfg.Certificates, k.cfg.ClientCertificates, k.cfg.ClientCA = t.Certificates, t.ClientCertificates, t.ClientCA
	k.drop()
	k.publish()
	return nil
}
