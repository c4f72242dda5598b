package siptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// An Authority makes certificates.
type Authority struct {
	Pool *x509.CertPool // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one that is good for a day.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ringwall test authority"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{Pool: x509.NewCertPool(), cert: cert, key: key}
	a.Pool.AddCert(cert)
	return a, nil
}

// Write writes its own certificate.
func (a *Authority) Write(file string) error { return writePEM(file, "CERTIFICATE", a.cert.Raw) }

// Issue writes a new certificate for names (addresses, "sip:" URIs, else DNS names) and its key, good for a day as server and as client.
func (a *Authority) Issue(cert, key string, names ...string) error {
	form := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		if domain, isURI := strings.CutPrefix(n, "sip:"); isURI {
			form.URIs = append(form.URIs, &url.URL{Scheme: "sip", Opaque: domain})
		} else if ip := net.ParseIP(n); ip != nil {
			form.IPAddresses = append(form.IPAddresses, ip)
		} else {
			form.DNSNames = append(form.DNSNames, n)
		}
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, form, a.cert, own.Public(), a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return err
	}
	if err := writePEM(key, "PRIVATE KEY", private); err != nil {
		return err
	}
	return writePEM(cert, "CERTIFICATE", der)
}

// ca is the authority of this test run, made when it is first needed.
var ca = sync.OnceValues(NewAuthority)

// Roots is the pool that trusts the authority of this test run; an empty one if that could not be made.
func Roots() *x509.CertPool {
	a, err := ca()
	if err != nil {
		return x509.NewCertPool()
	}
	return a.Pool
}

// WriteAuthority writes the certificate of the authority that all certificates of this test run are made by.
func WriteAuthority(file string) error {
	a, err := ca()
	if err != nil {
		return err
	}
	return a.Write(file)
}

// WriteCertificate writes a new certificate of that authority for names and its key.
func WriteCertificate(cert, key string, names ...string) error {
	a, err := ca()
	if err != nil {
		return fmt.Errorf("make the authority of test certificates: %w", err)
	}
	return a.Issue(cert, key, names...)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
