package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringwall/ringwall/edge"
)

// An authority makes certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	dir  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: cert, key: key, pool: x509.NewCertPool(), dir: t.TempDir()}
	a.pool.AddCert(cert)
	return a
}

// file is the certificate of the authority in a file.
func (a *authority) file(t testing.TB) Source {
	t.Helper()
	name := filepath.Join(a.dir, "ca.pem")
	writePEM(t, name, "CERTIFICATE", a.cert.Raw)
	return File(name)
}

func writePEM(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate with these names ("dns:x", "ip:x", "cn:x", else a URI) to files called name.
func (a *authority) issue(t testing.TB, name string, names ...string) KeyPair {
	t.Helper()
	form := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, n := range names {
		kind, rest, _ := strings.Cut(n, ":")
		switch kind {
		case "dns":
			form.DNSNames = append(form.DNSNames, rest)
		case "ip":
			form.IPAddresses = append(form.IPAddresses, net.ParseIP(rest))
		case "cn":
			form.Subject.CommonName = rest
		default:
			u, err := url.Parse(n)
			if err != nil {
				t.Fatal(err)
			}
			form.URIs = append(form.URIs, u)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, form, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := [2]string{filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")}
	writePEM(t, files[1], "PRIVATE KEY", private)
	writePEM(t, files[0], "CERTIFICATE", der)
	return KeyPair{File(files[0]), File(files[1])}
}

func over(tr edge.Transport, side edge.Side, a string) Listen {
	return Listen{Side: side, Transport: tr, Addr: addr(a)}
}

// oneTLS is a TLS listener with a certificate for sip.example.com.
func oneTLS(t testing.TB, a *authority, at string) Config {
	t.Helper()
	return Config{Listen: []Listen{over(edge.TLS, edge.Outside, at)}, Workers: 2,
		TLS: TLS{Certificates: []KeyPair{a.issue(t, "server", "dns:sip.example.com", "ip:127.0.0.1", "ip:::1")}, Poll: 10 * time.Millisecond}}
}

// dialTLS connects to to; cfg nil is a client that trusts a.
func dialTLS(t testing.TB, a *authority, to netip.AddrPort, cfg *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	if cfg.RootCAs == nil {
		cfg.RootCAs = a.pool
	}
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: cfg}
	c, err := d.DialContext(context.Background(), "tcp", to.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*tls.Conn), nil
}

func TestTLSMessages(t *testing.T) {
	a := newAuthority(t)
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			var from edge.Flow
			s := serve(t, oneTLS(t, a, at), &stage{on: func(o *Out, b []byte, f edge.Flow) { from = f; echo(o, b, f) }})
			l := s.Listeners()[0]
			if want := "SIP/2.0/TLS " + l.Addr.String(); l.Via != want {
				t.Errorf("Via %q, want %q", l.Via, want)
			}
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c, err := dialTLS(t, a, l.Addr, &tls.Config{MaxVersion: version, NextProtos: []string{"sip"}})
				if err != nil {
					t.Fatal(err)
				}
				if p := c.ConnectionState().NegotiatedProtocol; p != "sip" {
					t.Errorf("ALPN %q", p)
				}
				for _, m := range []string{message("a", 0), message("b", 60_000), "\r\n\r\n"} {
					fmt.Fprint(c, m)
					want := m
					if m == "\r\n\r\n" {
						want = "\r\n"
					}
					if got := readAll(t, c, len(want)); got != want {
						t.Errorf("%.30q came back as %.30q", m, got)
					}
				}
				if from.Transport != edge.TLS || from.Conn == 0 || !s.Alive(from) {
					t.Errorf("flow %+v", from)
				}
				c.Close()
			}
			eventually(t, "closed", func() bool { return s.Counters().ConnectionsOpen == 0 })
		})
	}
}

// A far end that was told nothing about the end of a connection would take it for an attack (RFC 8446 §6.1).
func TestTLSClosesWithAWord(t *testing.T) {
	a := newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	s := serve(t, cfg, &stage{onErr: func(o *Out, from edge.Flow) { _ = o.Send([]byte("SIP/2.0 400 Bad\r\n\r\n"), from) }})
	c, err := dialTLS(t, a, s.Listeners()[0].Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "INVITE sip:x SIP/2.0\r\nContent-Length: x\r\n\r\n")
	var all bytes.Buffer
	if _, err := all.ReadFrom(c); err != nil || all.String() != "SIP/2.0 400 Bad\r\n\r\n" {
		t.Errorf("read %q, %v", all.String(), err)
	}
}

// showing is a client that shows a certificate of by for these names.
func showing(t *testing.T, by *authority, names ...string) *tls.Config {
	t.Helper()
	c, err := by.issue(t, "client", names...).Load()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }}
}

// accepted reports whether the first listener of s, whose authority is a, answers such a client.
func accepted(t *testing.T, a *authority, s *Server, client *tls.Config) bool {
	t.Helper()
	c, err := dialTLS(t, a, s.Listeners()[0].Addr, client)
	if err != nil {
		return false
	}
	fmt.Fprint(c, "\r\n\r\n")
	_, err = c.Read(make([]byte, 2))
	return err == nil
}

func TestTLSRefusals(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	cfg.TLS.ClientCertificates, cfg.TLS.ClientCA = Require, a.file(t)
	s := serve(t, cfg, &stage{on: echo})
	show := func(by *authority) *tls.Config { return showing(t, by, "sip:alice@example.com") }
	old := show(a)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for what, c := range map[string]struct {
		cfg  *tls.Config
		want bool
	}{
		"verified": {show(a), true}, "none": {&tls.Config{}, false}, "of another authority": {show(stranger), false}, "TLS 1.1": {old, false},
	} {
		if accepted(t, a, s, c.cfg) != c.want {
			t.Errorf("client certificate %s: works is %v", what, !c.want)
		}
	}
	eventually(t, "three handshake errors are counted", func() bool { return s.Counters().HandshakeErrors == 3 })
}

// The name that a client asks for chooses the certificate; a name that is nobody's gets the first.
func TestTLSNames(t *testing.T) {
	a := newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	cfg.TLS.Certificates = []KeyPair{a.issue(t, "first", "dns:a.example.com"), a.issue(t, "second", "dns:b.example.com", "dns:*.c.example.com")}
	s := serve(t, cfg, &stage{})
	for asked, want := range map[string]string{"": "a", "a.example.com": "a", "b.example.com": "b", "x.c.example.com": "b", "other": "a", "A.EXAMPLE.COM": "a"} {
		c, err := dialTLS(t, a, s.Listeners()[0].Addr, &tls.Config{ServerName: asked, InsecureSkipVerify: true, NextProtos: []string{"h2", "x"}})
		if err != nil {
			t.Fatalf("%q: %v", asked, err)
		}
		if got := c.ConnectionState().PeerCertificates[0].DNSNames[0]; got != want+".example.com" {
			t.Errorf("asked for %q, got the certificate of %s", asked, got)
		}
	}
	infos := s.Certificates()
	if len(infos) != 2 || infos[1].File != cfg.TLS.Certificates[1].Certificate.String() || len(infos[1].Names) != 2 || time.Until(infos[0].NotAfter) <= 0 {
		t.Errorf("Certificates: %+v", infos)
	}
}

// syncBuffer is a buffer that a log may write to while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestCertificateReplaced(t *testing.T) {
	a := newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	log := &syncBuffer{}
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	s := serve(t, cfg, &stage{on: echo})
	shown := func() *x509.Certificate {
		c, err := dialTLS(t, a, s.Listeners()[0].Addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	old, err := dialTLS(t, a, s.Listeners()[0].Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := shown()
	pair := cfg.TLS.Certificates[0]
	if err := os.WriteFile(pair.Certificate.String(), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the problem is told", func() bool { return s.Certificates()[0].Problem != "" })
	time.Sleep(5 * cfg.TLS.Poll)
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
	if !shown().Equal(first) {
		t.Error("a broken file replaced the certificate in force")
	}
	a.issue(t, "server", "dns:new.example.com")
	eventually(t, "the new certificate is shown", func() bool { return shown().VerifyHostname("new.example.com") == nil })
	if info := s.Certificates()[0]; info.Problem != "" || info.Names[0] != "new.example.com" {
		t.Errorf("%+v", info)
	}
	fmt.Fprint(old, "\r\n\r\n")
	if got := readAll(t, old, 2); got != "\r\n" {
		t.Errorf("the old connection gives %q", got)
	}
}

func TestUnusableCertificates(t *testing.T) {
	a := newAuthority(t)
	good := a.issue(t, "good", "dns:a")
	other := a.issue(t, "other", "dns:a")
	for _, c := range []struct {
		tls  TLS
		want string
	}{
		{TLS{}, "needs a certificate"},
		{TLS{Certificates: []KeyPair{{File("/nonexistent"), good.Key}}}, "there is no file /nonexistent"},
		{TLS{Certificates: []KeyPair{{good.Certificate, other.Key}}}, "cannot use the certificate"},
		{TLS{Certificates: []KeyPair{good}, ClientCertificates: Require}, "without a file of authorities"},
		{TLS{Certificates: []KeyPair{good}, ClientCertificates: Ask, ClientCA: good.Key}, "something else than certificates"},
	} {
		_, err := Open(Config{Listen: []Listen{over(edge.TLS, edge.Outside, "127.0.0.1:0")}, TLS: c.tls})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.tls, err, c.want)
		}
	}
}

// RFC 5922 §7.1 and §7.2.
func TestServerIdentity(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	for _, c := range []struct {
		names  []string
		by     *authority
		domain string
		want   bool
	}{
		{[]string{"sip:example.com"}, a, "example.com", true},
		{[]string{"sip:EXAMPLE.com", "sip:other"}, a, "example.com", true},
		{[]string{"sip:example.com:5061;transport=tls"}, a, "example.com", true},
		{[]string{"sip:example.com."}, a, "example.com.", true},
		{[]string{"sip:alice@example.com", "sips:other.example.com", "dns:example.com"}, a, "example.com", true},
		{[]string{"dns:example.com"}, a, "example.com.", true},
		{[]string{"dns:example.com"}, a, "example.com", true},
		{[]string{"dns:Example.COM"}, a, "example.com", true},
		{[]string{"ip:127.0.0.1"}, a, "", true},
		{[]string{"sip:example.com"}, stranger, "example.com", false},
		{[]string{"cn:example.com"}, a, "example.com", false},
		{[]string{"dns:*.example.com"}, a, "sip.example.com", false},
		{[]string{"sip:*.example.com"}, a, "sip.example.com", false},
		{[]string{"dns:other.example.com"}, a, "example.com", false},
		{[]string{"sip:other.example.com", "dns:example.com"}, a, "example.com", false},
		{[]string{"sip:alice@example.com"}, a, "example.com", false},
		{[]string{"https:example.com"}, a, "example.com", false},
		{[]string{"sips:example.com"}, a, "example.com", false},
		{[]string{"sip:example.com@other.example"}, a, "example.com", false},
		{[]string{"sip:example.com.other.example:5061", "sip:other.example:example.com"}, a, "example.com", false},
		{[]string{"ip:127.0.0.2"}, a, "", false},
		{[]string{"dns:127.0.0.1", "cn:127.0.0.1"}, a, "", false},
	} {
		t.Run(strings.Join(c.names, " ")+" for "+c.domain, func(t *testing.T) {
			there := serve(t, Config{Listen: []Listen{over(edge.TLS, edge.Outside, "127.0.0.1:0")}, Workers: 1,
				TLS: TLS{Certificates: []KeyPair{c.by.issue(t, "server", c.names...)}}}, &stage{on: echo})
			cfg := oneTLS(t, a, "127.0.0.1:0")
			to := there.Listeners()[0].Addr
			cfg.TLS.Roots, cfg.TLS.Identities = a.pool, map[Destination]Identity{{edge.Outside, to}: {ServerName: c.domain}}
			st := &stage{}
			here := serve(t, cfg, st)
			o := here.NewOut()
			if err := o.Send([]byte(message("x", 0)), edge.Flow{Remote: to, Transport: edge.TLS}); err != nil {
				t.Fatal(err)
			}
			o.Flush()
			if c.want {
				st.next(t, "receive")
				return
			}
			if got := st.next(t, "undelivered"); !strings.Contains(got.err.Error(), "certificate") {
				t.Errorf("refused because of %v", got.err)
			}
		})
	}
}

// Many half handshakes (S34): nobody waits for them, each is closed after the deadline, and nothing is left of them.
func TestHalfHandshakes(t *testing.T) {
	before := goleak.IgnoreCurrent()
	fds := descriptors(t)
	a := newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	cfg.HandshakeTimeout, cfg.ConnectionsPerSource = 2*time.Second, 100
	s := serve(t, cfg, &stage{on: echo})
	to := s.Listeners()[0].Addr
	hello := clientHello(t)
	var half []*net.TCPConn
	for i := range 200 {
		c, err := dialFrom(fmt.Sprintf("127.0.0.%d", 2+i/100), to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = c.Write(hello[:[]int{0, 1, len(hello) / 2, len(hello)}[i%4]])
		half = append(half, c)
	}
	eventually(t, "all taken in", func() bool { return s.Counters().Accepted == 200 })
	if c, err := dialFrom("127.0.0.2", to); err == nil { // the cap of a source counts from accept on
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("one more of that source is served")
		}
		c.Close()
	}
	if n := s.Counters(); n.Accepted != 200 && n.HandshakeErrors == 0 { // on a busy machine those of before may have gone by now
		t.Error("one more of that source is taken in")
	}
	c, err := dialTLS(t, a, to, nil)
	if err != nil {
		t.Fatalf("a real phone among half handshakes: %v", err)
	}
	fmt.Fprint(c, "\r\n\r\n")
	if got := readAll(t, c, 2); got != "\r\n" {
		t.Errorf("got %q", got)
	}
	for _, h := range half {
		_ = h.SetReadDeadline(time.Now().Add(patience))
		if _, err := bytes.NewBuffer(nil).ReadFrom(h); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a half handshake stays open")
		}
		h.Close()
	}
	eventually(t, "all but the phone are gone", func() bool { return s.Counters().ConnectionsOpen == 1 })
	if n := s.Counters(); n.HandshakeErrors != n.Accepted-1 {
		t.Errorf("%d handshake errors of %d connections, want all but one", n.HandshakeErrors, n.Accepted)
	}
	c.Close()
	s.Close()
	goleak.VerifyNone(t, before)
	eventually(t, "descriptors as before", func() bool { return descriptors(t) <= fds })
}

// clientHello is the first flight of a client.
func clientHello(t testing.TB) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		_ = tls.Client(there, &tls.Config{InsecureSkipVerify: true}).Handshake()
		there.Close()
	}()
	b := make([]byte, 4096)
	n, err := here.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// Strangers cannot take the part of the budget that is kept for known sources.
func TestBudget(t *testing.T) {
	b := budget{make(chan struct{}, 1), make(chan struct{}, 1)}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if b.take(t.Context(), false) == nil {
		t.Fatal("no turn for a stranger")
	}
	for range 100 { // of what is ready chance chooses
		if b.take(ended, false) != nil {
			t.Fatal("a stranger has what is kept")
		}
	}
	turn := b.take(t.Context(), true)
	if turn == nil {
		t.Fatal("no turn for a known source")
	}
	<-turn
}

// Close while handshakes are in the middle.
func TestCloseDuringHandshake(t *testing.T) {
	a := newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	cfg.HandshakeTimeout = time.Hour
	s := serve(t, cfg, &stage{})
	c := dialTCP(t, s.Listeners()[0].Addr)
	eventually(t, "taken in", func() bool { return s.Counters().ConnectionsOpen == 1 })
	s.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
}

func BenchmarkHandshake(b *testing.B) {
	a := newAuthority(b)
	cfg := oneTLS(b, a, "127.0.0.1:0")
	s := serve(b, cfg, &stage{on: echo})
	client := &tls.Config{RootCAs: a.pool}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := tls.Dial("tcp", s.Listeners()[0].Addr.String(), client)
			if err != nil {
				b.Error(err)
				return
			}
			c.Close()
		}
	})
}
