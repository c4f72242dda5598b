package meter

import (
	"testing"
	"time"
	"unsafe"
)

// set is t as the system's clock tells it after somebody has set it, by that many seconds: what time has gone by is the same.
func set(t *testing.T, at time.Time, seconds int64) time.Time {
	wall := (*uint64)(unsafe.Pointer(&at)) // first field of time.Time: a flag, 33 bits of seconds, 30 of nanoseconds
	*wall = uint64(int64(*wall) + seconds<<30)
	return at
}

// TestClockIsSet: whoever sets the system's clock neither shuts anybody out nor gives a budget back.
func TestClockIsSet(t *testing.T) {
	before := time.Now()
	for _, seconds := range []int64{-7200, 7200} {
		if after := set(t, before, seconds); after.Unix()-before.Unix() != seconds || !after.Equal(before.Add(time.Duration(seconds)*time.Second)) && after.Sub(before) != 0 {
			t.Fatalf("%v is not %v set by %d s", after, before, seconds)
		}
		r, l := NewRates(64), Limit{Every: 100 * time.Millisecond, Burst: 5}
		took := func(at time.Time) (n int) {
			for range 20 {
				if r.Take(77, l, at) {
					n++
				}
			}
			return n
		}
		if n := took(before); n != 5 {
			t.Errorf("%d at once, want 5", n)
		}
		if n := took(set(t, before, seconds)); n != 0 {
			t.Errorf("%d more, because the clock is set by %d s", n, seconds)
		}
		if n := took(set(t, before.Add(time.Second), seconds)); n != 5 {
			t.Errorf("%d a second after the clock was set by %d s, want 5", n, seconds)
		}
	}
}

// TestLogOfTomorrow: events that were noted before the clock was put back are not taken for late ones.
func TestLogOfTomorrow(t *testing.T) {
	var l Log
	for range LogMost {
		l.Add(time.Minute, start.Add(2*time.Hour))
	}
	if n := l.Count(time.Minute, start); n != 0 {
		t.Errorf("%d events within a minute", n)
	}
	if n := l.Add(time.Minute, start); n != 1 {
		t.Errorf("%d events within a minute, want the one of now", n)
	}
	if n := l.Count(time.Minute, start.Add(-time.Second)); n != 1 { // another goroutine's moment
		t.Errorf("%d events within a minute a second earlier, want 1", n)
	}
}
