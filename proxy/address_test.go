package proxy

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// Where a URI leads (RFC 3263 §4.1, §4.2 for numeric hosts), and over what it may be reached.
func TestURITransport(t *testing.T) {
	for uri, want := range map[string]struct {
		transport edge.Transport
		ok        bool
		port      uint16
	}{
		"sip:a@192.0.2.1":                    {edge.UDP, true, 5060},
		"sip:a@192.0.2.1;transport=TCP":      {edge.TCP, true, 5060},
		"sip:a@192.0.2.1;transport=tls":      {edge.TLS, true, 5061},
		"sip:a@192.0.2.1:5080;transport=tls": {edge.TLS, true, 5080},
		"sips:a@192.0.2.1":                   {edge.TLS, true, 5061},
		"sips:a@192.0.2.1;transport=tcp":     {edge.TLS, true, 5061},
		"sips:a@192.0.2.1;transport=udp":     {edge.TLS, false, 5061},
		"sip:a@192.0.2.1;transport=ws":       {edge.UDP, false, 5060},
		"sip:a@192.0.2.1;transport=sctp":     {edge.UDP, false, 5060},
	} {
		raw := []byte(uri)
		u, err := sip.ParseURI(raw, sip.Span{End: uint32(len(raw))})
		if err != nil {
			t.Fatal(err)
		}
		transport, ok := transportOf(raw, &u)
		addr, isAddr := hostPort(raw, &u)
		if ok != want.ok || ok && transport != want.transport || !isAddr || addr.Port() != want.port {
			t.Errorf("%s: %v %v, %v %v", uri, transport, ok, addr, isAddr)
		}
		for tr := edge.UDP; tr < edge.Transports; tr++ {
			if got, want := mayCarry(&u, tr), u.Scheme == sip.SIP || tr == edge.TLS || tr == edge.WSS; got != want {
				t.Errorf("%s over %v: %v", uri, tr, got)
			}
		}
	}
}

// TestSourceText: a source is written as the library writes it.
func TestSourceText(t *testing.T) {
	var s source
	for _, addr := range []string{"0.0.0.0", "127.1.0.1", "10.99.100.255", "192.0.2.9", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::"} {
		for _, port := range []uint16{0, 1, 9, 10, 99, 100, 999, 1000, 5060, 9999, 10_000, 65_535} {
			at := netip.AddrPortFrom(netip.MustParseAddr(addr), port)
			s.write(at)
			if got := string(s.text); got != at.String() || string(s.port()) != strconv.Itoa(int(port)) || string(s.host()) != addr {
				t.Errorf("%v is written %q, %q and %q", at, got, s.host(), s.port())
			}
		}
	}
}

// TestMeant holds what leads to a server to what it says there.
func TestMeant(t *testing.T) {
	s := &server{Upstream: Upstream{Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, text: []byte("192.0.2.1:5060")}
	for uri, want := range map[string]bool{
		"sip:192.0.2.1:5060": true, "sip:a@192.0.2.1:5060": true, "sip:@192.0.2.1:5060": true, "sip:a@b@192.0.2.1:5060": false, "sip:1192.0.2.1:5060": false,
		"sip:a192.0.2.1:5060": false, "sips:192.0.2.1:5060": false, "192.0.2.1:5060": false, "p:192.0.2.1:5060": false, "sip:a@192.0.2.1:5061": false, "": false,
	} {
		if got := s.meant([]byte(uri)); got != want {
			t.Errorf("%q: %v", uri, got)
		}
	}
	s.Transport = edge.TCP
	if s.meant([]byte("sip:a@192.0.2.1:5060")) {
		t.Error("over UDP to one that listens at TCP")
	}
}
