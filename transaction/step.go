package transaction

import (
	"time"

	"github.com/ringwall/ringwall/sip"
)

// Sent records that request went to tx.Target at now and starts the timers (RFC 3261 §17.1.1.2, §17.1.2.2, §16.6 step 11).
func (tx *Tx) Sent(request []byte, now time.Time) {
	cfg, at := tx.shard.cfg, tx.shard.table.since(now)
	tx.setRequest(request)
	tx.State, tx.repeated = Calling, false
	tx.expireAt = at + int64(64*cfg.T1)
	if !tx.Target.Transport.Stream() {
		tx.retry = cfg.T1
		tx.retryAt = at + int64(tx.retry)
	}
	switch {
	case tx.Method != sip.INVITE && !tx.metered && !tx.Own:
		tx.tryingAt = at + int64(cfg.untilT2())
	case tx.Method == sip.INVITE:
		tx.tryingAt = at + int64(cfg.Trying)
		tx.timerC = at + int64(cfg.C)
		if tx.Movable {
			tx.moveAt = at + int64(2*cfg.T1)
		}
	}
}

// Repeat reports whether the request may be sent once more because the connection that it was sent over broke before any response came: a target
// that has it takes the copy for a retransmission. A target for whom that happens again has failed.
func (tx *Tx) Repeat() bool {
	first := !tx.repeated
	tx.repeated = true
	return first
}

// untilT2 is how long it takes until Timer E is at T2: a non-INVITE that has no answer by then gets our 100 (RFC 4320 §4.1). Who may be
// somebody else gets none: one request is not to bring him two answers.
func (c *Config) untilT2() (sum time.Duration) {
	for d := c.T1; d < c.T2; d *= 2 {
		sum += d
	}
	return sum
}

// Retarget begins the client transaction anew, towards another target (RFC 3261 §16.7 step 1, §16.9): what the old one still sends
// finds it with FindLeft only, for ID changes. It may be called until a provisional response has come, or for a final one that
// is not relayed. The caller then sets Target, builds the request and calls Sent again; the client sees nothing of it. Or, where a target that
// was left has accepted the INVITE, it hands that response to Response.
func (tx *Tx) Retarget() {
	tx.generation = tx.shard.renew(tx.slot)
	tx.State = Calling
	tx.left = min(tx.left, mostLeft-1) + 1
}

// mostLeft is how many targets that were left are known: of a pool of 32, each sent to in two ways.
const mostLeft = 64

// Response takes note of a response of the target and says what to do with it. After Relay and RelayAndAck the caller
// hands the bytes it sends to the client to Relayed.
func (tx *Tx) Response(status int, now time.Time) Step {
	at := tx.shard.table.since(now)
	if tx.Method == sip.INVITE {
		return tx.inviteResponse(status, at)
	}
	switch {
	case tx.State > Proceeding || status == 100 && tx.State == Proceeding:
		return Absorb
	case status < 200:
		tx.State = Proceeding
		if tx.retryAt != 0 { // RFC 3261 §17.1.2.2: timer E goes on at T2
			tx.retry = tx.shard.cfg.T2
			tx.retryAt = at + int64(tx.retry)
		}
		return Absorb // RFC 4320 §4.1: no 101 to 199 for a non-INVITE
	}
	tx.finish(Completed, at)
	tx.setRequest(nil)
	return Relay
}

func (tx *Tx) inviteResponse(status int, at int64) Step {
	switch {
	case status >= 200 && status < 300:
		// RFC 3261 §16.7 step 5: every 2xx goes to the client, those of further forks and repeated ones too.
		if tx.State != Accepted {
			tx.finish(Accepted, at)
			if tx.left == 0 {
				tx.setRequest(nil)
			}
			tx.dropLast()
		}
		return Relay
	case tx.State == Accepted:
		return Absorb
	case tx.State > Proceeding:
		switch {
		case status < 300:
			return Absorb
		case tx.unacked:
			return Ack
		}
		return AckAgain
	case status >= 300:
		tx.finish(Completed, at)
		if !tx.Client.Transport.Stream() { // timer G
			tx.retry = tx.shard.cfg.T1
			tx.retryAt = at + int64(tx.retry)
		}
		return RelayAndAck
	}
	first := tx.State == Calling
	tx.State, tx.moveAt = Proceeding, 0
	if first {
		tx.retryAt, tx.expireAt = 0, 0
	}
	if status > 100 {
		if tx.tryingAt = 0; tx.cancel == notCancelled { // once it is cancelled it has 64*T1, whatever its target says
			tx.timerC = at + int64(tx.shard.cfg.C)
		}
		return Relay
	}
	if tx.tryingAt != 0 && !tx.Quiet {
		tx.tryingAt = 0
		return Trying
	}
	return Absorb
}

// finish enters a state in which tx only absorbs retransmissions.
func (tx *Tx) finish(s State, at int64) {
	tx.State = s
	tx.retryAt, tx.tryingAt, tx.moveAt, tx.timerC = 0, 0, 0, 0
	tx.expireAt = at + int64(tx.shard.cfg.Linger)
	if tx.cancel == cancelHeld || tx.cancel == cancelSent {
		tx.cancel = cancelAnswered
	}
	tx.done()
}

// Final records that the edge itself ends tx with a final response (after Timeout, or because the target can't be reached)
// which the caller sends to the client and hands to Relayed. A non-INVITE that nobody answers gets none (RFC 4320 §4.2): it
// is taken off the record by Unlock.
func (tx *Tx) Final(now time.Time) {
	at := tx.shard.table.since(now)
	tx.finish(Completed, at)
	if tx.unacked = tx.Method == sip.INVITE; !tx.unacked {
		tx.setRequest(nil)
	}
	if tx.Method == sip.INVITE && !tx.Client.Transport.Stream() {
		tx.retry = tx.shard.cfg.T1
		tx.retryAt = at + int64(tx.retry)
	}
}

// Relayed keeps the response that went to the client, for retransmissions of the request. A 2xx to INVITE is not kept: the
// target's UAS core repeats it (RFC 6026 §7.1).
func (tx *Tx) Relayed(reply []byte) {
	if tx.State != Accepted {
		tx.setLast(reply)
	}
}

// KeepACK keeps the ACK that answered the target's final response, for its retransmissions, instead of the request.
func (tx *Tx) KeepACK(ack []byte) {
	tx.unacked = false
	tx.setRequest(ack)
}

// ACK takes note of the client's ACK for a final response of 300 and more.
func (tx *Tx) ACK() {
	if tx.State == Completed {
		tx.State = Confirmed
		tx.retryAt = 0
		tx.dropLast()
	}
}

// Cancel takes note that the client cancels its INVITE; it says whether to send CANCEL to the target now. Before the first
// provisional response it is held (RFC 3261 §9.1), after the final response it has no effect.
func (tx *Tx) Cancel(now time.Time) bool {
	if tx.Method != sip.INVITE || tx.State > Proceeding || tx.cancel != notCancelled {
		return false
	}
	tx.byClient, tx.Movable, tx.moveAt = true, false, 0
	if tx.State == Calling {
		tx.cancel = cancelHeld
		return false
	}
	tx.sendCancel(tx.shard.table.since(now))
	return true
}

// CancelHeld reports, after a provisional response, whether the held CANCEL goes out now.
func (tx *Tx) CancelHeld(now time.Time) bool {
	if tx.cancel != cancelHeld || tx.State != Proceeding {
		return false
	}
	tx.sendCancel(tx.shard.table.since(now))
	return true
}

// sendCancel gives the target 64*T1 to end the INVITE (RFC 3261 §9.1).
func (tx *Tx) sendCancel(at int64) {
	cfg := tx.shard.cfg
	tx.cancel = cancelSent
	tx.Movable, tx.timerC = false, 0
	tx.expireAt = at + int64(64*cfg.T1)
	if !tx.Target.Transport.Stream() {
		tx.retry = cfg.T1
		tx.retryAt = at + int64(tx.retry)
	}
}

// CancelAnswered takes note of the target's response to our CANCEL.
func (tx *Tx) CancelAnswered() {
	if tx.cancel == cancelSent {
		tx.cancel = cancelAnswered
		tx.retryAt = 0
	}
}

// Status is what a Timeout answers to the client: 408, 487 after the client's own CANCEL, 0 for silence (RFC 4320).
func (tx *Tx) Status() int {
	switch {
	case tx.Method != sip.INVITE:
		return 0
	case tx.byClient:
		return 487
	}
	return 408
}

// fire says what the timers of tx that are due at at ask for, and arms the next.
func (tx *Tx) fire(at int64) Task {
	due := func(t int64) bool { return t != 0 && t <= at }
	switch {
	case due(tx.heldAt):
		tx.heldAt = 0
		return Release
	case due(tx.expireAt):
		tx.expireAt = 0
		if tx.State <= Proceeding {
			tx.retryAt, tx.tryingAt, tx.moveAt, tx.timerC = 0, 0, 0, 0
			return Timeout
		}
		tx.retryAt = 0
		return Nothing
	case due(tx.timerC):
		if tx.State == Calling { // timer B ends it first, unless C is very short
			tx.timerC = 0
			return Nothing
		}
		tx.sendCancel(at)
		return CancelNow
	case due(tx.tryingAt):
		tx.tryingAt = 0
		return SendTrying
	case due(tx.moveAt):
		tx.moveAt = 0
		return MoveOn
	case due(tx.retryAt):
		return tx.resend(at)
	}
	return Nothing
}

func (tx *Tx) resend(at int64) Task {
	cfg := tx.shard.cfg
	tx.retry *= 2
	if tx.Method != sip.INVITE || tx.State == Completed || tx.cancel == cancelSent { // timers E and G; A goes on doubling
		tx.retry = min(tx.retry, cfg.T2)
	}
	tx.retryAt = at + int64(tx.retry)
	switch {
	case tx.State == Completed:
		return ResendReply
	case tx.cancel == cancelSent:
		return ResendCancel
	}
	return ResendRequest
}
