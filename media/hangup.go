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
	Fields []byte    // Route, From, To and Call-ID, as this end writes them, each with its CRLF; empty: not known
	Number uint32    // the highest CSeq number that it has used
}

// legs are both ends of a dialog. They have a lock of their own, since who holds a call's may wait for another program.
type legs struct {
	mu   sync.Mutex
	ends [Ends]Leg
}

// keep notes g as an end's. What it does not say stays as it was: a re-INVITE changes the target, and no route (RFC 3261 §12.2).
func (l *legs) keep(e End, g Leg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := &l.ends[e]
	g.Number = max(g.Number, was.Number)
	if len(g.Fields) == 0 {
		g.Fields = was.Fields
	}
	if len(g.Target) == 0 {
		g.Target = was.Target
	}
	*was = g
}

func (l *legs) count(e End, number uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[e].Number = max(l.ends[e].Number, number)
}

// both returns the legs; false: they are not known, as of a dialog from before a restart.
func (l *legs) both() ([Ends]Leg, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range l.ends {
		if g := &l.ends[e]; len(g.Target) == 0 || len(g.Fields) == 0 {
			return l.ends, false
		}
	}
	return l.ends, true
}

// Ends reports whether calls are to be ended whose media stopped, so that Keep and Count have a use.
func (c *Calls) Ends() bool { return c.cfg.End }

// Keep notes what a 2xx to INVITE or UPDATE says of both ends of a dialog, which the request with that key began or belongs to: who sent it, and who
// accepted it. It does not wait.
func (c *Calls) Keep(key, dialog uint64, client, server Leg) {
	x := c.find(key).x
	if x == nil {
		return
	}
	b := x.branch
	if b == nil {
		b = c.find(dialog).branch
	}
	if b == nil {
		return
	}
	b.legs.keep(x.from, client)
	b.legs.keep(x.from.Other(), server)
}

// Count notes the CSeq number of a request in a dialog. It does not wait.
func (c *Calls) Count(dialog uint64, from End, number uint32) {
	if b := c.find(dialog).branch; b != nil {
		b.legs.count(from, number)
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
