// Package bruteforce finds who tries one password after the other. See README.md.
package bruteforce

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonGuess edge.Reason = "bruteforce.guess" // many different passwords for one user, and none was right
	reasonSlow  edge.Reason = "bruteforce.slow"  // the same in a day
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonGuess, reasonSlow} }

// Config says how many tries are too many. The zero value of a field means its default.
type Config struct {
	Tries  int           // answers to challenges for one user, within Within; default 8
	Within time.Duration // default 1 min
	Slowly int           // wrong passwords of one user from one address within a day, the last of them different ones; default 20
	Pairs  int           // of user and source, remembered at once, 350 bytes each; default 16,384
}

const points = 10

// memory is how long a pair is remembered at least that tries nothing.
const memory = time.Hour

// calls is how many refused ones are too many of who was never accepted there: phones register before they call, and each try takes two INVITEs.
const calls = 4

func (c Config) withDefaults() Config {
	c.Tries = cmp.Or(c.Tries, 8)
	c.Within = cmp.Or(c.Within, time.Minute)
	c.Slowly = cmp.Or(c.Slowly, 20)
	c.Pairs = cmp.Or(c.Pairs, 1<<14)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Tries < 2 || c.Tries > meter.LogMost {
		errs = append(errs, fmt.Errorf("bruteforce: %d tries, want 2 to %d", c.Tries, meter.LogMost))
	}
	if c.Within < time.Second {
		errs = append(errs, fmt.Errorf("bruteforce: within %v, want at least 1s", c.Within))
	}
	if c.Slowly <= different || c.Slowly > 1000 {
		errs = append(errs, fmt.Errorf("bruteforce: slowly %d, want %d to 1000", c.Slowly, different+1))
	}
	return errors.Join(errs...)
}

// A Check remembers what was answered for each pair of user and source.
type Check struct {
	cfg   Config
	key   meter.Key
	pairs *meter.Table[pair]
	slow  *meter.Table[slow]
	fails atomic.Int64 // until when any wrong password counts there
	last  atomic.Int64 // until when anybody is asked with the nonce of a day: after that nothing has to be looked up
}

type pair struct {
	recent  meter.Log      // new answers
	seen    meter.Distinct // answers since the last success
	since   uint32         // Unix time of the first of guesses
	guesses uint8          // different answers to the edge's own fixed nonce
}

// A phone with a wrong password answers one nonce always the same; a user who types his anew does so twice, or three times.
const (
	diverse   = 4               // answers to one nonce: somebody guesses, however slowly
	nonceLife = 5 * time.Minute // of the edge's fixed nonce (design, section 5)
)

// diverse notes a new answer to the fixed nonce, and reports whether there are too many of them.
func (p *pair) diverse(at time.Time) bool {
	if now := uint32(at.Unix()); now-p.since >= uint32(nonceLife/time.Second) {
		p.since, p.guesses = now, 0
	}
	p.guesses = min(p.guesses, diverse) + 1
	return p.guesses >= diverse
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, key: key, pairs: meter.NewEvidence[pair](cfg.Pairs, max(cfg.Within, memory), nil), slow: meter.NewEvidence[slow](cfg.Pairs, day, nil)}
}

// Minds implements edge.Chooser: without a password nothing is guessed, but who is to answer the nonce of a day is asked at each REGISTER.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	return edge.Minds{Bare: 1 << sip.REGISTER, Signed: 1<<sip.REGISTER | 1<<sip.INVITE}, edge.Minds{Signed: edge.All}
}

// Inspect implements edge.Check. Tries to register count when they come, whether or not they get as far as the platform: who is locked out and
// goes on all the same is no phone. A repeated request has the same answer in it and counts once. A phone that is registered there with its own
// password guesses nothing, whatever else is refused to it. Nor need be wrong what comes with calls: a telephone system may begin many before the first
// is answered, so these count when they are refused. Other requests do not count at all: a phone may ask for the state of a dozen lines at once.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	if x.At.UnixNano() < c.last.Load() {
		if v := c.slowly(a, x.At); v.Action != edge.Pass {
			return x.Say(v)
		}
	}
	answer := cmp.Or(a.Guess, a.Secret)
	if answer == 0 || a.Tried() == 0 || a.Tested || a.Good && a.Trust == edge.Known { // Tested: its answer to the fixed nonce has counted
		return nil
	}
	many := false
	switch a.Method {
	case sip.INVITE:
		many = c.guesses(a, x.At) || a.Guess != 0 && c.count(c.callOf(a), a, answer, c.cfg.Tries, x.At)
	case sip.REGISTER:
		many = c.count(c.pairOf(a), a, answer, c.cfg.Tries, x.At)
		if a.Guess != 0 && a.Secret != 0 { // only that goes to the platform
			many = c.count(c.pairOf(a), a, a.Secret, c.cfg.Tries, x.At) || many
		}
	}
	if !many {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonGuess, Score: points, Most: 2 * points})
}

// pairOf is the key of whose password is tried, and who does.
func (c *Check) pairOf(a *edge.Asked) uint64 { return c.key.Words(a.Tried(), a.Account()) }

// callOf is pairOf for calls of one number alone: an answer is also one to whom somebody calls, so a phone with a wrong password answers one nonce in as
// many ways as it calls numbers.
func (c *Check) callOf(a *edge.Asked) uint64 { return c.key.Words(c.pairOf(a), a.Target) }

// count notes an answer to a challenge, and reports whether it is a new one and one too many.
func (c *Check) count(key uint64, a *edge.Asked, answer uint64, most int, at time.Time) bool {
	p, _ := c.pairs.Note(key, a.Proven, at)
	if p == nil {
		return false
	}
	defer c.pairs.Leave(key)
	if p.seen.Count() <= full && !p.seen.Add(answer) {
		return false
	}
	many := p.recent.Add(c.cfg.Within, at) >= most
	return a.Answer == edge.AnswerFixed && answer == a.Guess && p.diverse(at) || many
}

// guesses reports whether too many calls of the user of a were refused already.
func (c *Check) guesses(a *edge.Asked, at time.Time) bool {
	key := c.pairOf(a)
	p := c.pairs.Find(key, at)
	if p == nil {
		return false
	}
	defer c.pairs.Leave(key)
	return p.recent.Count(c.cfg.Within, at) >= c.most(a)
}

// most is how many refused calls are too many.
func (c *Check) most(a *edge.Asked) int {
	if a.Known == 0 {
		return min(c.cfg.Tries, calls)
	}
	return c.cfg.Tries
}

// full is how many answers are told apart; after that each counts.
const full = 32

// Watch implements edge.Watcher: a right password ends the count, a call that is refused adds to it.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a, status := &x.Asked, x.Msg.Status
	if a.Secret == 0 {
		return nil
	}
	barred := status == 403 && a.Good && a.Method == sip.INVITE // a call, not a password
	if status == 401 || status == 407 || status == 403 && !barred {
		if a.Method == sip.INVITE && !a.Stale && !(a.Good && a.Trust == edge.Known) {
			c.count(c.pairOf(a), a, a.Secret, c.cfg.Tries, x.At)
		}
		c.failed(a, status, x.At)
		return nil
	}
	if !a.Right(status) {
		return nil
	}
	if !a.Good && x.At.UnixNano() < c.fails.Load() {
		c.slow.Delete(c.homeOf(a))
	}
	key := c.pairOf(a)
	if p := c.pairs.Find(key, x.At); p != nil {
		*p = pair{}
		c.pairs.Leave(key)
	}
	return nil
}
