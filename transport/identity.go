package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Destination is a server that we dial.
type Destination struct {
	Side edge.Side
	Addr netip.AddrPort
}

// An Identity says who the server at a Destination must be, and who we are to it. Identities are never merged: what is said of one
// destination says nothing of another, a connection is shared by messages to its own destination only, and no TLS session is resumed.
type Identity struct {
	// ServerName is the SIP domain that the server's certificate must name (RFC 5922 §7.2); "": its address.
	ServerName string
	// CA is where the authorities are, of which one must have made the certificate. None: TLS.Roots.
	CA Source
	// Own is the certificate that we show if the server asks for one. None: the first of TLS.Certificates.
	Own KeyPair
}

// A dialled is an identity in force.
type dialled struct {
	Identity
	roots *x509.CertPool
	own   *tls.Certificate
	state *dialState // the same over changes of the files
}

// A dialState is what came of dialling a destination of Config.
type dialState struct{ problem atomic.Pointer[string] }

// clientConfig is for dialling the server of d, once: a configuration that is used again could resume a session. Its certificate is
// verified by RFC 5922 §7.2, which is stricter than what browsers do: no wildcards, no common names.
func (d *dialled) clientConfig() *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{protocols[edge.TLS]},
		InsecureSkipVerify: true, // VerifyConnection does it: the library would accept wildcards
		VerifyConnection:   func(state tls.ConnectionState) error { return verifyPeer(state, d, x509.ExtKeyUsageServerAuth) },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if d.own == nil {
				return &tls.Certificate{}, nil
			}
			return d.own, nil
		},
	}
	if _, err := netip.ParseAddr(d.ServerName); err != nil {
		cfg.ServerName = d.ServerName
	}
	return cfg
}

// verifyPeer verifies the chain of a far end's certificate, for the use it is made of, and that it is that of d.
func verifyPeer(state tls.ConnectionState, d *dialled, use x509.ExtKeyUsage) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("it shows no certificate")
	}
	leaf := state.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: d.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{use}}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return d.doubt(leaf, err)
	}
	return d.named(leaf)
}

// named reports whether leaf is for the name of d. What it says is short, since the log cuts what events say at 200 bytes.
func (d *dialled) named(leaf *x509.Certificate) error {
	switch _, err := netip.ParseAddr(d.ServerName); {
	case identifies(leaf, d.ServerName):
		return nil
	case err == nil:
		return fmt.Errorf("its certificate is not for %s: it needs that address as alternative name (RFC 5922)", d.ServerName)
	}
	return fmt.Errorf("its certificate is not for %s: it needs that name as sip: URI or, having none, as DNS name, no wildcard (RFC 5922)", d.ServerName)
}

// doubt says in one sentence why leaf does not verify: without the time of day, so that it is the same sentence each time.
func (d *dialled) doubt(leaf *x509.Certificate, err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("no authority %s has made its certificate, which is issued by %.100q", d.authorities(), leaf.Issuer)
	}
	if bad, ok := errors.AsType[x509.CertificateInvalidError](err); ok && bad.Reason == x509.Expired {
		return fmt.Errorf("its certificate, or its authority's, is good from %s to %s only", bad.Cert.NotBefore.UTC().Format(time.DateTime), bad.Cert.NotAfter.UTC().Format(time.DateTime))
	}
	return fmt.Errorf("its certificate: %w", err)
}

// authorities names those of d for a sentence.
func (d *dialled) authorities() string {
	if d.CA == (Source{}) {
		return "that the system trusts"
	}
	return "in " + d.CA.String()
}

// destination is what requests that share the connection go to.
func (c *conn) destination() Destination {
	key := c.dialKey()
	return Destination{key.side, key.remote}
}

// distrust notes why TLS with a configured destination failed, and tells the log when it is something else than before.
func (c *conn) distrust(err error) {
	d := c.identity.Load()
	if d == nil || d.state == nil || c.server.ctx.Err() != nil {
		return
	}
	if alerted(err) {
		err = fmt.Errorf("it does not accept what we show: %w", err)
	}
	at, what := c.flow.Remote.String(), "TLS with a server that we dial has failed"
	if !c.dialed { // its port is another one each time
		at, what = c.flow.Remote.Addr().String(), "TLS with a server that must show who it is has failed"
	}
	why := fmt.Sprintf("%s (%s): %v", d.ServerName, at, err)
	if was := d.state.problem.Swap(&why); was == nil || *was != why {
		c.server.cfg.Log.Warn(what, slog.String("reason", "tls.failed"), slog.String("error", why))
	}
}

// trusted notes that a server has sent something: it has accepted what we show, which in TLS 1.3 the handshake does not tell.
func (c *conn) trusted() {
	if d := c.identity.Load(); d != nil && d.state != nil {
		d.state.problem.Store(nil)
	}
}

// alerted reports whether err is an alert by which the far end ended TLS.
func alerted(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// SetIdentities replaces those of Config.TLS. The error is a *CertificateError; nothing has changed then. Connections of ours to
// destinations whose identity is another one now are closed once what they have queued is written.
func (s *Server) SetIdentities(all map[Destination]Identity) error {
	changed, err := s.keyring.setIdentities(all)
	if err != nil {
		return err
	}
	s.redial(changed)
	return nil
}

// setIdentities puts all in force and returns the destinations that got another identity.
func (k *keyring) setIdentities(all map[Destination]Identity) (changed map[Destination]bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range all {
		if err := k.need(id.CA, id.Own); err != nil {
			return nil, err
		}
	}
	changed = map[Destination]bool{}
	for _, m := range []map[Destination]Identity{k.identities, all} {
		for to := range m {
			if all[to] != k.identities[to] {
				changed[to] = true
				delete(k.states, to)
			}
		}
	}
	k.identities = maps.Clone(all)
	k.drop()
	k.publish()
	return changed, nil
}

// Distrusted tells, a sentence each, which of the configured destinations could not be trusted when they were dialled last, and which callers
// when they called last, and why; but for the destinations that nobody cares about any more.
func (s *Server) Distrusted(but ...Destination) []string {
	var all []string
	for to, d := range s.keyring.current.Load().dialled {
		if why := d.state.problem.Load(); why != nil && !slices.Contains(but, to) {
			all = append(all, *why)
		}
	}
	for _, c := range s.keyring.current.Load().callers {
		if why := c.who.state.problem.Load(); why != nil {
			all = append(all, *why)
		}
	}
	slices.Sort(all)
	return all
}
