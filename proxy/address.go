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

// A source is the address and port that a message came from, as text. It is written once for all that want it.
type source struct {
	at    netip.AddrPort
	text  []byte // "192.0.2.1:5060", "[2001:db8::1]:5060"
	colon int    // where in text the port begins, with its colon
}

// write writes at, unless it has just been written.
func (s *source) write(at netip.AddrPort) {
	switch {
	case s.at == at && len(s.text) > 0:
		return
	case at.Addr().Is4():
		s.text = sip.AppendAddr(s.text[:0], at.Addr())
		s.colon = len(s.text)
		s.text = sip.AppendPort(append(s.text, ':'), at.Port())
	default:
		s.text = at.AppendTo(s.text[:0])
		s.colon = bytes.LastIndexByte(s.text, ':')
	}
	s.at = at
}

// host is the address, without brackets.
func (s *source) host() []byte {
	if s.text[0] == '[' {
		return s.text[1 : s.colon-1]
	}
	return s.text[:s.colon]
}

func (s *source) port() []byte { return s.text[s.colon+1:] }

// names reports whether u, which lies in raw, points at that address and port.
func (s *source) names(at netip.AddrPort, raw []byte, u *sip.URI) bool {
	s.write(at)
	from, end := int(u.Host.Start), int(u.Whole.End)
	if u.Params.Present() {
		end = int(u.Params.Start) - 1
	}
	if end-from == len(s.text) && string(raw[from:end]) == string(s.text) { // as nearly always, if it does
		return true
	}
	addr, ok := hostPort(raw, u)
	return ok && addr == at
}

// appendSourceHeader appends what headers.source carries: address:port;transport.
func (l *lane) appendSourceHeader(dst []byte, f edge.Flow) []byte {
	l.source.write(f.Remote)
	return append(append(append(dst, l.source.text...), ';'), f.Transport.String()...)
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
