package proxy

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/sip"
)

// Where another program relays media, its answer takes a round trip, and no lane may wait for that. What media has to hear of then goes
// aside: once it is admitted, its bytes are put into a queue of its call, and a few goroutines, each with a lane of its own, take it up
// from there, one message of a call after the other.

// Bounds of what waits.
const (
	asideLanes  = 16   // goroutines that wait for the relay of media
	mostAside   = 4096 // messages in all; strangers have half of it
	mostOfACall = 32   // messages of one call
)

// A parked is a message that waits, or the end of a transaction, or a name that is to be looked up again.
type parked struct {
	raw    []byte        // a copy; nil: there is no message
	x      edge.Exchange // what was found out about it, without the message
	ours   bool          // see lane.ordered
	ending ending        // raw is nil
	query  resolve.Query // with a host: what is to be looked up first
}

// An aside is what waits, by call, or by the name that it goes to.
type aside struct {
	most, each int // messages in all, and of one call

	mu    sync.Mutex // guards the rest
	more  *sync.Cond // there is a call in ready, or closed is set
	calls map[uint64]*asideCall
	ready []*asideCall // that no goroutine has
	count int
	done  bool // until serve is called again
}

// An asideCall is what waits of one call. It is on record from its first message until nothing is left of it.
type asideCall struct {
	key  uint64
	list []parked
}

func newAside(most, each int) *aside {
	a := &aside{most: most, each: each, calls: map[uint64]*asideCall{}}
	a.more = sync.NewCond(&a.mu)
	return a
}

// put adds p to the queue of a call; false: there is no room. There is always room for what is no message: each was a transaction, or is a name on record.
func (a *aside) put(key uint64, p parked) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.calls[key]
	most := a.most
	if p.x.Trust == edge.Unknown {
		most /= 2
	}
	if p.raw != nil && (a.count >= most || c != nil && len(c.list) >= a.each) {
		return false
	}
	if c == nil {
		c = &asideCall{key: key}
		a.calls[key] = c
		a.ready = append(a.ready, c)
		a.more.Signal()
	}
	c.list = append(c.list, p)
	a.count++
	return true
}

// holds reports whether something of a call waits, or is being handled.
func (a *aside) holds(key uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[key] != nil
}

// next waits for a call of which something waits; nil: the end.
func (a *aside) next() *asideCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.ready) == 0 && !a.done {
		a.more.Wait()
	}
	if a.done {
		return nil
	}
	c := a.ready[0]
	a.ready = a.ready[1:]
	return c
}

// take takes the first that waits of a call; false: nothing is left, and the call is off the record.
func (a *aside) take(c *asideCall) (parked, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(c.list) == 0 {
		delete(a.calls, c.key)
		return parked{}, false
	}
	p := c.list[0]
	c.list = c.list[1:]
	a.count--
	return p, true
}

// close ends next.
func (a *aside) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
	a.more.Broadcast()
}

// serve takes up what waits, in that many goroutines, until ctx ends.
func (a *aside) serve(ctx context.Context, p *Proxy, lanes int) {
	a.mu.Lock()
	a.done = false
	a.mu.Unlock()
	stop := context.AfterFunc(ctx, a.close)
	defer stop()
	var all sync.WaitGroup
	for range lanes {
		l := p.NewLane(p.srv.NewOut()).(*lane)
		l.waits = true
		all.Go(func() {
			for c := a.next(); c != nil; c = a.next() {
				for one, more := a.take(c); more; one, more = a.take(c) {
					p.srv.Guarded(func(at time.Time) { l.resume(ctx, one, at) })
				}
			}
		})
	}
	all.Wait()
}

// mayTakeLong reports whether media has to hear of x, which is admitted, and may take its time.
func (l *lane) mayTakeLong(x *edge.Exchange) bool {
	m := x.Msg
	return l.p.aside != nil && !l.waits && m.Status != 100 && (MayDescribe(m.CSeq.Method) || m.CSeq.Method == sip.ACK)
}

// overtakes returns where x is to wait if it is a CANCEL whose INVITE may still wait there: it has no transaction yet. nil: it need not.
func (l *lane) overtakes(x *edge.Exchange) (a *aside, key uint64) {
	if l.waits || x.Msg.Method != sip.CANCEL || x.Match != edge.MatchNew {
		return nil, 0
	}
	if a, key = l.p.aside, l.asideKey(x); a != nil && a.holds(key) {
		return a, key
	}
	uri, ok := l.nextURI(x)
	if !ok || x.From.Side == edge.Outside {
		return nil, 0
	}
	q, host, ok := l.queryFor(nil, x.Msg.Raw, &uri)
	if !ok {
		return nil, 0
	}
	q.Host = string(host)
	if a, key = l.p.hosts.aside, maphash.Comparable(l.p.seed, q); a.holds(key) {
		return a, key
	}
	return nil, 0
}

// park puts x aside in the queue of a. Where there is no room it is lost, and comes again.
func (l *lane) park(x *edge.Exchange, a *aside, key uint64) {
	if !l.setAside(x, a, key, resolve.Query{}) {
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonMediaBusy})
	}
}

// setAside puts a copy of x into the queue of a, to be taken up when q has been looked up, if that has a host. False: there is no room.
func (l *lane) setAside(x *edge.Exchange, a *aside, key uint64, q resolve.Query) bool {
	p := l.copied(x)
	p.query = q
	return a.put(key, p)
}

// asideKey tells calls apart: each side knows them by one Call-ID.
func (l *lane) asideKey(x *edge.Exchange) uint64 {
	return maphash.Bytes(l.p.seed, x.Msg.CallID.Of(x.Msg.Raw))
}

// resume takes up what waited: Receive for what has been seen, counted and admitted. Look-ups take long: the time of what waits for one
// begins anew.
func (l *lane) resume(ctx context.Context, p parked, at time.Time) {
	l.ended, l.ordered = false, false
	defer l.survive(p.x.At)
	l.cfg, l.answered = l.p.cfg.Load(), nil
	switch {
	case p.query.Host != "":
		l.answered, p.x.At = l.p.hosts.seek(ctx, p.query, at), time.Now()
	case p.raw == nil:
		l.p.media.Over(p.ending.key, p.ending.status)
	}
	if p.raw == nil {
		l.ended = true
		return
	}
	if x := l.takeUp(&p, p.x.At); x != nil {
		l.ordered = p.ours
		l.goOn(x)
		l.ordered = false
	}
	if len(l.orders) > 0 {
		l.obey(p.x.At)
	}
	l.out.Flush()
	l.ended = true
}

// goOn does what was left to do for x.
func (l *lane) goOn(x *edge.Exchange) {
	if !x.Msg.IsRequest() {
		l.response(x)
		return
	}
	l.match(x)
	l.answers(x)
	if x.Msg.Method == sip.CANCEL { // not admitted yet
		l.act(x, l.admit(x))
		return
	}
	l.own.loop = l.loopHash(x)
	l.pass(x)
}
