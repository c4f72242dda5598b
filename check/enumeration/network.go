package enumeration

import (
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// Who has an IPv6 /48 has 65,536 addresses in it, as far as anything counts by address (/64), and can ask for each user from another one. So strangers of one /48
// count together, too. Nobody is found out by that, since it may be a carrier's: when too many of them asked without success, they wait for each other.
const (
	slowed  = 10 * time.Minute // they wait for so long after the last of too many,
	between = 10 * time.Second // and so long between two requests
	retry   = 5                // seconds
	retries = 26
)

// networks are those whose strangers wait.
type networks struct {
	slow *meter.Table[queue]
	last atomic.Int64 // until when any of them wait: before that nothing has to be looked up
}

type queue struct {
	until int64 // nanoseconds: there is one
	next  int64 // request that passes
}

// network is the key of the /48 of an IPv6 address, 0 of others.
func (c *Check) network(a *edge.Asked) uint64 {
	addr := a.From.Remote.Addr()
	if !addr.Is6() || addr.Is4In6() {
		return 0
	}
	return c.key.Network(addr)
}

// watchNetwork is Watch for the network of a. What succeeds there counts of everybody, what does not of strangers.
func (c *Check) watchNetwork(key uint64, a *edge.Asked, status int, at time.Time) {
	if status >= 300 && (a.Good || a.Trust != edge.Unknown) {
		return
	}
	delay, counts := c.heard(key, a, status, at)
	if !counts {
		return
	}
	if c.without(key, a, delay, at); !c.tooMany(key, at) {
		return
	}
	q, _ := c.networks.slow.Note(key, a.Proven, at)
	if q == nil {
		return
	}
	q.until = at.Add(slowed).UnixNano()
	if c.networks.last.Load() < q.until {
		c.networks.last.Store(q.until)
	}
	c.networks.slow.Leave(key)
	c.networks.slow.Keep(key)
}

// tooMany reports whether strangers of a network asked for too many users, and too few others there succeeded.
func (c *Check) tooMany(key uint64, at time.Time) bool {
	s := c.sources.Find(key, at)
	if s == nil {
		return false
	}
	defer c.sources.Leave(key)
	n := s.without(c.cfg.Within, at)
	return n >= c.cfg.Slowly && n > perSuccess*s.succeeded()
}

// waits reports whether a stranger has to wait for others of his network. Who has the answer to a challenge that he was given has waited before; OPTIONS gets no further
// than here anyway.
func (c *Check) waits(a *edge.Asked, at time.Time) bool {
	now := at.UnixNano()
	if now >= c.networks.last.Load() || a.Answers() || a.Method == sip.OPTIONS || a.Good {
		return false
	}
	key := c.network(a)
	if key == 0 {
		return false
	}
	q := c.networks.slow.Find(key, at)
	if q == nil {
		return false
	}
	defer c.networks.slow.Leave(key)
	if now >= q.until {
		return false
	}
	if now < q.next {
		return true
	}
	q.next = now + int64(between)
	return false
}
