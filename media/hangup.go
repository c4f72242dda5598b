package media

import (
	"fmt"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Leg is what it takes to write a request in the name of one end of a dialog (RFC 3261 §12.2.1.1). Calls keeps legs for who hands them over
// and looks at Number alone.
type Leg struct {
	Flow   edge.Flow // where the end's messages come from
	Target []byte    // the Request-URI: what the far end wrote into Contact, as this end knows it
	Routes []byte    // its route set as Route fields, each with its CRLF; empty: not known
	Fields []byte    // From, To and Call-ID, as this end writes them, each with its CRLF
	Number uint32    // the highest CSeq number that it has used
}

// legs are both ends of a dialog. They have a lock of their own, since who holds a call's may wait for another program.
type legs struct {
	mu      sync.Mutex
	ends    [Ends]Leg
	certain [Ends]bool // the end's Routes are those that it writes
}

// keep notes g as an end's. What it does not say stays as it was: a re-INVITE changes the target, and no route (RFC 3261 §12.2).
func (l *legs) keep(e End, g Leg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := &l.ends[e]
	g.Number = max(g.Number, was.Number)
	if l.certain[e] = l.certain[e] || len(g.Routes) > 0; len(g.Routes) == 0 {
		g.Routes = was.Routes
	}
	if len(g.Target) == 0 {
		g.Target = was.Target
	}
	*was = g
}

// count notes a CSeq number, and reports whether the end's routes are to be learned from the request that has it.
func (l *legs) count(e End, number uint32) (learn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[e].Number = max(l.ends[e].Number, number)
	return !l.certain[e]
}

// learn notes the routes that an end wrote, and what those of the other one are, if nothing better is known.
func (l *legs) learn(e End, routes, other []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[e].Routes, l.certain[e] = routes, true
	if o := &l.ends[e.Other()]; len(o.Routes) == 0 {
		o.Routes = other
	}
}

// both returns the legs; false: they are not known, as of a dialog from before a restart.
func (l *legs) both() ([Ends]Leg, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range l.ends {
		if g := &l.ends[e]; len(g.Target) == 0 || len(g.Routes) == 0 || len(g.Fields) == 0 {
			return l.ends, false
		}
	}
	return l.ends, true
}

// Ends reports whether calls are to be ended whose media stopped, so that Keep and Count have a use.
func (c *Calls) Ends() bool { return c.silence.Load().End }

// Keep notes what a 2xx to INVITE or UPDATE says of both ends of a dialog, which the request with that key began or belongs to: who sent it, and who
// accepted it. Where one INVITE began several dialogs, the callees have one target and one route set: what server lacks of them was told by the first 2xx.
// It does not wait.
func (c *Calls) Keep(key, dialog uint64, client, server Leg) {
	x, b := c.dialog(key, dialog)
	if b == nil {
		return
	}
	if len(server.Target) > 0 {
		x.server.CompareAndSwap(nil, &server)
	} else if first := x.server.Load(); first != nil {
		server.Target, server.Routes = first.Target, first.Routes
	}
	b.legs.keep(x.from, client)
	b.legs.keep(x.from.Other(), server)
}

// Lacks reports whether Keep was not told of a dialog that the request with that key began or belongs to.
func (c *Calls) Lacks(key, dialog uint64) bool {
	_, b := c.dialog(key, dialog)
	if b == nil {
		return false
	}
	_, known := b.legs.both()
	return !known
}

// dialog finds the exchange of a request, and the dialog that it belongs to or, if it begins some, the one with that name.
func (c *Calls) dialog(key, dialog uint64) (*exchange, *branch) {
	x := c.find(key).x
	switch {
	case x == nil:
		return nil, nil
	case x.branch != nil:
		return x, x.branch
	}
	return x, c.find(dialog).branch
}

// Count notes the CSeq number of a request in a dialog. learn: it is not known which routes its sender writes, and Learn is to be told. It does not wait.
func (c *Calls) Count(dialog uint64, from End, number uint32) (learn bool) {
	b := c.find(dialog).branch
	return b != nil && b.legs.count(from, number)
}

// Learn notes the route set of an end, as Leg.Routes has it, and what that of the other end begins with, which is all of it unless there are proxies
// in front of this end that stay in dialogs.
func (c *Calls) Learn(dialog uint64, from End, routes, other []byte) {
	if b := c.find(dialog).branch; b != nil {
		b.legs.learn(from, routes, other)
	}
}

// Silenced takes the next dialog that is to be ended, because media of its call stopped: whoever asks ends it by BYE in the name of each
// end. False: there is none.
func (c *Calls) Silenced() ([Ends]Leg, bool) {
	c.all.Lock()
	defer c.all.Unlock()
	if len(c.silenced) == 0 {
		return [Ends]Leg{}, false
	}
	next := c.silenced[0]
	c.silenced = c.silenced[1:]
	return next, true
}

// hangUp has all dialogs of the call ended, once, and tells of it. From there on it ends like any other: by what answers BYE.
func (c *session) hangUp(silent End, since time.Duration, now time.Time) {
	if c.hungUp {
		return
	}
	var all [][Ends]Leg
	for _, b := range c.branches {
		if both, known := b.legs.both(); known && b.confirmed {
			all = append(all, both)
		}
	}
	if c.hungUp = len(all) > 0; !c.hungUp {
		return
	}
	c.tell(now, ReasonEnded, fmt.Sprintf("a call of %.64s to %.64s is ended: no media from %.96s for %v", c.caller, c.callee, c.name(silent), since.Round(time.Second)))
	c.calls.all.Lock()
	defer c.calls.all.Unlock()
	c.calls.silenced = append(c.calls.silenced, all...)
}
