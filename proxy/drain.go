package proxy

import (
	"bytes"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// Leave ends at at the INVITEs that still wait for a final response, since no later process can: their callers get 503, and who rings for them gets
// CANCEL. Dialogs outlive the process, and requests of other methods are sent again by who sent them.
func (p *Proxy) Leave(at time.Time) {
	l := p.NewLane(p.srv.NewOut()).(*lane)
	var waiting []transaction.ID
	for i := range p.table.Shards() {
		waiting = p.table.Waiting(waiting, i, func(tx *transaction.Tx) bool { return tx.Method == sip.INVITE })
	}
	for _, id := range waiting {
		l.abort(id, at)
	}
	l.out.Flush()
}

// abort ends the INVITE with id, if it still waits.
func (l *lane) abort(id transaction.ID, at time.Time) {
	l.ended = false
	defer l.survive(at)
	l.out.Buffer() // may flush, which it must not while tx is locked
	tx := l.p.table.FindID(id)
	l.held = tx
	switch {
	case tx == nil:
	case tx.State > transaction.Proceeding:
		l.unlock(tx)
	default:
		var cancel []byte
		if tx.State == transaction.Proceeding {
			cancel = bytes.Clone(l.cancelFor(tx))
		}
		target := tx.Target
		l.giveUp(tx, 503, at)
		if len(cancel) > 0 {
			l.transmit(cancel, target)
			l.count.SentRequest(target, sip.CANCEL)
		}
	}
	l.ended = true
}

// goesOn reports whether a request that belongs to nothing on record may still pass while new work is refused: the refresh of a registered phone
// that has a call, which would lose its way to the phone without it (row P62), and a phone's farewell. A phone without a call is
// refused like any new work, so that it moves at once to where it can be called.
func (l *lane) goesOn(x *edge.Exchange) bool {
	if x.Msg.Method != sip.REGISTER || x.From.Side != edge.Outside {
		return false
	}
	for k := range l.asked.contacts {
		n, _ := l.noted(x.Msg, &l.asked.contacts[k])
		if n.star && x.Trust == edge.Known {
			return true
		}
		if b, ok := l.p.bindings.Get(n.id, x.At); ok && (n.life == 0 || l.p.bans.Calling(b.Flow.Remote)) {
			return true
		}
	}
	return false
}
