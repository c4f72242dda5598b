package ban

import (
	"net/netip"
	"sync"
	"time"
)

// calls are the accepted calls with parties outside, by where these are: a ban spares those that were there before it. They are no
// more than most: a call for which there is no room is one that no ban will spare.
type calls struct {
	mu    sync.Mutex
	most  int
	all   map[uint64]netip.AddrPort    // by the key of the call
	flows map[netip.AddrPort][]calling // the oldest first
	addrs map[netip.Addr]int           // how many
	swept int64                        // Unix nanoseconds
}

// A calling is one call of a flow.
type calling struct {
	key   uint64
	began int64 // Unix nanoseconds
}

// callLife is how long a call is remembered that nobody saw the end of.
const callLife = 24 * time.Hour

func (c *calls) init(most int) {
	c.most, c.all, c.flows, c.addrs = most, map[uint64]netip.AddrPort{}, map[netip.AddrPort][]calling{}, map[netip.Addr]int{}
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
	c.flows[from] = append(c.flows[from], calling{key, at.UnixNano()})
	c.addrs[from.Addr()]++
}

// CallEnded notes that the call with this key is over.
func (b *Book) CallEnded(key uint64) {
	b.calls.mu.Lock()
	defer b.calls.mu.Unlock()
	b.calls.end(key)
}

func (c *calls) end(key uint64) {
	from, known := c.all[key]
	if !known {
		return
	}
	delete(c.all, key)
	if list := c.flows[from]; len(list) == 1 {
		delete(c.flows, from)
	} else {
		for i := range list {
			if list[i].key == key {
				c.flows[from] = append(list[:i], list[i+1:]...)
				break
			}
		}
	}
	if c.addrs[from.Addr()]--; c.addrs[from.Addr()] == 0 {
		delete(c.addrs, from.Addr())
	}
}

// began is when the oldest call of a flow was accepted: Unix nanoseconds. False: it has none.
func (c *calls) began(from netip.AddrPort) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.flows[from]
	if len(list) == 0 {
		return 0, false
	}
	return list[0].began, true
}

// from reports whether there is a call with a party at a.
func (c *calls) from(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addrs[a] > 0
}

func (c *calls) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// sweep forgets calls that nobody saw the end of, every minute.
func (c *calls) sweep(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.UnixNano()-c.swept < int64(time.Minute) {
		return
	}
	c.swept = at.UnixNano()
	var old []uint64
	for _, list := range c.flows {
		for _, one := range list {
			if c.swept-one.began >= int64(callLife) {
				old = append(old, one.key)
			}
		}
	}
	for _, key := range old {
		c.end(key)
	}
}
