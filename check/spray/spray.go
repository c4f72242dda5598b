// Package spray finds who tries a password or two at one user after the other. See README.md.
package spray

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

const (
	reasonUsers edge.Reason = "spray.users" // wrong passwords of many users, and no right one
	reasonGroup edge.Reason = "spray.group" // of some users, as many other sources at the same pace
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonUsers, reasonGroup} }

// Config says how many users are too many. The zero value of a field means its default.
type Config struct {
	Users     int           // with wrong passwords from one port, within Within; default 5
	OfAddress int           // from one address with whatever ports; default 100
	Within    time.Duration // default 1 h
	OfGroup   int           // from one port, where Group sources do so at the same pace within Within; default 3
	Group     int           // default 10, at most 64
	Learning  time.Duration // after Since, in which groups are only told; default 7 days
	Since     time.Time     // from when on it is remembered whom the platform accepted from where; zero: from the first wrong password on
	Sources   int           // remembered at once, 250 bytes each; default 16,384
}

const (
	points = 10

	crowd    = 40               // users with wrong passwords at one address, until strangers there have to wait for each other,
	slowed   = 10 * time.Minute // for so long after the last of them,
	between  = time.Second      // and so long between two tries,
	longer   = 30 * time.Second // or so long where there are more of them than offices have phones,
	offices  = 2                // times as many as are too many of an address where nobody is known
	retry    = 5                // seconds
	retries  = 26
	perRight = 3 // wrong ones for each user with a right password are nothing unusual
)

func (c Config) withDefaults() Config {
	c.Users = cmp.Or(c.Users, 5)
	c.OfAddress = cmp.Or(c.OfAddress, 100)
	c.Within = cmp.Or(c.Within, time.Hour)
	c.OfGroup = min(cmp.Or(c.OfGroup, 3), c.Users)
	c.Group = cmp.Or(c.Group, 10)
	c.Learning = cmp.Or(c.Learning, 7*24*time.Hour)
	c.Sources = cmp.Or(c.Sources, 1<<14)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Users < 2 || c.OfAddress < c.Users {
		errs = append(errs, fmt.Errorf("spray: %d users, %d of an address, want at least 2, and as many of an address", c.Users, c.OfAddress))
	}
	if c.Within < time.Second {
		errs = append(errs, fmt.Errorf("spray: within %v, want at least 1s", c.Within))
	}
	if c.Users >= 2 && c.OfGroup < 2 || c.Group < 2 || c.Group > crewMost || c.Learning < 0 {
		errs = append(errs, fmt.Errorf("spray: groups of %d sources with %d users each, learning %v: want 2 to %d sources, and 2 users", c.Group, c.OfGroup, c.Learning, crewMost))
	}
	return errors.Join(errs...)
}

// A Check remembers whose passwords were wrong, for each port and each address.
type Check struct {
	cfg     Config
	key     meter.Key
	sources *meter.Table[source]
	group   group
	since   atomic.Int64 // from when on it is remembered whom the platform accepted; 0: not known yet
	last    atomic.Int64 // until when anybody has to wait: after that nothing has to be looked up
}

type source struct {
	since  int64         // nanoseconds
	until  int64         // strangers at this address, or in this network, have to wait for each other
	next   int64         // try of one of them
	many   bool          // they were more than offices have phones
	pace   time.Duration // between two users, where they were enough for a group; else 0
	good   [4]uint64     // users whose passwords were right, a bit for each, some share one
	failed meter.Distinct
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	c := &Check{cfg: cfg, key: key, sources: meter.NewEvidence[source](cfg.Sources, cfg.Within, nil)}
	if !cfg.Since.IsZero() {
		c.since.Store(cfg.Since.UnixNano())
	}
	return c
}

// Minds implements edge.Chooser: without a password nobody tries one.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	return edge.Minds{Signed: edge.All}, edge.Minds{Signed: edge.All}
}

// Watch implements edge.Watcher. A phone has a port of its own and a user or two; so many users with wrong passwords at one port are no
// phones. At one address they may well be, after a change of passwords: there it takes many more, where the platform knows nobody.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	switch {
	case a.Secret == 0:
	case a.Right(x.Msg.Status):
		c.right(a.Port, a, x.At)
		c.right(a.Source, a, x.At)
		if network := c.network(a); network != 0 {
			c.right(network, a, x.At)
		}
	case a.Failed(x.Msg.Status) && !a.Good:
		byPort, grouped := c.wrong(a.Port, c.cfg.Users, a, x.At)
		byAddress, _ := c.wrong(a.Source, c.cfg.OfAddress, a, x.At)
		if network := c.network(a); network != 0 {
			c.wrong(network, math.MaxInt, a, x.At)
		}
		switch {
		case byPort, byAddress && a.Known == 0:
			return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonUsers, Score: points, Most: 2 * points})
		case grouped && c.learns(x.At):
			return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonGroup})
		case grouped:
			return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonGroup, Score: points, Most: 2 * points})
		}
	}
	return nil
}

// network is the key of the /48 of an IPv6 address, 0 of others: who has one has 65,536 addresses in it, as far as anything counts by address (/64).
func (c *Check) network(a *edge.Asked) uint64 {
	addr := a.From.Remote.Addr()
	if !addr.Is6() || addr.Is4In6() {
		return 0
	}
	return c.key.Network(addr)
}

// learns reports whether it is too early to tell a group from sites whose passwords were all changed: there nobody is known yet.
func (c *Check) learns(at time.Time) bool {
	if c.since.CompareAndSwap(0, at.UnixNano()) {
		return true
	}
	return at.UnixNano()-c.since.Load() < int64(c.cfg.Learning)
}

// Inspect implements edge.Check. Where many users had wrong passwords, from whatever ports, of IPv6 from whatever addresses of a /48, those whom the platform does not know there wait for each
// other: who rotates ports gets no further, and a site whose passwords are all wrong misses nothing.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	a, now := &x.Asked, x.At.UnixNano()
	if now >= c.last.Load() || a.Secret == 0 || a.Good || a.Trust != edge.Unknown {
		return nil
	}
	if network := c.network(a); !c.waits(a.Source, x.At) && (network == 0 || !c.waits(network, x.At)) {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonUsers, Status: 503, Text: "Try later", Retry: retry + int(a.User%retries)})
}

// waits reports whether a stranger from there has to wait for another one to be tried.
func (c *Check) waits(key uint64, at time.Time) bool {
	s, now := c.sources.Find(key, at), at.UnixNano()
	if s == nil {
		return false
	}
	defer c.sources.Leave(key)
	if now >= s.until {
		return false
	}
	if now < s.next {
		return true
	}
	s.next = now + int64(between)
	if s.many {
		s.next = now + int64(longer)
	}
	return false
}

// right notes a right password.
func (c *Check) right(key uint64, a *edge.Asked, at time.Time) {
	if s := c.sources.Find(key, at); s != nil {
		bit := a.Tried() >> 56
		s.good[bit>>6] |= 1 << (bit & 63)
		c.sources.Leave(key)
	}
}

// wrong notes a wrong password, and reports whether they are those of too many users, and whether its port is one of a group. Where strangers wait they go on to,
// whoever else fills the table.
func (c *Check) wrong(key uint64, most int, a *edge.Asked, at time.Time) (many, grouped bool) {
	s, _ := c.sources.Note(key, a.Proven, at)
	if s == nil {
		return false, false
	}
	waited := s.until != 0
	if at.UnixNano()-s.since > int64(c.cfg.Within) {
		*s = source{since: at.UnixNano()}
	}
	s.failed.Add(a.Tried())
	users := s.failed.Count()
	for _, word := range s.good {
		users -= perRight * bits.OnesCount64(word)
	}
	if key != a.Port && users >= crowd {
		s.until, s.many = at.Add(slowed).UnixNano(), users >= offices*c.cfg.OfAddress
		if c.last.Load() < s.until {
			c.last.Store(s.until)
		}
	}
	grouped = key == a.Port && a.Known == 0 && users >= c.cfg.OfGroup && c.together(s, a, at)
	waits := s.until != 0
	c.sources.Leave(key)
	switch {
	case waits && !waited:
		c.sources.Keep(key)
	case waited && !waits:
		c.sources.Free(key)
	}
	return users >= most, grouped
}

// together reports whether s, the port of a, is one of a group. Its pace is that of its first users.
func (c *Check) together(s *source, a *edge.Asked, at time.Time) bool {
	if s.pace == 0 {
		s.pace = max(1, time.Duration(at.UnixNano()-s.since)/time.Duration(c.cfg.OfGroup-1))
		c.group.joins(a.Source, s.pace, c.cfg.Group, c.cfg.Within, at)
	}
	return c.group.found(s.pace, c.cfg.Within, at)
}
