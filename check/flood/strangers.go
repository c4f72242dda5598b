package flood

import (
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// What all strangers together may send, and as much again those of them who are proven, so that who forges sources shuts out nobody who is there: so
// much at once as in so many seconds, and as much more for each user whom the platform accepted, wherever he is, as flows of users have for themselves. So a
// site whose phones all boot at addresses that nobody knows yet stays well below it.
const strangersBurst = 20 * time.Second

// everybody is the key of all strangers together, in a table of their own.
const everybody = 1

// users counts the users whom the platform accepted since the check was made: a bit for each, which some share.
type users struct {
	bits [1024]atomic.Uint64
	n    atomic.Int64
}

// note takes note of the user with that hash. Who is there already costs a look.
func (u *users) note(user uint64) {
	word, bit := &u.bits[user>>54], uint64(1)<<(user>>48&63)
	if word.Load()&bit == 0 && word.Or(bit)&bit == 0 {
		u.n.Add(1)
	}
}

// accepted takes note of who the platform accepts with a password.
func (c *Check) accepted(a *edge.Asked, status int) {
	if a.Method == sip.REGISTER && status/100 == 2 && a.Secret != 0 {
		c.users.note(a.User)
	}
}

// together is what all strangers may send.
func (c *Check) together() meter.Limit {
	n := int(c.users.n.Load())
	every := time.Duration(float64(time.Second) / (float64(time.Second)/float64(c.cfg.Strangers) + float64(n)*float64(time.Second)/float64(userEvery)))
	return meter.Limit{Every: every, Burst: int(strangersBurst/c.cfg.Strangers) + n*userBurst}
}

// stranger reports whether a is one too many of all strangers'. OPTIONS are no matter: the edge itself answers them, at next to no cost. Where the
// platform takes calls from there, or lets them ring, it knows somebody whom we do not.
func (c *Check) stranger(a *edge.Asked, at time.Time) bool {
	if c.cfg.Strangers == 0 || a.Method == sip.OPTIONS {
		return false
	}
	all := c.all
	if a.Proven {
		all = c.proven
	}
	if all.Take(everybody, c.together(), at) {
		return false
	}
	return c.calls.Sum(a.Source, at) <= 2*c.calls.Noise(at)
}

// tooMany is the verdict on who comes when all strangers together have had their share. It is not his fault, so nothing is held against him.
func (c *Check) tooMany(x *edge.Exchange) edge.Verdict {
	a := &x.Asked
	if c.cfg.Unlimited {
		return edge.Verdict{Action: edge.Note, Reason: reasonStrangers}
	}
	if retry, told := c.later(c.told, a, x.At); told {
		return edge.Verdict{Action: edge.Reply, Reason: reasonStrangers, Status: 503, Retry: retry}
	}
	return edge.Verdict{Action: edge.Drop, Reason: reasonStrangers}
}

// later is how many seconds the phone of a user that a REGISTER is for is to wait, where it was not told within 30 s, as told knows.
func (c *Check) later(told *meter.Rates, a *edge.Asked, at time.Time) (retry int, tell bool) {
	if a.Method != sip.REGISTER || a.User == 0 || !told.Take(c.key.Words(a.User, a.Source), meter.Limit{Every: stormEvery, Burst: 1}, at) {
		return 0, false
	}
	return leastRetry + int(a.User%retrySpread), true
}
