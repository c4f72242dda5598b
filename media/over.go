package media

import (
	"slices"

	"github.com/ringwall/ringwall/sip"
)

// How transactions, dialogs and calls end.

// dropLosers forgets the branches that were never confirmed, now that one is.
func (c *session) dropLosers() {
	kept := c.branches[:0]
	for _, b := range c.branches {
		if b.confirmed {
			kept = append(kept, b)
		} else {
			c.calls.leave(b.dialog, c)
			c.anchor.departed(b.dialog)
		}
	}
	clear(c.branches[len(kept):])
	c.branches = kept
}

// over takes note of how x ended.
func (c *session) over(x *exchange, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || x.over {
		return
	}
	x.over = true
	ok := status/100 == 2
	switch {
	case x.method == sip.BYE:
		if status != 401 && status != 407 { // RFC 3261 §15.1.1: whatever else it is, the dialog is over
			c.depart(x.branch)
		}
	case x == c.inviting:
		if c.inviting = nil; !ok {
			c.dropLosers()
		}
	case x.branch == nil:
	case x.offer != 0 && (!ok || x.answer == 0):
		c.anchor.rollback(x.staged)
	case !ok && x.branch.waits() && x.branch.late.key == x.key:
		c.anchor.rollback(x.branch.late.staged)
		x.branch.late = nil
	}
	if c.inviting == nil && (!slices.ContainsFunc(c.branches, (*branch).taken) || c.anchor.empty() && !ok) {
		c.account(c.heardOf)
		c.finish()
	}
	c.changed()
}

// depart forgets a dialog that is over. Media goes by another one of the call, if there is one.
func (c *session) depart(gone *branch) {
	var next *branch
	kept := c.branches[:0]
	for _, b := range c.branches {
		if b == gone {
			continue
		}
		if kept = append(kept, b); b.confirmed && next == nil {
			next = b
		}
	}
	if len(kept) < len(c.branches) {
		c.branches[len(kept)] = nil
		c.calls.leave(gone.dialog, c)
	}
	c.branches = kept
	if c.current == gone {
		c.turn(next)
	}
	c.anchor.departed(gone.dialog)
}

// turn lets media flow by b, if that is one and has said where.
func (c *session) turn(b *branch) {
	if c.current = b; b != nil && b.chosen != nil {
		c.anchor.choose(b.chosen)
	}
}

// end ends the call as far as media is concerned.
func (c *session) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish()
}

// finish is end for who holds the lock.
func (c *session) finish() {
	if c.ended {
		return
	}
	c.ended = true
	c.anchor.close()
	for _, x := range c.exchanges {
		c.calls.leave(x.key, c)
	}
	for _, b := range c.branches {
		c.calls.leave(b.dialog, c)
	}
	c.calls.forget(c)
	c.changed()
}
