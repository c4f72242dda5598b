package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TLS says what certificates TLS and WSS listeners show, what they ask of phones, and whom we believe when dialling.
type TLS struct {
	// Certificates are ours. A client that names a server (SNI) gets the first that is for that name, else the first of all.
	Certificates []KeyPair
	// ClientCertificates says whether far ends must show a certificate of ClientCA.
	ClientCertificates ClientCertificates
	// ClientCA is a file with the authorities (PEM) of far ends' certificates. Needed unless ClientCertificates is Off.
	ClientCA string
	// Poll is how often the files are looked at for changes. Default: 1 s.
	Poll time.Duration
	// Roots are the authorities of servers that we dial. Nil: the system's.
	Roots *x509.CertPool
	// ServerName is the SIP domain of a server that we dial, which its certificate must name; "" or a nil function: its address.
	ServerName func(netip.AddrPort) string
}

// A KeyPair is a certificate (PEM, with the chain up to its authority) and its private key, in files. They are read again when they change.
type KeyPair struct{ Certificate, Key string }

// ClientCertificates is what a TLS listener wants of far ends.
type ClientCertificates uint8

// From nothing to a verified certificate.
const (
	Off     ClientCertificates = iota // none is asked for
	Ask                               // one is asked for, and verified if it comes
	Require                           // no connection without one that verifies
)

// validate reports what t lacks for the listeners.
func (t TLS) validate(listen []Listen) error {
	for _, l := range listen {
		if l.Transport.Secure() && len(t.Certificates) == 0 {
			return fmt.Errorf("%v needs a certificate", l)
		}
	}
	if t.ClientCertificates > Require {
		return errors.New("unknown choice for client certificates")
	}
	if t.ClientCertificates != Off && t.ClientCA == "" {
		return errors.New("client certificates cannot be verified without a file of authorities")
	}
	return nil
}

// protocols are the names by which clients may ask for what we speak (ALPN, RFC 7301). One that asks for other names only gets no
// answer to that, rather than no connection: phones have been seen to ask for all kinds.
var protocols = [edge.Transports]string{edge.TLS: "sip", edge.WSS: "http/1.1"}

// serverConfig is what a listener of t shows of the certificates.
func serverConfig(certificates []tls.Certificate, clients *x509.CertPool, choice ClientCertificates, t edge.Transport) *tls.Config {
	auth := [...]tls.ClientAuthType{Off: tls.NoClientCert, Ask: tls.VerifyClientCertIfGiven, Require: tls.RequireAndVerifyClientCert}
	plain := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates, ClientAuth: auth[choice], ClientCAs: clients}
	named := plain.Clone()
	named.NextProtos = []string{protocols[t]}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, p := range hello.SupportedProtos {
			if p == protocols[t] {
				return named, nil
			}
		}
		return plain, nil
	}}
}

// clientConfig is for dialling the server of domain. Its certificate is verified by RFC 5922 §7.2, which is stricter than what
// browsers do: no wildcards, no common names.
func clientConfig(roots *x509.CertPool, domain string, certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) *tls.Config {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{protocols[edge.TLS]},
		InsecureSkipVerify:   true, // VerifyConnection does it: the library would accept wildcards
		VerifyConnection:     func(state tls.ConnectionState) error { return verifyPeer(state, roots, domain) },
		GetClientCertificate: certificate,
	}
	if _, err := netip.ParseAddr(domain); err != nil {
		cfg.ServerName = domain
	}
	return cfg
}

// verifyPeer verifies the chain of a server's certificate and that it is domain's.
func verifyPeer(state tls.ConnectionState, roots *x509.CertPool, domain string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	leaf := state.PeerCertificates[0]
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return fmt.Errorf("the certificate of %s: %w", domain, err)
	}
	if !identifies(leaf, domain) {
		return fmt.Errorf("the certificate is not for %s: want it in a subject alternative name, as URI sip:%s or, if it has no such URI, as DNS name without wildcard (RFC 5922 §7.1)", domain, domain)
	}
	return nil
}

// identifies reports whether leaf is the certificate of the SIP domain (RFC 5922 §7.1, §7.2): by a URI "sip:domain"; where it has no
// SIP URI, by a DNS name that is equal; where domain is an address, also by that address.
func identifies(leaf *x509.Certificate, domain string) bool {
	sipURIs := false
	for _, u := range leaf.URIs {
		if host, ok := sipDomain(u); ok {
			sipURIs = true
			if strings.EqualFold(host, domain) {
				return true
			}
		}
	}
	if sipURIs {
		return false
	}
	if addr, err := netip.ParseAddr(domain); err == nil {
		for _, ip := range leaf.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap() == addr.Unmap() {
				return true
			}
		}
		return false
	}
	for _, name := range leaf.DNSNames {
		if strings.EqualFold(strings.TrimSuffix(name, "."), domain) {
			return true
		}
	}
	return false
}

// sipDomain is the domain that a URI of a certificate names. One with a user names a person, not a domain.
func sipDomain(u *url.URL) (string, bool) {
	if !strings.EqualFold(u.Scheme, "sip") {
		return "", false
	}
	host, _, _ := strings.Cut(u.Opaque, ";")
	return strings.Trim(host, "[]"), !strings.Contains(host, "@")
}
