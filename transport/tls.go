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
	// ClientCA is where the authorities of far ends' certificates are. Needed unless ClientCertificates is Off.
	ClientCA Source
	// Poll is how often the files are looked at for changes. Default: 1 s.
	Poll time.Duration
	// Roots are the authorities of servers that we dial whose Identity names none. Nil: the system's.
	Roots *x509.CertPool
	// Identities say who the servers are that we dial. One that is not among them must have a certificate for its address.
	Identities map[Destination]Identity
}

// A KeyPair is a certificate (with the chain up to its authority) and its private key. Files are read again when they change.
type KeyPair struct{ Certificate, Key Source }

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
	if t.ClientCertificates != Off && t.ClientCA == (Source{}) {
		return errors.New("client certificates cannot be verified without a file of authorities")
	}
	return nil
}

// protocols are the names by which clients may ask for what we speak (ALPN, RFC 7301). One that asks for other names only gets no
// answer to that, rather than no connection: phones have been seen to ask for all kinds.
var protocols = [edge.Transports]string{edge.TLS: "sip", edge.WSS: "http/1.1"}

// serverConfig is what a listener of t shows of the certificates, and wants of clients. verify, if it is not nil, is asked about those that
// have shown a certificate.
func serverConfig(certificates []tls.Certificate, clients *x509.CertPool, choice ClientCertificates, t edge.Transport, verify func(tls.ConnectionState) error) *tls.Config {
	auth := [...]tls.ClientAuthType{Off: tls.NoClientCert, Ask: tls.VerifyClientCertIfGiven, Require: tls.RequireAndVerifyClientCert}
	plain := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: certificates, ClientAuth: auth[choice], ClientCAs: clients,
		VerifyConnection: verify}
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

// identifies reports whether leaf is the certificate of the SIP domain (RFC 5922 §7.1, §7.2): by a URI "sip:domain"; where it has no
// SIP URI, by a DNS name that is equal; where domain is an address, also by that address.
func identifies(leaf *x509.Certificate, domain string) bool {
	domain = strings.TrimSuffix(domain, ".")
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

// sipDomain is the domain that a URI of a certificate names: its host, whatever its port (RFC 5922 §7.1). One with a user names a person, not a
// domain.
func sipDomain(u *url.URL) (string, bool) {
	if !strings.EqualFold(u.Scheme, "sip") || strings.Contains(u.Opaque, "@") {
		return "", false
	}
	host, _, _ := strings.Cut(u.Opaque, ";")
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, _, _ = strings.Cut(inner, "]")
		return host, true
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.TrimSuffix(host, "."), true
}
