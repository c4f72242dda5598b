package binding

import (
	"sync/atomic"
	"time"
)

// A clock tells what the system's clock told when it was first asked, plus the time that has gone by since: whoever sets the system's clock, as
// happens some time after a machine without a battery has started, ends no registration and keeps none. The zero clock is ready.
type clock struct{ first atomic.Pointer[time.Time] }

// at is the time by c that the system's clock calls now.
func (c *clock) at(now time.Time) time.Time {
	first := c.first.Load()
	if first == nil {
		begun := now
		c.first.CompareAndSwap(nil, &begun)
		first = c.first.Load()
	}
	return first.Add(now.Sub(*first))
}

// set is how far the system's clock, which says now, is ahead of c.
func (c *clock) set(now time.Time) time.Duration { return now.Round(0).Sub(c.at(now).Round(0)) }

// when is what the system's clock, which says now, calls the time ns by c (Unix nanoseconds).
func (c *clock) when(ns int64, now time.Time) time.Time {
	return now.Add(time.Duration(ns - c.at(now).UnixNano()))
}
