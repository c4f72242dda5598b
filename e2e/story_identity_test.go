package e2e

import (
	"crypto/tls"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A site is an authority with its files, and a platform on TLS that it has certified and that wants a client certificate of the
// same authority.
type site struct {
	dir      string
	platform *siptest.UA
}

func newSite(t *testing.T) *site {
	t.Helper()
	a, err := siptest.NewAuthority()
	s := &site{dir: t.TempDir()}
	if err == nil {
		err = a.Write(s.file("ca.pem"))
	}
	if err == nil {
		err = a.Issue(s.file("client.pem"), s.file("client.key"), "sip:edge.example.com")
	}
	if err != nil {
		t.Fatal(err)
	}
	s.platform = siptest.NewTLSPlatform(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // its address is known now
			if err := a.Issue(s.file("server.pem"), s.file("server.key"), s.platform.Addr.Addr().String()); err != nil {
				return nil, err
			}
			pair, err := tls.LoadX509KeyPair(s.file("server.pem"), s.file("server.key"))
			return &pair, err
		}})
	return s
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// upstream is an entry of the configuration that believes ca's authority and shows own's client certificate.
func (s *site) upstream(ca, own *site, more string) string {
	return fmt.Sprintf("{uri: \"sip:%v;transport=tls\", ca: %q, certificate: %q, key: %q%s}", s.platform.Addr, ca.file("ca.pem"),
		own.file("client.pem"), own.file("client.key"), more)
}

// startSecure is an edge whose upstreams are those entries.
func startSecure(t *testing.T, upstreams ...string) *siptest.Edge {
	t.Helper()
	inside, err := siptest.FreeAddr(siptest.OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	return siptest.StartEdge(t, siptest.Outlets{Secure: true}, siptest.Keys{"upstreams": "[" + strings.Join(upstreams, ", ") + "]",
		"inside": fmt.Sprintf("{listen: [\"tls:%v\"]}", inside)})
}

// status is what ringwall status says.
func status(t *testing.T, e *siptest.Edge) string {
	t.Helper()
	out, err := exec.Command(siptest.Binary(t), "status", "--state", e.State).CombinedOutput()
	if err != nil {
		t.Fatalf("status: %v\n%s", err, out)
	}
	return string(out)
}

// TestUpstreamIdentity (F36): an upstream is reached with its own authority and the client certificate that it wants.
func TestUpstreamIdentity(t *testing.T) {
	s := newSite(t)
	e := startSecure(t, s.upstream(s, s, ""))
	r := &rig{T: t, edge: e, platform: s.platform, way: udp}
	c := r.call(r.phone("alice"))
	r.bye(c.phone, c.platform)
	if said := status(t, e); strings.Contains(said, "tls.failed") {
		t.Errorf("status:\n%s", said)
	}
}

// TestUpstreamsSwapped (F36): with the authorities of two upstreams swapped neither gets anything, though each authority is
// trusted for the other. The log and status say why; after a reload with the right ones calls pass.
func TestUpstreamsSwapped(t *testing.T) {
	red, blue := newSite(t), newSite(t)
	e := startSecure(t, red.upstream(blue, red, ""), blue.upstream(red, blue, ""))
	r := &rig{T: t, edge: e, platform: red.platform, way: udp}
	phone := r.phone("alice")
	phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	e.WaitLog("TLS with a server that we dial has failed")
	if !siptest.Eventually(func() bool { return strings.Count(status(t, e), "tls.failed") == 2 }) {
		t.Errorf("status:\n%s", status(t, e))
	}
	if said := status(t, e); !strings.Contains(said, "no authority in "+red.file("ca.pem")+" has made its certificate") {
		t.Errorf("status:\n%s", said)
	}
	red.platform.Silence(hush)
	blue.platform.Silence(hush)
	r.rewrite("upstreams:", "upstreams: ["+red.upstream(red, red, "")+"]")
	if a := r.askReload(); !a.OK {
		t.Fatalf("reload: %+v", a)
	}
	r.call(r.phone("carol"))
	if said := status(t, e); strings.Contains(said, "tls.failed") {
		t.Errorf("status after the reload:\n%s", said)
	}
}
