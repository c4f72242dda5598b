package siptest

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ServeProxy makes a registrar also a stateless proxy that stays in the route set (RFC 3261 §16.11): a request for an address of
// record that it knows goes to its newest Contact, one with a Route along it, and responses go back along their Vias. Nothing
// that is proxied is queued; all of it is in Log.
func (r *Registrar) ServeProxy() {
	r.Handle(func(m *Received) bool {
		switch {
		case m.Method() == "REGISTER":
			return r.register(m)
		case m.IsRequest():
			return r.proxyRequest(m)
		}
		return r.proxyResponse(m)
	})
}

// proxyRequest sends a request on; false if it is for the platform itself.
func (r *Registrar) proxyRequest(m *Received) bool {
	out := m.Clone()
	routes := out.All("Route")
	if len(routes) > 0 && HostPort(URI(routes[0])) == r.Addr.String() {
		routes = routes[1:]
	}
	uri := out.RequestURI()
	if contacts := r.Contacts(uri); len(contacts) > 0 {
		uri = contacts[len(contacts)-1]
	} else if len(routes) == 0 && HostPort(uri) == r.Addr.String() {
		return false
	}
	out.Start = out.Method() + " " + uri + " SIP/2.0"
	out.Del("Route")
	for _, route := range slices.Backward(routes) {
		out.Top("Route", route)
	}
	next := uri
	if len(routes) > 0 {
		next = URI(routes[0])
	}
	if Tag(out.Get("To")) == "" && out.Method() != "CANCEL" {
		out.Top("Record-Route", "<sip:"+r.Addr.String()+r.transportParam()+";lr>")
	}
	addr, transport, ok := Hop(next)
	if !ok {
		r.Reply(m, 404)
		return true
	}
	out.Top("Via", fmt.Sprintf("SIP/2.0/%s %v;branch=%s", strings.ToUpper(transport), r.Addr, onward(m)))
	forwards, _ := strconv.Atoi(out.Get("Max-Forwards"))
	out.Set("Max-Forwards", strconv.Itoa(forwards-1))
	r.SendTo(addr, transport, out.String())
	return true
}

// transportParam is what a URI of the platform says for the transport it prefers.
func (ua *UA) transportParam() string {
	switch ua.Transport {
	case "udp":
		return ""
	case "wss":
		return ";transport=ws"
	}
	return ";transport=" + ua.Transport
}

// onward is a branch that is equal for retransmissions of m, its ACK and its CANCEL (RFC 3261 §16.11).
func onward(m *Received) string {
	return fmt.Sprintf("z9hG4bK%x", sha256.Sum256([]byte(Branch(m.Message))))[:30]
}

// proxyResponse sends a response to the Via below the proxy's own; false if it has no other.
func (r *Registrar) proxyResponse(m *Received) bool {
	vias := m.All("Via")
	if len(vias) < 2 || sentBy(vias[0]) != r.Addr.String() {
		return false
	}
	out := m.Clone()
	out.Del("Via")
	for _, via := range slices.Backward(vias[1:]) {
		out.Top("Via", via)
	}
	to, _ := addrPort(sentBy(vias[1]))
	if v, _ := Param(vias[1], "rport"); v != "" {
		port, _ := strconv.ParseUint(v, 10, 16)
		to = netip.AddrPortFrom(to.Addr(), uint16(port))
	}
	if strings.HasPrefix(strings.ToUpper(vias[1]), "SIP/2.0/TCP") {
		r.SendTo(r.connFrom(to), "tcp", out.String())
	} else {
		r.SendTo(to, "udp", out.String())
	}
	return true
}

// connFrom is the remote address of a connection that came from the host of to: responses go back over it, not to the sent-by.
func (ua *UA) connFrom(to netip.AddrPort) netip.AddrPort {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	for addr := range ua.conns {
		if addr.Addr() == to.Addr() && addr != to {
			return addr
		}
	}
	return to
}
