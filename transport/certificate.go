package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// A CertificateError says which certificate, key or authorities cannot be used, and why, without anything of their content.
type CertificateError struct {
	Source Source // what is at fault
	Key    bool   // it was to be a private key
	Err    error
}

// Error returns the sentence.
func (e *CertificateError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Err }

// Authorities are certificates that others are verified by.
type Authorities struct {
	Pool *x509.CertPool
	// NotBefore and NotAfter are the time from the first to the last day on which one of them is good.
	NotBefore, NotAfter time.Time
}

// Load reads a certificate and its key. The error is a *CertificateError; whether it is the time of the certificate is not asked.
func (p KeyPair) Load() (tls.Certificate, error) {
	chain, err := p.Certificate.read()
	if err == nil && !holds(chain, "CERTIFICATE") {
		err = fmt.Errorf("%s holds no certificate in PEM form", p.Certificate)
	}
	if err != nil {
		return tls.Certificate{}, &CertificateError{p.Certificate, false, err}
	}
	key, err := p.Key.read()
	if err == nil && !holds(key, "PRIVATE KEY") {
		err = fmt.Errorf("%s holds no private key in PEM form", p.Key)
	}
	if err != nil {
		return tls.Certificate{}, &CertificateError{p.Key, true, err}
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return pair, &CertificateError{p.Key, true, fmt.Errorf("cannot use the certificate %s with the key %s: %w", p.Certificate, p.Key, err)}
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return pair, &CertificateError{p.Certificate, false, fmt.Errorf("cannot use the certificate %s: %w", p.Certificate, err)}
		}
	}
	return pair, nil
}

// holds reports whether PEM data has a block whose type ends in kind.
func holds(data []byte, kind string) bool {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return false
		}
		if strings.HasSuffix(block.Type, kind) {
			return true
		}
	}
}

// LoadAuthorities reads the certificates of authorities. The error is a *CertificateError; one that cannot be read spoils all.
func LoadAuthorities(from Source) (Authorities, error) {
	a := Authorities{Pool: x509.NewCertPool()}
	data, err := from.read()
	for err == nil {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		var one *x509.Certificate
		if block.Type != "CERTIFICATE" {
			err = fmt.Errorf("%s holds something else than certificates of authorities", from)
		} else if one, err = x509.ParseCertificate(block.Bytes); err != nil {
			err = fmt.Errorf("cannot use the authorities in %s: %w", from, err)
		} else {
			a.add(one)
		}
	}
	if err == nil && a.NotAfter.IsZero() {
		err = fmt.Errorf("%s holds no certificate in PEM form", from)
	}
	if err != nil {
		return Authorities{}, &CertificateError{from, false, err}
	}
	return a, nil
}

func (a *Authorities) add(one *x509.Certificate) {
	a.Pool.AddCert(one)
	if a.NotBefore.IsZero() || one.NotBefore.Before(a.NotBefore) {
		a.NotBefore = one.NotBefore
	}
	if one.NotAfter.After(a.NotAfter) {
		a.NotAfter = one.NotAfter
	}
}
