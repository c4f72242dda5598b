package meter

import "time"

// LogMost is how many events a Log tells apart.
const LogMost = 16

// A Log remembers when the last 16 events were, to the second: an exact sliding window for few events. The zero Log is empty. It belongs to
// whoever holds its entry locked.
type Log struct {
	at   [LogMost]uint32
	next uint8
}

// Add notes an event at now, and returns how many there were within that time, at most 16.
func (l *Log) Add(within time.Duration, now time.Time) int {
	l.at[l.next%LogMost] = uint32(now.Unix())
	l.next++
	return l.Count(within, now)
}

// slack is by how many seconds an event may be later than now: goroutines read the clock one after the other.
const slack = 2

// Count is how many events there were within that time before now. What is later was noted before somebody put the clock back.
func (l *Log) Count(within time.Duration, now time.Time) (n int) {
	for _, at := range l.at {
		if age := now.Unix() - int64(at); at != 0 && age >= -slack && age < int64(within/time.Second) {
			n++
		}
	}
	return n
}
