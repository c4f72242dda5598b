package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// Over UDP anybody can write somebody else's address on a request, so that our answers hit a third party. What such an unproven source
// gets is bounded (docs/adr/0007-answers-to-unproven-sources.md). It is proven, for a while, once it has shown that it
// reads what we send to its address.

const (
	markSlots = 1 << 15
	markLife  = 10 * time.Minute

	answerPlaces = 1 << 14

	leastTag     = 8           // bytes of a To tag that nobody guesses
	markUnit     = time.Minute // of the time that is kept with a mark
	markTimeBits = 16          // of a slot; the others are a keyed hash
	markTimeMask = uint64(1)<<markTimeBits - 1
)

// How many replies of our own go to one address, and to its network.
var (
	ownAnswers = meter.Limit{Every: 200 * time.Millisecond, Burst: 20}
	netAnswers = meter.Limit{Every: 10 * time.Millisecond, Burst: 100}
)

// marks are keyed hashes of what was seen, each with its time: a fixed table in which a newer one may take the place of an older. 256 KiB.
type marks struct {
	slots [markSlots]atomic.Uint64
}

// add notes h.
func (m *marks) add(h uint64, at time.Time) {
	m.slots[h%markSlots].Store(h&^markTimeMask | minutes(at))
}

// has reports whether h was noted within markLife.
func (m *marks) has(h uint64, at time.Time) bool {
	v := m.slots[h%markSlots].Load()
	age := (minutes(at) - v) & markTimeMask
	return v != 0 && v&^markTimeMask == h&^markTimeMask && age <= uint64(markLife/markUnit)
}

func minutes(at time.Time) uint64 { return uint64(at.UnixNano()/int64(markUnit)) & markTimeMask }

// hashSource is a keyed hash of an address, or of a network, and a port.
func hashSource(seed maphash.Seed, addr [16]byte, port uint16) uint64 {
	var b [18]byte
	copy(b[:], addr[:])
	binary.BigEndian.PutUint16(b[16:], port)
	return maphash.Bytes(seed, b[:])
}

// hashFlow is a keyed hash of the far end of f.
func hashFlow(seed maphash.Seed, f edge.Flow) uint64 {
	return hashSource(seed, f.Remote.Addr().As16(), f.Remote.Port())
}

// mayAnswer reports whether the source of x may get one more reply of our own: 20 at once, then 5 a second; its /24 (IPv6: an address is a /64,
// the network a /56) 100 a second. Who is proven may have any.
func (l *lane) mayAnswer(x *edge.Exchange) bool {
	if l.proven(x) {
		return true
	}
	own, network := x.From.Remote.Addr().As16(), x.From.Remote.Addr().As16()
	if x.From.Remote.Addr().Is4() {
		network[15] = 0
	} else {
		clear(own[8:])
		clear(network[7:])
	}
	return l.p.answers.Take(hashSource(l.p.seed, own, 1), ownAnswers, x.At) &&
		l.p.answers.Take(hashSource(l.p.seed, network, 2), netAnswers, x.At)
}

// proven reports whether what we send to the source of x can't hit somebody else.
func (l *lane) proven(x *edge.Exchange) bool {
	return x.From.Transport.Stream() || x.Trust != edge.Unknown || l.p.proofs.has(hashFlow(l.p.seed, x.From), x.At)
}

// proves takes note that x, a request from outside, could only be written by who reads what we send to its source.
func (l *lane) proves(x *edge.Exchange) {
	if x.Trust == edge.Unknown && !x.From.Transport.Stream() {
		l.p.proofs.add(hashFlow(l.p.seed, x.From), x.At)
	}
}

// affords reports whether a further copy of a response may go to the client of tx: while no more than three times what it sent has gone to it. n is
// 0, or what has to be left of that.
func (l *lane) affords(tx *transaction.Tx, n int, at time.Time) bool {
	return tx.Affords(n) || l.p.proofs.has(hashFlow(l.p.seed, tx.Client), at)
}

// repeats reports whether m, a response below 300, is a copy of what the client of tx got already, one with its status and To tag (a fork's is
// another), and takes note of it.
func (l *lane) repeats(tx *transaction.Tx, m *sip.Message, at time.Time) bool {
	if !tx.Metered() || m.Status >= 300 {
		return false
	}
	b := binary.BigEndian.AppendUint64(l.hashed[:0], uint64(tx.ID()))
	b = binary.BigEndian.AppendUint16(b, uint16(m.Status))
	l.hashed = append(b, m.ToTag.Of(m.Raw)...)
	h := maphash.Bytes(l.p.seed, l.hashed)
	if l.p.relayed.has(h, at) {
		return true
	}
	l.p.relayed.add(h, at)
	return false
}

// echoes reports whether x, the ACK of a refusal, has the To tag that the client of tx was sent, which only its reader knows.
func echoes(x *edge.Exchange, tx *transaction.Tx) bool {
	tag := x.Msg.ToTag.Of(x.Msg.Raw)
	if len(tag) < leastTag {
		return false
	}
	before, _, found := bytes.Cut(tx.Last(), tag)
	return found && bytes.HasSuffix(before, []byte("tag="))
}

// ownTag reports whether x is the ACK of a refusal of our own, which needs no transaction.
func (l *lane) ownTag(x *edge.Exchange) bool {
	return x.Msg.Method == sip.ACK && string(x.Msg.ToTag.Of(x.Msg.Raw)) == string(l.tag(x.Msg, x.From))
}
