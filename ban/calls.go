package ban

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// calls are the accepted calls with parties outside, by where these are: a ban spares those that were there before it. They are no
// more than most: a call for which there is no room is one that no ban will spare.
type calls struct {
	mu    sync.Mutex
	most  int
	all   map[uint64]netip.AddrPort // by the key of the call
	flows map[netip.AddrPort]talk
	addrs map[netip.Addr]int // how many
	over  map[uint64]int64   // that have ended, and when: Unix nanoseconds
	swept int64              // Unix nanoseconds
}

// A calling is one call of a flow.
type calling struct {
	key   uint64
	began int64 // Unix nanoseconds
}

// A talk is the calls of one flow, nearly always one.
type talk struct {
	oldest calling
	more   []calling // in the order in which they began
}

const (
	// callLife is how long a call is remembered that nobody saw the end of.
	callLife = 24 * time.Hour
	// afterwards is how long a BYE and the answer to it may be repeated (RFC 3261 §17.1.2.2, timer F).
	afterwards = 32 * time.Second
)

func (c *calls) init(most int) {
	c.most, c.all, c.over = most, map[uint64]netip.AddrPort{}, map[uint64]int64{}
	c.flows, c.addrs = map[netip.AddrPort]talk{}, map[netip.Addr]int{}
}

// CallBegan notes that a call with the party at from outside was accepted. key names the call; to note it again changes nothing.
func (b *Book) CallBegan(key uint64, from netip.AddrPort, at time.Time) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.all[key]; known || len(c.all) >= c.most {
		return
	}
	c.all[key] = from
	one := calling{key, at.UnixNano()}
	if t, talks := c.flows[from]; talks {
		t.more = append(t.more, one)
		c.flows[from] = t
	} else {
		c.flows[from] = talk{oldest: one}
	}
	c.addrs[from.Addr()]++
}

// CallEnded notes that the call with this key is over. What its parties still say of its end, and hear, is spared for afterwards.
func (b *Book) CallEnded(key uint64, at time.Time) {
	c := &b.calls
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.all[key]; known {
		c.over[key] = at.UnixNano()
	}
}

// forget takes the call with key, which is there, off the record.
func (c *calls) forget(key uint64) {
	from := c.all[key]
	delete(c.all, key)
	delete(c.over, key)
	t := c.flows[from]
	switch {
	case t.oldest.key != key:
		t.more = slices.DeleteFunc(t.more, func(one calling) bool { return one.key == key })
		c.flows[from] = t
	case len(t.more) > 0:
		c.flows[from] = talk{t.more[0], t.more[1:]}
	default:
		delete(c.flows, from)
	}
	if c.addrs[from.Addr()]--; c.addrs[from.Addr()] == 0 {
		delete(c.addrs, from.Addr())
	}
}

// began is when the oldest call of a flow was accepted: Unix nanoseconds. False: it has none.
func (c *calls) began(from netip.AddrPort) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, talks := c.flows[from]
	return t.oldest.began, talks
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

// sweep forgets the calls that are over, and every minute those that nobody saw the end of.
func (c *calls) sweep(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, ended := range c.over {
		if at.UnixNano()-ended >= int64(afterwards) {
			c.forget(key)
		}
	}
	if at.UnixNano()-c.swept < int64(time.Minute) {
		return
	}
	c.swept = at.UnixNano()
	var old []uint64
	for _, t := range c.flows {
		for _, one := range append([]calling{t.oldest}, t.more...) {
			if c.swept-one.began >= int64(callLife) {
				old = append(old, one.key)
			}
		}
	}
	for _, key := range old {
		c.forget(key)
	}
}
