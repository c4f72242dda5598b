package proxy

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
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

// A parked is a message that waits, or the end of a transaction.
type parked struct {
	raw    []byte        // a copy
	x      edge.Exchange // what was found out about it, without the message
	ending ending        // raw is nil
}

// An aside is what waits, by call.
type aside struct {
	mu    sync.Mutex // guards the rest
	more  *sync.Cond // there is a call in ready, or closed is set
	calls map[uint64]*asideCall
	ready []*asideCall // that no goroutine has
	count int
	done  bool
}

// An asideCall is what waits of one call. It is on record from its first message until nothing is left of it.
type asideCall struct {
	key  uint64
	list []parked
}

func newAside() *aside {
	a := &aside{calls: map[uint64]*asideCall{}}
	a.more = sync.NewCond(&a.mu)
	return a
}

// put adds p to the queue of a call; false: there is no room. There is always room for an ending: each was a transaction.
func (a *aside) put(key uint64, p parked) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.calls[key]
	most := mostAside
	if p.x.Trust == edge.Unknown {
		most /= 2
	}
	if p.raw != nil && (a.count >= most || c != nil && len(c.list) >= mostOfACall) {
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

// serve takes up what waits until ctx ends.
func (a *aside) serve(ctx context.Context, p *Proxy) {
	stop := context.AfterFunc(ctx, a.close)
	defer stop()
	var all sync.WaitGroup
	for range asideLanes {
		l := p.NewLane(p.srv.NewOut()).(*lane)
		l.waits = true
		all.Go(func() {
			for c := a.next(); c != nil; c = a.next() {
				for one, more := a.take(c); more; one, more = a.take(c) {
					p.srv.Guarded(func(time.Time) { l.resume(one) })
				}
			}
		})
	}
	all.Wait()
}

// mayTakeLong reports whether media has to hear of x, which is admitted, and may take its time.
func (l *lane) mayTakeLong(x *edge.Exchange) bool {
	m := x.Msg
	return l.p.aside != nil && !l.waits && m.Status != 100 && (mayDescribe(m.CSeq.Method) || m.CSeq.Method == sip.ACK)
}

// overtakes reports whether x is a CANCEL whose INVITE may still be aside: it has no transaction yet.
func (l *lane) overtakes(x *edge.Exchange) bool {
	return l.p.aside != nil && !l.waits && x.Msg.Method == sip.CANCEL && x.Match == edge.MatchNew && l.p.aside.holds(l.asideKey(x))
}

// park puts x aside. Where there is no room it is lost, and comes again.
func (l *lane) park(x *edge.Exchange) {
	p := parked{raw: append([]byte(nil), x.Msg.Raw...), x: *x}
	p.x.Msg = nil
	if !l.p.aside.put(l.asideKey(x), p) {
		l.refuse(x, edge.Verdict{Action: edge.Drop, Reason: reasonMediaBusy})
	}
}

// asideKey tells calls apart: each side knows them by one Call-ID.
func (l *lane) asideKey(x *edge.Exchange) uint64 {
	return maphash.Bytes(l.p.seed, x.Msg.CallID.Of(x.Msg.Raw))
}

// resume takes up what waited: Receive for what has been seen, counted and admitted.
func (l *lane) resume(p parked) {
	l.ended = false
	defer l.survive(p.x.At)
	l.cfg, l.d.fate = l.p.cfg.Load(), fateNone
	if p.raw == nil {
		l.p.media.Over(p.ending.key, p.ending.status)
		l.ended = true
		return
	}
	l.raw, l.from, l.own.key, l.x.Msg = p.raw, p.x.From, 0, nil
	if l.msg.Parse(p.raw, p.x.From.Transport.Delimited()) == nil { // it did once
		l.x = p.x
		l.x.Msg = &l.msg
		l.goOn(&l.x)
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
	if x.Msg.Method == sip.CANCEL { // not admitted yet
		l.act(x, l.admit(x))
		return
	}
	l.own.loop = l.loopHash(x)
	l.pass(x)
}
