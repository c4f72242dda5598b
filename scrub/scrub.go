// Package scrub decides which header fields of the platform leave: an allow list for everybody, a longer one for peers, the operator's
// additions, and one face for Server and User-Agent (design, section 6). It writes edits; what a field may stay for but holds too much of
// is cut to what is harmless. Names, hosts and Call-IDs in the fields that stay are topo's business.
package scrub

import (
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
	trimmed      // everybody, cut to what is harmless
	peersTrimmed // peers, likewise
	formed       // everybody, in the form of forms[0]; from here on of those that follow
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
	sip.FieldTimestamp:     nobody, // a server's clock, often the time since it started
	sip.FieldRetryAfter:    trimmed,

	sip.FieldAccept:             trimmed,
	sip.FieldSupported:          trimmed,
	sip.FieldAllowEvents:        trimmed,
	sip.FieldAuthenticationInfo: trimmed,
	sip.FieldWWWAuthenticate:    trimmed,
	sip.FieldProxyAuthenticate:  trimmed,
}

// Other fields that leave. (RFC 3261 and the extensions of calls, events, transfer and session timers; identity to peers.)
var otherFields = map[audience]string{
	everybody: "in-reply-to join reply-to sip-etag sip-if-match suppress-if-match target-dialog",
	peers: "p-asserted-identity p-preferred-identity remote-party-id diversion history-info p-called-party-id p-access-network-info " +
		"user-to-user",
	trimmed:      "reason alert-info proxy-authentication-info",
	peersTrimmed: "p-charging-vector",
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
	p.setForms()
	for _, name := range cfg.Allow {
		p.set(name, everybody)
	}
	return p
}

// set says who may see the fields of that name.
func (p *Policy) set(name string, who audience) {
	if id := sip.FieldOf([]byte(name)); id != sip.FieldOther {
		p.known[id] = who
	} else {
		p.other[strings.ToLower(name)] = who
	}
}

// Outward adds to e what removes from m, which leaves for outside, the fields that its receiver may not see. peer: it is one. A reason phrase
// becomes that of the RFC: what a platform says there tells its product, and sometimes more.
func (p *Policy) Outward(e *sip.Edit, m *sip.Message, peer bool) {
	if text := sip.StatusText(m.Status); !m.IsRequest() && text != string(m.Reason.Of(m.Raw)) {
		e.SetReason(text)
	}
	faced := len(p.server) == 0
	for i := range m.Fields {
		f := &m.Fields[i]
		who := p.known[f.ID]
		if f.ID == sip.FieldOther {
			who = p.otherField(f.Name.Of(m.Raw))
		}
		switch {
		case who == everybody, who == peers && peer:
		case who == trimmed, who == peersTrimmed && peer:
			trim(e, m, i)
		case who >= formed:
			forms[who-formed].trim(e, i, f.Value.Of(m.Raw))
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

// Face is what Server and User-Agent say towards outside; nil: neither is there. It is not to be written to.
func (p *Policy) Face() []byte { return p.server }

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
	return p.other[string(sip.AppendLower(room[:0], name))]
}
