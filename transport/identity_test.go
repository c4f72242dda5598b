package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A tlsServer is somebody whom we dial over TLS: a Server that echoes.
func tlsServer(t *testing.T, own KeyPair, clients Source) Destination {
	t.Helper()
	cfg := Config{Listen: []Listen{over(edge.TLS, edge.Outside, "127.0.0.1:0")}, Workers: 1, TLS: TLS{Certificates: []KeyPair{own}}}
	if clients != (Source{}) {
		cfg.TLS.ClientCertificates, cfg.TLS.ClientCA = Require, clients
	}
	return Destination{edge.Outside, serve(t, cfg, &stage{on: echo}).Listeners()[0].Addr}
}

// A dialler is a Server whose messages to servers a test watches.
type dialler struct {
	*testing.T
	*Server
	stage stage
	log   syncBuffer
	own   *authority
}

func newDialler(t *testing.T) *dialler {
	d := &dialler{T: t, own: newAuthority(t)}
	cfg := oneTLS(t, d.own, "127.0.0.1:0")
	cfg.Log = slog.New(slog.NewTextHandler(&d.log, nil))
	d.Server = serve(t, cfg, &d.stage)
	return d
}

func (d *dialler) identities(all map[Destination]Identity) {
	d.Helper()
	if err := d.SetIdentities(all); err != nil {
		d.Fatal(err)
	}
}

// tell sends a message to the server.
func (d *dialler) tell(to Destination) {
	d.Helper()
	o := d.NewOut()
	if err := o.Send([]byte(message("x", 0)), edge.Flow{Remote: to.Addr, Transport: edge.TLS, Side: to.Side}); err != nil {
		d.Fatal(err)
	}
	o.Flush()
}

// ask sends a message to the server and returns what came back, or why nothing could.
func (d *dialler) ask(to Destination) (back seen, err error) {
	d.Helper()
	d.tell(to)
	select {
	case back = <-d.stage.calls:
	case <-time.After(patience):
		d.Fatal("neither an answer nor a failure came")
	}
	if back.what == "undelivered" {
		return back, back.err
	}
	return back, nil
}

// F36: what is said of one destination says nothing of another.
func TestIdentitiesAreNotMerged(t *testing.T) {
	red, blue := newAuthority(t), newAuthority(t)
	reds, blues := tlsServer(t, red.issue(t, "server", "sip:red.example"), Source{}), tlsServer(t, blue.issue(t, "server", "sip:blue.example"), Source{})
	d := newDialler(t)
	right := map[Destination]Identity{reds: {ServerName: "red.example", CA: red.file(t)}, blues: {ServerName: "blue.example", CA: blue.file(t)}}
	d.identities(right)
	for to := range right {
		if _, err := d.ask(to); err != nil {
			t.Errorf("right identity: %v", err)
		}
	}
	if all := d.Distrusted(); len(all) != 0 {
		t.Errorf("distrusted: %q", all)
	}
	swapped := map[Destination]Identity{reds: {ServerName: "red.example", CA: blue.file(t)}, blues: {ServerName: "blue.example", CA: red.file(t)}}
	d.identities(swapped) // ends the connections, too: else they would go on
	for to := range swapped {
		if _, err := d.ask(to); err == nil || !strings.Contains(err.Error(), "no authority in ") {
			t.Errorf("swapped authorities: %v", err)
		}
	}
	if all := d.Distrusted(); len(all) != 2 || !strings.HasPrefix(all[0], "blue.example (127.0.0.1:") || !strings.Contains(all[0], red.file(t).String()) {
		t.Errorf("distrusted: %q", all)
	}
	_, _ = d.ask(reds)
	if n := strings.Count(d.log.String(), "TLS with a server"); n != 2 {
		t.Errorf("told %d times, want once for each:\n%s", n, &d.log)
	}
	d.identities(right)
	for to := range right {
		if _, err := d.ask(to); err != nil {
			t.Errorf("right identity again: %v", err)
		}
	}
	if all := d.Distrusted(); len(all) != 0 {
		t.Errorf("still distrusted: %q", all)
	}
}

// A destination that nobody configured needs a certificate for its address by an authority of the system's, whatever others have.
func TestUnknownDestination(t *testing.T) {
	a := newAuthority(t)
	known, other := tlsServer(t, a.issue(t, "server", "ip:127.0.0.1"), Source{}), tlsServer(t, a.issue(t, "server", "ip:127.0.0.1"), Source{})
	d := newDialler(t)
	d.identities(map[Destination]Identity{known: {CA: a.file(t)}, {edge.Inside, other.Addr}: {CA: a.file(t)}})
	if _, err := d.ask(known); err != nil {
		t.Errorf("configured: %v", err)
	}
	if _, err := d.ask(other); err == nil {
		t.Error("the same address on the other side lent its authority")
	}
}

// Each destination sees its own client certificate, and what refuses us is told.
func TestClientCertificatePerDestination(t *testing.T) {
	a, red, blue := newAuthority(t), newAuthority(t), newAuthority(t)
	server := a.issue(t, "server", "ip:127.0.0.1")
	reds, blues := tlsServer(t, server, red.file(t)), tlsServer(t, server, blue.file(t))
	d := newDialler(t)
	own := map[Destination]KeyPair{reds: red.issue(t, "client", "sip:us"), blues: blue.issue(t, "client", "sip:us")}
	d.identities(map[Destination]Identity{reds: {CA: a.file(t), Own: own[reds]}, blues: {CA: a.file(t), Own: own[blues]}})
	for to := range own {
		if _, err := d.ask(to); err != nil {
			t.Errorf("right certificate: %v", err)
		}
	}
	d.identities(map[Destination]Identity{reds: {CA: a.file(t), Own: own[blues]}, blues: {CA: a.file(t)}})
	for to := range own {
		d.tell(to)
	}
	eventually(t, "both refusals are told", func() bool { return len(d.Distrusted()) == 2 })
	if all := d.Distrusted(); !strings.Contains(all[0], "it does not accept what we show") {
		t.Errorf("distrusted: %q", all)
	}
}

// What has not changed keeps its connection; what has changed gets another one.
func TestSetIdentities(t *testing.T) {
	a := newAuthority(t)
	server := a.issue(t, "server", "ip:127.0.0.1", "dns:pbx.example")
	one, two := tlsServer(t, server, Source{}), tlsServer(t, server, Source{})
	d := newDialler(t)
	d.identities(map[Destination]Identity{one: {CA: a.file(t)}, two: {CA: a.file(t)}})
	ones, _ := d.ask(one)
	twos, _ := d.ask(two)
	d.identities(map[Destination]Identity{one: {CA: a.file(t)}, two: {CA: a.file(t), ServerName: "pbx.example"}})
	if again, err := d.ask(one); err != nil || again.flow.Conn != ones.flow.Conn {
		t.Errorf("unchanged: %v, connection %d became %d", err, ones.flow.Conn, again.flow.Conn)
	}
	if again, err := d.ask(two); err != nil || again.flow.Conn == twos.flow.Conn {
		t.Errorf("changed: %v, connection %d stays", err, twos.flow.Conn)
	}
	before := d.Certificates()
	err := d.SetIdentities(map[Destination]Identity{one: {CA: File("/nonexistent/ca.pem")}})
	if bad, ok := errors.AsType[*CertificateError](err); !ok || bad.Source.String() != "/nonexistent/ca.pem" {
		t.Errorf("a file that is not there: %v", err)
	}
	if again, err := d.ask(one); err != nil || again.flow.Conn != ones.flow.Conn || len(d.Certificates()) != len(before) {
		t.Errorf("after a refused change: %v, %+v", err, d.Certificates())
	}
}

// The files of identities are followed, and their expiry is known.
func TestIdentityFilesFollowed(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	to := tlsServer(t, second.issue(t, "server", "ip:127.0.0.1"), Source{})
	d := newDialler(t)
	ca := first.file(t)
	d.identities(map[Destination]Identity{to: {CA: ca, Own: first.issue(t, "client", "sip:us")}})
	if _, err := d.ask(to); err == nil {
		t.Fatal("a server of another authority was believed")
	}
	infos := d.Certificates()
	if len(infos) != 3 || infos[1].Names[0] != "sip:us" || !infos[2].Authority || infos[2].File != ca.String() || !infos[2].NotAfter.Equal(first.cert.NotAfter) {
		t.Errorf("Certificates: %+v", infos)
	}
	writePEM(t, ca.String(), "CERTIFICATE", second.cert.Raw)
	eventually(t, "the new authority is believed", func() bool {
		_, err := d.ask(to)
		return err == nil
	})
	if err := os.Remove(ca.String()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing file is told", func() bool { return d.Certificates()[2].Problem == "there is no file "+ca.String() })
}

// F28: nothing that can be printed of a Source, and no error, has its text.
func TestSourcesKeepTheirText(t *testing.T) {
	a := newAuthority(t)
	pair := a.issue(t, "x", "dns:a")
	pem := func(s Source) string {
		b, err := os.ReadFile(s.String())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	key, certificate := pem(pair.Key), pem(pair.Certificate)
	held := KeyPair{Text("env:CERT", certificate), Text("env:KEY", key)}
	if _, err := held.Load(); err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(key, "\n")[1][:40]
	damaged := strings.Replace(key, secret[10:12], "!!", 1)
	other := Text("env:OTHER", pem(a.issue(t, "y", "dns:a").Key))
	said := fmt.Sprintf("%v %+v %#v %s %q", held, held, held, held.Key, held.Key)
	for _, p := range []KeyPair{{held.Certificate, Text("env:KEY", damaged)}, {held.Certificate, other}, {held.Key, held.Certificate}, {held.Certificate, held.Certificate},
		{held.Certificate, Text("env:KEY", secret)}, {held.Certificate, Text("env:KEY", strings.Replace(key, secret[:8], "AAAAAAAA", 1))}} {
		_, err := p.Load()
		if _, ok := errors.AsType[*CertificateError](err); !ok {
			t.Errorf("%v: %v", p, err)
		}
		said += fmt.Sprint(err)
	}
	_, err := LoadAuthorities(held.Key)
	said += fmt.Sprint(err)
	if strings.Contains(said, secret[:8]) || strings.Contains(said, "BEGIN") || !strings.Contains(said, "env:KEY") {
		t.Errorf("it says: %s", said)
	}
}

// No session is resumed: each connection to a server verifies its certificate anew.
func TestNoResumption(t *testing.T) {
	d := &dialled{Identity: Identity{ServerName: "a"}}
	if cfg := d.clientConfig(); cfg.ClientSessionCache != nil || cfg == d.clientConfig() || cfg.MinVersion < tls.VersionTLS12 {
		t.Error("the configuration of a connection is shared")
	}
}

// What is told of a certificate out of its time is the same each time, so that it is logged once.
func TestDoubtIsStable(t *testing.T) {
	a := newAuthority(t)
	d := &dialled{Identity: Identity{CA: File("ca.pem")}}
	why := d.doubt(a.cert, x509.CertificateInvalidError{Cert: a.cert, Reason: x509.Expired, Detail: "current time 1"}).Error()
	if !strings.Contains(why, " is good from "+a.cert.NotBefore.Format(time.DateTime)) || strings.Contains(why, "current time") {
		t.Errorf("%s", why)
	}
}

// A server that nobody configured has a name between Introduce and Dismiss, one at a time, and no connection outlives it.
func TestIntroduce(t *testing.T) {
	a := newAuthority(t)
	to := tlsServer(t, a.issue(t, "server", "dns:far.example"), Source{})
	d := newDialler(t)
	d.keyring.cfg.Roots = a.pool
	d.keyring.publish()
	if _, err := d.ask(to); err == nil {
		t.Error("it is not its address")
	}
	for _, c := range []struct {
		name string
		is   bool
	}{{"far.example", true}, {"far.example", true}, {"other.example", false}} {
		if d.Introduce(to, c.name) != c.is {
			t.Errorf("it may be %s: %v", c.name, !c.is)
		}
	}
	if _, err := d.ask(to); err != nil {
		t.Error(err)
	}
	d.Dismiss(to)
	if _, err := d.ask(to); err != nil {
		t.Error(err)
	}
	d.Dismiss(to)
	if _, err := d.ask(to); err == nil {
		t.Error("the connection of before is used")
	}
	if !d.Introduce(to, "other.example") {
		t.Error("it still has a name")
	}
	if _, err := d.ask(to); err == nil || !strings.Contains(err.Error(), "not for other.example") {
		t.Error(err)
	}
}

// TestNamedTells: whose certificate is not for a server is told what it needs: an address another thing than a name.
func TestNamedTells(t *testing.T) {
	for name, want := range map[string]string{
		"127.0.0.53":  "its certificate is not for 127.0.0.53: it needs that address as alternative name (RFC 5922)",
		"2001:db8::1": "its certificate is not for 2001:db8::1: it needs that address as alternative name (RFC 5922)",
		"pbx.example": "its certificate is not for pbx.example: it needs that name as sip: URI or, having none, as DNS name, no wildcard (RFC 5922)",
	} {
		d := dialled{Identity: Identity{ServerName: name}}
		if err := d.named(&x509.Certificate{DNSNames: []string{"other.example"}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.named(&x509.Certificate{DNSNames: []string{"pbx.example"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.53"), net.ParseIP("2001:db8::1")}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
