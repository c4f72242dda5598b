package proxy

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// moveOn sends the request of tx to another server of the pool (RFC 3261 §16.7, §16.9) and appends it to dst as that server gets
// it; nil if none is left that is up. tx is locked, and its target has answered nothing that was relayed.
func (l *lane) moveOn(dst []byte, tx *transaction.Tx, at time.Time) []byte {
	if !tx.Movable || tx.State != transaction.Calling || l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	return l.sendNext(dst, tx, at)
}

// sendNext does it; l.sent is the request as it was sent before.
func (l *lane) sendNext(dst []byte, tx *transaction.Tx, at time.Time) []byte {
	m := &l.sent
	p, named := l.poolOf(m, tx.Target)
	if p == nil {
		return nil
	}
	if named {
		p.failed(tx.Target)
	}
	i := p.choose(l.p.seed, m.CallID.Of(m.Raw), tx.Tried)
	if i < 0 || p.servers[i].down.Load() {
		return nil
	}
	next := p.servers[i]
	flow, ok := l.out.Route(next.side, next.Transport, next.Addr)
	if !ok || !mayCarry(&m.URI, flow.Transport) || named && l.p.srv.Guard(next.Addr, flow.Listener) != nil {
		return nil
	}
	tx.Retarget()
	tx.Target = flow
	tx.Tried |= 1 << next.place
	b := l.readdress(dst, tx)
	if tooLong(len(b), flow) {
		b = l.overTCP(b, tx)
	}
	tx.Sent(b, at)
	return b
}

// readdress rewrites l.sent for the new target of tx: our Via with the new branch, and the route token with the server that
// the dialog will be with: inside, or outside if it is a peer's.
func (l *lane) readdress(dst []byte, tx *transaction.Tx) []byte {
	m, e := &l.sent, &l.edit
	e.Reset(m)
	l.setVia(tx)
	vias, token, extra := tx.Back()
	if i := m.Find(sip.FieldRecordRoute); i >= 0 && len(token) > 0 {
		callID, _ := l.insideCallID(m)
		r, opened, ok := openToken(l.again, l.p.keys, token, tx.Client.Side, m, callID)
		if l.again = opened; ok {
			if tx.Target.Side == edge.Inside {
				r.Inside = tx.Target
			} else {
				r.Outside = tx.Target
			}
			_, marks := cutMarks(token)
			if l.small = appendToken(l.small[:0], l.p.keys, &r, tx.Client.Side, m, callID); len(marks) > 0 {
				l.small = append(append(l.small, marksBegin), marks...)
			}
			l.value = l.appendRoute(l.value[:0], l.small, tx.Target, m.URI.Scheme)
			e.Replace(i, l.value)
			token = l.small
		}
	}
	tx.Keep(vias, token, extra)
	return e.AppendTo(dst)
}

// elsewhere deals with a 503 of a server whose pool has another one to ask: true if the request went there. tx is then unlocked.
func (l *lane) elsewhere(buf []byte, x *edge.Exchange, tx *transaction.Tx) bool {
	if l.sent.Parse(tx.Request(), true) != nil {
		return false
	}
	if s := l.cfg.serverAt(tx.Target); s != nil {
		s.failed(l, "503", false, x.At)
	}
	old := tx.Target
	l.second = l.second[:0]
	if tx.Method == sip.INVITE {
		l.second = sip.AppendACK(l.second, &l.sent, x.Msg.Value(sip.FieldTo))
	}
	b := l.sendNext(buf, tx, x.At)
	if b == nil {
		return false
	}
	next := tx.Target
	l.unlock(tx)
	l.transmit(b, next)
	if len(l.second) > 0 {
		l.transmit(l.second, old)
	}
	return true
}
