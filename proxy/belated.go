package proxy

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// An INVITE that a server leaves unanswered goes to another one within about a second, and the first may only have been slow: then it works on a
// call that nobody waits for, and would ring the phone twice. So what comes from a server that was left is not passed over: a provisional
// response is answered with CANCEL, a refusal with its ACK, and a 2xx goes to the client as any other (RFC 3261 §16.7 step 5).

// belated deals with x, a response from a server that tx has left. True: it is a 2xx to the INVITE, for which the rest is to be done as for any, and
// tx is still locked.
func (l *lane) belated(x *edge.Exchange, tx *transaction.Tx) (accepted bool) {
	m := x.Msg
	known := tx.Method == sip.INVITE && x.From.Side == tx.Target.Side && l.ofPool(x.From, tx.Target)
	if known && m.CSeq.Method == sip.INVITE && m.Status/100 == 2 {
		return true
	}
	var b []byte
	if known && m.CSeq.Method == sip.INVITE {
		b = l.unwanted(x, tx)
	}
	l.unlock(tx)
	if !known {
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonStrayReply})
	}
	if len(b) > 0 {
		l.second = b
		l.transmit(b, x.From)
	}
	return false
}

// ofPool reports whether from may answer for a server of the pool that target is of.
func (l *lane) ofPool(from, target edge.Flow) bool {
	if from.Side == edge.Inside {
		return true
	}
	p := l.cfg.poolAt(target)
	if p == nil {
		return false
	}
	for _, s := range p.servers {
		if s.Addr.Addr() == from.Remote.Addr() {
			return true
		}
	}
	return false
}

// prefer lets tx, whose INVITE a server has accepted that was left, leave its present target, too, if that has not answered finally. What it
// returns is the CANCEL for it, if it may have one already; else its first response brings it one.
func (l *lane) prefer(tx *transaction.Tx) (cancel []byte) {
	if tx.State > transaction.Proceeding {
		return nil
	}
	if tx.State == transaction.Proceeding {
		cancel = bytes.Clone(l.cancelFor(tx))
	}
	tx.Retarget()
	return cancel
}

// unwanted is what a server gets for x, a response to an INVITE of tx that it was to give up: CANCEL or ACK, with the branch that it knows.
func (l *lane) unwanted(x *edge.Exchange, tx *transaction.Tx) []byte {
	if l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	m, e := &l.sent, &l.edit
	e.Reset(m)
	l.value = append(append(l.value[:0], l.p.faces[x.From.Listener].Via...), ";branch="...)
	l.value = append(l.value, x.Msg.Via.Branch.Of(x.Msg.Raw)...)
	e.Replace(m.Via.Field, l.finishVia(x.From))
	e.Replace(m.Find(sip.FieldTo), untagged(m))
	l.large = e.AppendTo(l.large[:0])
	if l.sent.Parse(l.large, true) != nil {
		return nil
	}
	if x.Msg.Status < 200 {
		return sip.AppendCANCEL(l.second[:0], &l.sent)
	}
	return sip.AppendACK(l.second[:0], &l.sent, x.Msg.Value(sip.FieldTo))
}

// untagged is the To of m without its tag, which is the last of its parameters where we wrote it.
func untagged(m *sip.Message) []byte {
	to := m.Value(sip.FieldTo)
	if !m.ToTag.Present() {
		return to
	}
	if before, found := bytes.CutSuffix(to, append([]byte(";tag="), m.ToTag.Of(m.Raw)...)); found {
		return before
	}
	return to
}

// ownToken is the user part of our Record-Route in m, a response: that of the server which it comes from, not of the one that tx went to last.
func (l *lane) ownToken(m *sip.Message, side edge.Side) (token []byte) {
	for a := range recorded(m) {
		if l.namesUs(m, a, side) {
			uri, _ := sip.ParseURI(m.Raw, a.URI)
			token = uri.User.Of(m.Raw)
		}
	}
	return token
}
