package meter

import (
	"sync/atomic"
	"time"
)

// A Clock counts nanoseconds from the first time that it is asked about. Where times come from the system's clock it does not notice when that
// is set: a clock that is put back by two hours after the start must not shut everybody out for two hours. The zero Clock is ready.
type Clock struct{ start atomic.Pointer[time.Time] }

// Count is where now is on the clock, above 0 unless now is an hour and more before the first time.
func (c *Clock) Count(now time.Time) int64 {
	start := c.start.Load()
	if start == nil {
		first := now.Add(-time.Hour) // what another goroutine has met a moment earlier counts like any other
		c.start.CompareAndSwap(nil, &first)
		start = c.start.Load()
	}
	return int64(now.Sub(*start))
}
