package judge

import (
	"testing"
	"time"
)

// TestPointsFade: half of them in each half-life, whatever is done to the clock in between.
func TestPointsFade(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := record{at: at.UnixNano()}
	r.add(1, 8, 0)
	for _, step := range []struct {
		after time.Duration
		want  float64
	}{{HalfLife, 4}, {-24 * time.Hour, 4}, {HalfLife, 2}, {0, 2}} {
		at = at.Add(step.after)
		if r.age(at); r.score() != step.want {
			t.Errorf("%v points after %v more, want %v", r.score(), step.after, step.want)
		}
	}
}
