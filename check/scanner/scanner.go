// Package scanner knows attack tools by what they write. See README.md.
package scanner

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonAgent edge.Reason = "scanner.agent" // a User-Agent that no product ships
	reasonTag   edge.Reason = "scanner.tag"   // a From tag as only sipvicious makes them
	reasonShape edge.Reason = "scanner.shape" // hosts, names or branches that tools are known by
	reasonWeak  edge.Reason = "scanner.weak"  // a User-Agent, a name or an example host of RFC 3261 that tools use and some honest ones, too
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason {
	return []edge.Reason{reasonAgent, reasonTag, reasonShape, reasonWeak}
}

const (
	certain  = 10
	weak     = 2
	weakMost = 2 // however often: monitoring looks so, too
)

// A Check has no memory: each message tells by itself.
type Check struct{}

// New makes the check.
func New() Check { return Check{} }

// Inspect implements edge.Check.
func (Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m := x.Msg
	agent := m.Value(sip.FieldUserAgent)
	switch {
	case among(agent, &agents):
		return x.Say(found(reasonAgent))
	case sipvicious(m.FromTag.Of(m.Raw)):
		return x.Say(found(reasonTag))
	case shaped(m):
		return x.Say(found(reasonShape))
	case among(agent, &weakAgents), oneOf(agent, wholeAgents), example(m), tried(m):
		return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonWeak, Score: weak, Most: weakMost})
	}
	return nil
}

// found is the verdict on what is certain: silence, at which the known tools stop.
func found(r edge.Reason) edge.Verdict {
	return edge.Verdict{Action: edge.Drop, Reason: r, Score: certain}
}

// A words is a set of beginnings, by their first letter in lower case.
type words [26][]string

func newWords(list ...string) (w words) {
	for _, one := range list {
		i := one[0] | 0x20 - 'a'
		w[i] = append(w[i], one)
	}
	return w
}

// agents are User-Agents of attack tools, by how they begin.
var agents = newWords("friendly-scanner", "friendly-request", "sipvicious", "sundayddr", "pplsip", "sip-scan", "sipcli/", "sipscan", "siparmyknife",
	"sivus", "smap ", "iWar", "VaxSIPUserAgent", "VaxIPUserAgent", "Nmap NSE", "Gulp")

// weakAgents are User-Agents that attack tools copy or that honest testers use.
var weakAgents = newWords("sipsak", "eyeBeam release 3006o", "PortSIP VoIP SDK", "Cisco-SIPGateway", "Cisco-CUCM", "Test Agent", "Custom SIP Phone",
	"MizuPhone", "Ozeki", "Conaito", "A_B_C")

// wholeAgents are such, as a whole.
var wholeAgents = []string{"x", "voip", "smap"}

// among reports whether agent begins with one of list, in any case.
func among(agent []byte, list *words) bool {
	if len(agent) == 0 {
		return false
	}
	i := agent[0] | 0x20 - 'a'
	if i >= 26 {
		return false
	}
	for _, w := range list[i] {
		if len(agent) >= len(w) && equalFold(agent[:len(w)], w) {
			return true
		}
	}
	return false
}

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

// equalFold reports whether b is s without regard to ASCII case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if b[i] != s[i] && b[i]|0x20 != s[i]|0x20 {
			return false
		}
	}
	return true
}

// What a tag of sipvicious has at least, decoded: fewer could be chance in a phone's random tag.
const (
	leastTag    = 8 // bytes
	leastDigits = 4 // after the 0x01
)

// sipvicious reports whether a From tag is one of its: hexadecimal of a text (what it looks for), 0x01 and a decimal number; or the one that
// svcrack begins with.
func sipvicious(tag []byte) bool {
	if string(tag) == "3206210844" {
		return true
	}
	if len(tag) < 2*leastTag || len(tag)%2 != 0 {
		return false
	}
	digits, after := 0, true
	for i := len(tag) - 2; i >= 0; i -= 2 {
		hi, lo := digit(tag[i]), digit(tag[i+1])
		if hi < 0 || lo < 0 {
			return false
		}
		c := byte(hi<<4 | lo)
		switch {
		case after && c >= '0' && c <= '9':
			digits++
		case after && c == 1 && digits >= leastDigits:
			after = false
		case after || c < ' ' || c > '~':
			return false
		}
	}
	return !after
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// sipptsBranch is how long a branch without the cookie is in SIPPTS.
const sipptsBranch = 60

var (
	nowhere   = []byte("@1.1.1.1")
	nmapProbe = []byte("sip:nm")
	nmapAllow = []byte("PRACK, INVITE ,ACK") // as its library sip.lua spells it
	displays  = [][]byte{[]byte("sipvicious"), []byte("sipssc")}
)

// shaped reports whether m has hosts, names or a branch that give a tool away.
func shaped(m *sip.Message) bool {
	from := m.From.URI.Of(m.Raw)
	if bytes.HasSuffix(from, nowhere) || bytes.HasSuffix(m.To.URI.Of(m.Raw), nowhere) || bytes.HasPrefix(from, nmapProbe) && bytes.HasSuffix(from, []byte("@nm")) {
		return true
	}
	if name := bytes.TrimPrefix(m.From.Display.Of(m.Raw), []byte{'"'}); len(name) > 0 {
		for _, d := range displays {
			if bytes.HasPrefix(name, d) {
				return true
			}
		}
	}
	if !m.Via.Cookie(m.Raw) && m.Via.Branch.Len() >= sipptsBranch {
		return true
	}
	return bytes.HasPrefix(m.Value(sip.FieldAllow), nmapAllow) || bytes.Contains(m.Value(sip.FieldContact), nowhere)
}

// The example hosts of RFC 3261 that scripts copy.
var examples = [][]byte{[]byte("atlanta.com"), []byte("biloxi.com")}

func example(m *sip.Message) bool {
	host := m.Via.Host.Of(m.Raw)
	for _, e := range examples {
		if bytes.HasSuffix(host, e) {
			return true
		}
	}
	return false
}

// Names that scripts call from, at the address that they call, and display names of such.
var (
	triedNames    = [...]string{"100", "voipgw", "trunk", "user", "test", "admin"}
	triedDisplays = [][]byte{[]byte("MAYET"), []byte("Simple SIP")}
)

// tried reports whether m is from one of these, at an address and not at a domain. A phone registers with its own name.
func tried(m *sip.Message) bool {
	if name := bytes.TrimPrefix(m.From.Display.Of(m.Raw), []byte{'"'}); len(name) > 0 {
		for _, d := range triedDisplays {
			if bytes.HasPrefix(name, d) {
				return true
			}
		}
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
