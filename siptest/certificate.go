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
	"os"
	"sync"
	"time"
)

// An authority makes the certificates of a test run.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	err  error
}

// ca is the authority of this test run, made when it is first needed.
var ca = sync.OnceValue(func() *authority {
	a := &authority{pool: x509.NewCertPool()}
	if a.key, a.err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); a.err != nil {
		return a
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ringwall test authority"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	var der []byte
	if der, a.err = x509.CreateCertificate(rand.Reader, form, form, a.key.Public(), a.key); a.err != nil {
		return a
	}
	if a.cert, a.err = x509.ParseCertificate(der); a.err == nil {
		a.pool.AddCert(a.cert)
	}
	return a
})

// WriteAuthority writes the certificate of the authority that all certificates of this test run are made by.
func WriteAuthority(file string) error {
	if a := ca(); a.err != nil {
		return a.err
	}
	return writePEM(file, "CERTIFICATE", ca().cert.Raw)
}

// WriteCertificate writes a new certificate for names (DNS names and addresses) and its key.
func WriteCertificate(cert, key string, names ...string) error {
	a := ca()
	if a.err != nil {
		return fmt.Errorf("make the authority of test certificates: %w", a.err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
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

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
