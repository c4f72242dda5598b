// Package scrub decides which header fields of the platform leave: an allow list for everybody, a longer one for peers, the operator's
// additions, and one face for Server and User-Agent (design, section 6). It writes edits; what a field may stay for but holds too much of
// is cut to what is harmless. Names, hosts and Call-IDs in the fields that stay are topo's business.
package scrub

import (
	"bytes"
	"strings"

	"github.com/ringwall/ringwall/sip"
)

// Config is what the operator decides.
type Config struct {
	Server string   // what Server and User-Agent say instead of the platform's products; "": both are removed
	Allow  []string // header fields that leave besides those of the built-in list
}

// A Policy is one state of the settings. It is never written after New.
type Policy struct {
	server []byte
	other  map[string]audience // fields that sip does not know by name, in lower case
	known  [256]audience       // by sip.FieldID
}

// audience says who may see a field.
type audience uint8

const (
	nobody audience = iota
	peers
	everybody
	trimmed // everybody, cut to what is harmless
)

// Fields that sip knows and that do not leave, or only to peers, or not as they are. All others that it knows are of the protocol.
var knownFields = map[sip.FieldID]audience{
	sip.FieldSubject:       nobody,
	sip.FieldWarning:       nobody,
	sip.FieldServer:        nobody,
	sip.FieldUserAgent:     nobody,
	sip.FieldAcceptContact: nobody,
	sip.FieldRejectContact: nobody,
	sip.FieldPath:          nobody,
	sip.FieldServiceRoute:  nobody,
	sip.FieldIdentity:      peers,
	sip.FieldIdentityInfo:  peers,
	sip.FieldDate:          peers,
	sip.FieldRetryAfter:    trimmed,
}

// Other fields that leave. (RFC 3261 and the extensions of calls, events, transfer and session timers; identity to peers.)
var otherFields = map[audience]string{
	everybody: "accept-encoding accept-language answer-mode content-language flow-timer in-reply-to info-package join max-breadth " +
		"mime-version min-expires priority priv-answer-mode recv-info refer-sub reply-to require sip-etag sip-if-match subscription-state " +
		"suppress-if-match target-dialog content-id p-early-media privacy",
	peers: "p-asserted-identity p-preferred-identity remote-party-id diversion history-info p-charging-vector p-called-party-id " +
		"p-access-network-info user-to-user",
	trimmed: "reason alert-info",
}

// New makes a Policy.
func New(cfg Config) *Policy {
	p := &Policy{server: []byte(cfg.Server), other: map[string]audience{}}
	for i := range p.known {
		p.known[i] = everybody
	}
	for id, who := range knownFields {
		p.known[id] = who
	}
	for who, names := range otherFields {
		for name := range strings.FieldsSeq(names) {
			p.other[name] = who
		}
	}
	for _, name := range cfg.Allow {
		if id := sip.FieldOf([]byte(name)); id != sip.FieldOther {
			p.known[id] = everybody
		} else {
			p.other[strings.ToLower(name)] = everybody
		}
	}
	return p
}

// Outward adds to e what removes from m, which leaves for outside, the fields that its receiver may not see. peer: it is one.
func (p *Policy) Outward(e *sip.Edit, m *sip.Message, peer bool) {
	faced := len(p.server) == 0
	for i := range m.Fields {
		f := &m.Fields[i]
		who := p.known[f.ID]
		if f.ID == sip.FieldOther {
			who = p.otherField(f.Name.Of(m.Raw))
		}
		switch {
		case who == everybody, who == peers && peer:
		case who == trimmed:
			p.trim(e, m, i)
		case !faced && f.ID == face(m):
			e.Replace(i, p.server)
			faced = true
		default:
			e.Remove(i)
		}
	}
	if !faced {
		e.Add(face(m).String(), p.server)
	}
}

// face is the field by which m names its maker.
func face(m *sip.Message) sip.FieldID {
	if m.IsRequest() {
		return sip.FieldUserAgent
	}
	return sip.FieldServer
}

// longest is the length of the longest name in otherFields, and of names that the operator may allow.
const longest = 64

func (p *Policy) otherField(name []byte) audience {
	var room [longest]byte
	if len(name) > longest {
		return nobody
	}
	low := room[:len(name)]
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	return p.other[string(low)]
}

// trim cuts field i to what is harmless: Retry-After to its seconds, Reason to protocol and cause (RFC 3326), and of Alert-Info the URN of a
// ringing pattern (RFC 7462); another one is removed, for it names a server.
func (p *Policy) trim(e *sip.Edit, m *sip.Message, i int) {
	f := &m.Fields[i]
	value := f.Value.Of(m.Raw)
	switch {
	case f.ID == sip.FieldRetryAfter:
		n := 0
		for n < len(value) && '0' <= value[n] && value[n] <= '9' {
			n++
		}
		if n == len(value) {
			return
		}
		if n == 0 {
			e.Remove(i)
			return
		}
		e.Replace(i, value[:n])
	case sip.EqualFold(f.Name.Of(m.Raw), []byte("Alert-Info")):
		if !bytes.HasPrefix(value, []byte("<urn:alert:")) || bytes.IndexByte(value, '>') != len(value)-1 {
			e.Remove(i)
		}
	default:
		p.trimReason(e, i, value)
	}
}

func (p *Policy) trimReason(e *sip.Edit, i int, value []byte) {
	var room [128]byte
	out := room[:0]
	for len(value) > 0 {
		var one []byte
		one, value = cutReason(value)
		protocol, params, _ := bytes.Cut(one, []byte{';'})
		if protocol = bytes.TrimSpace(protocol); len(protocol) == 0 || !token(protocol) || len(protocol) > 16 {
			continue
		}
		if len(out) > 0 {
			out = append(out, ", "...)
		}
		out = append(out, protocol...)
		for param := range bytes.SplitSeq(params, []byte{';'}) {
			if param = bytes.TrimSpace(param); len(param) < 16 && len(param) > 6 && sip.EqualFold(param[:6], []byte("cause=")) && number(param[6:]) {
				out = append(append(out, ';'), param...)
			}
		}
		if len(out) > 96 {
			break
		}
	}
	if len(out) == 0 {
		e.Remove(i)
		return
	}
	e.Replace(i, out)
}

// cutReason cuts the first value of a list off, whose quoted strings may hold commas.
func cutReason(list []byte) (one, rest []byte) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, nil
}

func token(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func number(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
