package proxy

import (
	"bytes"
	"strconv"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// defaultExpires is the life of a registration that names none (RFC 3261 §10.2.1.1).
const defaultExpires = time.Hour

// bindable refuses a REGISTER with a Contact that could not be bound.
func (l *lane) bindable(x *edge.Exchange) edge.Verdict {
	bad := edge.Verdict{Action: edge.Reply, Reason: reasonContact, Status: 400}
	m := x.Msg
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				return bad
			}
			rest = after
			if a.Star {
				continue
			}
			uri, err := sip.ParseURI(m.Raw, a.URI)
			if err != nil || uri.Scheme != sip.SIP && uri.Scheme != sip.SIPS || a.URI.Len() > binding.MaxContact {
				return bad
			}
		}
	}
	if uri, err := sip.ParseURI(m.Raw, m.To.URI); err != nil || uri.User.Len()+uri.Host.Len() >= binding.MaxAOR {
		return bad
	}
	return edge.Verdict{}
}

// registration rewrites a REGISTER on its way to the platform: each Contact becomes the id of its binding at our inside address, equal
// at every refresh (design, section 4), or, with registrations.path, Path is added and Contacts stay. What the response
// needs to know is appended to note: the AOR, then a line "id seconds URI" for each Contact, "*" for the star.
func (l *lane) registration(x *edge.Exchange, to hop, note []byte) []byte {
	m := x.Msg
	note = l.appendAOR(note, m)
	aorLen := len(note)
	note = append(note, '\n')
	var first binding.ID
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		l.value = l.value[:0]
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				break
			}
			rest = after
			if len(l.value) > 0 {
				l.value = append(l.value, ", "...)
			}
			var id binding.ID
			note, id = l.bindContact(note, note[:aorLen], &a, to)
			if first == (binding.ID{}) {
				first = id
			}
		}
		if !l.cfg.Path {
			l.edit.Replace(i, l.value)
		}
	}
	if l.cfg.Path {
		l.addPath(x, to, first)
	} else {
		l.endOutbound(m)
	}
	return note
}

// bindContact appends one Contact as the platform gets it to l.value, and its line to note.
func (l *lane) bindContact(note, aor []byte, a *sip.Address, to hop) ([]byte, binding.ID) {
	m := &l.msg
	if a.Star {
		l.value = append(l.value, '*')
		return append(note, "*\n"...), binding.ID{}
	}
	instance, _ := a.Param(m.Raw, "+sip.instance")
	regID, _ := a.Param(m.Raw, "reg-id")
	expires, _ := a.Param(m.Raw, "expires")
	id := l.p.bindings.ID(aor, instance.Of(m.Raw), regID.Of(m.Raw), a.URI.Of(m.Raw))
	life := binding.Expires(expires.Of(m.Raw), m.Value(sip.FieldExpires), defaultExpires)

	note = append(append(note, id[:]...), ' ')
	note = append(strconv.AppendInt(note, int64(life/time.Second), 10), ' ')
	note = append(append(note, a.URI.Of(m.Raw)...), '\n')

	f := &l.p.faces[to.flow.Listener]
	l.value = append(append(append(l.value, "<sip:"...), id[:]...), '@')
	l.value = append(append(append(l.value, f.host...), f.params...), '>')
	l.value = appendParams(l.value, m.Raw, a.Params, "reg-id")
	return note, id
}

// appendParams appends header parameters, without the one named except.
func appendParams(dst, raw []byte, params sip.Span, except string) []byte {
	for rest := params; rest.Present(); {
		var name, whole sip.Span
		name, _, whole, rest = sip.NextParam(raw, rest)
		if whole.Len() > 0 && !equalFold(name.Of(raw), except) {
			dst = appendUnfolded(append(dst, ';'), whole.Of(raw))
		}
	}
	return dst
}

// appendAOR appends the address of record that m registers: user@host of To, the host in lower case.
func (l *lane) appendAOR(dst []byte, m *sip.Message) []byte {
	uri, err := sip.ParseURI(m.Raw, m.To.URI)
	if err != nil {
		return dst
	}
	dst = append(append(dst, uri.User.Of(m.Raw)...), '@')
	return append(dst, bytes.ToLower(uri.Host.Of(m.Raw))...)
}

// addPath adds the way back to the phone as a sealed flow (RFC 3327, RFC 5626 §5.1).
func (l *lane) addPath(x *edge.Exchange, to hop, id binding.ID) {
	r := route{Binding: id, Outside: x.From, Inside: to.flow}
	var plain [usualRoute]byte
	token := l.p.keys.Seal([]byte{pathToken}, r.appendPlain(plain[:0], pathToken), pathAD, nil)
	f := &l.p.faces[to.flow.Listener]
	l.value = append(append(append(l.value[:0], "<sip:"...), token...), '@')
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
				if equalFold(tag, "outbound") {
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

// registered takes a response to REGISTER: a 2xx binds what it lists and unbinds what it does not, and shows the phone its own
// Contacts and nobody else's.
func (l *lane) registered(x *edge.Exchange, tx *transaction.Tx, note []byte) {
	m := x.Msg
	if m.Status < 200 || m.Status > 299 {
		return
	}
	aor, contacts := cutLine(note)
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		l.value = l.value[:0]
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				break
			}
			rest = after
			l.showContact(x, tx, aor, contacts, &a)
		}
		switch {
		case l.cfg.Path:
		case len(l.value) == 0:
			l.edit.Remove(i)
		default:
			l.edit.Replace(i, l.value)
		}
	}
	l.unbind(x, aor, contacts)
}

// showContact binds one Contact of a 2xx if the phone asked for it, and appends it to l.value as the phone knows it.
func (l *lane) showContact(x *edge.Exchange, tx *transaction.Tx, aor, contacts []byte, a *sip.Address) {
	m := x.Msg
	uri, err := sip.ParseURI(m.Raw, a.URI)
	if err != nil {
		return
	}
	user := uri.User.Of(m.Raw)
	for lines := contacts; len(lines) > 0; {
		var line []byte
		line, lines = cutLine(lines)
		id, life, contact, ok := readNote(line)
		if !ok || !bytes.Equal(id[:], user) && !(l.cfg.Path && bytes.Equal(contact, a.URI.Of(m.Raw))) {
			continue
		}
		given, _ := a.Param(m.Raw, "expires")
		life = binding.Expires(given.Of(m.Raw), m.Value(sip.FieldExpires), life)
		l.bind(x, tx, binding.Binding{ID: id, AOR: string(aor), Contact: string(contact), Flow: tx.Client, Expires: x.At.Add(life)})
		l.appendContact(contact, a, life)
		return
	}
	if id, ok := binding.ParseID(user); ok {
		if b, ok := l.p.bindings.Get(id, x.At); ok && b.Flow == tx.Client {
			l.appendContact([]byte(b.Contact), a, b.Expires.Sub(x.At))
		}
	}
}

// appendContact appends a Contact as the phone knows it, with the life that its binding has here.
func (l *lane) appendContact(contact []byte, a *sip.Address, life time.Duration) {
	if len(l.value) > 0 {
		l.value = append(l.value, ", "...)
	}
	l.value = append(append(append(l.value, '<'), contact...), '>')
	l.value = appendParams(l.value, l.msg.Raw, a.Params, "expires")
	l.value = strconv.AppendInt(append(l.value, ";expires="...), int64(life/time.Second), 10)
}

// bind puts a binding on record.
func (l *lane) bind(x *edge.Exchange, tx *transaction.Tx, b binding.Binding) {
	b.NAT = !tx.Client.Transport.Stream() && !saysSource([]byte(b.Contact), tx.Client)
	if err := l.p.bindings.Put(b, x.At); err != nil {
		l.tell(edge.Event{At: x.At, Name: "binding", Reason: reasonBindings, Source: tx.Client,
			Message: "the platform accepted a registration that can't be kept: " + err.Error()})
	}
}

// saysSource reports whether a Contact URI names the address and port that the phone is seen at.
func saysSource(contact []byte, flow edge.Flow) bool {
	uri, err := sip.ParseURI(contact, sip.Span{End: uint32(len(contact))})
	if err != nil {
		return false
	}
	addr, ok := hostPort(contact, &uri)
	return ok && addr == flow.Remote
}

// unbind removes what the REGISTER named and a 2xx does not list any more (RFC 3261 §10.2.2).
func (l *lane) unbind(x *edge.Exchange, aor, contacts []byte) {
	for lines := contacts; len(lines) > 0; {
		var line []byte
		line, lines = cutLine(lines)
		if string(line) == "*" {
			l.p.bindings.DeleteAOR(string(aor), x.At)
			continue
		}
		if id, _, contact, ok := readNote(line); ok && !l.lists(id, contact) {
			l.p.bindings.Delete(id, x.At)
		}
	}
}

// lists reports whether the response lists the Contact with this id.
func (l *lane) lists(id binding.ID, contact []byte) bool {
	m := &l.msg
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				break
			}
			rest = after
			if l.isContact(&a, id, contact) {
				return true
			}
		}
	}
	return false
}

// isContact reports whether a, of a response, is the Contact with this id, which the phone calls contact.
func (l *lane) isContact(a *sip.Address, id binding.ID, contact []byte) bool {
	m := &l.msg
	if l.cfg.Path {
		return bytes.Equal(contact, a.URI.Of(m.Raw))
	}
	uri, err := sip.ParseURI(m.Raw, a.URI)
	return err == nil && bytes.Equal(id[:], uri.User.Of(m.Raw))
}

// readNote reads a line that bindContact wrote.
func readNote(line []byte) (id binding.ID, life time.Duration, contact []byte, ok bool) {
	if len(line) <= len(id)+1 {
		return id, 0, nil, false
	}
	copy(id[:], line)
	seconds, contact, ok := bytes.Cut(line[len(id)+1:], []byte{' '})
	n, err := strconv.ParseInt(string(seconds), 10, 64)
	return id, time.Duration(n) * time.Second, contact, ok && err == nil
}
