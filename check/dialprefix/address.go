package dialprefix

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// What calls to telephone numbers at our address weigh, of who gives no credentials: no phone of a user dials so.
const (
	callPoints  = 1               // of each from the second on
	callsPoints = 7               // of too many: such a source is greylisted, and stays so for two minutes
	hearing     = 5 * time.Second // that a call has until others of its source ring
	perSuccess  = 3               // such calls for each that rings are nothing unusual
)

// A caller is a source that calls numbers at our address without credentials.
type caller struct {
	vain meter.Log // calls that were refused or only challenged
	good meter.Log // that rang, or were answered
}

// atAddress notes the answer to a call of a stranger to a telephone number at our address, where that tells something: a trunk that nobody made a
// peer hears at once which numbers are not there, and only after a while that others ring, so a call counts a while later.
func (c *Check) atAddress(a *edge.Asked, status int, at time.Time) edge.Verdict {
	if c.cfg.Guests || !a.Literal || a.Secret != 0 || a.Answer != edge.AnswerNone || a.Good || a.Trust != edge.Unknown || status >= 300 && !vain(status) {
		return edge.Verdict{}
	}
	key := a.Account()
	one, _ := c.callers.Note(key, a.Proven, at)
	if one == nil {
		return edge.Verdict{}
	}
	defer c.callers.Leave(key)
	if status < 300 {
		one.good.Add(c.cfg.Within, at)
		return edge.Verdict{}
	}
	n := one.vain.Count(c.cfg.Within, at.Add(-hearing)) + 1
	one.vain.Add(c.cfg.Within, at)
	switch {
	case n == 1, n <= perSuccess*one.good.Count(c.cfg.Within, at):
		return edge.Verdict{}
	case n < c.cfg.Calls:
		return edge.Verdict{Action: edge.Note, Reason: reasonAddress, Score: callPoints, Most: float64(c.cfg.Calls - 1)}
	}
	return edge.Verdict{Action: edge.Note, Reason: reasonAddress, Score: callsPoints, Most: callsPoints}
}

// answered forgets the calls of who now gives the credentials that he was asked for: so does each phone that is not registered.
func (c *Check) answered(a *edge.Asked, at time.Time) {
	if !a.Literal || a.Method != sip.INVITE || a.Good || !a.Answers() {
		return
	}
	key := a.Account()
	if one := c.callers.Find(key, at); one != nil {
		one.vain = meter.Log{}
		c.callers.Leave(key)
	}
}

// vain reports whether status says that who called is not to call there, or asks who he is. That somebody is busy, or the platform in trouble, says
// nothing of who called.
func vain(status int) bool {
	switch status {
	case 401, 403, 404, 407, 410, 480, 484, 603, 604:
		return true
	}
	return false
}
