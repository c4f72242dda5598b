package judge

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// A Share is how much of the traffic of the last ten minutes came from one private or loopback address: that of a proxy or of a container
// bridge in front of us, if it is nearly all of it.
type Share struct {
	Addr     netip.Addr // the zero Addr: no such address stands out
	Requests uint64     // from there
	All      uint64     // from everywhere outside
	Known    int        // users whom the platform accepted from there within 30 days
}

// crowd counts requests from outside, and those of the one private address that most of them may come from. There can be no more than one that
// nearly all come from, so one candidate is enough: who does not prove true makes room for the next to be seen.
type crowd struct {
	all   atomic.Uint64
	stage atomic.Pointer[candidate] // nil: the next private address
	began time.Time                 // of the half at hand; this and what follows belongs to who calls Front
	past  uint64                    // requests of the half before
}

type candidate struct {
	addr    netip.Addr
	n       atomic.Uint64
	past    uint64 // requests of the half before
	skipped uint64 // requests of this half from before it was the candidate
}

const (
	half   = 5 * time.Minute // two of them are what is looked at
	staged = 20              // requests after which a candidate is one of more than half of all requests, or none
)

// count counts a request.
func (c *crowd) count(from netip.Addr) {
	c.all.Add(1)
	if !from.IsPrivate() && !from.IsLoopback() {
		return
	}
	one := c.stage.Load()
	if one == nil {
		one = &candidate{addr: from, skipped: c.all.Load() - 1}
		if !c.stage.CompareAndSwap(nil, one) {
			one = c.stage.Load()
		}
	}
	if one != nil && one.addr == from {
		one.n.Add(1)
	}
}

// Front returns the share of the private address that the most requests come from. It is to be asked about once a second, by one goroutine.
func (j *Judge) Front(at time.Time) Share {
	c := &j.crowd
	all, one := c.all.Load(), c.stage.Load()
	s := Share{All: all + c.past}
	if one != nil {
		mine := one.n.Load()
		s.Addr, s.Requests = one.addr, mine+one.past
		s.Known = j.known.at(j.key.Addr(one.addr), at)
		if heard := all - min(all, one.skipped); heard >= staged && 2*mine < heard {
			c.stage.Store(nil)
		}
	}
	if c.began.IsZero() {
		c.began = at
	}
	if at.Sub(c.began) >= half {
		c.began, c.past = at, c.all.Swap(0)
		if one != nil {
			one.past, one.skipped = one.n.Swap(0), 0
		}
	}
	return s
}
