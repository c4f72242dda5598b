package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// parseListen reads "udp:203.0.113.5:5060", "tcp:[2001:db8::1]:5060", "tls:203.0.113.5:5061" or "udp:*:5060".
func parseListen(s string) (Listen, error) {
	name, rest, _ := strings.Cut(s, ":")
	var l Listen
	for l.Transport.String() != name {
		if l.Transport++; l.Transport == edge.Transports {
			return Listen{}, wrongf("write udp:203.0.113.5:5060, tcp:203.0.113.5:5060 or tls:203.0.113.5:5061", "%s does not begin with udp:, tcp:, tls:, ws: or wss:", quoted(s))
		}
	}
	if port, star := strings.CutPrefix(rest, "*:"); star {
		n, err := parsePort(port)
		if err != nil {
			return Listen{}, err
		}
		l = anywhere(l.Transport, n)
	} else {
		addr, err := parseAddrPort(rest)
		if err != nil {
			return Listen{}, err
		}
		l.Addr = addr
	}
	if l.Addr.Port() == 0 {
		return Listen{}, wrongf("the usual port of SIP is 5060", "port 0 is not from 1 to 65535")
	}
	return l, nil
}

// parseAddrPort reads an address and a port, IPv6 in brackets. The address is never 4in6 and has no zone.
func parseAddrPort(s string) (netip.AddrPort, error) {
	var none netip.AddrPort
	if bare, _ := unbracket(s); isAddr(bare) {
		return none, wrongf("add the port: "+hostPort(bare, 5060), "%s has no port, or an IPv6 address without brackets", quoted(s))
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return none, wrongf("write address:port, such as 203.0.113.5:5060", "%s is not an address and a port", quoted(s))
	}
	port, err := parsePort(s[i+1:])
	if err != nil {
		return none, err
	}
	host := s[:i]
	bare, v6 := unbracket(host)
	addr, err := netip.ParseAddr(bare)
	if err != nil || addr.Is6() != v6 {
		return none, wrongf("write an IPv4 address, or an IPv6 address in brackets; names are not looked up here", "%s is not an address", quoted(host))
	}
	if addr.Zone() != "" {
		return none, wrongf("use an address without %zone", "%s has a zone", quoted(host))
	}
	return netip.AddrPortFrom(addr.Unmap(), port), nil
}

// unbracket takes the brackets of an IPv6 reference off s and reports whether there were any.
func unbracket(s string) (string, bool) {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1], true
	}
	return s, false
}

// isAddr reports whether s is an address.
func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// hostPort joins an address and a port.
func hostPort(addr string, port int) string {
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return addr + ":" + strconv.Itoa(port)
}

// parsePort reads a port from 0 to 65535, digits only.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, wrongf("the usual port of SIP is 5060", "port %s is not from 1 to 65535", quoted(s))
	}
	return uint16(n), nil
}

// parseSource reads an address or a prefix for inside.sources.
func parseSource(s string) (netip.Prefix, error) {
	p, err := parseNetwork(s)
	if err == nil && tooWide(p) {
		err = wrongf("name the networks of the platform; all of 10.0.0.0/8 and fc00::/7 is the most there is",
			"%s trusts too much of the internet: whoever uses an inside listener is the platform", s)
	}
	return p, err
}

// parseNeverBan reads an address or a prefix for trust.never_ban. An IPv6 address stands for its /64, as in a ban.
func parseNeverBan(s string) (netip.Prefix, error) {
	p, err := parseNetwork(s)
	if err == nil && isAddr(s) {
		p = edge.SourceOf(p.Addr()).Prefix
	}
	if err == nil && tooWide(p) {
		err = wrongf("name the operator's addresses and networks", "%s is too much of the internet: nobody in it could be banned", s)
	}
	return p, err
}

// parseBalancer reads an address or a prefix for outside.proxy_protocol.
func parseBalancer(s string) (netip.Prefix, error) {
	p, err := parseNetwork(s)
	if err == nil && tooWide(p) {
		err = wrongf("name the addresses of the load balancers", "%s trusts too much of the internet: who connects from there may claim any source", s)
	}
	return p, err
}

// parseNetwork reads an address or a prefix of ours.
func parseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return p, wrongf("write 10.0.0.0/24 or 10.0.0.7", "%s is not an address or a prefix", quoted(s))
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p.Addr().Is4In6() {
		return p, wrongf("write it as an IPv4 prefix", "%s is an IPv4 prefix in the form of IPv6", s)
	}
	if p != p.Masked() {
		return p, wrongf("write "+p.Masked().String()+", or "+p.Addr().String()+" for the one address", "%s has bits set beyond its length", s)
	}
	return p, nil
}

// tooWide reports whether p has more addresses than any network of somebody's own: all of 10.0.0.0/8 and fc00::/7 is the most there is.
func tooWide(p netip.Prefix) bool {
	return p.Bits() < 7 || p.Bits() < 8 && p.Addr().Is4()
}

// parseAdvertise reads the host that the world calls us by.
func parseAdvertise(s string) (string, error) {
	host, err := parseHost(s)
	if err != nil {
		return "", err
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.IsUnspecified() || a.IsMulticast() {
			return "", wrongf("write the address or name that phones use", "nobody can call %s", s)
		}
		if a.Is6() {
			return "[" + host + "]", nil
		}
	}
	return host, nil
}

// parseDomain reads one of domains.
func parseDomain(s string) (string, error) {
	if strings.ContainsAny(s, "@:/*") && !strings.HasPrefix(s, "[") {
		return "", wrongf("write the part after the @ of a SIP address, such as example.com", "%s is not a domain", quoted(s))
	}
	return parseHost(s)
}

// parseRealm reads a realm: text that needs no escape in a quoted string, at most 128 bytes.
func parseRealm(s string) (string, error) {
	if s == "" || len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return "", wrongf("write the realm that the platform's challenges name, such as example.com", "%s is not from 1 to 128 plain characters without quotes and backslashes", quoted(s))
	}
	return s, nil
}

// parseHost reads a host name, in lower case then, or an address (IPv6 with or without brackets, returned without).
func parseHost(s string) (string, error) {
	bare, brackets := unbracket(s)
	if a, err := netip.ParseAddr(bare); err == nil && a.Zone() == "" && (a.Is6() || !brackets) {
		return a.Unmap().String(), nil
	}
	if !isHostname(s) {
		return "", wrongf("write a name such as sbc.example.com, or an address", "%s is not a host name or an address", quoted(s))
	}
	return strings.ToLower(s), nil
}

// isHostname reports whether s is a hostname by RFC 3261 §25.1, without a final dot and within the limits of RFC 1035.
func isHostname(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for _, b := range []byte(l) {
			if !isAlnum(b) && b != '-' {
				return false
			}
		}
	}
	top := labels[len(labels)-1][0] // a name that ends in digits would be a mistyped address
	return top < '0' || top > '9'
}

func isAlnum(b byte) bool {
	return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}

// parseUpstream reads "sip:host", "sip:host:port", both perhaps with ";transport=udp", ";transport=tcp" or ";transport=tls".
func parseUpstream(s string) (Upstream, error) {
	u := Upstream{URI: s, Weight: 1, Priority: 1}
	scheme, rest, _ := strings.Cut(s, ":")
	switch strings.ToLower(scheme) {
	case "sip":
	case "sips":
		return Upstream{}, wrongf("write sip:pbx.example.com;transport=tls, which reaches it over TLS", "a server is named by a sip: URI")
	default:
		return Upstream{}, wrongf("write sip:10.0.0.10:5060", "%s is not a SIP URI", quoted(s))
	}
	params := strings.Split(rest, ";")
	if strings.ContainsAny(rest, "@?") {
		return Upstream{}, wrongf("write sip:10.0.0.10:5060", "%s has more than host, port and transport", quoted(s))
	}
	for _, p := range params[1:] {
		switch strings.ToLower(p) {
		case "lr":
		case "transport=udp":
			u.Transport, u.Named = edge.UDP, true
		case "transport=tcp":
			u.Transport, u.Named = edge.TCP, true
		case "transport=tls":
			u.Transport, u.Named = edge.TLS, true
		case "transport=ws", "transport=wss":
			return Upstream{}, wrongf("use transport=udp, tcp or tls", "%s: WebSocket connections are made by clients, nobody can be called over a new one", p)
		default:
			return Upstream{}, wrongf("use ;transport=udp, ;transport=tcp or ;transport=tls, or leave it out", "parameter %s is not known", quoted(p))
		}
	}
	return u.at(params[0])
}

// at sets host and port.
func (u Upstream) at(hostport string) (Upstream, error) {
	host := hostport
	if i := strings.LastIndexByte(hostport, ':'); i > strings.LastIndexByte(hostport, ']') {
		port, err := parsePort(hostport[i+1:])
		if err != nil || port == 0 {
			return Upstream{}, wrongf("an IPv6 address stands in brackets; the usual port of SIP is 5060", "port %s is not from 1 to 65535", quoted(hostport[i+1:]))
		}
		host, u.Port = hostport[:i], port
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return Upstream{}, wrongf("write sip:[2001:db8::10]:5060", "%s is an IPv6 address without brackets", quoted(host))
	}
	var err error
	if u.Host, err = parseHost(host); err != nil {
		return Upstream{}, err
	}
	if a, err := netip.ParseAddr(u.Host); err == nil && (a.IsUnspecified() || a.IsMulticast()) {
		return Upstream{}, wrongf("write the address of the platform", "nothing can be sent to %s", host)
	}
	return u, nil
}

// methodNames are the methods that access lists may name.
var methodNames = func() (names []string) {
	for m := sip.INVITE; m <= sip.MESSAGE; m++ {
		names = append(names, m.String())
	}
	return names
}()

// parseMethod reads the name of a method; methods are case-sensitive (RFC 3261 §7.1).
func parseMethod(s string) (sip.Method, error) {
	m := sip.MethodOf([]byte(s))
	if m == sip.MethodOther {
		return m, wrongf(suggest(s, methodNames)+"; any stands for all, unknown ones too", "%s is not a method known here", quoted(s))
	}
	return m, nil
}

// parsePath reads the path of a file. A relative one is relative to the working directory.
func parsePath(s string) (string, error) {
	if s == "" || strings.HasSuffix(s, "/") {
		return "", wrongf("", "%s is not the name of a file", quoted(s))
	}
	return s, nil
}

// parseInterface reads the name of a network interface, which need not be there yet. IFNAMSIZ leaves it 15 bytes.
func parseInterface(s string) (string, error) {
	switch {
	case s == "" || len(s) > 15 || strings.ContainsAny(s, "/: \t") || s == "." || s == "..":
		return "", wrongf("ip link lists them", "%s is not the name of a network interface", quoted(s))
	case s == "lo":
		return "", wrongf("leave it out: what stays on this machine takes the sockets", "lo is the loopback interface, which no network card is behind")
	}
	return s, nil
}

// maxSocketPath is what sockaddr_un holds on Linux, without the final NUL.
const maxSocketPath = 107

// parseSocket reads the path of the control socket.
func parseSocket(s string) (string, error) {
	if len(s) > maxSocketPath {
		return "", wrongf("choose a shorter folder", "the path is %d bytes long, a socket's path can have %d", len(s), maxSocketPath)
	}
	return parsePath(s)
}

// parseAdmin reads a loopback address and port, or "off".
func parseAdmin(s string) (netip.AddrPort, error) {
	if s == "off" {
		return netip.AddrPort{}, nil
	}
	a, err := parseAddrPort(s)
	if err != nil {
		return a, wrongf("write 127.0.0.1:7060, or off for none", "%v", err)
	}
	if !a.Addr().IsLoopback() {
		return a, wrongf("write 127.0.0.1:7060 and reach it through ssh -L 7060:127.0.0.1:7060", "another address than loopback is not in this version: the admin port has no sign-in yet")
	}
	return a, nil
}
