package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/edge"
)

// check looks at what keys say together. Values that could not be read are zero and are passed over: they have been
// reported already.
func (c *Config) check() Errors {
	namePaths(c.Outside.Listen, "outside.listen")
	namePaths(c.Inside.Listen, "inside.listen")
	for i := range c.Upstreams {
		c.Upstreams[i].Path = fmt.Sprintf("upstreams[%d].uri", i)
	}
	for i := range c.Peers {
		c.Peers[i].Path = fmt.Sprintf("peers[%d]", i)
		c.Peers[i].URI.Path = c.Peers[i].Path + ".uri"
	}
	var all Errors
	all = append(all, c.checkListeners()...)
	all = append(all, c.checkUpstreams()...)
	all = append(all, c.checkPeers()...)
	all = append(all, c.checkTLS()...)
	all = append(all, c.checkTimers()...)
	all = append(all, c.checkPaths()...)
	all = append(all, twice(c, "domains", c.Domains)...)
	all = append(all, c.checkHeaders()...)
	all = append(all, c.checkChecks()...)
	all = append(all, twice(c, "topology.bodies", c.Topology.Bodies)...)
	if c.Topology.Guard == GuardBlock && !c.Topology.Hide {
		all = append(all, c.Fault("topology.guard", "would block nearly every message, since nothing is hidden", "add hide: true, or write guard: log")...)
	}
	all = append(all, twice(c, "inside.sources", c.Inside.Sources)...)
	all = append(all, twice(c, "trust.never_ban", c.Trust.NeverBan)...)
	all = append(all, twice(c, "access.not_unified", c.Access.NotUnified)...)
	all = append(all, twice(c, "access.open_inbound", c.Access.OpenInbound)...)
	if c.Bans.Longest < c.Bans.First {
		all = append(all, c.Fault("bans.longest", "is less than bans.first, the length of a first ban", "write the same, or more: 7d")...)
	}
	all = append(all, twice(c, "outside.proxy_protocol", c.Outside.ProxyProtocol)...)
	all = append(all, twice(c, "af_xdp.interfaces", c.AFXDP.Interfaces)...)
	all = append(all, c.checkBalancers()...)
	all = append(all, c.checkMedia()...)
	return all
}

// namePaths notes which entry of the list at path each listener is, where that is not known yet.
func namePaths(list []Listen, path string) {
	for i := range list {
		if list[i].Path == "" {
			list[i].Path = fmt.Sprintf("%s[%d]", path, i)
		}
	}
}

// overlaps reports whether l and o can't be open at the same time.
func (l Listen) overlaps(o Listen) bool {
	if l.Transport.Stream() != o.Transport.Stream() || l.Addr.Port() != o.Addr.Port() {
		return false
	}
	if l.star || o.star {
		return true
	}
	a, b := l.Addr.Addr(), o.Addr.Addr()
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}

// checkListeners finds listeners that exclude one another. Where inside.listen is left out, its port counts.
func (c *Config) checkListeners() Errors {
	var all Errors
	if len(c.Outside.Listen) == 0 {
		all = c.Fault("outside.listen", "is empty: phones could not reach ringwall", "leave it out to listen on every address, port 5060")
	}
	var open []Listen
	if c.Admin.HTTP.IsValid() && c.Admin.HTTP.Port() != 0 {
		open = append(open, Listen{Transport: edge.TCP, Addr: c.Admin.HTTP, Path: "admin.http"})
	}
	for _, l := range slices.Concat(c.Outside.Listen, c.Inside.Listen) {
		if !l.Addr.IsValid() {
			continue
		}
		for _, o := range open {
			if l.overlaps(o) {
				message := l.String() + " is taken by " + o.Path
				if place := c.Where(o.Path); place != "default" {
					message += " (" + place + ")"
				}
				all = append(all, c.Fault(l.Path, message, overlapHint(l, o))...)
				break
			}
		}
		open = append(open, l)
	}
	return append(all, c.checkDefaultInside()...)
}

// overlapHint says how the conflict of l and o is solved.
func overlapHint(l, o Listen) string {
	if l.Addr == o.Addr && l.star == o.star {
		return "keep one of the two, or give one another port"
	}
	return "a listener on every address leaves no room for another on the same port: name its address, or give one another port"
}

// checkDefaultInside finds a listener on every address at the port that inside listeners have by default.
func (c *Config) checkDefaultInside() Errors {
	if len(c.Inside.Listen) > 0 {
		return nil
	}
	for _, l := range c.Outside.Listen {
		if l.Addr.Port() == DefaultInsidePort && l.Addr.Addr().IsUnspecified() {
			return c.Fault(l.Path, l.String()+" takes the port of inside listeners", "set inside.listen, or another port here")
		}
	}
	return nil
}

// checkUpstreams finds upstreams that are named twice, are ringwall itself, or can't be reached from inside listeners.
func (c *Config) checkUpstreams() Errors {
	var all Errors
	for i, u := range c.Upstreams {
		if u.Host == "" {
			continue
		}
		for _, before := range c.Upstreams[:i] {
			if before.Host == u.Host && before.port() == u.port() && before.Transport == u.Transport {
				all = append(all, c.Fault(u.Path, u.URI+" stands twice", "keep one of the two")...)
				break
			}
		}
		all = append(all, c.checkReach(u)...)
		all = append(all, c.checkIdentity(u)...)
	}
	return all
}

// port returns the port of u, the default one if none is written.
func (u Upstream) port() uint16 {
	if u.Port == 0 {
		return DefaultPort(u.Transport)
	}
	return u.Port
}

// CertificatePath is the key that entry i of TLS.Certificates comes from, for Fault: "tls", or "tls[1]" of a list.
func (c *Config) CertificatePath(i int) string {
	path := fmt.Sprintf("tls[%d]", i)
	if _, list := c.sources.places[path]; !list {
		return "tls"
	}
	return path
}

// checkIdentity finds what the certificates of u lack.
func (c *Config) checkIdentity(u Upstream) Errors {
	var all Errors
	for _, k := range [...]struct {
		name      string
		has, want bool
		hint      string
	}{
		{"ca", u.CA != (Reference{}), true, ""},
		{"certificate", u.Own.Certificate != (Reference{}), u.Own.Key != (Reference{}), "add key: key.pem, the private key of the certificate"},
		{"key", u.Own.Key != (Reference{}), u.Own.Certificate != (Reference{}), "add certificate: cert.pem, the certificate that the key belongs to"},
	} {
		path := strings.TrimSuffix(u.Path, "uri") + k.name
		switch {
		case k.has && u.Transport != edge.TLS:
			all = append(all, c.Fault(path, "is for a server over TLS, "+u.URI+" is not", "write ;transport=tls behind the uri, or leave "+k.name+" out")...)
		case k.has && !k.want:
			all = append(all, c.Fault(path, "stands alone", k.hint)...)
		}
	}
	return all
}

// checkTLS finds what the section tls lacks.
func (c *Config) checkTLS() Errors {
	var all Errors
	for i, p := range c.TLS.Certificates {
		path := c.CertificatePath(i)
		if p.Certificate == (Reference{}) {
			all = append(all, c.Fault(path, "has no certificate", "write {certificate: cert.pem, key: key.pem}")...)
		}
		if p.Key == (Reference{}) {
			all = append(all, c.Fault(path, "has no key", "write {certificate: cert.pem, key: key.pem}; one file may hold both")...)
		}
	}
	if c.TLS.ClientCertificates != Off && c.TLS.ClientCA == (Reference{}) {
		all = append(all, c.Fault("tls", "client certificates cannot be verified without client_ca", "add client_ca: ca.pem, the authorities that you trust to name phones")...)
	}
	for _, l := range c.Inside.Listen {
		if l.Transport.WebSocket() {
			all = append(all, c.Fault(l.Path, l.String()+": WebSocket is for clients outside", "name it in outside.listen; platforms speak udp, tcp or tls")...)
		}
	}
	for _, l := range slices.Concat(c.Outside.Listen, c.Inside.Listen) {
		if l.Transport.Secure() && len(c.TLS.Certificates) == 0 {
			all = append(all, c.Fault(l.Path, l.String()+" needs a certificate", "add tls: {certificate: cert.pem, key: key.pem}")...)
		}
	}
	return all
}

// checkReach finds out whether u, if it is an address, could be a server that inside listeners send to.
func (c *Config) checkReach(u Upstream) Errors {
	inTCP := func(l Listen) bool { return l.Transport == edge.TCP }
	if u.Large && (u.Transport != edge.UDP || len(c.Inside.Listen) > 0 && !slices.ContainsFunc(c.Inside.Listen, inTCP)) {
		return c.Fault(strings.TrimSuffix(u.Path, "uri")+"large", "needs an upstream over UDP and a tcp listener inside", "leave it out, or add tcp:ADDRESS:5070 to inside.listen")
	}
	overTLS := func(l Listen) bool { return l.Transport == edge.TLS || !l.Addr.IsValid() }
	if u.Transport == edge.TLS && !slices.ContainsFunc(c.Inside.Listen, overTLS) {
		return c.Fault(u.Path, "no inside listener has the transport of "+u.URI, "add tls:ADDRESS:5061 to inside.listen: it is where the platform's own requests come in")
	}
	addr, err := netip.ParseAddr(u.Host)
	if err != nil {
		return nil
	}
	there := netip.AddrPortFrom(addr, u.port())
	for _, l := range slices.Concat(c.Outside.Listen, c.Inside.Listen) {
		if l.Transport.Stream() == u.Transport.Stream() && l.Addr == there {
			return c.Fault(u.Path, u.URI+" is ringwall itself, by "+l.Path, "name the address of the platform")
		}
	}
	suits := func(l Listen) bool {
		return !l.Addr.IsValid() || l.Transport == u.Transport && (l.star || l.Addr.Addr().Is4() == addr.Is4())
	}
	if len(c.Inside.Listen) == 0 || slices.ContainsFunc(c.Inside.Listen, suits) {
		return nil
	}
	want := Listen{Transport: u.Transport, Addr: netip.AddrPortFrom(addr, DefaultInsidePort)}
	return c.Fault(u.Path, "no inside listener has the transport and address family of "+u.URI,
		"add one to inside.listen, of the kind of "+want.String())
}

// checkBalancers finds load balancers that have nothing to connect to.
func (c *Config) checkBalancers() Errors {
	stream := func(l Listen) bool { return l.Transport.Stream() || !l.Addr.IsValid() }
	if len(c.Outside.ProxyProtocol) == 0 || slices.ContainsFunc(c.Outside.Listen, stream) {
		return nil
	}
	return c.Fault("outside.proxy_protocol", "no outside listener has connections that could begin with a header",
		"add a tcp, tls, ws or wss listener; over udp the PROXY protocol is not read")
}

// checkTimers holds RFC 3261 §17.1.1.1: T2 is the most that intervals grow to from T1.
func (c *Config) checkTimers() Errors {
	if c.Timers.T1 <= c.Timers.T2 {
		return nil
	}
	path := "timers.t1"
	if _, set := c.sources.places[path]; !set {
		path = "timers.t2"
	}
	return c.Fault(path, fmt.Sprintf("t1 (%v) is longer than t2 (%v)", c.Timers.T1, c.Timers.T2),
		"retransmissions start at t1 and slow down to t2 (RFC 3261 §17.1.1.1)")
}

// checkPaths finds files that would overwrite one another.
func (c *Config) checkPaths() Errors {
	used := map[string]string{c.State: "state"}
	var all Errors
	for _, p := range [...][2]string{{"topology.key_file", c.Topology.KeyFile}, {"admin.socket", c.Admin.Socket}} {
		if p[1] == "" {
			continue
		}
		if other, found := used[p[1]]; found {
			all = append(all, c.Fault(p[0], p[1]+" is the path of "+other+" too", "each needs a file of its own")...)
		}
		used[p[1]] = p[0]
	}
	return all
}

// twice finds values of the list at path that stand twice.
func twice[T comparable](c *Config, path string, values []T) Errors {
	var all Errors
	var zero T
	for i, v := range values {
		if v != zero && slices.Contains(values[:i], v) {
			all = append(all, c.Fault(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%v stands twice", v), "keep one of the two")...)
		}
	}
	return all
}

// Warnings are what c means and its writer may not have meant, each one sentence that begins with a key.
func (c *Config) Warnings() []string {
	var all []string
	if c.Topology.Hide && c.Media.Relay == RelayOff {
		all = append(all, "topology.hide: media still reveals the platform: session descriptions keep its addresses, since media.relay is off")
	}
	if c.Topology.Hide && !c.Topology.MaskCallID {
		all = append(all, "topology.mask_call_id: Call-IDs of the platform leave as they are; many platforms put their address into them")
	}
	if len(c.Media.RTPEngine) > 0 && c.Media.Relay != RelayRTPEngine {
		all = append(all, "media.rtpengine: nobody asks these servers, since media.relay is "+string(c.Media.Relay)+": write relay: rtpengine, or leave them out")
	}
	if private := c.privateMedia(); private.IsValid() {
		all = append(all, fmt.Sprintf("media.address: phones on the internet are told to send media to %v, which they can't reach, since outside.advertise is a name: "+
			"write the address that media.ports are forwarded from", private))
	}
	return all
}

// privateMedia is a private address that outside is told to send media to although it knows us by a public name; not valid if there is none.
func (c *Config) privateMedia() netip.Addr {
	_, err := netip.ParseAddr(c.Outside.Advertise)
	if c.Media.Relay != RelayBuiltIn || c.Media.Address.IsValid() || c.Outside.Advertise == "" || err == nil {
		return netip.Addr{}
	}
	for _, l := range c.Outside.Listen {
		if l.Addr.Addr().IsPrivate() {
			return l.Addr.Addr()
		}
	}
	return netip.Addr{}
}
