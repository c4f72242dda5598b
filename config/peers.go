package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Peer is a carrier or another site: what comes from it by its own transport is trusted as access.peer says, and what the
// platform sends to its host goes there.
type Peer struct {
	Name  string   // [a-z0-9-], names its metrics, its row of status and its log lines
	URI   Upstream // where it is; Weight and Priority choose among peers of one host
	Match []Match  // where its requests come from; empty: the addresses of URI
	Calls int      // most calls at once, both directions; 0: any number
	Rate  Rate     // most new calls, both directions; the zero value: any number
	Shows bool     // over TLS nobody connects from Match without a certificate for the host of URI
	Large bool     // requests over 1,300 bytes go over TCP instead of UDP (RFC 3261 §18.1.1)
	Path  string   // key it comes from, for Config.Where and Config.Fault
}

// Match is one entry of a peer's match: a prefix (of one address, too), or a name that has addresses.
type Match struct {
	Prefix netip.Prefix // masked, never 4in6; invalid where Host is set
	Host   string       // name in lower case, "" where Prefix is set
}

// String returns m as it is written in the file.
func (m Match) String() string {
	switch {
	case m.Host != "":
		return m.Host
	case m.Prefix.IsSingleIP():
		return m.Prefix.Addr().String()
	}
	return m.Prefix.String()
}

// Rate is a number of events in a length of time, "10/s".
type Rate struct {
	Count int
	Per   time.Duration // 1 s, 1 min or 1 h
}

// Bounds of a peer's limits.
const (
	maxPeers     = 256
	maxPeerCalls = 100_000
	maxPeerRate  = 10_000
	maxPeerName  = 32
)

// What a match may hold at most: trust in half the internet is a mistake.
const least4, least6 = 8, 16

// peer reads one entry of peers.
func peer(p *Peer) reader {
	p.URI.Weight, p.URI.Priority = 1, 1
	return func(d *decoder, n *node, path string) {
		var by string
		section(
			key{"name", value(&p.Name, parsePeerName)},
			key{"uri", upstreamURI(&p.URI)},
			key{"match", texts(&p.Match, parseMatch)},
			key{"weight", integer(&p.URI.Weight, 1, maxWeight)},
			key{"priority", integer(&p.URI.Priority, 1, maxPriority)},
			key{"transport", choice(&by, "udp", "tcp", "tls")},
			key{"ca", value(&p.URI.CA, parseReference)},
			key{"certificate", value(&p.URI.Own.Certificate, parseReference)},
			key{"key", value(&p.URI.Own.Key, parseReference)},
			key{"client_certificate", shows(&p.Shows)},
			key{"calls", integer(&p.Calls, 1, maxPeerCalls)},
			key{"rate", value(&p.Rate, parseRate)},
			key{"large", large(&p.Large)},
		)(d, n, path)
		if n.kind != mapping {
			return
		}
		for _, must := range []struct{ key, example string }{{"name", "name: carrier"}, {"uri", `uri: "sip:trunk.example.net"`}} {
			if _, set := d.places[path+"."+must.key]; !set {
				d.report(n.at, path, "has no "+must.key, `write `+must.example)
			}
		}
		p.over(d, n, path, by)
	}
}

// over puts the key transport, if there is one, in force.
func (p *Peer) over(d *decoder, n *node, path, by string) {
	if by == "" || p.URI.Host == "" {
		return
	}
	written := strings.Contains(strings.ToLower(p.URI.URI), ";transport=")
	if written && p.URI.Transport.String() != by {
		d.report(n.at, path+".transport", "the uri says "+p.URI.Transport.String()+", transport says "+by, "keep one of the two")
		return
	}
	for p.URI.Transport.String() != by {
		p.URI.Transport = (p.URI.Transport + 1) % edge.Transports
	}
}

// large reads the key of that name: by what requests over 1,300 bytes leave that would go over UDP.
func large(tcp *bool) reader {
	return func(d *decoder, n *node, path string) {
		var by string
		choice(&by, "off", "tcp")(d, n, path)
		*tcp = by == "tcp"
	}
}

// shows reads the key client_certificate: whether one must be shown.
func shows(must *bool) reader {
	return func(d *decoder, n *node, path string) {
		var choose ClientCertificates
		choice(&choose, Off, Require)(d, n, path)
		*must = choose == Require
	}
}

// parsePeerName reads the name of a peer.
func parsePeerName(s string) (string, error) {
	bad := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }
	if s == "" || len(s) > maxPeerName || strings.ContainsFunc(s, bad) {
		return "", wrongf("write a name such as carrier-1: a-z, 0-9 and -, at most 32 characters", "%s is not the name of a peer", quoted(s))
	}
	return s, nil
}

// parseMatch reads an address, a prefix or a host name.
func parseMatch(s string) (Match, error) {
	if _, isPrefix := netip.ParsePrefix(s); isPrefix != nil && !isAddr(s) && isHostname(s) {
		return Match{Host: strings.ToLower(s)}, nil
	}
	p, err := parsePrefix(s)
	if err != nil {
		return Match{}, wrongf("write 192.0.2.0/28, 192.0.2.7 or trunk.example.net", "%s is not an address, a prefix or a name", quoted(s))
	}
	if p != p.Masked() {
		return Match{}, wrongf("write "+p.Masked().String()+", or "+p.Addr().String()+" for the one address", "%s has bits set beyond its length", s)
	}
	if least := map[bool]int{true: least4, false: least6}[p.Addr().Is4()]; p.Bits() < least {
		return Match{}, wrongf(fmt.Sprintf("name the networks of the peer; at most a /%d (IPv4) or /%d (IPv6) is accepted", least4, least6),
			"%s trusts too much of the internet: whoever is in it is a peer", s)
	}
	return Match{Prefix: p}, nil
}

// parsePrefix reads an address or a prefix; 4in6 and zones are errors.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		err = fmt.Errorf("%s is an IPv4 prefix in the form of IPv6", s)
	}
	return p, err
}

// parseRate reads "10/s", "600/m" or "1000/h".
func parseRate(s string) (Rate, error) {
	count, unit, _ := strings.Cut(s, "/")
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	n, err := strconv.Atoi(count)
	if err != nil || per == 0 || n < 1 || n > maxPeerRate {
		return Rate{}, wrongf("write 10/s, 100/m or 1000/h", "%s is not a rate from 1 to %d in a second, minute or hour", quoted(s), maxPeerRate)
	}
	return Rate{n, per}, nil
}

// checkPeers finds peers that are named twice, can't be reached, or match what is not theirs.
func (c *Config) checkPeers() Errors {
	var all Errors
	if len(c.Peers) > maxPeers {
		all = c.Fault("peers", fmt.Sprintf("%d peers are more than %d", len(c.Peers), maxPeers), "")
	}
	for i := range c.Peers {
		p := &c.Peers[i]
		for _, before := range c.Peers[:i] {
			if before.Name == p.Name && p.Name != "" {
				all = append(all, c.Fault(p.Path+".name", "there is another peer "+p.Name, "metrics and log lines need a name for each")...)
				break
			}
		}
		all = append(all, c.checkPeerReach(p)...)
		all = append(all, c.checkIdentity(p.URI)...)
		for j, m := range p.Match {
			if m.Prefix.IsValid() {
				path := fmt.Sprintf("%s.match[%d]", p.Path, j)
				all = append(all, c.checkMatch(path, m.Prefix)...)
				all = append(all, c.checkShared(path, i, m)...)
			}
		}
	}
	return all
}

// checkPeerReach finds out whether an outside listener can send to p, and whether p is ringwall itself.
func (c *Config) checkPeerReach(p *Peer) Errors {
	if p.URI.Host == "" {
		return nil
	}
	t := p.URI.Transport
	if p.Large && t != edge.UDP {
		return c.Fault(p.Path+".large", "is for peers over UDP; "+p.Name+" is reached over "+t.String(), "leave it out")
	}
	if p.Shows && t != edge.TLS {
		return c.Fault(p.Path+".client_certificate", "is for peers over TLS; "+p.Name+" is reached over "+t.String(), "leave it out, or write transport: tls")
	}
	suits := func(t edge.Transport) func(Listen) bool {
		return func(l Listen) bool { return !l.Addr.IsValid() || l.Transport == t }
	}
	if !slices.ContainsFunc(c.Outside.Listen, suits(t)) {
		return c.Fault(p.Path, "no outside listener has the transport of peer "+p.Name+", "+t.String(),
			fmt.Sprintf("add %v:ADDRESS:%d to outside.listen", t, DefaultPort(t)))
	}
	if p.Large && !slices.ContainsFunc(c.Outside.Listen, suits(edge.TCP)) {
		return c.Fault(p.Path+".large", "no outside listener is tcp", "add tcp:ADDRESS:5060 to outside.listen")
	}
	addr, err := netip.ParseAddr(p.URI.Host)
	if err != nil {
		return nil
	}
	there := netip.AddrPortFrom(addr, p.URI.port())
	for _, l := range slices.Concat(c.Outside.Listen, c.Inside.Listen) {
		if l.Transport.Stream() == t.Stream() && l.Addr == there {
			return c.Fault(p.Path+".uri", p.URI.URI+" is ringwall itself, by "+l.Path, "name the address of the peer")
		}
	}
	if len(p.Match) == 0 {
		return c.checkMatch(p.Path+".uri", netip.PrefixFrom(addr, addr.BitLen()))
	}
	return nil
}

// checkMatch finds addresses of the platform and of ringwall in what a peer may send from: an address is of one side.
func (c *Config) checkMatch(path string, m netip.Prefix) Errors {
	const hint = "a peer is outside: name its own addresses only"
	for _, s := range c.Inside.Sources {
		if s.IsValid() && s.Overlaps(m) {
			return c.Fault(path, fmt.Sprintf("%v overlaps inside.sources (%v)", m, s), hint)
		}
	}
	for _, u := range c.Upstreams {
		if a, err := netip.ParseAddr(u.Host); err == nil && m.Contains(a) {
			return c.Fault(path, fmt.Sprintf("%v holds the upstream %s", m, u.URI), hint)
		}
	}
	for _, l := range slices.Concat(c.Outside.Listen, c.Inside.Listen) {
		if a := l.Addr.Addr(); a.IsValid() && !a.IsUnspecified() && m.Contains(a) {
			return c.Fault(path, fmt.Sprintf("%v holds ringwall's own address (%s)", m, l.Path), hint)
		}
	}
	return nil
}

// checkShared finds the same prefix in the match of an earlier peer of the same transport: whose limits would count?
func (c *Config) checkShared(path string, i int, m Match) Errors {
	for _, before := range c.Peers[:i] {
		if before.URI.Transport == c.Peers[i].URI.Transport && slices.Contains(before.Match, m) {
			return c.Fault(path, m.String()+" is matched by peer "+before.Name+" already", "a source is one peer's on each transport")
		}
	}
	return nil
}
