package proxy

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// A noted is what the response to a REGISTER needs to know of one Contact of the request.
type noted struct {
	id      binding.ID
	print   binding.Print
	life    time.Duration // what the phone asked for, in whole seconds
	nat     bool
	star    bool   // it is "*", and nothing else is set
	contact []byte // its URI, as the phone gave it
	listed  bool   // the response lists it; not written
}

const (
	noteNAT  = 1
	noteStar = 2
	noteHead = len(binding.ID{}) + 8 + 4 + 1 + 2 // id, print, life in seconds, flags, length of contact
)

// append appends n in the form that cut reads.
func (n *noted) append(dst []byte) []byte {
	flags := byte(0)
	if n.nat {
		flags |= noteNAT
	}
	if n.star {
		flags |= noteStar
	}
	dst = binary.BigEndian.AppendUint64(append(dst, n.id[:]...), uint64(n.print))
	dst = binary.BigEndian.AppendUint32(dst, uint32(n.life/time.Second))
	dst = binary.BigEndian.AppendUint16(append(dst, flags), uint16(len(n.contact)))
	return append(dst, n.contact...)
}

// cut reads n off note, which append wrote, and returns the rest.
func (n *noted) cut(note []byte) (rest []byte) {
	head, rest := note[:noteHead], note[noteHead:]
	length := binary.BigEndian.Uint16(head[noteHead-2:])
	flags := head[noteHead-3]
	*n = noted{
		id:      binding.ID(head),
		print:   binding.Print(binary.BigEndian.Uint64(head[len(n.id):])),
		life:    time.Duration(binary.BigEndian.Uint32(head[len(n.id)+8:])) * time.Second,
		nat:     flags&noteNAT != 0,
		star:    flags&noteStar != 0,
		contact: rest[:length:length],
	}
	return rest[length:]
}

// openNote reads into l.notes what registration wrote, and returns the address of record. All of it lies in note.
func (l *lane) openNote(note []byte) (aor []byte) {
	end := 1 + int(note[0])
	aor, note = note[1:end:end], note[end:]
	l.notes = l.notes[:0]
	for len(note) > 0 {
		var n noted
		note = n.cut(note)
		l.notes = append(l.notes, n)
	}
	return aor
}

// registered takes a response to REGISTER: a 2xx binds what it lists and unbinds what it does not, and shows the phone its own
// Contacts and nobody else's.
func (l *lane) registered(x *edge.Exchange, tx *transaction.Tx, note []byte) {
	m := x.Msg
	if m.Status < 200 || m.Status > 299 {
		return
	}
	aor := l.openNote(note)
	if c := m.Contact(); c != nil { // Parse has decoded it
		l.value = l.value[:0]
		l.showContact(x, tx, aor, &c.Address, c.Expires)
		l.showContacts(c.Field)
	} else {
		for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
			l.value = l.value[:0]
			for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
				l.showContact(x, tx, aor, &a, sip.Span{})
			}
			l.showContacts(i)
		}
	}
	l.unbind(x, aor)
}

// showContacts makes l.value the Contacts of field i.
func (l *lane) showContacts(i int) {
	switch {
	case l.cfg.Path && !l.cfg.Hide:
	case len(l.value) == 0:
		l.edit.Remove(i)
	default:
		l.edit.Replace(i, l.value)
	}
}

// showContact binds one Contact of a 2xx if the phone asked for it, and appends it to l.value as the phone knows it; so it does
// with one that the phone asked for earlier. expires is present if a has no other parameter.
func (l *lane) showContact(x *edge.Exchange, tx *transaction.Tx, aor []byte, a *sip.Address, expires sip.Span) {
	m := x.Msg
	uri := a.URI.Of(m.Raw)
	user := userOf(m.Raw, a.URI)
	if n := l.listed(uri, user); n != nil {
		given := l.appendContact(n.contact, a, expires)
		life := binding.Expires(given.Of(m.Raw), m.Value(sip.FieldExpires), n.life)
		l.appendLife(life)
		l.bind(x, tx, aor, n, x.At.Add(life))
		return
	}
	if id, ok := binding.ParseID(user); ok {
		if b, ok := l.p.bindings.Get(id, x.At); ok && b.Flow == tx.Client {
			l.appendContact([]byte(b.Contact), a, expires)
			l.appendLife(b.Expires.Sub(x.At))
		}
	}
}

// userOf is the user part of the URI at s, which is well-formed; empty if there is none.
func userOf(raw []byte, s sip.Span) []byte {
	const from, to = len("sip:"), len("sip:") + len(binding.ID{})
	if b := s.Of(raw); len(b) > to && b[to] == '@' && string(b[:from]) == "sip:" {
		return b[from:to] // as we wrote it. With a password in it it is no user part, but no id either
	}
	uri, err := sip.ParseURI(raw, s)
	if err != nil {
		return nil
	}
	return uri.User.Of(raw)
}

// listed notes that the response lists a Contact with this URI, whose user part is user, and returns what the request said of
// it; nil if it did not name it.
func (l *lane) listed(uri, user []byte) (first *noted) {
	for k := range l.notes {
		n := &l.notes[k]
		if l.cfg.Path && !bytes.Equal(n.contact, uri) || !l.cfg.Path && string(n.id[:]) != string(user) {
			continue
		}
		n.listed = true
		if first == nil {
			first = n
		}
	}
	return first
}

// appendContact appends a, of a response, with the URI that the phone knows it by, but for its life, which it returns. only is that, if a says
// nothing else.
func (l *lane) appendContact(uri []byte, a *sip.Address, only sip.Span) (expires sip.Span) {
	v := append(append(append(separated(l.value), '<'), uri...), '>')
	switch {
	case only.Present():
		l.value, expires = v, only
	case l.cfg.Hide:
		l.value = l.appendOwnParams(v, l.msg.Raw, a.Params)
		expires, _ = a.Param(l.msg.Raw, "expires")
	default:
		l.value, expires = cutParam(v, l.msg.Raw, a.Params, "expires")
	}
	return expires
}

// appendLife appends the life that a binding has here.
func (l *lane) appendLife(life time.Duration) {
	l.value = strconv.AppendInt(append(l.value, ";expires="...), int64(life/time.Second), 10)
}

// bind puts a binding on record.
func (l *lane) bind(x *edge.Exchange, tx *transaction.Tx, aor []byte, n *noted, expires time.Time) {
	if l.p.bindings.Refresh(n.id, n.print, tx.Client, n.nat, expires, x.At) {
		return
	}
	was, moved := l.p.bindings.Get(n.id, x.At)
	moved = moved && was.Flow.Remote != tx.Client.Remote
	err := l.p.bindings.Put(binding.Binding{ID: n.id, AOR: string(aor), Contact: string(n.contact), Flow: tx.Client, Expires: expires,
		NAT: n.nat, Print: n.print}, x.At)
	if err != nil {
		l.tell(edge.Event{At: x.At, Name: "binding", Reason: reasonBindings, Source: tx.Client,
			Message: "the platform accepted a registration that can't be kept: " + err.Error()})
	}
	if err == nil && moved && !l.p.bindings.Known(was.Flow, x.At) { // else others are there, too
		l.p.bans.CallsMoved(was.Flow.Remote, tx.Client.Remote)
	}
}

// unbind removes what the REGISTER named and a 2xx does not list any more (RFC 3261 §10.2.2).
func (l *lane) unbind(x *edge.Exchange, aor []byte) {
	for k := range l.notes {
		switch n := &l.notes[k]; {
		case n.star:
			l.p.bindings.DeleteAOR(string(aor), x.At)
		case !n.listed:
			l.p.bindings.Delete(n.id, x.At)
		}
	}
}
