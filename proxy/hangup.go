package proxy

import (
	"strconv"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// A 2xx whose description can't be used is not shown to its client, who gets 500; whoever sent it is in a dialog, which must end: ACK and BYE
// (audit F24). Both are handled as if the client had sent them, so that they go the way of any other; what answers them ends here.

// farCSeq is how far the numbers of our own requests in a dialog are ahead of the client's: it may still be sending some.
const farCSeq = 1000

// hangUp notes an ACK and a BYE in the dialog that the response x makes, whose request tx was. tx is locked.
func (l *lane) hangUp(buf []byte, x *edge.Exchange, tx *transaction.Tx) {
	l.d.fate = fateDrop
	if _, token, _ := tx.Back(); len(token) == 0 { // a dialog that was before; its ends see what became of it
		return
	}
	if l.left.Parse(l.returned(buf, x, tx), true) != nil {
		return
	}
	m := &l.left
	l.orders = l.appendOrder(l.orders[:0], m, "ACK", m.CSeq.Number, tx)
	l.split = len(l.orders)
	if m.CSeq.Number < 1<<31-farCSeq {
		l.orders = l.appendOrder(l.orders, m, "BYE", m.CSeq.Number+farCSeq, tx)
	}
	l.orderer = tx.Client
}

// appendOrder appends a request of the client of tx in the dialog that it would know by m, a 2xx (RFC 3261 §12.2.1.1).
func (l *lane) appendOrder(dst []byte, m *sip.Message, method string, number uint32, tx *transaction.Tx) []byte {
	target := firstURI(m, sip.FieldContact)
	if !target.Present() {
		return dst
	}
	dst = append(append(append(dst, method...), ' '), target.Of(m.Raw)...)
	dst = append(append(dst, " SIP/2.0\r\nVia: "...), l.p.faces[tx.Client.Listener].Via...)
	dst = append(l.branches.append(append(dst, ";branch="...), transaction.NoID(tx.Key()+uint64(number)<<32), orderMark), "\r\n"...)
	for i := range m.Fields { // fields stand in the order of the way, so the last is the first of the way back
		if f := &m.Fields[len(m.Fields)-1-i]; f.ID == sip.FieldRecordRoute {
			dst = appendReversed(dst, m, f.Value)
		}
	}
	for _, id := range [...]sip.FieldID{sip.FieldFrom, sip.FieldTo, sip.FieldCallID} {
		dst = append(append(append(dst, id.String()...), ": "...), m.Value(id)...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(strconv.AppendUint(append(dst, "Max-Forwards: 70\r\nCSeq: "...), uint64(number), 10), ' ')
	return append(append(dst, method...), "\r\nContent-Length: 0\r\n\r\n"...)
}

// appendReversed appends a Route field for each address in value, the last one first.
func appendReversed(dst []byte, m *sip.Message, value sip.Span) []byte {
	a, rest, err := sip.NextAddress(m.Raw, value)
	if err != nil {
		return dst
	}
	if rest.Present() {
		dst = appendReversed(dst, m, rest)
	}
	return append(append(append(dst, "Route: "...), a.Whole.Of(m.Raw)...), "\r\n"...)
}

// orderMark stands in the branches of our own requests where others have their loop hash.
const orderMark = 0x68616e67

// obey handles the requests that hangUp noted, now that the message at hand is done with.
func (l *lane) obey(at time.Time) {
	orders, split, from := l.orders, l.split, l.orderer
	l.orders = l.orders[:0]
	for _, one := range [...][]byte{orders[:split], orders[split:]} {
		if len(one) > 0 {
			l.own.key, l.ordered = 0, true
			l.handle(one, from, at)
			l.ordered = false
		}
	}
}
