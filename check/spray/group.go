package spray

import (
	"sync"
	"time"
)

// A group is sources that try passwords of different users at the same pace, each of too few to stand out: one campaign from many addresses. It remembers
// the last sources that tried OfGroup users.
type group struct {
	mu    sync.Mutex
	crew  [crewMost]member
	next  int
	pace  time.Duration // of those that were found, who are so
	until int64         // nanoseconds
}

// A member is a source that may be one of a group.
type member struct {
	source uint64
	at     int64 // nanoseconds
	pace   time.Duration
}

const (
	crewMost = 64
	quickest = time.Second // paces below are all the same
)

// alike reports whether two paces may be those of one program: one is at most twice the other.
func alike(one, other time.Duration) bool {
	one, other = max(one, quickest), max(other, quickest)
	return one <= 2*other && other <= 2*one
}

// joins notes a source that has just tried enough users, at that pace, and finds the group if there are now most sources of that pace within that time.
func (g *group) joins(source uint64, pace time.Duration, most int, within time.Duration, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, n := at.UnixNano(), 1
	for i := range g.crew {
		one := &g.crew[i]
		if one.source == source {
			*one = member{}
		}
		if one.source != 0 && now-one.at <= int64(within) && alike(one.pace, pace) {
			n++
		}
	}
	g.crew[g.next] = member{source: source, at: now, pace: pace}
	g.next = (g.next + 1) % crewMost
	if n >= most {
		g.pace, g.until = pace, now+int64(within)
	}
}

// found reports whether a source of that pace is one of a group that was found, which it then keeps going.
func (g *group) found(pace, within time.Duration, at time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at.UnixNano() >= g.until || !alike(g.pace, pace) {
		return false
	}
	g.until = at.UnixNano() + int64(within)
	return true
}
