// Package dialprefix finds who tries prefixes before one number until a call gets out. See README.md.
package dialprefix

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonSource  edge.Reason = "dialprefix.source"  // one source tries prefixes before one number
	reasonNumber  edge.Reason = "dialprefix.number"  // many sources do, and this is a number of theirs
	reasonAddress edge.Reason = "dialprefix.address" // a stranger calls telephone numbers at our address
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonSource, reasonNumber, reasonAddress} }

// Config says how many variants of a number are too many. The zero value of a field means its default.
type Config struct {
	Variants int           // of one source without accepted credentials; default 5
	Users    int           // of one source with them; default 8
	Within   time.Duration // default 10 min
	Shut     time.Duration // how long the number stays shut to that source; default 30 min
	Calls    int           // in vain and without credentials, to numbers at our address within Within; default 4, at most 16
	Guests   bool          // anybody may call there
	Numbers  int           // remembered at once, 270 bytes each, of sources and of all together; default 16,384
}

const (
	digits      = 7 // that all variants of a number end in
	points      = 10
	userPoints  = 2
	allVariants = 12 // of all sources together
	allSources  = 3
	allWithin   = 2 * time.Hour

	hurried = 3                // variants of a user that fail one after the other,
	quickly = 10 * time.Second // in that time, are seldom dialled by hand:
	pause   = 30 * time.Second // the number is shut for a moment, and for long if he goes on
)

func (c Config) withDefaults() Config {
	c.Variants = cmp.Or(c.Variants, 5)
	c.Users = cmp.Or(c.Users, 8)
	c.Within = cmp.Or(c.Within, 10*time.Minute)
	c.Shut = cmp.Or(c.Shut, 30*time.Minute)
	c.Calls = cmp.Or(c.Calls, 4)
	c.Numbers = cmp.Or(c.Numbers, 1<<14)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Variants < 2 || c.Variants > 32 || c.Users < c.Variants || c.Users > 32 {
		errs = append(errs, fmt.Errorf("dialprefix: %d variants, %d of users, want 2 to 32, and at least as many of users", c.Variants, c.Users))
	}
	if c.Within < time.Second || c.Shut < time.Second {
		errs = append(errs, fmt.Errorf("dialprefix: within %v, shut %v, want at least 1s", c.Within, c.Shut))
	}
	if c.Calls < 2 || c.Calls > meter.LogMost {
		errs = append(errs, fmt.Errorf("dialprefix: %d calls, want 2 to %d", c.Calls, meter.LogMost))
	}
	return errors.Join(errs...)
}

// A Check remembers which variants of a number were dialled, by each source and by all.
type Check struct {
	cfg     Config
	key     meter.Key
	numbers *meter.Table[number]
	callers *meter.Table[caller]
	last    atomic.Int64 // until when any number is shut: after that nothing has to be looked up
}

type number struct {
	since, until int64 // nanoseconds
	variants     meter.Distinct
	sources      [allSources]uint32 // of all together
	user         bool               // its credentials were accepted
	failed       [hurried]failure   // of a user, the last ones, the newest first
}

// A failure is a variant that a user dialled in vain.
type failure struct {
	at      int64
	variant edge.Number
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, key: key, numbers: meter.NewEvidence[number](cfg.Numbers, max(allWithin, cfg.Within, cfg.Shut), nil),
		callers: meter.NewEvidence[caller](cfg.Numbers/4, max(allWithin, cfg.Within), nil)}
}

// everybody stands for all sources together.
const everybody = 0

// ending is what is common to the variants of n: its last digits; without the last one, the digits before it, since some try neighbours.
func ending(n edge.Number, neighbours bool) uint64 {
	if neighbours {
		return n.Last(digits+1)>>4 | 1<<60
	}
	return n.Last(digits)
}

// Minds implements edge.Chooser: nothing but an INVITE has a Number.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	calls := edge.Minds{Bare: 1 << sip.INVITE, Signed: 1 << sip.INVITE}
	return calls, calls
}

// Inspect implements edge.Check: it shuts a number to who tried its prefixes, and a number that many sources tried to all whom the platform
// does not know.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	if a.Number.Len() <= digits {
		return nil
	}
	c.answered(a, x.At)
	if x.At.UnixNano() >= c.last.Load() {
		return nil
	}
	if c.insists(a, x.At) {
		if a.Known > 0 {
			return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonSource, Status: 403})
		}
		return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonSource, Score: points, Most: 2 * points})
	}
	if guest(a) && c.shut(c.guests(a), x.At) {
		return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonSource, Status: 403})
	}
	if stranger(a) && (c.shut(c.key.Words(everybody, ending(a.Number, false)), x.At) || c.shut(c.key.Words(everybody, ending(a.Number, true)), x.At)) {
		return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonNumber, Score: points, Most: 2 * points})
	}
	return nil
}

// insists reports whether the number that a asks for is shut to its source. A user who tries as many variants as a stranger may although it was only
// shut for a moment has been no person in a hurry.
func (c *Check) insists(a *edge.Asked, at time.Time) bool {
	key := c.key.Words(a.Account(), ending(a.Number, false))
	n := c.numbers.Find(key, at)
	if n == nil {
		return false
	}
	defer c.numbers.Leave(key)
	if at.UnixNano() >= n.until {
		return false
	}
	if n.variants.Add(c.key.Words(uint64(a.Number), 0)); n.variants.Count() >= c.cfg.Variants {
		c.close(n, c.cfg.Shut, at)
	}
	return true
}

func (c *Check) shut(key uint64, at time.Time) bool {
	n := c.numbers.Find(key, at)
	if n == nil {
		return false
	}
	defer c.numbers.Leave(key)
	return at.UnixNano() < n.until
}

// Watch implements edge.Watcher: it counts the variants that did not get through.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a, status := &x.Asked, x.Msg.Status
	if a.Method != sip.INVITE || a.Number.Len() <= digits {
		return nil
	}
	slowly := false
	if stranger(a) && status >= 300 {
		c.byAll(a, ending(a.Number, false), x.At)
		c.byAll(a, ending(a.Number, true), x.At)
		slowly = c.slowly(a, x.At)
	}
	if guest(a) && status >= 300 {
		c.byGuest(a, x.At)
	}
	v := c.bySource(a, status, slowly, x.At)
	if one := c.atAddress(a, status, x.At); v.Score == 0 && one.Score > 0 {
		v = one
	}
	return x.Say(v)
}

// guest reports whether a comes from where the platform knows others, and answers no challenge. All guests of an address count together, too, since one
// may come from many ports.
func guest(a *edge.Asked) bool { return a.Guest() && !a.Answers() }

// guests is the key of the number that a asks for, for all guests of its address.
func (c *Check) guests(a *edge.Asked) uint64 { return c.key.Words(a.Source+2, ending(a.Number, false)) }

// byGuest notes a variant that a guest dialled in vain. Of too many the number is shut to all of them; nobody gets points, since it may be several.
func (c *Check) byGuest(a *edge.Asked, at time.Time) {
	key := c.guests(a)
	n := c.enter(key, a, c.cfg.Within, at)
	if n == nil {
		return
	}
	defer c.numbers.Leave(key)
	if n.variants.Add(c.key.Words(uint64(a.Number), 0)); n.variants.Count() >= c.cfg.Users {
		c.close(n, c.cfg.Shut, at)
	}
}

// stranger reports whether a comes from where the platform knows nobody, and answers no challenge.
func stranger(a *edge.Asked) bool { return a.Known == 0 && !a.Answers() }

// slowly notes a variant that a stranger dialled in vain, and reports whether he has had time enough for too many of them.
func (c *Check) slowly(a *edge.Asked, at time.Time) bool {
	key := c.key.Words(a.Source+1, ending(a.Number, false))
	n := c.enter(key, a, allWithin, at)
	if n == nil {
		return false
	}
	defer c.numbers.Leave(key)
	n.variants.Add(c.key.Words(uint64(a.Number), 0))
	return n.variants.Count() >= allVariants
}

// enter is the entry of key, locked and of the time at hand, nil if there is no room.
func (c *Check) enter(key uint64, a *edge.Asked, within time.Duration, at time.Time) *number {
	n, _ := c.numbers.Note(key, a.Proven, at)
	if n != nil && at.UnixNano()-n.since > int64(within) && at.UnixNano() >= n.until {
		*n = number{since: at.UnixNano(), user: n.user}
	}
	return n
}

// bySource counts a variant; slowly tells that its source has dialled too many already, in a longer time.
func (c *Check) bySource(a *edge.Asked, status int, slowly bool, at time.Time) edge.Verdict {
	challenged := status == 401 || status == 407
	key := c.key.Words(a.Account(), ending(a.Number, false))
	n := c.enter(key, a, c.cfg.Within, at)
	if n == nil {
		return edge.Verdict{}
	}
	defer c.numbers.Leave(key)
	if a.Answers() && !challenged {
		n.user = true
	}
	if status < 300 {
		return edge.Verdict{}
	}
	n.variants.Add(c.key.Words(uint64(a.Number), 0))
	most, weight := c.cfg.Variants, float64(points)
	if n.user {
		most, weight = c.cfg.Users, userPoints
	}
	switch {
	case at.UnixNano() < n.until:
		return edge.Verdict{}
	case n.variants.Count() >= most, slowly:
		c.close(n, c.cfg.Shut, at)
		return edge.Verdict{Action: edge.Note, Reason: reasonSource, Score: weight, Most: 2 * points}
	case n.user && !challenged && n.hurries(a.Number, at):
		c.close(n, pause, at)
		return edge.Verdict{Action: edge.Note, Reason: reasonSource}
	}
	return edge.Verdict{}
}

// hurries notes that a user dialled a variant in vain, and reports whether he does that faster than people do.
func (n *number) hurries(variant edge.Number, at time.Time) bool {
	if n.failed[0].variant != variant {
		copy(n.failed[1:], n.failed[:])
	}
	n.failed[0] = failure{at.UnixNano(), variant}
	oldest := n.failed[hurried-1]
	return oldest.at != 0 && at.UnixNano()-oldest.at <= int64(quickly) && n.variants.Count() >= hurried
}

func (c *Check) byAll(a *edge.Asked, ending uint64, at time.Time) {
	key := c.key.Words(everybody, ending)
	n := c.enter(key, a, allWithin, at)
	if n == nil {
		return
	}
	defer c.numbers.Leave(key)
	n.variants.Add(c.key.Words(uint64(a.Number), 0))
	n.from(uint32(a.Source>>32) | 1)
	if n.variants.Count() >= allVariants && n.sources[allSources-1] != 0 {
		c.close(n, allWithin, at)
	}
}

// from notes a source, as far as there is room.
func (n *number) from(source uint32) {
	for i := range n.sources {
		if n.sources[i] == source {
			return
		}
		if n.sources[i] == 0 {
			n.sources[i] = source
			return
		}
	}
}

// close shuts n for a time.
func (c *Check) close(n *number, length time.Duration, at time.Time) {
	n.until = at.Add(length).UnixNano()
	if c.last.Load() < n.until {
		c.last.Store(n.until)
	}
}
