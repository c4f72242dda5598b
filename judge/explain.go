package judge

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Level is what a score amounts to.
type Level string

// Levels, rising.
const (
	Calm  Level = "calm"
	Watch Level = "watch"
	Grey  Level = "greylist"
	Ban   Level = "ban"
)

// LevelOf is what score amounts to.
func LevelOf(score float64) Level {
	switch {
	case score >= BanAt:
		return Ban
	case score >= GreyAt:
		return Grey
	case score >= WatchAt:
		return Watch
	}
	return Calm
}

// A Standing is what the judge thinks of a source, and why.
type Standing struct {
	Source   edge.Source   `json:"source"`
	Score    float64       `json:"score"`
	Proven   float64       `json:"proven"` // of the score: by messages that it has sent for certain
	Level    Level         `json:"level"`
	Told     bool          `json:"told,omitempty"` // it is what the score would be did checks enforce that only watch
	Parts    []edge.Part   `json:"parts"`          // most points first
	Offences int           `json:"offences"`
	First    time.Time     `json:"first"`
	Last     time.Time     `json:"last"`               // offence
	Free     time.Duration `json:"-"`                  // until its score falls below WatchAt, if it does nothing more
	Messages [][]byte      `json:"messages,omitempty"` // the last that gave it away, oldest first, cut to 768 bytes
}

// Explain returns what is held against an address as a whole and against its flows, the highest score first. Known is how many users the
// platform accepted from there within 30 days.
func (j *Judge) Explain(addr netip.Addr, now time.Time) (list []Standing, knownUsers int) {
	all, source := j.charges.Load(), j.key.Addr(addr)
	j.sources.All(func(_ uint64, r *record) bool {
		if j.key.Addr(netip.AddrFrom16(r.addr)) == source {
			copied := *r
			copied.age(now)
			list = append(list, all.standing(&copied))
		}
		return true
	})
	list = slices.DeleteFunc(list, func(s Standing) bool { // what is only told, where it is the same as what counts
		return s.Told && slices.ContainsFunc(list, func(c Standing) bool { return !c.Told && c.Source == s.Source && c.Score >= s.Score })
	})
	for i := range list {
		list[i].Messages = j.shown.of(source, list[i].Source.Port)
	}
	slices.SortFunc(list, func(a, b Standing) int { return cmp.Compare(b.Score, a.Score) })
	return list, j.known.at(source, now)
}

func (c *charges) standing(r *record) Standing {
	addr, score := netip.AddrFrom16(r.addr), r.score()
	source := edge.SourceOf(addr)
	if r.port != 0 {
		source = edge.PortOf(netip.AddrPortFrom(addr, r.port))
	}
	s := Standing{Source: source, Score: round(score), Told: r.told, Level: LevelOf(score),
		Parts: c.list(r), Offences: int(r.offences), Proven: round(float64(r.proven)), First: time.Unix(0, r.first), Last: time.Unix(0, r.last)}
	if score > WatchAt {
		s.Free = time.Duration(math.Log2(score/WatchAt) * float64(HalfLife)).Round(time.Second)
	}
	return s
}

func round(points float64) float64 { return math.Round(points*100) / 100 }

// list returns the parts of r, most points first.
func (c *charges) list(r *record) []edge.Part {
	out := make([]edge.Part, 0, r.used)
	for _, p := range r.parts[:r.used] {
		out = append(out, edge.Part{Reason: c.reasons[p.reason], Score: round(float64(p.points))})
	}
	slices.SortStableFunc(out, func(a, b edge.Part) int { return cmp.Compare(b.Score, a.Score) })
	return out
}

// Pardon forgets what is held against an address and all its flows, and reports whether anything was.
func (j *Judge) Pardon(addr netip.Addr) (held bool) {
	source := j.key.Addr(addr)
	j.sources.All(func(_ uint64, r *record) bool {
		if j.key.Addr(netip.AddrFrom16(r.addr)) == source {
			held = held || r.used > 0
			r.used, r.offences, r.banned, r.proven = 0, 0, 0, 0
		}
		return true
	})
	return held
}

// Count is what one check did.
type Count struct {
	Name string
	Mode Mode

	hits, measured, cost atomic.Uint64
}

// Hits is how many opinions the check had, acted on or not.
func (c *Count) Hits() uint64 { return c.hits.Load() }

// Cost is how many nanoseconds a message cost in this check on average, of the few that are measured; 0 where none was.
func (c *Count) Cost() float64 {
	if n := c.measured.Load(); n > 0 {
		return float64(c.cost.Load()) / float64(n)
	}
	return 0
}

// sampled is about how many messages there are for one whose cost is measured.
const sampled = 1024

// measured reports whether at is the time of a message whose cost is measured.
func (j *Judge) measured(at time.Time) bool {
	return j.cfg.Ticks != nil && at.UnixNano()>>10%sampled == 0
}

// A timer measures what checks cost, one after the other; one without ticks does not.
type timer struct {
	ticks func() uint64
	since uint64
}

// timer begins to measure, if this message is one of those that are.
func (j *Judge) timer(at time.Time) timer {
	if !j.measured(at) {
		return timer{}
	}
	return timer{j.cfg.Ticks, j.cfg.Ticks()}
}

// took takes note that c took until now.
func (t *timer) took(c *Count) {
	if t.ticks == nil {
		return
	}
	now := t.ticks()
	c.measured.Add(1)
	c.cost.Add(now - t.since)
	t.since = now
}

// Counts returns what the checks at work did, in their order, since they were put to work.
func (j *Judge) Counts() []*Count { return j.charges.Load().counts }
