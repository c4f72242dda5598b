package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/transport"
)

// certify writes a certificate that is good from and to, and its key, both also in one folder for all tests of a run.
func certify(t *testing.T, dir, name string, from, to time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckCredentials(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	certify(t, dir, "good", now.Add(-time.Hour), now.Add(time.Hour))
	certify(t, dir, "other", now.Add(-time.Hour), now.Add(time.Hour))
	certify(t, dir, "old", now.Add(-2*time.Hour), now.Add(-time.Hour))
	certify(t, dir, "young", now.Add(time.Hour), now.Add(2*time.Hour))
	t.Setenv("RINGWALL_TEST_PEM", read(t, dir, "good.key"))
	t.Setenv("RINGWALL_TEST_OTHER", read(t, dir, "other.key"))
	for _, c := range []struct{ text, always, strict string }{
		{"tls: {certificate: D/good.pem, key: D/good.key}", "", ""},
		{"tls: {certificate: file:D/good.pem, key: 'env:RINGWALL_TEST_PEM'}", "", ""},
		{"tls: {certificate: D/good.pem, key: 'env:RINGWALL_TEST_OTHER'}", "f:1:%d: tls.key: cannot use the certificate D/good.pem with the key env:RINGWALL_TEST_OTHER", "same"},
		{"tls: [{certificate: D/good.pem, key: D/good.key}, {certificate: D/good.pem, key: D/other.key}]", "tls[1].key: cannot use", "same"},
		{"tls: {certificate: D/none.pem, key: D/good.key}", "tls.certificate: there is no file D/none.pem", "same"},
		{"tls: {certificate: D, key: D/good.key}", "tls.certificate: cannot read D: ", "same"},
		{"tls: {certificate: D/good.key, key: D/good.key}", "tls.certificate: D/good.key holds no certificate", "same"},
		{"tls: {certificate: D/good.pem, key: D/good.pem}", "tls.key: D/good.pem holds no private key", "same"},
		{"tls: {certificate: D/old.pem, key: D/old.key}", "", "tls.certificate: the certificate D/old.pem has expired on "},
		{"tls: {certificate: D/young.pem, key: D/young.key}", "", "tls.certificate: the certificate D/young.pem is not good before "},
		{"tls: {certificate: D/good.pem, key: D/good.key, client_certificates: ask, client_ca: D/good.key}", "tls.client_ca: D/good.key holds something else", "same"},
		{upstreamWith("ca: D/none"), "upstreams[0].ca: there is no file D/none", "same"},
		{upstreamWith("ca: D/old.pem"), "", "upstreams[0].ca: the authority D/old.pem has expired"},
		{upstreamWith("certificate: D/good.pem, key: D/other.key"), "upstreams[0].key: cannot use", "same"},
		{upstreamWith("certificate: D/good.pem, key: 'env:RINGWALL_TEST_NONE'"), "upstreams[0].key: the environment has no variable RINGWALL_TEST_NONE", "same"},
	} {
		cfg, err := config.Parse("f", []byte(strings.ReplaceAll(c.text, "D", dir)))
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if c.strict == "same" {
			c.strict = c.always
		}
		for strict, want := range map[bool]string{false: c.always, true: c.strict} {
			want = strings.ReplaceAll(want, "D", dir)
			if strings.Contains(want, "%d") {
				want = fmt.Sprintf(want, 1+strings.Index(strings.ReplaceAll(c.text, "D", dir), "key:"))
			}
			err := checkCredentials(cfg, now, strict)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: strict %v: %v, want %q", c.text, strict, err, want)
			}
			if err != nil && (strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), read(t, dir, "other.key")[30:60])) {
				t.Errorf("%s: a key is shown: %v", c.text, err)
			}
		}
	}
}

// upstreamWith is a configuration of one upstream over TLS with these keys; D/good.pem is a certificate.
func upstreamWith(keys string) string {
	return "upstreams: [{uri: 'sip:pbx.example;transport=tls', " + keys + "}]\ninside: {listen: [tls:127.0.0.1:5071]}\ntls: {certificate: D/good.pem, key: D/good.key}"
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestIdentities(t *testing.T) {
	const text = `upstreams:
  - {uri: "sip:a.example;transport=tls", ca: a.pem}
  - {uri: "sip:127.0.0.1:5080"}
  - {uri: "sip:b.example;transport=tls", ca: b.pem, certificate: c.pem, key: k.pem}
inside: {listen: [tls:127.0.0.1:5071, udp:127.0.0.1:5070]}
tls: {certificate: cert.pem, key: key.pem}
`
	cfg, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	at := func(a, b string) []proxy.Upstream {
		var all []proxy.Upstream
		for i, addr := range []string{a, "127.0.0.1:5080", b} {
			u := cfg.Upstreams[i]
			all = append(all, proxy.Upstream{URI: u.URI, Transport: u.Transport, Addr: netip.MustParseAddrPort(addr)})
		}
		return all
	}
	got, err := identities(cfg, at("127.0.0.1:5061", "127.0.0.2:5061"))
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	want := transport.Identity{ServerName: "b.example", CA: transport.File("b.pem"), Own: transport.KeyPair{Certificate: transport.File("c.pem"), Key: transport.File("k.pem")}}
	if id := got[transport.Destination{Side: edge.Inside, Addr: netip.MustParseAddrPort("127.0.0.2:5061")}]; id != want {
		t.Errorf("%+v", id)
	}
	_, err = identities(cfg, at("127.0.0.1:5061", "127.0.0.1:5061"))
	if err == nil || !strings.Contains(err.Error(), "f:4:6: upstreams[2].uri: is at 127.0.0.1:5061, where another server") {
		t.Errorf("two servers at one address: %v", err)
	}
}
