package ban

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// An entry is one source in the book: banned, or remembered. What packets read is atomic, the rest is guarded by Book.mu.
type entry struct {
	source     edge.Source
	since      atomic.Int64 // Unix nanoseconds
	until      atomic.Int64
	spares     atomic.Bool // there may be flows to spare
	everything atomic.Bool
	meant      atomic.Bool // by an operator
	hits       atomic.Uint64
	last       atomic.Int64 // when something was last refused

	class    class // its queue
	place    int   // in the queue
	due      int64 // when the queue is to look at it: Unix nanoseconds
	by       Origin
	hard     bool
	reason   edge.Reason
	text     string
	score    float64
	parts    []edge.Part
	first    int64
	offences float64 // as of freed
	freed    int64   // when the last ban ended; while banned: without meaning
	messages []Message
	cost     bool // a registered phone was lost to it
	marked   bool // the journal knows that it differs from what is on the disk, and has not read it since
}

// refused counts a message or connection that was refused.
func (e *entry) refused(at time.Time) {
	e.hits.Add(1)
	e.last.Store(at.UnixNano())
}

// active reports whether e is a ban, not only remembered.
func (e *entry) active() bool { return e.class >= soft }

// halfLife is how long a free source takes to be forgiven half of its offences.
const halfLife = 7 * 24 * time.Hour

// Offences count up to most; one that has faded below forgotten is not remembered any more.
const (
	most      = 5
	forgotten = 0.5
)

// remembered is how many offences count at now.
func (e *entry) remembered(at time.Time) float64 {
	if e.active() {
		return e.offences
	}
	free := float64(at.UnixNano()-e.freed) / float64(halfLife)
	return e.offences * math.Exp2(-max(0, free))
}

// counted is how many offences a new ban at now follows.
func (e *entry) counted(at time.Time) float64 {
	if e.active() && e.until.Load() > at.UnixNano() {
		return e.offences - 1 // the same offence, now proven or seen by an operator
	}
	return e.remembered(at)
}

// forgetAt is when e, free since freed, is forgotten: Unix nanoseconds.
func (e *entry) forgetAt() int64 {
	return e.freed + int64(float64(halfLife)*math.Log2(max(1, e.offences/forgotten)))
}

// ladder are the lengths of bans as multiples of the first: 10 min, 1 h, 6 h, 24 h, 7 d.
var ladder = [...]time.Duration{1, 6, 36, 144, 1008}

// step is the length of a ban after so many offences.
func (c *Config) step(offences float64) time.Duration {
	i := min(max(int(math.Round(offences)), 0), len(ladder)-1)
	if c.First > c.Longest/ladder[i] {
		return c.Longest
	}
	return c.First * ladder[i]
}

// ban is a copy of e for others, with its messages or without.
func (e *entry) ban(messages bool) Ban {
	b := Ban{Source: e.source, Reason: e.reason, Text: e.text, By: e.by, Hard: e.hard, Everything: e.everything.Load(), Score: e.score, Parts: e.parts,
		First: time.Unix(0, e.first), Since: time.Unix(0, e.since.Load()), Until: time.Unix(0, e.until.Load()), Offences: e.offences,
		Count: e.hits.Load(), Spares: e.spares.Load() && !e.everything.Load()}
	if last := e.last.Load(); last != 0 {
		b.Last = time.Unix(0, last)
	}
	if messages {
		b.Messages = e.messages
	}
	return b
}

// keep copies the evidence of an offence at now: what is new goes behind what is there, the oldest makes room.
func (e *entry) keep(evidence [][]byte, at time.Time) (grown int) {
	if len(evidence) == 0 {
		return 0
	}
	all := append([]Message(nil), e.messages...) // copies of e.messages may be in use
	for _, m := range evidence[max(0, len(evidence)-MaxMessages):] {
		all = append(all, Message{at, append([]byte(nil), m[:min(len(m), MaxBytes)]...)})
	}
	all = all[max(0, len(all)-MaxMessages):]
	grown = size(all) - size(e.messages)
	e.messages = all
	return grown
}

// size is the room that messages take.
func size(list []Message) (n int) {
	for _, m := range list {
		n += len(m.Text)
	}
	return n
}
