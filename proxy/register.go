package proxy

import (
	"bytes"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// defaultExpires is the life of a registration that names none (RFC 3261 §10.2.1.1).
const defaultExpires = time.Hour

// A registering is what a REGISTER from outside asks for. bindable reads it and registration makes use of it: nothing is read twice.
type registering struct {
	aor      []byte // user@host of To, the host in lower case
	contacts []contact
}

// A contact is one value of a Contact field.
type contact struct {
	sip.Address
	field  int  // its index in the message
	secure bool // it is sips
	nat    bool // over UDP: it names another place than the one that the phone is seen at
}

// bindable reads a REGISTER into l.asked, and refuses one with a Contact that could not be bound.
func (l *lane) bindable(x *edge.Exchange) edge.Verdict {
	m, uri := x.Msg, &x.Msg.ToURI
	if !l.readContacts(x) || uri.User.Len()+uri.Host.Len() >= binding.MaxAOR {
		return edge.Verdict{Action: edge.Reply, Reason: reasonContact, Status: 400}
	}
	l.asked.aor = sip.AppendLower(append(append(l.asked.aor[:0], uri.User.Of(m.Raw)...), '@'), uri.Host.Of(m.Raw))
	return edge.Verdict{}
}

// readContacts reads the Contacts of a REGISTER into l.asked. It returns false if one of them can't be bound.
func (l *lane) readContacts(x *edge.Exchange) bool {
	m := x.Msg
	l.asked.contacts = l.asked.contacts[:0]
	if c := m.Contact(); c != nil { // Parse has decoded it
		return l.readContact(x, &c.Address, &c.Decoded, c.Field)
	}
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				return false
			}
			rest = after
			var uri sip.URI
			if !a.Star {
				uri, err = sip.ParseURI(m.Raw, a.URI)
			}
			if err != nil || !l.readContact(x, &a, &uri, i) {
				return false
			}
		}
	}
	return true
}

// readContact notes a Contact in l.asked, and finds out whether the phone is where it says. It returns false if it can't be bound.
func (l *lane) readContact(x *edge.Exchange, a *sip.Address, uri *sip.URI, field int) bool {
	c := contact{Address: *a, field: field}
	if !a.Star {
		if uri.Scheme != sip.SIP && uri.Scheme != sip.SIPS || a.URI.Len() > binding.MaxContact {
			return false
		}
		c.secure = uri.Scheme == sip.SIPS
		c.nat = !x.From.Transport.Stream() && !l.source.names(x.From.Remote, x.Msg.Raw, uri)
	}
	l.asked.contacts = append(l.asked.contacts, c)
	return true
}

// registration rewrites a REGISTER on its way to the platform: each Contact becomes the id of its binding at our inside address, equal
// at every refresh (design, section 4), or, with registrations.path, Path is added and Contacts stay. What the response
// needs to know is appended to note, for openNote.
func (l *lane) registration(x *edge.Exchange, to *hop, note []byte) []byte {
	contacts := l.asked.contacts
	note = append(append(note, byte(len(l.asked.aor))), l.asked.aor...)
	var first binding.ID
	l.value = l.value[:0]
	for k := range contacts {
		c := &contacts[k]
		n, numbered := l.noted(x.Msg, c)
		note = n.append(note)
		if first == (binding.ID{}) {
			first = n.id
		}
		if l.cfg.Path {
			continue
		}
		l.appendBound(x.Msg, c, &n, numbered, to)
		if k+1 == len(contacts) || contacts[k+1].field != c.field {
			l.edit.Replace(c.field, l.value)
			l.value = l.value[:0]
		}
	}
	if l.cfg.Path {
		l.addPath(x, to, first)
	} else {
		l.endOutbound(x.Msg)
	}
	return note
}

// noted is what is to be remembered of a Contact, and whether it has a reg-id.
func (l *lane) noted(m *sip.Message, c *contact) (n noted, numbered bool) {
	if c.Star {
		return noted{star: true}, false
	}
	var instance, regID, expires sip.Span
	for rest := c.Params; rest.Present(); {
		var name, value sip.Span
		name, value, _, rest = sip.NextParam(m.Raw, rest)
		switch b := name.Of(m.Raw); {
		case sip.Spells(b, "+sip.instance"):
			instance = value
		case sip.Spells(b, "reg-id"):
			regID, numbered = value, true
		case sip.Spells(b, "expires"):
			expires = value
		}
	}
	n = noted{nat: c.nat, contact: c.URI.Of(m.Raw)}
	n.id, n.print = l.p.bindings.Identify(l.asked.aor, instance.Of(m.Raw), regID.Of(m.Raw), n.contact)
	n.life = binding.Expires(expires.Of(m.Raw), m.Value(sip.FieldExpires), defaultExpires)
	return n, numbered
}

// appendBound appends a Contact as the platform gets it to l.value: with the id of its binding, and without a reg-id.
func (l *lane) appendBound(m *sip.Message, c *contact, n *noted, numbered bool, to *hop) {
	v := separated(l.value)
	if c.Star {
		l.value = append(v, '*')
		return
	}
	f := &l.p.faces[to.flow.Listener]
	if v = append(v, "<sip"...); c.secure && to.flow.Transport.Secure() { // to be reached over encrypted hops only (RFC 5630 §5.1.1)
		v = append(v, 's')
	}
	v = append(append(append(v, ':'), n.id[:]...), '@')
	v = append(append(append(v, f.host...), f.params...), '>')
	switch {
	case numbered:
		v = appendParams(v, m.Raw, c.Params, "reg-id")
	case c.Params.Present():
		v = append(append(v, ';'), c.Params.Of(m.Raw)...)
	}
	l.value = v
}

// appendParams appends header parameters, without the one named except.
func appendParams(dst, raw []byte, params sip.Span, except string) []byte {
	dst, _ = cutParam(dst, raw, params, except)
	return dst
}

// cutParam appends header parameters without the one with that name, whose value it returns.
func cutParam(dst, raw []byte, params sip.Span, named string) (others []byte, value sip.Span) {
	for rest := params; rest.Present(); {
		var name, v, whole sip.Span
		name, v, whole, rest = sip.NextParam(raw, rest)
		switch {
		case sip.Spells(name.Of(raw), named):
			value = v
		case whole.Len() > 0:
			dst = appendUnfolded(append(dst, ';'), whole.Of(raw))
		}
	}
	return dst, value
}

// addPath adds the way back to the phone as a sealed flow (RFC 3327, RFC 5626 §5.1).
func (l *lane) addPath(x *edge.Exchange, to *hop, id binding.ID) {
	r := route{Binding: id, Outside: x.From, Inside: to.flow}
	var plain [usualRoute]byte
	l.small = l.p.keys.Seal(append(l.small[:0], pathToken), r.appendPlain(plain[:0], pathToken), pathAD, nil)
	f := &l.p.faces[to.flow.Listener]
	l.value = append(append(append(l.value[:0], "<sip:"...), l.small...), '@')
	l.value = append(append(append(l.value, f.host...), f.params...), ";lr;ob>"...)
	l.edit.Top(sip.FieldPath, l.value)
}

// endOutbound takes the option tag "outbound" out of Supported and Require: without Path the registrar would have to refuse it
// (RFC 5626 §6).
func (l *lane) endOutbound(m *sip.Message) {
	for _, id := range [...]sip.FieldID{sip.FieldSupported, sip.FieldRequire} {
		for i := m.Find(id); i >= 0; i = m.Next(id, i) {
			value := m.Fields[i].Value.Of(m.Raw)
			l.value = l.value[:0]
			found := false
			for tag := range bytes.SplitSeq(value, []byte{','}) {
				tag = bytes.TrimSpace(tag)
				if sip.Spells(tag, "outbound") {
					found = true
					continue
				}
				if len(l.value) > 0 {
					l.value = append(l.value, ", "...)
				}
				l.value = append(l.value, tag...)
			}
			switch {
			case !found:
			case len(l.value) == 0:
				l.edit.Remove(i)
			default:
				l.edit.Replace(i, l.value)
			}
		}
	}
}
