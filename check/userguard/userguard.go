// Package userguard protects a user whose password is tried from many sources. See README.md.
package userguard

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

const reasonProtected edge.Reason = "userguard.sources" // wrong passwords of this user come from many sources

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonProtected} }

// Config says when a user is protected. The zero value of a field means its default.
type Config struct {
	Sources int           // with wrong passwords, within Within; default 8
	Within  time.Duration // default 1 h; a protected user stays so until nothing of that kind came for as long
	Every   time.Duration // between two tries from where the user is not known; default 5 min
	Users   int           // remembered at once, 210 bytes each; default 16,384
}

func (c Config) withDefaults() Config {
	c.Sources = cmp.Or(c.Sources, 8)
	c.Within = cmp.Or(c.Within, time.Hour)
	c.Every = cmp.Or(c.Every, 5*time.Minute)
	c.Users = cmp.Or(c.Users, 1<<14)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Sources < 2 || c.Sources > 1000 {
		errs = append(errs, fmt.Errorf("userguard: %d sources, want 2 to 1000", c.Sources))
	}
	if c.Within < time.Second || c.Every < time.Second {
		errs = append(errs, fmt.Errorf("userguard: within %v, every %v, want at least 1s", c.Within, c.Every))
	}
	return errors.Join(errs...)
}

// A Check remembers from where wrong passwords of each user came.
type Check struct {
	cfg   Config
	users *meter.Table[user]
	last  atomic.Int64 // until when anybody is protected: after that nothing has to be looked up
}

type user struct {
	since int64 // nanoseconds
	until int64 // protected
	next  int64 // try from somewhere else
	from  meter.Distinct
}

// New makes the check. cfg is valid.
func New(cfg Config, _ meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, users: meter.NewEvidence[user](cfg.Users, 2*cfg.Within, nil)} // twice: for half of that Keep keeps
}

// Minds implements edge.Chooser: without a password only a registration is of interest, which is going to need one.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	return edge.Minds{Bare: 1 << sip.REGISTER, Signed: edge.All}, edge.Minds{Signed: edge.All}
}

// Inspect implements edge.Check: passwords of a protected user are tried from where he is known, be it from another address of that network, and
// once in a while from elsewhere, by who has shown that he is a phone.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	a, now := &x.Asked, x.At.UnixNano()
	if now >= c.last.Load() || a.Good || a.Near || a.Secret == 0 && a.Method != sip.REGISTER {
		return nil
	}
	key := a.Tried()
	u := c.users.Find(key, x.At)
	if u == nil {
		return nil
	}
	defer c.users.Leave(key)
	if now >= u.until {
		return nil
	}
	if a.Secret == 0 {
		return x.Say(edge.Verdict{Action: edge.Challenge, Reason: reasonProtected})
	}
	c.extend(u, now)
	if now >= u.next {
		u.next = now + int64(c.cfg.Every)
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonProtected, Status: 503, Text: "Try later", Retry: int((u.next-now)/int64(time.Second)) + 1})
}

// Watch implements edge.Watcher. Who is protected stays so, however many users others try.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	if a.Good || !a.Failed(x.Msg.Status) {
		return nil
	}
	began, ended := c.failed(a, x.At)
	switch {
	case began:
		c.users.Keep(a.Tried())
		return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonProtected, Lock: edge.LockUser})
	case ended:
		c.users.Free(a.Tried())
	}
	return nil
}

// failed notes a wrong password, and reports whether its user is protected from now on, or whether he had been and is not any more.
func (c *Check) failed(a *edge.Asked, at time.Time) (began, ended bool) {
	key, now := a.Tried(), at.UnixNano()
	u, _ := c.users.Note(key, a.Proven, at)
	if u == nil {
		return false, false
	}
	defer c.users.Leave(key)
	if now-u.since > int64(c.cfg.Within) && now >= u.until {
		ended = u.until != 0
		*u = user{since: now}
	}
	if u.from.Add(a.Source); u.from.Count() < c.cfg.Sources {
		return false, ended
	}
	began = now >= u.until
	c.extend(u, now)
	if began {
		u.next = now + int64(c.cfg.Every)
	}
	return began, ended
}

// extend protects u for Within from now on.
func (c *Check) extend(u *user, now int64) {
	u.until = now + int64(c.cfg.Within)
	if c.last.Load() < u.until {
		c.last.Store(u.until)
	}
}

// Held implements edge.Keeper.
func (c *Check) Held(id uint64, now time.Time) []edge.Hold {
	u := c.users.Peek(id)
	if u == nil {
		return nil
	}
	defer c.users.Leave(id)
	return c.hold(u, now)
}

// From implements edge.Keeper: who is protected is so from everywhere.
func (c *Check) From(edge.Source, time.Time) []edge.Hold { return nil }

// Release implements edge.Keeper. A protection is from everywhere, so that releasing it from one source does nothing.
func (c *Check) Release(id uint64, from edge.Source, now time.Time) []edge.Hold {
	if from != (edge.Source{}) {
		return nil
	}
	u := c.users.Peek(id)
	if u == nil {
		return nil
	}
	list := c.hold(u, now)
	*u = user{}
	c.users.Leave(id)
	c.users.Free(id)
	return list
}

// hold is what is held against u.
func (c *Check) hold(u *user, now time.Time) []edge.Hold {
	h := edge.Hold{Reason: reasonProtected, Failures: u.from.Count()}
	switch {
	case u.until > now.UnixNano():
		h.Until = time.Unix(0, u.until)
	case h.Failures == 0 || now.UnixNano()-u.since > int64(c.cfg.Within):
		return nil
	}
	return []edge.Hold{h}
}
