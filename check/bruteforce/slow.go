package bruteforce

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// Who guesses slower than all windows are long is told from a phone with a wrong password by what both answer to one nonce, which for this lasts a day.
const (
	day       = 24 * time.Hour
	different = 8 // answers to the nonce of a day: more than passwords of all phones of a user, on both sides of a change of nonces
)

// A slow is a user and an address, whatever the ports, that wrong passwords of his come from.
type slow struct {
	failed  meter.Window // within a day
	since   int64        // of the first answer, nanoseconds
	answers [different]uint32
	n       uint8 // of answers
}

// add notes an answer to the nonce of a day.
func (s *slow) add(answer uint64, at time.Time) {
	if at.UnixNano()-s.since >= int64(day) {
		s.since, s.n = at.UnixNano(), 0
	}
	short := uint32(answer >> 32)
	for _, one := range s.answers[:s.n] {
		if one == short {
			return
		}
	}
	if s.n < different {
		s.answers[s.n] = short
		s.n++
	}
}

// homeOf is the key of whose password is tried, and the address from where.
func (c *Check) homeOf(a *edge.Asked) uint64 { return c.key.Words(a.Tried(), a.Source) }

// failed notes a wrong password.
func (c *Check) failed(a *edge.Asked, status int, at time.Time) {
	if a.Method != sip.REGISTER || a.Good || !a.Failed(status) {
		return
	}
	key := c.homeOf(a)
	s, _ := c.slow.Note(key, a.Proven, at)
	if s == nil {
		return
	}
	defer c.slow.Leave(key)
	c.fails.Store(max(c.fails.Load(), at.Add(2*day).UnixNano()))
	if s.failed.Add(1, day, at) >= c.cfg.Slowly-different {
		c.last.Store(max(c.last.Load(), at.Add(day).UnixNano()))
	}
}

// slowly has who got a password wrong often enough within a day answer one nonce each time, and tells of who then gave as many different answers as no
// phone gives: as soon as he has shown, too, that he reads what is sent there.
func (c *Check) slowly(a *edge.Asked, at time.Time) edge.Verdict {
	if a.Tried() == 0 || a.Good || a.Method != sip.REGISTER {
		return edge.Verdict{}
	}
	key := c.homeOf(a)
	s := c.slow.Find(key, at)
	if s == nil {
		return edge.Verdict{}
	}
	defer c.slow.Leave(key)
	if s.failed.Count(day, at) < c.cfg.Slowly-different {
		return edge.Verdict{}
	}
	if a.Answer == edge.AnswerDay {
		s.add(a.Guess, at)
	}
	tried := a.Answer == edge.AnswerDay || a.Answer == edge.AnswerFixed || a.Apt && a.Tested
	switch {
	case !tried:
		return edge.Verdict{Action: edge.Challenge, Reason: reasonSlow, Steady: true}
	case a.Proven && s.n == different && at.UnixNano()-s.since < int64(day):
		return edge.Verdict{Action: edge.Drop, Reason: reasonSlow, Score: points, Most: 2 * points}
	}
	return edge.Verdict{}
}
