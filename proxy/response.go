package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// response brings a response back to the client of its transaction (RFC 3261 §16.7). One that belongs to nothing we sent, or comes
// from somewhere else, is dropped: nothing is relayed without state.
func (l *lane) response(x *edge.Exchange) {
	x.Match = edge.MatchReply
	m := x.Msg
	if reason := l.unfit(x); reason != "" {
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reason})
		return
	}
	buf := l.out.Buffer()
	tx := l.responded(x)
	if tx == nil {
		return
	}
	if m.CSeq.Method == sip.CANCEL && tx.Method != sip.CANCEL {
		tx.CancelAnswered()
		l.unlock(tx)
		return
	}
	left := tx.Target
	if s := l.cfg.serverAt(left); s != nil && !l.late {
		s.heard(l, x.At)
	}
	if l.mayTakeLong(x) {
		l.unlock(tx)
		l.park(x, l.p.aside, l.asideKey(x))
		return
	}
	var cancel []byte
	if l.late {
		cancel = l.prefer(tx)
	}
	if l.p.media != nil {
		tx = l.mediated(buf, x, tx)
	}
	if tx != nil {
		l.step(buf, x, tx)
	}
	if len(cancel) > 0 {
		l.transmit(cancel, left)
	}
}

// responded is the transaction that x belongs to, locked. nil: to none, or what it asks for is done.
func (l *lane) responded(x *edge.Exchange) (tx *transaction.Tx) {
	l.late = false
	id, mark, ok := l.branches.open(x.Msg.Via.Branch.Of(x.Msg.Raw))
	if ok {
		tx = l.p.table.FindID(id)
	}
	if ok && tx == nil {
		tx = l.p.table.FindLeft(id)
		l.late = tx != nil
	}
	l.held = tx
	switch {
	case tx == nil && ok && (l.pinged(x, id, mark) || l.answersKnock(x, id, mark)):
	case tx == nil:
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonStrayReply})
	case l.late && l.belated(x, tx), !l.late && l.expected(x, tx):
		return tx
	case !l.late:
		l.unlock(tx)
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonStrayReply})
	}
	return nil
}

// unfit is the reason to drop a response from outside that no platform is to read, "" if there is none.
func (l *lane) unfit(x *edge.Exchange) edge.Reason {
	switch {
	case x.From.Side == edge.Inside:
		return ""
	case hidden(x.Msg):
		return reasonHidden
	}
	return l.cfg.limits.exceeded(x.Msg).Reason
}

// expected reports whether x comes from the target of tx (any port of its address; inside, anybody of the platform), and answers
// the method that was sent.
func (l *lane) expected(x *edge.Exchange, tx *transaction.Tx) bool {
	if x.From.Side != tx.Target.Side {
		return false
	}
	if x.From.Side == edge.Outside && x.From.Remote.Addr() != tx.Target.Remote.Addr() {
		return false
	}
	return x.Msg.CSeq.Method == tx.Method || x.Msg.CSeq.Method == sip.CANCEL
}

// step does what the transaction says. tx is locked on entry and unlocked before anything is sent.
func (l *lane) step(buf []byte, x *edge.Exchange, tx *transaction.Tx) {
	status := x.Msg.Status
	client, target, own := tx.Client, tx.Target, tx.Own
	if status == 503 && tx.Movable && tx.State < transaction.Completed && l.elsewhere(buf, x, tx) {
		return
	}
	var b, second []byte // to the client, to the target
	l.was, l.evening = tx.State, evening{}
	l.memo = append(l.memo[:0], tx.Memo()...) // it is gone when a final response has come
	again := l.repeats(tx, x.Msg, x.At)
	switch tx.Response(status, x.At) {
	case transaction.Relay:
		b, status = l.forClient(buf, x, tx, again)
	case transaction.RelayAndAck:
		b, status = l.forClient(buf, x, tx, false)
		second = l.ackFor(tx, x)
		tx.KeepACK(second)
	case transaction.Ack:
		second = l.ackFor(tx, x)
		tx.KeepACK(second)
	case transaction.AckAgain:
		second = append(l.second[:0], tx.Request()...)
	case transaction.Trying:
		b = l.hundred(buf, x, tx)
		tx.Relayed(b)
	}
	if tx.Call != 0 && tx.Method == sip.INVITE && status/100 == 2 {
		l.p.calls.answered(tx.Call, l.tagHash(x.Msg.ToTag))
	}
	l.settle(tx, x.Msg.Status)
	l.conversed(x, tx)
	if tx.CancelHeld(x.At) {
		second = l.cancelFor(tx)
	}
	watch, asked, held := l.watches(x, tx), tx.Asked, l.holds(tx, x)
	l.unlock(tx)
	if watch {
		l.watchedAs(x, &asked, b)
	}
	if len(b) > 0 && !own && !held && !l.shut(client, x.At) {
		l.transmit(b, client)
		l.count.SentReply(client, status)
	}
	if len(second) > 0 {
		l.second = second
		l.transmit(second, target)
	}
}

// forClient builds what goes to the client of tx, nothing if that is a copy (again) which may not.
func (l *lane) forClient(buf []byte, x *edge.Exchange, tx *transaction.Tx, again bool) ([]byte, int) {
	b, status := l.refusedBy(buf, x, tx)
	need := 0
	if status < 200 { // the first copy was not taken from the credit
		need = 2 * len(b)
	}
	if again && !l.affords(tx, need, x.At) {
		l.count.Refused(reasonOutgrown)
		return nil, status
	}
	if again || status >= 200 {
		tx.Spend(len(b))
	}
	tx.Relayed(b)
	if status < 200 {
		tx.Remember(l.memo)
	}
	return b, status
}

// refusedBy is returned, but for what the client is not to see as it is. A 503 without Retry-After is the upstream's own trouble and goes
// to the client as 500, so that it does not take the whole edge for overloaded (RFC 3261 §16.7 step 6); so does what the guard blocks, if
// it is final. A challenge of a stranger outside goes to the platform as 403: credentials for it would let him guess the platform's passwords at leisure.
func (l *lane) refusedBy(dst []byte, x *edge.Exchange, tx *transaction.Tx) ([]byte, int) {
	status := x.Msg.Status
	switch {
	case (status == 401 || status == 407) && x.From.Side == edge.Outside && x.Trust != edge.Peer:
		status = 403
		l.refuse(x, edge.Verdict{Action: edge.Reply, Reason: reasonChallenge, Status: status})
	case l.evenOut(x, tx):
		return l.evened(dst, x, tx), l.written.Status
	case status == 503 && x.Msg.Find(sip.FieldRetryAfter) < 0:
		status = 500
	default:
		if b, ok := l.mayReturn(x, l.returned(dst, x, tx), tx.Client); ok {
			return b, status
		}
		if status < 200 {
			return nil, status
		}
		status = 500
	}
	vias, _, _ := tx.Back()
	return l.asKnown(l.appendReply(dst, x.Msg, l.viaLines(vias), tx.Client.Side, status, "", l.tag(x.Msg, tx.Client)), tx), status
}

// returned appends the response as the client shall see it: the Vias of its own request and no other, our Record-Route named
// by our address on its side, its own Contacts.
func (l *lane) returned(dst []byte, x *edge.Exchange, tx *transaction.Tx) []byte {
	m, e := x.Msg, &l.edit
	e.Reset(m)
	vias, token, extra := tx.Back()
	if l.late && len(token) > 0 {
		token = l.ownToken(m, x.From.Side)
	}
	note, extra := cutNote(extra)
	for len(vias) > 0 {
		var one []byte
		one, vias = cutLine(vias)
		e.Top(sip.FieldVia, one)
	}
	for i := m.Find(sip.FieldVia); i >= 0; i = m.Next(sip.FieldVia, i) {
		e.Remove(i)
	}
	l.scrubReply(x)
	l.excuse(m, tx)
	hide := l.cfg.Hide && tx.Client.Side == edge.Outside
	switch {
	case hide:
		l.oneRoute(m, token, tx)
	case len(token) == 0:
	case x.From.Side == edge.Outside && x.Trust != edge.Peer:
		l.restoreRoute(m, token, extra, tx)
	default:
		l.renameRoute(m, token, tx)
		if len(note) > 0 {
			l.addRoutes(extra)
		}
	}
	if len(note) > 0 {
		l.restore(m, note)
	}
	if !hide && tx.Client.Side == edge.Outside {
		l.markReply(m, token, tx)
	}
	switch {
	case hide:
		l.hideResponse(x, tx)
	case l.cfg.Hide && x.From.Side == edge.Outside && (tx.Method == sip.PUBLISH || tx.Method == sip.SUBSCRIBE || m.Status/100 == 3):
		l.mask.Veil, l.leg = l.cfg.veil, topo.Leg{At: x.At}
		l.mask.Returned(e, m, &l.leg)
	}
	if tx.Method == sip.REGISTER && tx.Client.Side == edge.Outside {
		l.registered(x, tx, extra)
	} else if tx.Method == sip.REGISTER && len(extra) > 0 {
		l.ownContacts(m)
	}
	l.describe(m)
	return l.describePart(dst, e.AppendTo(dst), m)
}

// ackFor builds the ACK for a final response of 300 and more (RFC 3261 §17.1.1.3).
func (l *lane) ackFor(tx *transaction.Tx, x *edge.Exchange) []byte {
	if l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	return sip.AppendACK(l.second[:0], &l.sent, x.Msg.Value(sip.FieldTo))
}

// cancelFor builds the CANCEL of a request that was sent (RFC 3261 §9.1).
func (l *lane) cancelFor(tx *transaction.Tx) []byte {
	if l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	return sip.AppendCANCEL(l.second[:0], &l.sent)
}

// hundred appends our own 100 to the client of tx, when the target's 100 came: it has the same From, To, Call-ID and CSeq.
func (l *lane) hundred(dst []byte, x *edge.Exchange, tx *transaction.Tx) []byte {
	vias, _, _ := tx.Back()
	return l.asKnown(l.appendReply(dst, x.Msg, l.viaLines(vias), tx.Client.Side, 100, "", nil), tx)
}

// ownReply appends a response of our own to the client of tx, built from the request as it was sent.
func (l *lane) ownReply(dst []byte, tx *transaction.Tx, status int) []byte {
	if l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	vias, _, _ := tx.Back()
	var tag []byte
	if status > 100 {
		tag = l.tag(&l.sent, tx.Client)
	}
	if status == 503 {
		return l.asKnown(l.appendReply(dst, &l.sent, l.viaLines(vias), tx.Client.Side, status, "", tag, sip.Header{Name: "Retry-After", Value: retryAfter}), tx)
	}
	return l.asKnown(l.appendReply(dst, &l.sent, l.viaLines(vias), tx.Client.Side, status, "", tag), tx)
}

// retransmission answers a request that is on record with what it got the first time.
func (l *lane) retransmission(x *edge.Exchange) {
	l.count.Retransmission(x.From)
	buf := l.out.Buffer()
	tx := l.p.table.Find(l.own.key)
	l.held = tx
	if tx == nil {
		return
	}
	b := append(buf, tx.Last()...)
	if tx.Metered() {
		tx.Meter(len(x.Msg.Raw))
	}
	if tx.State == transaction.Confirmed || tx.State == transaction.Accepted || !l.affords(tx, 0, x.At) {
		b = nil
	}
	tx.Spend(len(b))
	l.unlock(tx)
	if len(b) > 0 && !l.ordered {
		l.transmit(b, x.From)
	}
}

// acknowledged takes the client's ACK of a final response of 300 and more; it ends here (RFC 3261 §17.2.1).
func (l *lane) acknowledged(x *edge.Exchange) {
	if tx := l.p.table.Find(l.own.key); tx != nil {
		l.held = tx
		if tx.Metered() && echoes(x, tx) {
			l.proves(x)
		}
		tx.ACK()
		l.unlock(tx)
	}
}

// cancelled answers a CANCEL and passes it on when the target has been heard of (RFC 3261 §16.10).
func (l *lane) cancelled(x *edge.Exchange) {
	l.reply(x, 200, "")
	tx := l.p.table.Find(l.own.key)
	l.held = tx
	if tx == nil {
		return
	}
	target := tx.Target
	var b []byte
	if tx.Cancel(x.At) {
		b = l.cancelFor(tx)
	}
	l.unlock(tx)
	if len(b) > 0 {
		l.second = b
		l.transmit(b, target)
		l.count.SentRequest(target, sip.CANCEL)
	}
}
