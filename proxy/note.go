package proxy

import (
	"encoding/binary"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// A note is what a transaction keeps of a request whose Call-ID or parties went on under other names: the Call-ID, From and To of the
// client, each ended by LF. It is empty for other requests. It stands, behind its length, before what else is kept as "extra".

// appendNote appends the note for x, and its length before it.
func (l *lane) appendNote(dst []byte, x *edge.Exchange) []byte {
	m := x.Msg
	l.note = l.note[:0]
	if x.From.Side == edge.Inside && l.cfg.Hide || l.own.masked || len(l.own.route.FromHost)+len(l.own.route.ToHost) > 0 {
		for _, id := range [...]sip.FieldID{sip.FieldCallID, sip.FieldFrom, sip.FieldTo} {
			l.note = append(appendUnfolded(l.note, m.Value(id)), '\n')
		}
	}
	return append(binary.AppendUvarint(dst, uint64(len(l.note))), l.note...)
}

// cutNote splits what a transaction keeps as "extra" into the note and the rest.
func cutNote(extra []byte) (note, rest []byte) {
	note, rest, _ = topo.CutCounted(extra)
	return note, rest
}

// restore gives a response m, which is being edited, the Call-ID and parties of the client's own request.
func (l *lane) restore(m *sip.Message, note []byte) {
	callID, note := cutLine(note)
	from, note := cutLine(note)
	to, _ := cutLine(note)
	l.edit.Replace(m.Find(sip.FieldCallID), callID)
	l.edit.Replace(m.Find(sip.FieldFrom), from)
	l.value = append(l.value[:0], to...)
	if m.ToTag.Present() && !tagged(to) {
		l.value = append(append(l.value, ";tag="...), m.ToTag.Of(m.Raw)...)
	}
	l.edit.Replace(m.Find(sip.FieldTo), l.value)
}

// tagged reports whether a From or To value has a tag.
func tagged(value []byte) bool {
	a, _, err := sip.NextAddress(value, sip.Span{End: uint32(len(value))})
	if err != nil {
		return false
	}
	_, found := a.Param(value, "tag")
	return found
}

// asKnown is b, a response of our own made from the request as it went on, as the client of tx knows the dialog.
func (l *lane) asKnown(b []byte, tx *transaction.Tx) []byte {
	_, _, extra := tx.Back()
	note, _ := cutNote(extra)
	if len(note) == 0 || l.left.Parse(b, true) != nil {
		return b
	}
	l.edit.Reset(&l.left)
	l.restore(&l.left, note)
	l.redone = l.edit.AppendTo(l.redone[:0])
	return append(b[:0], l.redone...)
}

// addRoutes gives a response of a peer the Record-Routes of the proxies inside that its request came by: outside saw ours alone, behind
// which they stood.
func (l *lane) addRoutes(routes []byte) {
	for len(routes) > 0 {
		var one []byte
		one, routes = cutLine(routes)
		l.edit.Add("Record-Route", one)
	}
}
