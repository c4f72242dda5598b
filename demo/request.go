package demo

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/sip"
)

// A request is one request in memory of its own: canonical, received and rport filled in (RFC 3261 §18.2.1, RFC 3581),
// and a topmost Route that names the platform taken off (RFC 3261 §16.4).
type request struct {
	sip.Message
	from hop
}

// own makes a request of what was received.
func (p *Platform) own(m *sip.Message, from hop) (*request, error) {
	r := &request{from: from}
	var e sip.Edit
	e.Reset(m)
	if err := r.Parse(e.AppendTo(nil), false); err != nil {
		return nil, fmt.Errorf("read canonical form of a request from %v: %w", from.addr, err)
	}
	e.Reset(&r.Message)
	line := r.Fields[r.Via.Field].Value
	e.Replace(r.Via.Field, append(r.receivedVia(), r.Raw[r.Via.Whole.End:line.End]...))
	if uri, rest, ok := topRoute(&r.Message); ok && p.isOwn(r.Raw, uri) {
		dropTopRoute(&e, &r.Message, rest)
	}
	if err := r.Parse(e.AppendTo(nil), false); err != nil {
		return nil, fmt.Errorf("note the source %v in Via: %w", from.addr, err)
	}
	return r, nil
}

// receivedVia returns the topmost via-parm with the true source in it.
func (r *request) receivedVia() []byte {
	raw, v := r.Raw, &r.Via
	var out []byte
	for i, param := range bytes.Split(v.Whole.Of(raw), []byte(";")) {
		name, _, _ := strings.Cut(strings.ToLower(string(bytes.TrimSpace(param))), "=")
		switch strings.TrimSpace(name) {
		case "received":
			continue
		case "rport":
			param = fmt.Appendf(nil, "rport=%d", r.from.addr.Port())
		}
		if i > 0 {
			out = append(out, ';')
		}
		out = append(out, param...)
	}
	return fmt.Appendf(out, ";received=%s", r.from.addr.Addr())
}

// replyHop is where replies go (RFC 3261 §18.2.2, RFC 3581 §4).
func (r *request) replyHop() hop {
	if r.from.stream || r.Via.HasRPort {
		return r.from
	}
	port := uint16(5060)
	if r.Via.HasPort {
		port = r.Via.Port
	}
	return hop{addr: netip.AddrPortFrom(r.from.addr.Addr(), port)}
}

// key is what identifies the server transaction of a request called method (RFC 3261 §17.2.3), within the address it
// comes from; an ACK has the key of its INVITE. method is the request's own, or INVITE to find what a CANCEL means.
func (r *request) key(method string) string {
	if method == "ACK" {
		method = "INVITE"
	}
	of := func(s sip.Span) string { return string(s.Of(r.Raw)) }
	parts := []string{method, r.from.addr.Addr().String()}
	if r.Via.Cookie(r.Raw) {
		parts = append(parts, of(r.Via.Branch), strings.ToLower(of(r.Via.SentBy)))
	} else {
		parts = append(parts, of(r.RequestURI), of(r.CallID), of(r.FromTag), fmt.Sprint(r.CSeq.Number), of(r.Via.Whole))
	}
	return strings.Join(parts, "|")
}

// tokens returns the members of all fields with id, comma lists split.
func tokens(m *sip.Message, id sip.FieldID) []string {
	var all []string
	for i := m.Find(id); i >= 0; i = m.Next(id, i) {
		for _, t := range strings.Split(string(m.Fields[i].Value.Of(m.Raw)), ",") {
			if t = strings.TrimSpace(t); t != "" {
				all = append(all, t)
			}
		}
	}
	return all
}

// topRoute returns the URI of the topmost Route and what follows it in its line.
func topRoute(m *sip.Message) (uri sip.URI, rest sip.Span, ok bool) {
	i := m.Find(sip.FieldRoute)
	if i < 0 {
		return uri, rest, false
	}
	a, rest, err := sip.NextAddress(m.Raw, m.Fields[i].Value)
	if err != nil {
		return uri, rest, false
	}
	uri, err = sip.ParseURI(m.Raw, a.URI)
	return uri, rest, err == nil
}

func dropTopRoute(e *sip.Edit, m *sip.Message, rest sip.Span) {
	if i := m.Find(sip.FieldRoute); rest.Len() > 0 {
		e.Replace(i, bytes.TrimSpace(rest.Of(m.Raw)))
	} else {
		e.Remove(i)
	}
}

// contact returns the URI of the first Contact.
func contact(m *sip.Message) (sip.URI, bool) {
	i := m.Find(sip.FieldContact)
	if i < 0 {
		return sip.URI{}, false
	}
	a, _, err := sip.NextAddress(m.Raw, m.Fields[i].Value)
	if err != nil || a.Star {
		return sip.URI{}, false
	}
	uri, err := sip.ParseURI(m.Raw, a.URI)
	return uri, err == nil
}

// hopOf is where a request for uri goes. Names are not resolved: behind the edge, everything is an address.
func hopOf(raw []byte, uri *sip.URI) (hop, bool) {
	if uri.Scheme != sip.SIP {
		return hop{}, false
	}
	host := strings.Trim(string(uri.Host.Of(raw)), "[]")
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return hop{}, false
	}
	port := uint16(5060)
	if uri.HasPort {
		port = uri.Port
	}
	h := hop{addr: netip.AddrPortFrom(addr.Unmap(), port)}
	if t, ok := uri.Param(raw, "transport"); ok {
		switch strings.ToLower(string(t.Of(raw))) {
		case "udp":
		case "tcp":
			h.stream = true
		default:
			return hop{}, false
		}
	}
	return h, sendable(h.addr)
}

// sendable keeps the platform from being pointed at addresses that no phone has.
func sendable(a netip.AddrPort) bool {
	ip := a.Addr()
	return a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// prefer lets h use the connection that r came on, if it leads to the same host: a phone may accept no other.
func (r *request) prefer(h hop) hop {
	if h.stream && r.from.stream && h.addr.Addr() == r.from.addr.Addr() {
		h.conn = r.from.conn
	}
	return h
}

// isOwn reports whether uri names the platform itself.
func (p *Platform) isOwn(raw []byte, uri sip.URI) bool {
	h, ok := hopOf(raw, &uri)
	return ok && h.addr == p.addr
}

// newTag returns a fresh tag or branch suffix (RFC 3261 §19.3).
func newTag() string { return strings.ToLower(rand.Text()) }

// newVia returns the value of a Via of our own for a request that goes to h.
func (p *Platform) newVia(h hop) []byte {
	transport := "UDP"
	if h.stream {
		transport = "TCP"
	}
	return fmt.Appendf(nil, "SIP/2.0/%s %s;branch=z9hG4bK%s;rport", transport, p.addr, newTag())
}
