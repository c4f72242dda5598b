// Package spray finds who tries a password or two at one user after the other. See README.md.
package spray

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

const reasonUsers edge.Reason = "spray.users" // wrong passwords of many users, and no right one

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonUsers} }

// Config says how many users are too many. The zero value of a field means its default.
type Config struct {
	Users     int           // with wrong passwords from one port, within Within; default 5
	OfAddress int           // from one address with whatever ports; default 100
	Within    time.Duration // default 1 h
	Sources   int           // remembered at once, 180 bytes each; default 16,384
}

const points = 10

func (c Config) withDefaults() Config {
	c.Users = cmp.Or(c.Users, 5)
	c.OfAddress = cmp.Or(c.OfAddress, 100)
	c.Within = cmp.Or(c.Within, time.Hour)
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
	return errors.Join(errs...)
}

// A Check remembers whose passwords were wrong, for each port and each address.
type Check struct {
	cfg     Config
	sources *meter.Table[source]
}

type source struct {
	since  int64 // nanoseconds
	failed meter.Distinct
	good   uint16 // passwords that were right
}

// New makes the check. cfg is valid.
func New(cfg Config, _ meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, sources: meter.NewTable[source](cfg.Sources, nil)}
}

// Watch implements edge.Watcher. A phone has a port of its own and a user or two; so many users with wrong passwords at one port are no
// phones. At one address they may well be, after a change of passwords: there it takes many more, where the platform knows nobody.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	switch {
	case a.Secret == 0 || a.User == 0:
	case x.Msg.Status/100 == 2:
		c.right(a.Port, x.At)
		c.right(a.Source, x.At)
	case a.Failed(x.Msg.Status) && !a.Good:
		byPort := c.wrong(a.Port, c.cfg.Users, a, x.At)
		if byAddress := c.wrong(a.Source, c.cfg.OfAddress, a, x.At); byPort || byAddress && a.Known == 0 {
			return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonUsers, Score: points, Most: 2 * points})
		}
	}
	return nil
}

// right notes a right password.
func (c *Check) right(key uint64, at time.Time) {
	if s := c.sources.Find(key, at); s != nil {
		s.good = min(s.good, 1<<15) + 1
		c.sources.Leave(key)
	}
}

// wrong notes a wrong password, and reports whether they are those of too many users.
func (c *Check) wrong(key uint64, most int, a *edge.Asked, at time.Time) bool {
	s, _ := c.sources.Enter(key, 0, at)
	if s == nil {
		return false
	}
	defer c.sources.Leave(key)
	if at.UnixNano()-s.since > int64(c.cfg.Within) {
		*s = source{since: at.UnixNano()}
	}
	s.failed.Add(a.Tried())
	return s.failed.Count() >= most+3*int(s.good)
}
