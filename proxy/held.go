package proxy

import (
	"bytes"
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/transaction"
)

// On a connection nothing is repeated. So a request for which we knock is held until the answer comes, and goes on; whose does not come is
// challenged when the time is up.

// Bounds of what is held. What finds no room goes on: a request is never lost for want of memory.
const (
	holdTime    = time.Second // a phone answers within a round trip
	mostHeld    = 2048        // requests
	heldBytes   = 8 << 20     // in all
	largestHeld = 16 << 10    // bytes of one: a larger one is challenged at once
)

// held are the requests that wait for the answer to a knock, each under the mark of that answer.
type held struct {
	count atomic.Int32 // of them, to be read without mu

	mu    sync.Mutex // guards the rest
	bytes int
	by    map[uint64]*list.Element
	order list.List // of holding, the oldest first
}

type holding struct {
	parked
	mark uint64
}

// put holds p; false: there is no room.
func (h *held) put(mark uint64, p parked) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by[mark] != nil || len(h.by) >= mostHeld || h.bytes+len(p.raw) > heldBytes {
		return false
	}
	if h.by == nil {
		h.by = map[uint64]*list.Element{}
	}
	h.by[mark] = h.order.PushBack(holding{p, mark})
	h.bytes += len(p.raw)
	h.count.Add(1)
	return true
}

// take takes out what is held under mark; false: nothing is.
func (h *held) take(mark uint64) (parked, bool) {
	if h.count.Load() == 0 {
		return parked{}, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.remove(h.by[mark])
}

// due takes out one whose time is up at now; false: there is none.
func (h *held) due(now time.Time) (parked, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.order.Front()
	if e == nil || now.Sub(e.Value.(holding).x.At) < holdTime {
		return parked{}, false
	}
	return h.remove(e)
}

// remove takes e out, if it is any. h is locked.
func (h *held) remove(e *list.Element) (parked, bool) {
	if e == nil {
		return parked{}, false
	}
	p := h.order.Remove(e).(holding)
	delete(h.by, p.mark)
	h.bytes -= len(p.raw)
	h.count.Add(-1)
	return p.parked, true
}

// hold keeps x, which came over a connection, until its knock is answered; false: there is no room.
func (l *lane) hold(x *edge.Exchange, knock transaction.ID) bool {
	return l.p.held.put(l.knockMarkOf(knock, x.From, answeredFrom), l.copied(x))
}

// admitHeld takes up what was held under mark, now that the knock for it is answered: it goes on.
func (l *lane) admitHeld(mark uint64, at time.Time) {
	p, found := l.p.held.take(mark)
	if !found {
		return
	}
	if x := l.takeUp(&p, at); x != nil {
		l.goOn(x)
	}
}

// callsOff ends the INVITE that x, a CANCEL, is about, if it is held; the platform has heard of neither.
func (l *lane) callsOff(x *edge.Exchange) bool {
	if !x.From.Transport.Stream() || x.Match != edge.MatchNew || l.p.held.count.Load() == 0 {
		return false
	}
	p, found := l.p.held.take(l.knockMarkOf(l.knockID(x), x.From, answeredFrom))
	if !found {
		return false
	}
	l.reply(x, 200, "")
	if x = l.takeUp(&p, x.At); x != nil {
		l.reply(x, 487, "")
	}
	return true
}

// overdue challenges who has not answered a knock in time, unless nobody is challenged any more.
func (l *lane) overdue(now time.Time) {
	l.ended = false
	defer l.survive(now)
	l.cfg = l.p.cfg.Load()
	for p, more := l.p.held.due(now); more; p, more = l.p.held.due(now) {
		x := l.takeUp(&p, now)
		switch {
		case x == nil: // it was read once: never
		case l.challenges():
			l.challenge(x, false)
		default:
			l.goOn(x)
		}
	}
	l.out.Flush()
	l.ended = true
}

// takeUp makes p, a request that waited, the message at hand, as of now; nil if it can't be read.
func (l *lane) takeUp(p *parked, now time.Time) *edge.Exchange {
	l.raw, l.from, l.own.key, l.x.Msg = p.raw, p.x.From, 0, nil
	l.d.fate = fateNone
	if l.msg.Parse(p.raw, p.x.From.Transport.Delimited()) != nil {
		return nil
	}
	l.x = p.x
	l.x.Msg, l.x.At = &l.msg, now
	l.out.About(l.msg.CallID.Of(p.raw))
	return &l.x
}

// copied is what is kept of x while it waits.
func (l *lane) copied(x *edge.Exchange) parked {
	p := parked{raw: bytes.Clone(x.Msg.Raw), x: *x, ours: l.ordered}
	p.x.Msg = nil
	return p
}
