package judge

import (
	"fmt"
	"slices"

	"github.com/ringwall/ringwall/edge"
)

// charges are the checks at work, made anew when the configuration changes.
type charges struct {
	inspect, watch, sort []*charge
	inspects, watches    choice        // of inspect and of watch, those that mind a request
	keep                 []*charge     // of inspect, those that lock users
	follow               []*charge     // of inspect, those that look at requests in dialogs
	watching             bool          // some check is in mode monitor
	acting               bool          // some check enforces
	reasons              []edge.Reason // that records know by index
	index                map[edge.Reason]uint8
	counts               []*Count
}

// A choice is a list of charges for requests of each method without credentials, and with some.
type choice [2][methods][]*charge

// methods is more than there are.
const methods = 32

// add puts a charge on the lists of the requests that it minds.
func (c *choice) add(one *charge, minds edge.Minds) {
	for m := range methods {
		for signed, set := range [...]edge.Methods{minds.Bare, minds.Signed} {
			if set>>m&1 == 1 {
				c[signed][m] = append(c[signed][m], one)
			}
		}
	}
}

// of is the list for a.
func (c *choice) of(a *edge.Asked) []*charge {
	signed := 0
	if a.Secret|a.Guess != 0 {
		signed = 1
	}
	return c[signed][a.Method%methods]
}

// A charge is one opinion to ask for: exactly one of the three is not nil.
type charge struct {
	check   edge.Check
	watcher edge.Watcher
	sorter  edge.Sorter
	enforce bool
	count   *Count
}

// maxReasons is how many reasons records can tell apart.
const maxReasons = 255

// Apply puts other checks to work, from the next message on. Scores and memories stay, and where no check only watches any more, what they held against
// sources meanwhile counts. The error says which check is none.
func (j *Judge) Apply(list []Charge) error {
	next := &charges{index: map[edge.Reason]uint8{}}
	if now := j.charges.Load(); now != nil { // records keep their indices
		next.reasons = slices.Clone(now.reasons)
	}
	for i, r := range next.reasons {
		next.index[r] = uint8(i)
	}
	for _, one := range list {
		if err := next.take(one); err != nil {
			return err
		}
	}
	if now := j.charges.Load(); next.watching {
		j.heir.Store(false)
	} else if now != nil && now.watching {
		j.heir.Store(true)
	}
	j.charges.Store(next)
	return nil
}

func (c *charges) take(one Charge) error {
	if one.Mode == Off {
		return nil
	}
	for _, r := range one.Reasons {
		if _, have := c.index[r]; !have && len(c.reasons) < maxReasons {
			c.index[r] = uint8(len(c.reasons))
			c.reasons = append(c.reasons, r)
		}
	}
	c.watching, c.acting = c.watching || one.Mode == Monitor, c.acting || one.Mode == Enforce
	count := &Count{Name: one.Name, Mode: one.Mode}
	enforce := one.Mode == Enforce
	check, inspects := one.Check.(edge.Check)
	watcher, watches := one.Check.(edge.Watcher)
	sorter, sorts := one.Check.(edge.Sorter)
	if !inspects && !watches && !sorts {
		return fmt.Errorf("judge: %s (%T) is no check", one.Name, one.Check)
	}
	inspected, watched := edge.Minds{Bare: edge.All, Signed: edge.All}, edge.Minds{Bare: edge.All, Signed: edge.All}
	if chooser, chooses := one.Check.(edge.Chooser); chooses {
		inspected, watched = chooser.Minds()
	}
	if inspects {
		asked := &charge{check: check, enforce: enforce, count: count}
		c.inspect = append(c.inspect, asked)
		c.inspects.add(asked, inspected)
		if _, keeps := one.Check.(edge.Keeper); keeps {
			c.keep = append(c.keep, asked)
		}
		if _, follows := one.Check.(edge.Follower); follows {
			c.follow = append(c.follow, asked)
		}
	}
	if watches {
		asked := &charge{watcher: watcher, enforce: enforce, count: count}
		c.watch = append(c.watch, asked)
		c.watches.add(asked, watched)
	}
	if sorts {
		c.sort = append(c.sort, &charge{sorter: sorter, enforce: enforce, count: count})
	}
	c.counts = append(c.counts, count)
	return nil
}

// says is the opinion of a check on a request, or of a watcher on a response.
func (c *charge) says(x *edge.Exchange) *edge.Verdict {
	if c.check != nil {
		return c.check.Inspect(x)
	}
	return c.watcher.Watch(x)
}
