package e2e

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// A site is an authority with its files, and a platform on TLS that it has certified and that wants a client certificate of the
// same authority.
type site struct {
	dir       string
	authority *siptest.Authority
	platform  *siptest.UA
}

func newSite(t *testing.T) *site {
	t.Helper()
	a, err := siptest.NewAuthority()
	s := &site{dir: t.TempDir(), authority: a}
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

// issue makes a certificate and returns its files.
func (s *site) issue(t *testing.T, name string, names ...string) (cert, key string) {
	t.Helper()
	cert, key = s.file(name+".pem"), s.file(name+".key")
	if err := s.authority.Issue(cert, key, names...); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// startSecure is an edge whose upstreams are those entries.
func startSecure(t *testing.T, more siptest.Keys, upstreams ...string) *siptest.Edge {
	t.Helper()
	inside, err := siptest.FreeAddr(siptest.OwnIP())
	if err != nil {
		t.Fatal(err)
	}
	keys := siptest.Keys{"upstreams": "[" + strings.Join(upstreams, ", ") + "]", "inside": fmt.Sprintf("{listen: [\"tls:%v\"]}", inside)}
	maps.Copy(keys, more)
	e := siptest.StartEdge(t, siptest.Outlets{Secure: true}, keys)
	e.Inside = inside
	return e
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
	t.Parallel()
	s := newSite(t)
	e := startSecure(t, nil, s.upstream(s, s, ""))
	r := &rig{T: t, edge: e, platform: s.platform, way: udp, hidden: true}
	c := r.call(r.phone("alice"))
	r.bye(c.phone, c.platform)
	if said := status(t, e); strings.Contains(said, "tls.failed") {
		t.Errorf("status:\n%s", said)
	}
}

// TestUpstreamsSwapped (F36): with the authorities of two upstreams swapped neither gets anything, though each authority is
// trusted for the other. The log and status say why; after a reload with the right ones calls pass.
func TestUpstreamsSwapped(t *testing.T) {
	t.Parallel()
	red, blue := newSite(t), newSite(t)
	e := startSecure(t, nil, red.upstream(blue, red, ""), blue.upstream(red, blue, ""))
	r := &rig{T: t, edge: e, platform: red.platform, way: udp, hidden: true}
	phone := r.phone("alice")
	phone.Send(phone.Request("INVITE", "sip:bob@example.com"))
	e.WaitLog(`msg="TLS with a server that we dial has failed" event=listener reason=tls.failed`)
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

// TestSecureUpstreamRemoved: a reload takes an upstream on TLS out. Its call goes on, also over a new connection, by the certificates that it was known by.
func TestSecureUpstreamRemoved(t *testing.T) {
	t.Parallel()
	red, blue := newSite(t), newSite(t)
	e := startSecure(t, nil, red.upstream(red, red, ""))
	r := &rig{T: t, edge: e, platform: red.platform, way: udp, hidden: true}
	c := r.call(r.phone("alice"))
	r.rewrite("upstreams:", "upstreams: ["+blue.upstream(blue, blue, "")+"]")
	if a := r.askReload(); !a.OK {
		t.Fatalf("reload: %+v", a)
	}
	r.ask(c.phone, c.platform, c.phone.Request("INFO"))
	red.platform.Hangup()
	r.reconnects(c)
	r.bye(c.phone, c.platform)
	r.platform = blue.platform
	r.call(r.phone("carol"))
}

// TestConnectionReuse (RFC 5923): a platform connects to the edge with its certificate and asks by ;alias to be called over that
// connection. So it is, and asked for the same. A platform without a certificate that asks is called over a connection of the edge's.
func TestConnectionReuse(t *testing.T) {
	t.Parallel()
	for _, certified := range []bool{true, false} {
		t.Run(fmt.Sprint("certified ", certified), func(t *testing.T) {
			s := newSite(t)
			cert, key := s.issue(t, "edge", "127.0.0.1")
			e := startSecure(t, siptest.Keys{"tls": fmt.Sprintf("{certificate: %q, key: %q, client_certificates: ask, client_ca: %q}", cert, key, s.file("ca.pem"))},
				s.upstream(s, s, ""))
			r := &rig{T: t, edge: e, platform: s.platform, way: udp, hidden: true}
			s.platform.TLS = &tls.Config{InsecureSkipVerify: true}
			if certified {
				pair, err := tls.LoadX509KeyPair(s.issue(t, "platform", s.platform.Addr.Addr().String()))
				if err != nil {
					t.Fatal(err)
				}
				s.platform.TLS.Certificates = []tls.Certificate{pair}
			}
			conn, err := s.platform.Dial(e.Inside)
			if err != nil {
				t.Fatal(err)
			}
			hello := s.platform.Request("OPTIONS", "sip:"+e.Inside.String())
			hello.Set("Via", fmt.Sprintf("SIP/2.0/TLS %v;branch=%s;alias", s.platform.Addr, siptest.NewBranch()))
			s.platform.SendTo(e.Inside, "tls", hello.String())
			s.platform.Expect("200 OPTIONS")
			_, got := r.invite(r.phone("alice"))
			if (got.Conn == conn) != certified {
				t.Errorf("the INVITE came over the platform's connection: %v", !certified)
			}
			if via := got.All("Via")[0]; !strings.HasSuffix(via, ";alias") {
				t.Errorf("Via %q", via)
			}
		})
	}
}
