package siptest

import (
	"net/netip"
	"strings"
)

// splitList takes a comma list apart. Commas inside quotes or angle brackets don't separate.
func splitList(list string) (values []string) {
	start, quoted, angle := 0, false, false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '<':
			angle = true
		case !quoted && c == '>':
			angle = false
		case c == ',' && !quoted && !angle:
			values = append(values, strings.TrimSpace(list[start:i]))
			start = i + 1
		}
	}
	return append(values, strings.TrimSpace(list[start:]))
}

// URI is the URI of a name-addr or addr-spec: `"A" <sip:a@b;lr>;tag=x` gives sip:a@b;lr.
func URI(address string) string {
	if address == "" {
		return ""
	}
	rest := address
	if strings.HasPrefix(rest, `"`) {
		end := strings.Index(rest[1:], `"`)
		rest = rest[end+2:]
	}
	if _, after, ok := strings.Cut(rest, "<"); ok {
		uri, _, _ := strings.Cut(after, ">")
		return uri
	}
	uri, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(uri)
}

// Param is the value of a parameter that follows a name-addr (outside its angle brackets), a Via or a bare URI, and
// whether it is there. Quotes are taken off.
func Param(value, name string) (string, bool) {
	if i := strings.LastIndex(value, ">"); i >= 0 {
		value = value[i+1:]
	}
	for i, part := range strings.Split(value, ";") {
		key, v, _ := strings.Cut(part, "=")
		if i > 0 && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(v), `"`), true
		}
	}
	return "", false
}

// Tag is the tag parameter of a From or To value, "" if it has none.
func Tag(address string) string {
	tag, _ := Param(address, "tag")
	return tag
}

// Branch is the branch of the topmost Via of m.
func Branch(m *Message) string {
	if vias := m.All("Via"); len(vias) > 0 {
		branch, _ := Param(vias[0], "branch")
		return branch
	}
	return ""
}

// User is the user part of a SIP URI, "" if there is none.
func User(uri string) string {
	_, rest, _ := strings.Cut(uri, ":")
	rest, _, _ = strings.Cut(rest, ";")
	if user, _, ok := strings.Cut(rest, "@"); ok {
		return user
	}
	return ""
}

// HostPort is the host and port of a SIP URI as written, without user and parameters.
func HostPort(uri string) string {
	_, rest, _ := strings.Cut(uri, ":")
	if _, after, ok := strings.Cut(rest, "@"); ok {
		rest = after
	}
	rest, _, _ = strings.Cut(rest, ";")
	rest, _, _ = strings.Cut(rest, "?")
	return rest
}

// Hop is where a request to uri goes and by which transport ("udp", "tcp"), for URIs with an IP address (RFC 3263 §4.1:
// the transport parameter, else UDP; port 5060 if none is given).
func Hop(uri string) (addr netip.AddrPort, transport string, ok bool) {
	transport = "udp"
	if v, ok := Param(uri, "transport"); ok {
		transport = strings.ToLower(v)
	}
	addr, ok = addrPort(HostPort(uri))
	return addr, transport, ok
}

// addrPort parses "address", "address:port" and "[address]:port".
func addrPort(s string) (netip.AddrPort, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap, true
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a, 5060), true
	}
	return netip.AddrPort{}, false
}

// sentBy is the sent-by of a Via value: "SIP/2.0/UDP 192.0.2.1:5060;branch=x" gives 192.0.2.1:5060.
func sentBy(via string) string {
	_, rest, _ := strings.Cut(via, " ")
	host, _, _ := strings.Cut(strings.TrimSpace(rest), ";")
	return strings.TrimSpace(host)
}
