package method

import (
	"sync/atomic"
	"time"
)

// A start is when the first message came. The zero start has none yet.
type start struct{ at atomic.Int64 }

// since is how long ago that was at now, which becomes the start if there is none.
func (s *start) since(now time.Time) time.Duration {
	began := s.at.Load()
	if began == 0 {
		s.at.CompareAndSwap(0, now.UnixNano())
		return 0
	}
	return time.Duration(now.UnixNano() - began)
}
