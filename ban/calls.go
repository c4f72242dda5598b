package ban

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// calls are the accepted calls with parties outside, by where these are: a ban spares those that were there before it. They are no
// more than most: a call for which there is no room is one that no ban will spare. To note a call and its end costs a few look-ups,
// however many calls one flow has: a trunk brings thousands.
type calls struct {
	mu     sync.Mutex
	most   int
	all    map[uint64]calling // by the key of the call
	flows  map[netip.AddrPort]*talk
	addrs  map[netip.Addr]int // how many
	unused []*talk            // of flows without a call, for the next ones
	over   []uint64           // that have ended, in that order
	swept  int64              // Unix nanoseconds
}

// A calling is one call.
type calling struct {
	from         netip.AddrPort
	began, ended int64 // Unix nanoseconds; ended is 0 until it has
}

// A talk is the calls of one flow.
type talk struct {
	keys []uint64 // in the order in which they began; of those behind the first some may be forgotten
	live int      // of keys that are not
}

const (
	// callLife is how long a call is remembered that nobody saw the end of.
	callLife = 24 * time.Hour
	// afterwards is how long a BYE and the answer to it may be repeated (RFC 3261 §17.1.2.2, timer F).
	afterwards = 32 * time.Second
)

func (c *calls) init(most int) {
	c.most, c.all = most, map[uint64]calling{}
	c.flows, c.addrs = map[netip.AddrPort]*talk{}, map[netip.Addr]int{}
}

// CallBegan notes that a call with the party at from outside was accepted. key names the call; to note it again changes nothing.
func (b *Book) CallBegan(key uint64, from netip.AddrPort, at time.Time) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.all[key]; known || len(c.all) >= c.most {
		return
	}
	c.all[key] = calling{from: from, began: at.UnixNano()}
	t := c.flows[from]
	if t == nil {
		t = c.talk()
		c.flows[from] = t
	}
	t.keys, t.live = append(t.keys, key), t.live+1
	c.addrs[from.Addr()]++
}

// mostUnused bounds what is kept for flows to come.
const mostUnused = 1024

// talk is an empty one.
func (c *calls) talk() *talk {
	n := len(c.unused)
	if n == 0 {
		return &talk{keys: make([]uint64, 0, 2)}
	}
	t := c.unused[n-1]
	c.unused = c.unused[:n-1]
	return t
}

// silent takes the flow off the record, whose talk t has no call left.
func (c *calls) silent(from netip.AddrPort, t *talk) {
	delete(c.flows, from)
	if t.keys = t.keys[:0]; len(c.unused) < mostUnused && cap(t.keys) <= 16 {
		c.unused = append(c.unused, t)
	}
}

// CallEnded notes that the call with this key is over. What its parties still say of its end, and hear, is spared for afterwards.
func (b *Book) CallEnded(key uint64, at time.Time) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if one, known := c.all[key]; known && one.ended == 0 {
		one.ended = at.UnixNano()
		c.all[key] = one
		c.over = append(c.over, key)
	}
}

// forget takes the call with key off the record, if it is there.
func (c *calls) forget(key uint64) {
	one, known := c.all[key]
	if !known {
		return
	}
	delete(c.all, key)
	t := c.flows[one.from]
	if t.live--; t.live == 0 {
		c.silent(one.from, t)
	} else {
		c.tidy(t)
	}
	c.leave(one.from.Addr(), 1)
}

// tidy makes the first key of t, which has calls, that of its oldest call, and keeps those that are forgotten from piling up behind it.
func (c *calls) tidy(t *talk) {
	forgotten := func(key uint64) bool {
		_, known := c.all[key]
		return !known
	}
	for forgotten(t.keys[0]) {
		t.keys = t.keys[1:]
	}
	if len(t.keys) > 2*t.live+8 {
		t.keys = slices.DeleteFunc(t.keys, forgotten)
	}
}

// began is when the oldest call of a flow was accepted: Unix nanoseconds. False: it has none.
func (c *calls) began(from netip.AddrPort) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.flows[from]
	if t == nil {
		return 0, false
	}
	return c.all[t.keys[0]].began, true
}

// Calling reports whether a call with the party at from goes on, as far as is known.
func (b *Book) Calling(from netip.AddrPort) bool {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.flows[from]
	return t != nil && slices.ContainsFunc(t.keys, func(key uint64) bool {
		one, known := c.all[key]
		return known && one.ended == 0
	})
}

// CallsMoved notes that the party at from has another address or port now, with all its calls.
func (b *Book) CallsMoved(from, to netip.AddrPort) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.flows[from]
	if t == nil || from == to {
		return
	}
	n := 0
	for _, key := range t.keys {
		if one, known := c.all[key]; known {
			one.from = to
			c.all[key] = one
			n++
		}
	}
	c.leave(from.Addr(), n)
	c.addrs[to.Addr()] += n
	if there := c.flows[to]; there != nil {
		t.keys, t.live = append(t.keys, there.keys...), t.live+there.live
		slices.SortStableFunc(t.keys, func(x, y uint64) int { return cmp.Compare(c.all[x].began, c.all[y].began) })
		c.tidy(t)
	}
	delete(c.flows, from)
	c.flows[to] = t
}

// leave takes n calls off those at a.
func (c *calls) leave(a netip.Addr, n int) {
	if c.addrs[a] -= n; c.addrs[a] <= 0 {
		delete(c.addrs, a)
	}
}

// within reports whether there is a call with a party in p.
func (c *calls) within(p netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.IsSingleIP() {
		return c.addrs[p.Addr()] > 0
	}
	for a := range c.addrs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (c *calls) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// Calls is how many accepted calls with parties outside go on, as far as is known: those of which nobody has seen the end, for a day at most.
func (b *Book) Calls() int {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all) - len(c.over)
}

// sweep forgets the calls that are over, and every minute those that nobody saw the end of.
func (c *calls) sweep(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n := at.UnixNano(), 0
	for ; n < len(c.over) && now-c.all[c.over[n]].ended >= int64(afterwards); n++ {
		c.forget(c.over[n])
	}
	c.over = slices.Delete(c.over, 0, n)
	if now-c.swept < int64(time.Minute) {
		return
	}
	c.swept = now
	for key, one := range c.all {
		if now-one.began >= int64(callLife) {
			c.forget(key)
		}
	}
}
