package proxy

import (
	"bytes"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/transaction"
)

// timers does what is due at now. Each transaction is locked for building one message only.
func (l *lane) timers(now time.Time) {
	defer l.abandon()
	l.cfg = l.p.cfg.Load()
	for i := range l.p.table.Shards() {
		for {
			buf := l.out.Buffer()
			tx, task := l.p.table.Due(i, now)
			if tx == nil {
				break
			}
			l.held = tx
			l.task(buf, tx, task, now)
		}
	}
	l.out.Flush()
}

// task does one timer's work and unlocks tx before sending.
func (l *lane) task(buf []byte, tx *transaction.Tx, task transaction.Task, now time.Time) {
	to := tx.Target
	var b []byte
	status := 0
	switch task {
	case transaction.ResendRequest:
		b = append(buf, tx.Request()...)
	case transaction.ResendReply:
		b, to = append(buf, tx.Last()...), tx.Client
	case transaction.ResendCancel, transaction.CancelNow:
		b = l.cancelFor(tx)
		l.second = b
	case transaction.MoveOn:
		if s := l.cfg.serverAt(tx.Target); s != nil {
			s.failed(l, "no answer to INVITE", false, now)
		}
		if b = l.moveOn(buf, tx, now); b != nil {
			to = tx.Target
		}
	case transaction.SendTrying:
		b, to, status = l.ownReply(buf, tx, 100), tx.Client, 100
		tx.Relayed(b)
	case transaction.Timeout:
		if status = tx.Status(); status != 0 {
			b, to = l.ownReply(buf, tx, status), tx.Client
			tx.Final(now)
			tx.Relayed(b)
		}
		l.silent(tx.Target, now)
	}
	l.unlock(tx)
	if len(b) > 0 {
		l.transmit(b, to)
	}
	if status != 0 {
		l.count.SentReply(to, status)
	}
}

// Undelivered is told by transport that a message of ours did not arrive. A request that nobody has answered yet ends with 503,
// as RFC 3261 §16.9 asks, or with 430 if it was for a phone (RFC 5626 §5.3).
func (l *lane) Undelivered(sent []byte, to edge.Flow, err error, at time.Time) {
	defer l.abandon()
	l.cfg = l.p.cfg.Load()
	if bytes.HasPrefix(sent, []byte("SIP/2.0 ")) {
		return
	}
	id, ok := l.firstBranch(sent)
	if !ok {
		return
	}
	if s := l.cfg.serverAt(to); s != nil {
		s.failed(l, err.Error(), true, at)
	}
	buf := l.out.Buffer()
	tx := l.p.table.FindID(id)
	l.held = tx
	if tx == nil {
		return
	}
	if tx.State != transaction.Calling || tx.Target.Remote != to.Remote {
		l.unlock(tx)
		return
	}
	if b := l.moveOn(buf, tx, at); b != nil {
		next := tx.Target
		l.unlock(tx)
		l.transmit(b, next)
		return
	}
	status := 503
	if to.Side == edge.Outside {
		status = 430
	}
	b, client := l.ownReply(buf, tx, status), tx.Client
	tx.Final(at)
	tx.Relayed(b)
	l.unlock(tx)
	l.transmit(b, client)
	l.count.SentReply(client, status)
	l.tell(edge.Event{At: at, Name: "undelivered", Reason: failure(to.Side), Source: to, Status: status, Message: err.Error()})
}

// silent notes that a request to the platform ran into its time-out.
func (l *lane) silent(target edge.Flow, now time.Time) {
	if s := l.cfg.serverAt(target); s != nil {
		s.failed(l, "no answer before the transaction's time-out", false, now)
	}
}

func failure(s edge.Side) edge.Reason {
	if s == edge.Outside {
		return reasonDeadFlow
	}
	return reasonUpstream
}

func (l *lane) tell(e edge.Event) {
	l.count.Refused(e.Reason)
	l.p.ring.Add(e)
}

// firstBranch reads the branch of the first Via of a message of ours, which may be cut short.
func (l *lane) firstBranch(b []byte) (transaction.ID, bool) {
	_, after, found := bytes.Cut(b, []byte(";branch="))
	if !found || len(after) < branchLen {
		return 0, false
	}
	id, _, ok := l.branches.open(after[:branchLen])
	return id, ok
}

// everySecond sends keep-alives to phones behind NAT, drops what has expired, and lets waiting output go.
func (l *lane) everySecond(now time.Time) {
	l.cfg = l.p.cfg.Load()
	l.p.bindings.Sweep(now)
	l.pings(now)
	if l.cfg.Keepalive > 0 {
		l.p.bindings.Keepalives(now, l.cfg.Keepalive, l.keepalive)
	}
	l.out.Flush()
}

// keepalive keeps a NAT's mapping open: CRLFCRLF, which phones ignore or answer with CRLF (RFC 5626 §3.5.1 turned round).
func (l *lane) keepalive(to edge.Flow) { l.transmit(append(l.out.Buffer(), "\r\n\r\n"...), to) }
