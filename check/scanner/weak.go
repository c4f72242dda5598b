package scanner

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// What weak signs weigh, all of one message together up to weakMost, and all of one source, too: monitoring looks so, and nobody is to be
// greylisted for it.
const (
	usual    = 2 // what tools write by default
	slight   = 1 // what may as well be chance
	weakMost = 3
)

// signs are the points for what gives x away a little. No rport (RFC 3581) adds to other signs and is none by itself: many a telephone system sends
// none. Users who were accepted there may call their phones what they like.
func signs(x *edge.Exchange, agent []byte) float64 {
	m, points := x.Msg, 0.0
	switch {
	case among(agent, &weakAgents), oneOf(agent, wholeAgents), example(m), tried(m), hundred(m):
		points = usual
	case x.Trust == edge.Unknown && !x.Asked.Good && random(agent):
		points = slight
	default:
		return 0
	}
	if !m.Via.HasRPort && !x.From.Transport.Stream() {
		points += slight
	}
	return points
}

// spares reports whether somebody at a may look like a tester.
func (c *Check) spares(a netip.Addr) bool {
	return slices.ContainsFunc(c.spared, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// weakAgents are User-Agents that attack tools copy or that honest testers use.
var weakAgents = newWords("sipsak", "eyeBeam release 3006o", "PortSIP VoIP SDK", "Cisco-SIPGateway", "Cisco-CUCM", "Test Agent", "Custom SIP Phone",
	"MizuPhone", "Ozeki", "Conaito", "A_B_C")

// wholeAgents are such, as a whole.
var wholeAgents = []string{"x", "voip", "smap"}

func oneOf(agent []byte, list []string) bool {
	if len(agent) > 4 {
		return false
	}
	for _, w := range list {
		if equalFold(agent, w) {
			return true
		}
	}
	return false
}

const (
	shortest = 6  // letters of a User-Agent that may be random
	longest  = 32 // more are some text
	stretch  = 6  // consonants in a row that no word has
	turns    = 3  // from a small letter to a capital that no name has
)

// random reports whether agent is nothing but letters, and such as nobody calls a product: too many consonants in a row, or capitals all over.
func random(agent []byte) bool {
	if len(agent) < shortest || len(agent) > longest || bytes.IndexByte(agent, ' ') >= 0 { // most have a blank before the version
		return false
	}
	row, most, capitals := 0, 0, 0
	for i, c := range agent {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
		if i > 0 && c < 'a' && agent[i-1] >= 'a' {
			capitals++
		}
		switch c | 0x20 {
		case 'a', 'e', 'i', 'o', 'u', 'y':
			row = 0
		default:
			row++
			most = max(most, row)
		}
	}
	return most >= stretch || capitals >= turns
}

// example reports whether m came from one of the example hosts of RFC 3261 that scripts copy, by its Via or by its From.
func example(m *sip.Message) bool {
	return copied(m.Via.Host.Of(m.Raw)) || copied(m.From.URI.Of(m.Raw))
}

// copied tells such a host by the letter before its last dot.
func copied(host []byte) bool {
	if len(host) < len("biloxi.com") {
		return false
	}
	switch host[len(host)-len("i.com")] {
	case 'a':
		return ends(host, "atlanta.com")
	case 'i':
		return ends(host, "biloxi.com")
	}
	return false
}

// hundred reports whether m is from a user 100 to himself, wherever: svmap's default. A phone registers so.
func hundred(m *sip.Message) bool {
	from := m.From.URI.Of(m.Raw)
	return m.Method != sip.REGISTER && begins(from, "sip:100@") && bytes.Equal(from, m.To.URI.Of(m.Raw))
}

// triedNames are names that scripts call from, at the address that they call.
var triedNames = [...]string{"100", "voipgw", "trunk", "user", "test", "admin"}

// tried reports whether m is from one of these, at an address and not at a domain, or under a name that such scripts show. A phone registers with its own name.
func tried(m *sip.Message) bool {
	if name := unquoted(m.From.Display.Of(m.Raw)); begins(name, "MAYET") || begins(name, "Simple SIP") {
		return true
	}
	to := m.URI.Host.Of(m.Raw)
	if m.Method == sip.REGISTER || len(to) == 0 || to[0] != '[' && (to[0] < '0' || to[0] > '9') {
		return false
	}
	from := m.From.URI.Of(m.Raw)
	i := bytes.IndexByte(from, '@')
	if i < 0 || !bytes.HasPrefix(from[i+1:], to) {
		return false
	}
	user, host := from[:i], from[i+1:]
	if rest := host[len(to):]; len(rest) > 0 && rest[0] != ':' && rest[0] != ';' {
		return false
	}
	_, user, _ = bytes.Cut(user, []byte{':'})
	for _, one := range triedNames {
		if equalFold(user, one) {
			return true
		}
	}
	return false
}
