// Package lockout keeps a source from trying passwords of a user after some wrong ones. See README.md.
package lockout

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

const reasonLocked edge.Reason = "auth.lockout" // too many wrong passwords of this user from this source

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonLocked} }

// Config says when a user is locked for a source. The zero value of a field means its default.
type Config struct {
	Failures int           // wrong passwords; default 3
	Within   time.Duration // default 15 min
	For      time.Duration // how long the pair of user and source is locked; default 30 min
	Pairs    int           // with failures at once, 120 bytes each; default 65,536
}

func (c Config) withDefaults() Config {
	c.Failures = cmp.Or(c.Failures, 3)
	c.Within = cmp.Or(c.Within, 15*time.Minute)
	c.For = cmp.Or(c.For, 30*time.Minute)
	c.Pairs = cmp.Or(c.Pairs, 1<<16)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Failures < 1 || c.Failures > meter.LogMost {
		errs = append(errs, fmt.Errorf("lockout: %d failures, want 1 to %d", c.Failures, meter.LogMost))
	}
	if c.Within < time.Second || c.For < time.Second {
		errs = append(errs, fmt.Errorf("lockout: within %v, ban %v, want at least a second each", c.Within, c.For))
	}
	return errors.Join(errs...)
}

// goodEvery is between two tries of a user whom the platform accepted from there before.
const goodEvery = time.Minute

// A Check remembers failures by pairs of user and source.
type Check struct {
	cfg   Config
	key   meter.Key
	pairs *meter.Table[pair]
	last  atomic.Int64 // when the last lock there is ends: before that nothing has to be looked up
}

// A pair is one user from one source.
type pair struct {
	failed meter.Log
	until  int64 // it is locked, nanoseconds
	next   int64 // it may try again, if it is known good
	told   bool  // it got its 503
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, key: key, pairs: meter.NewTable[pair](cfg.Pairs, nil)}
}

// Inspect implements edge.Check: it keeps away who is locked. The first request gets 503 with Retry-After, at which guessing tools stop; what
// follows gets silence. A user whom the platform accepted from there before is only slowed, to one try a minute, and the flow that his phone is
// registered with not at all.
func (c *Check) Inspect(x *edge.Exchange) edge.Verdict {
	a, now := &x.Asked, x.At.UnixNano()
	if now >= c.last.Load() || a.User == 0 || a.Method == sip.OPTIONS {
		return edge.Verdict{}
	}
	key := c.key.Words(a.User, a.Source)
	p := c.pairs.Find(key, x.At)
	if p == nil {
		return edge.Verdict{}
	}
	defer c.pairs.Leave(key)
	if now >= p.until {
		return edge.Verdict{}
	}
	if a.Good && a.Trust == edge.Known { // somebody else's tries at the same address
		return edge.Verdict{}
	}
	if a.Good {
		if a.Secret == 0 || now >= p.next { // the try is the request with the password
			if a.Secret != 0 {
				p.next = now + int64(goodEvery)
			}
			return edge.Verdict{}
		}
		return edge.Verdict{Action: edge.Reply, Reason: reasonLocked, Status: 503, Text: "Try later", Retry: seconds(p.next - now)}
	}
	if p.told {
		return edge.Verdict{Action: edge.Drop, Reason: reasonLocked}
	}
	p.told = true
	return edge.Verdict{Action: edge.Reply, Reason: reasonLocked, Status: 503, Text: "Try later", Retry: seconds(p.until - now)}
}

// Watch implements edge.Watcher: it counts wrong passwords. A right one forgets them.
func (c *Check) Watch(x *edge.Exchange) edge.Verdict {
	a := &x.Asked
	if a.Secret == 0 || a.User == 0 {
		return edge.Verdict{}
	}
	key := c.key.Words(a.User, a.Source)
	if x.Msg.Status/100 == 2 {
		if p := c.pairs.Find(key, x.At); p != nil {
			*p = pair{}
			c.pairs.Leave(key)
		}
		return edge.Verdict{}
	}
	if !a.Failed(x.Msg.Status) {
		return edge.Verdict{}
	}
	p, _ := c.pairs.Enter(key, 0, x.At)
	if p == nil {
		return edge.Verdict{}
	}
	defer c.pairs.Leave(key)
	now := x.At.UnixNano()
	if p.failed.Add(c.cfg.Within, x.At) < c.cfg.Failures || now < p.until {
		return edge.Verdict{}
	}
	*p = pair{until: now + int64(c.cfg.For), next: now + int64(goodEvery)}
	if c.last.Load() < p.until {
		c.last.Store(p.until)
	}
	return edge.Verdict{Action: edge.Note, Reason: reasonLocked, Lock: edge.LockPair}
}

func seconds(nanoseconds int64) int { return int(nanoseconds/int64(time.Second)) + 1 }
