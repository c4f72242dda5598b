package proxy

import (
	"bytes"
	"errors"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// timers does what is due at now. Each transaction is locked for building one message only.
func (l *lane) timers(now time.Time) {
	l.ended = false
	defer l.survive(now)
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
	l.ended = true
}

// task does one timer's work and unlocks tx before sending. A 100 must not come after the response that another goroutine may have for the client
// at this moment: on a connection it is queued before tx is unlocked, over UDP it leaves at once.
func (l *lane) task(buf []byte, tx *transaction.Tx, task transaction.Task, now time.Time) {
	b, to, status := l.due(buf, tx, task, now)
	trying := task == transaction.SendTrying
	queued := trying && !l.shut(to, now) && l.out.Offer(b, to)
	l.unlock(tx)
	if queued {
		l.leaving(b, to)
	} else if len(b) > 0 && !l.shut(to, now) {
		l.transmit(b, to)
	}
	if trying && !to.Transport.Stream() {
		l.out.Flush()
	}
	if status != 0 {
		l.count.SentReply(to, status)
	}
}

// due is what a timer wants sent, nothing if b is empty, and where; status is that of a response which the client gets for the first time.
func (l *lane) due(buf []byte, tx *transaction.Tx, task transaction.Task, now time.Time) (b []byte, to edge.Flow, status int) {
	to = tx.Target
	switch task {
	case transaction.ResendRequest:
		b = append(buf, tx.Request()...)
	case transaction.ResendReply:
		if l.affords(tx, 0, now) {
			b, to = append(buf, tx.Last()...), tx.Client
			tx.Spend(len(b))
		}
	case transaction.Release:
		b, to = append(buf, tx.Last()...), tx.Client
		status = statusOf(b)
	case transaction.ResendCancel, transaction.CancelNow:
		b = l.cancelFor(tx)
		l.second = b
	case transaction.MoveOn:
		if s := l.cfg.serverAt(tx.Target); s != nil {
			s.suspect(now)
		}
		if b = l.moveOn(buf, tx, now); b != nil {
			to = tx.Target
		}
	case transaction.SendTrying:
		b, to, status = l.ownReply(buf, tx, 100), tx.Client, 100
		tx.Relayed(b)
	case transaction.Timeout:
		l.settle(tx, 408)
		if status = tx.Status(); status != 0 {
			b, to = l.ownReply(buf, tx, status), tx.Client
			tx.Final(now)
			tx.Spend(len(b))
			tx.Relayed(b)
		}
		l.silent(tx.Target, now)
	}
	return b, to, status
}

var (
	errBrokenAgain = errors.New("the connection broke twice before a response came")
	errEnded       = errors.New("the connection ended before a response came")
)

// Undelivered is told by transport that a message of ours did not arrive. A request that nobody has answered yet ends with 503,
// as RFC 3261 §16.9 asks, with 430 if it was for a phone (RFC 5626 §5.3), or with 513 if no datagram holds it.
func (l *lane) Undelivered(sent []byte, to edge.Flow, err error, at time.Time) {
	l.ended = false
	defer l.survive(at)
	l.unsent(sent, to, err, at)
	l.ended = true
}

// Broken is told by transport that a connection of ours to to broke. Requests that wait for a first response from there go once more, over a
// new one: over UDP they would have been retransmitted. If none can be made, or it breaks as well, they did not reach to; nor did those over a
// connection that a phone had opened, which nobody but the phone can open anew.
func (l *lane) Broken(to edge.Flow, at time.Time) {
	l.ended = false
	defer l.survive(at)
	var waiting []transaction.ID
	for i := range l.p.table.Shards() {
		waiting = l.p.table.Waiting(waiting, i, func(tx *transaction.Tx) bool {
			there := tx.Target
			if to.Conn == 0 {
				there.Listener = to.Listener // of several that reach there the first has made the connection
			}
			return tx.State == transaction.Calling && there == to
		})
	}
	for _, id := range waiting {
		l.repeat(id, at)
	}
	l.ended = true
}

// repeat does it for one transaction.
func (l *lane) repeat(id transaction.ID, at time.Time) {
	buf := l.out.Buffer()
	tx := l.p.table.FindID(id)
	l.held = tx
	if tx == nil {
		return
	}
	if tx.State != transaction.Calling {
		l.unlock(tx)
		return
	}
	b, to, again, err := append(buf, tx.Request()...), tx.Target, tx.Repeat(), errBrokenAgain
	l.unlock(tx)
	switch {
	case to.Conn != 0:
		err = errEnded
	case again:
		l.leaving(b, to)
		err = l.out.Send(b, to)
	}
	if err != nil {
		l.unsent(b, to, err, at)
	}
}

// unsent is what Undelivered does. Anybody can write ICMP errors: what they quote counts if it was sent where they say.
func (l *lane) unsent(sent []byte, to edge.Flow, err error, at time.Time) {
	l.cfg = l.p.cfg.Load()
	if bytes.HasPrefix(sent, []byte("SIP/2.0 ")) {
		return
	}
	id, mark, ok := l.firstBranch(sent)
	if !ok {
		return
	}
	tooLarge := errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, transport.ErrTooLarge) // says nothing of the far end
	buf := l.out.Buffer()
	tx := l.p.table.FindID(id)
	l.held = tx
	sentThere := tx != nil && tx.Target.Remote == to.Remote
	if s := l.cfg.serverAt(to); s != nil && !tooLarge && !s.switched(to) && (sentThere || mark == pingMark && l.cfg.numbered(uint64(id)>>32) == s) {
		s.failed(l, err.Error(), true, at)
	}
	if tx == nil {
		return
	}
	if tx.State != transaction.Calling || !sentThere {
		l.unlock(tx)
		return
	}
	if tooLarge {
		l.undeliverable(buf, tx, to, 513, edge.Reason(sip.ErrTooLarge.ID()), err, at)
		return
	}
	if b := l.otherwise(buf, tx, to, at); b != nil {
		next := tx.Target
		l.unlock(tx)
		l.transmit(b, next)
		return
	}
	status, why := l.lost(tx, to)
	l.undeliverable(buf, tx, to, status, why, err, at)
}

// lost is how tx ends whose request cannot reach to, and why.
func (l *lane) lost(tx *transaction.Tx, to edge.Flow) (status int, why edge.Reason) {
	if to.Side == edge.Inside || l.cfg.peerAt(to) != nil {
		return 503, unreachable(to.Side)
	}
	if l.sent.Parse(tx.Request(), true) == nil {
		if _, named := l.poolOf(&l.sent, to); named {
			return 503, reasonName
		}
	}
	return 430, reasonDeadFlow
}

// undeliverable ends tx, whose request did not reach to, with status.
func (l *lane) undeliverable(buf []byte, tx *transaction.Tx, to edge.Flow, status int, why edge.Reason, err error, at time.Time) {
	b, client, own := l.ownReply(buf, tx, status), tx.Client, tx.Own
	l.settle(tx, status)
	tx.Final(at)
	tx.Spend(len(b))
	tx.Relayed(b)
	l.unlock(tx)
	if !own {
		l.transmit(b, client)
		l.count.SentReply(client, status)
	}
	l.tell(edge.Event{At: at, Name: "undelivered", Reason: why, Source: to, Status: status, Message: err.Error()})
}

// silent notes that a request to the platform ran into its time-out. That it answered others meanwhile says that it works: who
// sends what a platform does not answer must not make it look dead.
func (l *lane) silent(target edge.Flow, now time.Time) {
	if s := l.cfg.serverAt(target); s != nil && now.Sub(time.Unix(s.last.Load(), 0)) > 64*l.cfg.Transactions.T1 {
		s.failed(l, "no answer before the transaction's time-out", false, now)
	}
}

func (l *lane) tell(e edge.Event) {
	l.count.Refused(e.Reason)
	l.p.ring.Add(e)
}

// firstBranch reads the branch of the first Via of a request of ours, which may be cut short: the first header field.
func (l *lane) firstBranch(b []byte) (id transaction.ID, mark uint32, ok bool) {
	_, via, _ := bytes.Cut(b, []byte("\r\n"))
	_, after, found := bytes.Cut(via, []byte(";branch="))
	if !found || len(after) < branchLen {
		return 0, 0, false
	}
	return l.branches.open(after[:branchLen])
}

// everySecond sends keep-alives to phones behind NAT, drops what has expired, and lets waiting output go.
func (l *lane) everySecond(now time.Time) {
	l.ended = false
	defer l.survive(now)
	l.cfg = l.p.cfg.Load()
	l.p.bindings.Sweep(now)
	l.p.calls.sweep(now)
	l.pings(now)
	l.endSilenced(now)
	if l.cfg.Keepalive > 0 {
		l.p.bindings.Keepalives(now, l.cfg.Keepalive, l.keepalive)
	}
	l.out.Flush()
	l.ended = true
}

// keepalive keeps a NAT's mapping open: CRLFCRLF, which phones ignore or answer with CRLF (RFC 5626 §3.5.1 turned round).
func (l *lane) keepalive(to edge.Flow) { l.transmit(append(l.out.Buffer(), "\r\n\r\n"...), to) }
