package proxy

import (
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
