package transaction

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// State is where a transaction stands; names follow RFC 3261 figures 5 to 8 and RFC 6026.
type State uint8

// States.
const (
	Calling    State = iota // sent to the target, nothing heard yet ("Trying" of non-INVITE)
	Proceeding              // a provisional response came
	Completed               // a final response went to the client; INVITE: 300 and more, not yet acknowledged
	Confirmed               // INVITE: the client's ACK came
	Accepted                // INVITE: a 2xx went to the client (RFC 6026)
)

// Step says what to do with a response.
type Step uint8

// Steps.
const (
	Absorb      Step = iota // nothing goes to the client
	Relay                   // to the client
	RelayAndAck             // to the client, and acknowledge it to the target: build the ACK and hand it to KeepACK
	Ack                     // acknowledge it to the target as with RelayAndAck; the client has got our own final response
	AckAgain                // a final response came again: send Request() again, which is the ACK
	Trying                  // the target's 100: send our own 100 to the client
)

// Task says what a timer asks for.
type Task uint8

// Tasks.
const (
	Nothing       Task = iota
	ResendRequest      // timers A and E: Request() to Target
	ResendReply        // timer G: Last() to Client
	ResendCancel       // the CANCEL was not answered: build it again from Request()
	SendTrying         // nobody answered yet: our 100 to Client
	MoveOn             // the target is silent: send to another with Retarget, if there is one
	CancelNow          // Timer C fired: CANCEL to Target
	Timeout            // timers B and C: answer Status() to the client, if it is not 0, and call Final
	Release            // the time of Hold is over: Last() to Client
)

type cancel uint8

const (
	notCancelled   cancel = iota
	cancelHeld            // wanted, but no provisional response yet (RFC 3261 §9.1)
	cancelSent            // sent, to be sent again until answered
	cancelAnswered        // the target answered the CANCEL
)

// A Tx is one relayed transaction. It is locked from the call that returned it until Unlock, and must not be touched after.
// The byte slices that it returns belong to it and are valid until Unlock.
type Tx struct {
	Client edge.Flow  // where the request came from and responses go
	Target edge.Flow  // where it went
	Method sip.Method // of the request
	State  State

	Called  [6]byte    // the caller's note of what was called
	Tried   uint32     // the caller's note of the targets that were tried
	Shown   uint32     // the caller's note of what its client was shown first
	Movable bool       // there are other targets: an INVITE that a target leaves unanswered asks for MoveOn
	Call    uint64     // the caller's note of the call that it begins or ends
	Asked   edge.Asked // the caller's note of who asks for what
	Own     bool       // the caller's note that nobody waits for its responses, so there is no 100; forgotten with its final one
	Even    uint8      // the caller's note of how its responses are to look
	Salt    uint32     // the caller's note of what tokens of its dialog are made with
	Began   int64      // the caller's note of when it was sent on
	Quiet   bool       // the target's 100 brings the client none: it gets one after Config.Trying, as if there had been none

	shard      *shard
	key        uint64
	home       uint32 // its place in shard.working
	slot       uint32
	generation uint32

	request []byte // as sent; in Completed and later the ACK of an INVITE, else nothing
	last    []byte // last response sent to the client
	back    []byte // see Keep
	split   int    // where in back the second part begins
	third   int    // and the third
	memo    int    // how long what Remember keeps is, behind last in its memory
	credit  int    // see Meter
	size    int    // of these in bytes, as far as the shard has been charged

	retryAt, tryingAt, moveAt, expireAt, timerC, heldAt int64 // since the table's start; 0: off
	retry                                               time.Duration

	tick     int64 // of its place on the wheel; 0: none
	next     uint32
	cancel   cancel
	byClient bool  // the client asked for the cancel
	metered  bool  // credit counts
	repeated bool  // see Repeat
	left     uint8 // how many targets Retarget has left
	unacked  bool  // the edge ended it: request is still the INVITE, to acknowledge a late final response
	trusted  bool
	pending  bool
	shelved  bool // it is on the shelf, and this only shows it: nothing but credit changes
}

// ID names tx in our branch.
func (tx *Tx) ID() ID { return newID(tx.shard.index, tx.slot, tx.generation) }

// Key is what tx was begun with.
func (tx *Tx) Key() uint64 { return tx.key }

// Request is the request as it was sent to Target; once a final response of it came, the ACK of an INVITE, or nil. Where a target was left it is the
// INVITE still after a 2xx.
func (tx *Tx) Request() []byte { return tx.request }

// Last is the last response that was sent to Client, nil if none.
func (tx *Tx) Last() []byte {
	if tx.heldAt != 0 {
		return nil
	}
	return tx.last
}

// Hold keeps the final response that Relayed was given from the client until then: Release is due at that time, and retransmissions of the request
// get nothing before.
func (tx *Tx) Hold(until time.Time) {
	tx.heldAt = tx.shard.table.since(until)
	if tx.retryAt != 0 {
		tx.retryAt = tx.heldAt + int64(tx.retry)
	}
}

// Back returns what Keep was given.
func (tx *Tx) Back() (vias, route, extra []byte) {
	return tx.back[:tx.split:tx.split], tx.back[tx.split:tx.third:tx.third], tx.back[tx.third:]
}

// Keep copies what is needed to bring responses back: vias (the values of the client's Via lines as we relayed them, each
// ended by LF), the user part of our Record-Route, and whatever else the proxy wants to see again with the response.
func (tx *Tx) Keep(vias, route, extra []byte) {
	tx.split, tx.third = len(vias), len(vias)+len(route)
	size := tx.third + len(extra)
	old := tx.back // vias, route and extra may lie in it
	tx.back = append(append(append(tx.shard.bufs.room(size), vias...), route...), extra...)
	tx.free(old)
}

// Remember keeps memo until another response is the last one, if there is room for it in the memory of this one.
func (tx *Tx) Remember(memo []byte) {
	if n := len(tx.last); !tx.shelved && len(memo) <= cap(tx.last)-n {
		tx.memo = copy(tx.last[n:cap(tx.last)], memo)
	}
}

// Memo returns what Remember kept.
func (tx *Tx) Memo() []byte { return tx.last[len(tx.last):][:tx.memo] }

// Meter bounds the copies of responses that go to a client whose source may be forged: it has sent n more bytes, which pay for three times
// as many.
func (tx *Tx) Meter(n int) { tx.metered, tx.credit = true, tx.credit+3*n }

// Spend takes n bytes, which go to the client, from its credit.
func (tx *Tx) Spend(n int) {
	if tx.metered {
		tx.credit -= n
	}
}

// Affords reports whether the client's credit is at least n. A client that is not metered affords anything.
func (tx *Tx) Affords(n int) bool { return !tx.metered || tx.credit >= n }

// Metered reports whether Meter has been called.
func (tx *Tx) Metered() bool { return tx.metered }

// Unlock gives tx back to the table, with its next timer on the wheel.
func (tx *Tx) Unlock() {
	s := tx.shard
	tx.settle()
	s.mu.Unlock()
}

// over reports whether tx only waits for retransmissions: all that it still does is on the shelf as well. An INVITE that was refused is
// not over until the client's ACK came.
func (tx *Tx) over() bool {
	switch {
	case tx.State < Completed, tx.expireAt == 0, tx.unacked, tx.heldAt != 0:
		return false
	}
	return tx.State > Completed || tx.Method != sip.INVITE
}

// Abandon takes tx off the record and unlocks: nothing was or will be sent for it.
func (tx *Tx) Abandon() {
	s := tx.shard
	s.drop(tx)
	s.mu.Unlock()
}

// settle charges the shard for what tx holds, and arms the timer for the earliest deadline, puts tx on the shelf if it is over, or takes it
// off the record if there is nothing to wait for.
func (tx *Tx) settle() {
	s := tx.shard
	switch {
	case tx.shelved:
		s.shelf.get(s.slots[tx.slot].at &^ shelved).credit = int32(min(tx.credit, 1<<30))
		return
	case tx.over():
		s.shelve(tx)
		return
	}
	s.charge(tx, cap(tx.request)+cap(tx.last)+cap(tx.back))
	if deadline := tx.deadline(); deadline != 0 {
		s.arm(tx, deadline)
	} else {
		s.drop(tx)
	}
}

// deadline is the earliest time at which a timer of tx is due, 0 if none runs. (One less than 0, which is off, is later than all times.)
func (tx *Tx) deadline() int64 {
	first := min(uint64(tx.expireAt)-1, uint64(tx.retryAt)-1, uint64(tx.tryingAt)-1)
	return int64(min(first, uint64(tx.moveAt)-1, uint64(tx.timerC)-1, uint64(tx.heldAt)-1) + 1)
}

func (tx *Tx) done() {
	if tx.pending {
		tx.pending = false
		tx.shard.table.pending.Add(-1)
	}
}

func (tx *Tx) setLast(b []byte) {
	tx.free(tx.last)
	tx.last, tx.memo = tx.shard.bufs.copy(b), 0
}

func (tx *Tx) dropLast() {
	tx.free(tx.last)
	tx.last, tx.memo = nil, 0
}

// free lets b, which tx has had, be used again. What a transaction on the shelf shows is the shelf's.
func (tx *Tx) free(b []byte) {
	if !tx.shelved {
		tx.shard.bufs.put(b)
	}
}

func (tx *Tx) setRequest(b []byte) {
	tx.free(tx.request)
	tx.request = nil
	if b != nil {
		tx.request = tx.shard.bufs.copy(b)
	}
}
