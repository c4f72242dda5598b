package ban

import "time"

// leastStep is by how much somebody must set the clock for the book to care.
const leastStep = 2 * time.Second

// Step is by how much the system's clock was set between two of its readings, as far as both know how much time went by (those of time.Now do); 0 for what
// makes no difference.
func Step(before, now time.Time) time.Duration {
	by := now.Round(0).Sub(before.Round(0)) - now.Sub(before)
	if by.Abs() < leastStep {
		return 0
	}
	return by
}

// Shift tells the book that the clock was set by so much: what lasts, lasts as long as it was to. Else a clock that was ahead, and is put right, would leave
// bans in force for as long as it was ahead, and one that was behind would end them all at once.
func (b *Book) Shift(by time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		e.since.Add(int64(by))
		e.until.Add(int64(by))
		if e.last.Load() != 0 {
			e.last.Add(int64(by))
		}
		e.first, e.freed, e.due = e.first+int64(by), e.freed+int64(by), e.due+int64(by)
		b.mark(e)
	}
	for _, g := range b.groups {
		g.shift(by)
	}
	for _, o := range b.omens {
		o.at.shift(by)
		if o.told != 0 {
			o.told += int64(by)
		}
	}
	b.calls.shift(by)
}

// shift moves the times of g that there are.
func (g *group) shift(by time.Duration) {
	for i := range g {
		if g[i] != 0 {
			g[i] += int64(by)
		}
	}
}

// shift moves the times of all calls.
func (c *calls) shift(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swept += int64(by)
	for i := range c.n {
		one := c.at(i)
		one.began += int64(by)
		if one.ended != 0 {
			one.ended += int64(by)
		}
	}
}

// ahead is by how much the clock was ahead when r was written, as far as that can be told at now: nothing in it is later than that but its end.
func (r *record) ahead(now time.Time) time.Duration {
	latest := r.Since
	if r.Freed.After(latest) {
		latest = r.Freed
	}
	return max(0, latest.Sub(now))
}

// settle puts a record right that was written by a clock that was ahead, and bounds what is left of an automatic ban.
func (r *record) settle(now time.Time, longest time.Duration) {
	if by := r.ahead(now); by >= leastStep {
		r.First, r.Since, r.Until = r.First.Add(-by), r.Since.Add(-by), r.Until.Add(-by)
		if !r.Freed.IsZero() {
			r.Freed = r.Freed.Add(-by)
		}
	}
	if end := now.Add(longest); r.By != Operator && r.Until.After(end) {
		r.Until = end
	}
}
