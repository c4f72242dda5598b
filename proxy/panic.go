package proxy

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// shownBytes is how much of a message is kept in the event about a panic.
const shownBytes = 140

// survive is deferred around everything that a lane does. After a panic (ended was not set) it ends the transaction of the message at hand
// with 500 and keeps the beginning of its bytes in an event. The panic goes on to transport, which counts it, logs where it was, and
// survives it. Nothing stays locked.
func (l *lane) survive(at time.Time) {
	if !l.ended {
		l.account(at)
	}
	l.abandon()
}

// account does what is left to do after a panic, as far as that works.
func (l *lane) account(at time.Time) {
	defer func() { _ = recover() }()
	l.count.Refused(reasonPanic)
	raw, from := l.raw, l.from
	if tx := l.held; tx != nil && raw == nil {
		raw, from = append([]byte(nil), tx.Request()...), tx.Client
	}
	l.apologize(at)
	l.p.ring.Add(edge.Event{At: at, Name: event.Fault, Reason: reasonPanic, Source: from, Status: 500,
		Message: "handling it panicked: " + string(raw[:min(len(raw), shownBytes)])})
	l.out.Flush()
}

// abandon takes a transaction that is still held off the record, so that nobody waits for it for ever. What the message had us order
// is not left to the next one.
func (l *lane) abandon() {
	l.raw, l.orders = nil, l.orders[:0]
	l.abandonHeld()
}

// apologize answers 500 to whoever waits for an answer to the message at hand.
func (l *lane) apologize(at time.Time) {
	handled := l.raw != nil && l.x.Msg == &l.msg
	request := handled && l.msg.Replyable() && l.msg.Method != sip.ACK
	if l.held == nil && request && l.own.key != 0 {
		l.held = l.p.table.Find(l.own.key)
	}
	switch tx := l.held; {
	case tx != nil && len(tx.Request()) > 0 && tx.State < transaction.Completed:
		l.giveUp(tx, 500, at)
	case tx != nil && handled && !l.msg.IsRequest():
		l.insteadOf(tx)
	case tx != nil && !handled: // a timer's: its work would fail again
		l.leave(append(l.out.Buffer(), tx.Last()...), tx)
	case tx != nil && tx.State >= transaction.Completed:
		l.unlock(tx)
	case request && l.x.Match != edge.MatchRetransmission:
		l.abandonHeld()
		l.reply(&l.x, 500, "")
	}
}

// insteadOf takes tx off the record. If the response at hand was to be its first final one, the client gets 500 in its place.
func (l *lane) insteadOf(tx *transaction.Tx) {
	var b []byte
	if l.was < transaction.Completed {
		vias, _, _ := tx.Back()
		b = l.appendReply(l.out.Buffer(), &l.msg, l.viaLines(vias), tx.Client.Side, 500, "", l.tag(&l.msg, tx.Client))
	}
	l.leave(b, tx)
}

// leave takes tx off the record; b, if there is something in it, is the last that its client gets.
func (l *lane) leave(b []byte, tx *transaction.Tx) {
	client, own := tx.Client, tx.Own
	l.abandonHeld()
	if len(b) > 0 && !own {
		l.transmit(b, client)
	}
}

// giveUp ends tx, which waits for a final response, with status, unless that is a request of our own. Late responses of its target are still acknowledged.
func (l *lane) giveUp(tx *transaction.Tx, status int, at time.Time) {
	b, client, own := l.ownReply(l.out.Buffer(), tx, status), tx.Client, tx.Own
	l.over(tx, status)
	tx.Final(at)
	tx.Relayed(b)
	l.unlock(tx)
	if !own {
		l.transmit(b, client)
		l.count.SentReply(client, status)
	}
}

// abandonHeld is abandon while the message at hand is still needed.
func (l *lane) abandonHeld() {
	if tx := l.held; tx != nil {
		l.over(tx, 500)
		l.held = nil
		tx.Abandon()
		l.conclude()
	}
}
