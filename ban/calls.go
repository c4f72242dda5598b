package ban

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ringwall/ringwall/meter"
)

// calls are the accepted calls with parties outside, by where these are: a ban spares those that were there before it. They are no
// more than most: a call for which there is no room is one that no ban will spare. To note a call and its end costs a few look-ups,
// however many calls one flow has: a trunk brings thousands.
type calls struct {
	mu    sync.Mutex
	most  int
	byKey meter.Index
	all   []*[perBlock]calling // by place
	n     uint32               // places that have ever been taken
	free  []uint32             // of these, those that nobody has now
	flows roll                 // by address and port
	addrs roll                 // by address, the port 0
	over  []uint32             // that have ended, in that order
	swept int64                // Unix nanoseconds
}

// A calling is one call.
type calling struct {
	key           uint64
	began, ended  int64  // Unix nanoseconds; ended is 0 until it has
	with          *talk  // nil: it is none
	before, after uint32 // the calls of that flow that began before and after it
}

const (
	// callLife is how long a call is remembered that nobody saw the end of.
	callLife = 24 * time.Hour
	// afterwards is how long a BYE and the answer to it may be repeated (RFC 3261 §17.1.2.2, timer F).
	afterwards = 32 * time.Second

	perBlock = 1024
	none     = ^uint32(0) // the place of no call
)

func (c *calls) init(most int) {
	c.most, c.byKey = min(most, meter.MostPlaces-1), meter.NewIndex()
	c.flows, c.addrs = newRoll(), newRoll()
}

// at is the call at place i.
func (c *calls) at(i uint32) *calling { return &c.all[i/perBlock][i%perBlock] }

// find returns the place of the call with key.
func (c *calls) find(key uint64) (place uint32, known bool) {
	place, next, ok := c.byKey.Find(key)
	for ok && c.at(place).key != key {
		place, next, ok = c.byKey.Next(key, next)
	}
	return place, ok
}

// len is how many calls there are.
func (c *calls) len() int { return int(c.n) - len(c.free) }

// CallBegan notes that a call with the party at from outside was accepted. key, a keyed hash, names the call; to note it again changes nothing.
func (b *Book) CallBegan(key uint64, from netip.AddrPort, at time.Time) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.find(key); known || c.len() >= c.most {
		return
	}
	i := c.take()
	one := c.at(i)
	one.key, one.began, one.ended = key, at.UnixNano(), 0
	c.byKey.Put(key, i)
	c.append(c.talk(from), i)
}

// take returns a place for a call.
func (c *calls) take() (place uint32) {
	if n := len(c.free); n > 0 {
		place = c.free[n-1]
		c.free = c.free[:n-1]
		return place
	}
	if c.n%perBlock == 0 {
		c.all = append(c.all, new([perBlock]calling))
	}
	c.n++
	return c.n - 1
}

// append makes the call at place i the newest of t.
func (c *calls) append(t *talk, i uint32) {
	one := c.at(i)
	one.with, one.before, one.after = t, t.newest, none
	if t.newest == none {
		t.oldest = i
	} else {
		c.at(t.newest).after = i
	}
	t.newest = i
}

// talk is that of a flow, empty if it has had no call.
func (c *calls) talk(flow netip.AddrPort) *talk {
	t, fresh := c.flows.enter(flow)
	if fresh {
		a, _ := c.addrs.enter(whole(flow))
		a.flows++
	}
	return t
}

// whole is the address of a flow as addrs has it.
func whole(flow netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(flow.Addr(), 0) }

// silent takes a flow off the record, whose talk t has no call left.
func (c *calls) silent(t *talk) {
	a := c.addrs.find(whole(t.flow))
	if a.flows--; a.flows == 0 {
		c.addrs.remove(a)
	}
	c.flows.remove(t)
}

// CallEnded notes that the call with this key is over. What its parties still say of its end, and hear, is spared for afterwards.
func (b *Book) CallEnded(key uint64, at time.Time) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, known := c.find(key); known && c.at(i).ended == 0 {
		c.at(i).ended = at.UnixNano()
		c.over = append(c.over, i)
	}
}

// forget takes the call at place i off the record.
func (c *calls) forget(i uint32) {
	one := c.at(i)
	t := one.with
	if one.before == none {
		t.oldest = one.after
	} else {
		c.at(one.before).after = one.after
	}
	if one.after == none {
		t.newest = one.before
	} else {
		c.at(one.after).before = one.before
	}
	if t.oldest == none {
		c.silent(t)
	}
	c.byKey.Remove(one.key, i)
	one.with = nil
	c.free = append(c.free, i)
}

// began is when the oldest call of a flow was accepted: Unix nanoseconds. False: it has none.
func (c *calls) began(from netip.AddrPort) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.flows.find(from)
	if t == nil {
		return 0, false
	}
	return c.at(t.oldest).began, true
}

// Calling reports whether a call with the party at from goes on, as far as is known.
func (b *Book) Calling(from netip.AddrPort) bool {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.flows.find(from)
	if t == nil {
		return false
	}
	for i := t.oldest; i != none; i = c.at(i).after {
		if c.at(i).ended == 0 {
			return true
		}
	}
	return false
}

// of are the places of the calls of t in the order in which they began.
func (c *calls) of(t *talk) (places []uint32) {
	for i := t.oldest; i != none; i = c.at(i).after {
		places = append(places, i)
	}
	return places
}

// CallsMoved notes that the party at from has another address or port now, with all its calls.
func (b *Book) CallsMoved(from, to netip.AddrPort) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.flows.find(from)
	if t == nil || from == to {
		return
	}
	there := c.talk(to)
	places := append(c.of(t), c.of(there)...)
	slices.SortStableFunc(places, func(i, j uint32) int { return cmp.Compare(c.at(i).began, c.at(j).began) })
	there.oldest, there.newest = none, none
	for _, i := range places {
		c.append(there, i)
	}
	c.silent(t)
}

// within reports whether there is a call with a party in p.
func (c *calls) within(p netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.IsSingleIP() {
		return c.addrs.find(netip.AddrPortFrom(p.Addr(), 0)) != nil
	}
	return c.addrs.within(p)
}

// count is len for who does not hold the lock.
func (c *calls) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.len()
}

// Calls is how many accepted calls with parties outside go on, as far as is known: those of which nobody has seen the end, for a day at most.
func (b *Book) Calls() int {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.len() - len(c.over)
}

// sweep forgets the calls that are over, and every minute those that nobody saw the end of.
func (c *calls) sweep(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, n := at.UnixNano(), 0
	for ; n < len(c.over) && now-c.at(c.over[n]).ended >= int64(afterwards); n++ {
		c.forget(c.over[n])
	}
	c.over = slices.Delete(c.over, 0, n)
	if now-c.swept < int64(time.Minute) {
		return
	}
	c.swept = now
	for i := range c.n {
		if one := c.at(i); one.with != nil && one.ended == 0 && now-one.began >= int64(callLife) {
			c.forget(i)
		}
	}
}
