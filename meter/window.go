package meter

import "time"

// A Window counts events in a sliding window of time, from two neighbouring slots of it: the one at hand, and of the one before the part
// that the window still covers. The zero Window is empty. It belongs to whoever holds its entry locked.
type Window struct {
	slot        uint32
	now, before uint16
}

// Add counts n events at now, in a window of that length, and returns how many there are in it.
func (w *Window) Add(n int, length time.Duration, now time.Time) int {
	w.turn(length, now)
	w.now = uint16(min(int(w.now)+n, 1<<16-1))
	return w.Count(length, now)
}

// Count is how many events the window holds at now. Of the slot before it takes what an even flow would have left in the window.
func (w *Window) Count(length time.Duration, now time.Time) int {
	w.turn(length, now)
	gone := now.UnixNano() % int64(length)
	return int(w.now) + int(float64(w.before)*(1-float64(gone)/float64(length))+0.999)
}

func (w *Window) turn(length time.Duration, now time.Time) {
	slot := uint32(now.UnixNano() / int64(length))
	switch slot - w.slot {
	case 0:
	case 1:
		w.before, w.now, w.slot = w.now, 0, slot
	default:
		w.before, w.now, w.slot = 0, 0, slot
	}
}
