package transport

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Other certificates and another choice for client certificates are for new connections; those that are open go on.
func TestSetCertificates(t *testing.T) {
	a := newAuthority(t)
	cfg := oneTLS(t, a, "127.0.0.1:0")
	s := serve(t, cfg, &stage{on: echo})
	old, err := dialTLS(t, a, s.Listeners()[0].Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := TLS{Certificates: []KeyPair{a.issue(t, "next", "ip:127.0.0.1", "dns:next.example")}, ClientCertificates: Require, ClientCA: a.file(t)}
	if err := s.SetCertificates(next); err != nil {
		t.Fatal(err)
	}
	if accepted(t, a, s, &tls.Config{}) || !accepted(t, a, s, showing(t, a, "sip:alice@example.com")) {
		t.Error("a client certificate must be shown now")
	}
	fmt.Fprint(old, "\r\n\r\n")
	if _, err := old.Read(make([]byte, 2)); err != nil {
		t.Errorf("the connection of before: %v", err)
	}
	if all := s.Certificates(); len(all) != 2 || all[0].Names[0] != "next.example" {
		t.Errorf("%+v", all)
	}
	for what, bad := range map[string]TLS{
		"none for a listener": {}, "a file that is not there": {Certificates: []KeyPair{{File("/nowhere"), File("/nowhere")}}},
		"no authorities": {Certificates: cfg.TLS.Certificates, ClientCertificates: Ask},
	} {
		if s.SetCertificates(bad) == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if all := s.Certificates(); len(all) != 2 || all[0].Names[0] != "next.example" {
		t.Errorf("a refused change has changed something: %+v", all)
	}
}

// Limits and load balancers of another configuration are for new connections, too.
func TestSetLimits(t *testing.T) {
	s := serve(t, Config{Listen: []Listen{over(edge.TCP, edge.Outside, "127.0.0.1:0")}, Workers: 1, HandshakeTimeout: 300 * time.Millisecond}, &stage{on: echo})
	works := func() bool {
		t.Helper()
		c, err := net.Dial("tcp", s.Listeners()[0].Addr.String())
		if err != nil {
			return false
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "\r\n\r\n")
		_, err = c.Read(make([]byte, 2))
		return err == nil
	}
	if !works() {
		t.Fatal("nobody can connect")
	}
	s.SetConnectionsPerSource(1)
	if works() {
		t.Error("a second connection of a source that may have one")
	}
	s.SetConnectionsPerSource(10)
	if !works() {
		t.Error("no second connection of a source that may have ten")
	}
	s.SetProxyProtocol([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	if works() {
		t.Error("a load balancer without a header")
	}
	s.SetProxyProtocol(nil)
	if !works() {
		t.Error("who is no load balancer any more needs no header")
	}
}
