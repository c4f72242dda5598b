package ban

import (
	"time"

	"github.com/ringwall/ringwall/edge"
)

const (
	// atOnce is how many entries Tick looks at under one lock.
	atOnce = 500
	// A source is still sending at the end of its ban if something was refused in the last stillSending of it, or in the last tenth of
	// a shorter one.
	stillSending = time.Minute
)

// Tick ends the bans whose time is over and forgets what is old. It is to be called about once a second, by one goroutine; bans end on time
// without it.
func (b *Book) Tick(at time.Time) {
	for {
		b.mu.Lock()
		changes, more := b.due(at)
		b.mu.Unlock()
		b.tell(changes)
		if !more {
			break
		}
	}
	b.calls.sweep(at)
	if at.Sub(b.swept) > time.Hour {
		b.swept = at
		b.sweepGroups(at)
	}
}

// due deals with entries whose time has come, and reports whether there may be more of them.
func (b *Book) due(at time.Time) (changes []Change, more bool) {
	now, left := at.UnixNano(), atOnce
	for c := class(0); c < classes; c++ {
		for len(b.queues[c]) > 0 && b.queues[c][0].due <= now {
			if left--; left < 0 {
				return changes, true
			}
			e := b.queues[c][0]
			if !e.active() {
				b.drop(e)
				continue
			}
			changes = append(changes, b.over(e, at))
		}
	}
	return changes, false
}

// over ends a ban, or takes a source that is still sending to the next step. An operator's ban ends when the operator
// said, and that of a local address that others may send through when it was to end.
func (b *Book) over(e *entry, at time.Time) Change {
	until := e.until.Load()
	length := until - e.since.Load()
	if e.by != Operator && !shared(e.source) && e.last.Load() > until-min(int64(stillSending), length/10) {
		b.dequeue(e)
		next := b.cfg.step(e.offences)
		e.offences = min(e.offences+1, most)
		e.until.Store(max(until, at.UnixNano()-int64(stillSending)) + int64(next))
		b.enqueue(e, e.class, e.until.Load())
		b.mark(e)
		return Change{Prolonged, at, e.ban(false)}
	}
	c := e.class
	b.leave(e)
	e.freed = until
	b.enqueue(e, c.past(), e.forgetAt())
	b.mark(e)
	return Change{Expired, at, e.ban(false)}
}

// Bans returns every ban in force at now, in no order, without its messages.
func (b *Book) Bans(at time.Time) []Ban {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Ban, 0, len(b.queues[soft])+len(b.queues[hard])+len(b.queues[byHand]))
	for c := soft; c < classes; c++ {
		for _, e := range b.queues[c] {
			if e.until.Load() > at.UnixNano() {
				all = append(all, e.ban(false))
			}
		}
	}
	return all
}

// Get returns what the book has of exactly this source, with its messages; active is false if the source is only remembered.
func (b *Book) Get(source edge.Source, at time.Time) (ban Ban, active, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[source]
	if e == nil {
		return Ban{}, false, false
	}
	ban = e.ban(true)
	ban.Offences = e.remembered(at)
	return ban, e.active() && e.until.Load() > at.UnixNano(), true
}

// About returns the bans in force at now that a source meets: its own, wider ones, and those of single ports in it, with their messages.
func (b *Book) About(source edge.Source, at time.Time) []Ban {
	return b.about(at, true, func(of edge.Source) bool {
		wider := of.Prefix.Bits() <= source.Prefix.Bits() && of.Prefix.Contains(source.Prefix.Addr()) && (of.Port == 0 || of.Port == source.Port)
		within := source.Port == 0 && source.Prefix.Bits() <= of.Prefix.Bits() && source.Prefix.Contains(of.Prefix.Addr())
		return wider || within
	})
}

// Stats are numbers about a book.
type Stats struct {
	Hard, Soft int // bans in force, those of operators by their kind
	Remembered int // offenders that are free
	Allowed    int // entries of the allow list
	Max        int // bans and remembered offenders there is room for
	Evidence   int // bytes of messages
	Calls      int // that are followed to be spared

	Banned, Prolonged, Lifted, Evicted uint64 // since the start
	Protected                          uint64 // orders refused for who is never banned
}

// Stats tells how the book stands.
func (b *Book) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.view.Load()
	return Stats{Hard: v.hard.n, Soft: v.soft.n, Remembered: len(b.queues[pastSoft]) + len(b.queues[pastHard]), Allowed: len(b.allowed),
		Max: b.cfg.Max, Evidence: b.evidence, Calls: b.calls.count(),
		Banned: b.count.banned.Load(), Prolonged: b.count.prolonged.Load(), Lifted: b.count.lifted.Load(), Evicted: b.count.evicted.Load(),
		Protected: b.count.protected.Load()}
}
