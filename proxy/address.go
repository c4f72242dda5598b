package proxy

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// hostPort is where a URI points: its address, and the port or that of its scheme and transport. False for a name.
func hostPort(raw []byte, u *sip.URI) (netip.AddrPort, bool) {
	a, ok := sip.HostAddr(u.Host.Of(raw))
	port := u.Port
	if port == 0 {
		port = 5060
		if t, _ := transportOf(raw, u); t.Secure() {
			port = 5061
		}
	}
	return netip.AddrPortFrom(a, port), ok
}

// transportOf is the transport that a URI asks for (RFC 3263 §4.1); false for one that we can't send over by ourselves: WebSocket
// connections are the client's to make, and sips leaves TLS only.
func transportOf(raw []byte, u *sip.URI) (edge.Transport, bool) {
	v, ok := u.Param(raw, "transport")
	name := v.Of(raw)
	switch {
	case u.Scheme == sip.SIPS:
		return edge.TLS, !ok || sip.Spells(name, "tcp") || sip.Spells(name, "tls")
	case !ok || sip.Spells(name, "udp"):
		return edge.UDP, true
	case sip.Spells(name, "tcp"):
		return edge.TCP, true
	case sip.Spells(name, "tls"):
		return edge.TLS, true
	}
	return 0, false
}

// mayCarry reports whether a request for uri may go over t: one for a sips URI goes over encrypted hops only (RFC 5630 §3.1).
func mayCarry(uri *sip.URI, t edge.Transport) bool { return uri.Scheme != sip.SIPS || t.Secure() }

// appendHost appends an address, an IPv6 one in brackets where a URI wants it so.
func appendHost(dst []byte, a netip.Addr, brackets bool) []byte {
	if a.Is6() && brackets {
		return append(a.AppendTo(append(dst, '[')), ']')
	}
	return a.AppendTo(dst)
}

// appendSourceHeader appends what headers.source carries: address:port;transport.
func appendSourceHeader(dst []byte, f edge.Flow) []byte {
	dst = strconv.AppendUint(append(appendHost(dst, f.Remote.Addr(), true), ':'), uint64(f.Remote.Port()), 10)
	return append(append(dst, ';'), f.Transport.String()...)
}

// splitHost splits "host:port" as transport writes it; no port means 5060.
func splitHost(s string) (host string, port uint16) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return s, 5060
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return s, 5060
	}
	return host, uint16(n)
}

// cutLine cuts the first LF-ended line off b.
func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}
