// Package scanner knows attack tools by what they write. See README.md.
package scanner

import (
	"bytes"
	"net/netip"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonAgent edge.Reason = "scanner.agent" // a User-Agent that no product ships
	reasonTag   edge.Reason = "scanner.tag"   // a From tag as only sipvicious makes them
	reasonShape edge.Reason = "scanner.shape" // hosts, names or branches that tools are known by
	reasonWeak  edge.Reason = "scanner.weak"  // signs that tools have and some honest ones, too
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason {
	return []edge.Reason{reasonAgent, reasonTag, reasonShape, reasonWeak}
}

const certain = 10

// Config says whom weak signs are no matter of.
type Config struct {
	Spared []netip.Prefix // who may look like a tester: trust.never_ban
}

// A Check has no memory: each message tells by itself.
type Check struct{ spared []netip.Prefix }

// New makes the check.
func New(cfg Config, _ meter.Key) *Check { return &Check{spared: cfg.Spared} }

// Inspect implements edge.Check.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m := x.Msg
	agent := m.Value(sip.FieldUserAgent)
	switch {
	case among(agent, &agents):
		return x.Say(found(reasonAgent))
	case sipvicious(m.FromTag.Of(m.Raw)):
		return x.Say(found(reasonTag))
	case shaped(m):
		return x.Say(found(reasonShape))
	}
	points := signs(x, agent)
	if points == 0 || c.spares(x.From.Remote.Addr()) {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonWeak, Score: points, Most: weakMost})
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

const (
	nowhere   = "@1.1.1.1"
	nmapProbe = "sip:nm"
	nmapAllow = "PRACK, INVITE ,ACK" // as its library sip.lua spells it
)

// shaped reports whether m has hosts, names or a branch that give a tool away.
func shaped(m *sip.Message) bool {
	from := m.From.URI.Of(m.Raw)
	if ends(from, nowhere) || ends(m.To.URI.Of(m.Raw), nowhere) || begins(from, nmapProbe) && ends(from, "@nm") {
		return true
	}
	if name := unquoted(m.From.Display.Of(m.Raw)); begins(name, "sipvicious") || begins(name, "sipssc") {
		return true
	}
	if !m.Via.Cookie(m.Raw) && m.Via.Branch.Len() >= sipptsBranch {
		return true
	}
	return begins(m.Value(sip.FieldAllow), nmapAllow) || somewhere(m.Value(sip.FieldContact))
}

// somewhere reports whether nowhere is in a Contact.
func somewhere(contact []byte) bool {
	for {
		i := bytes.IndexByte(contact, nowhere[0])
		if i < 0 {
			return false
		}
		if contact = contact[i:]; begins(contact, nowhere) {
			return true
		}
		contact = contact[1:]
	}
}

// unquoted is a display name without the quote that it may begin with.
func unquoted(name []byte) []byte {
	if len(name) > 0 && name[0] == '"' {
		return name[1:]
	}
	return name
}

// begins and ends are bytes.HasPrefix and HasSuffix for a text s that is not empty. Mostly one byte tells.
func begins(b []byte, s string) bool {
	return len(b) >= len(s) && b[0] == s[0] && string(b[:len(s)]) == s
}

func ends(b []byte, s string) bool {
	return len(b) >= len(s) && b[len(b)-1] == s[len(s)-1] && string(b[len(b)-len(s):]) == s
}
