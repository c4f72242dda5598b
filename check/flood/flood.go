// Package flood turns away what a source sends faster than it may. See README.md.
package flood

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonRate  edge.Reason = "flood.rate"  // faster than the source may
	reasonStorm edge.Reason = "flood.storm" // the same, a REGISTER of another user: come back later

	reasonDialog    edge.Reason = "flood.dialog"    // faster than anybody talks in one dialog
	reasonStrangers edge.Reason = "flood.strangers" // all strangers together send more than they may
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason {
	return []edge.Reason{reasonRate, reasonStorm, reasonDialog, reasonStrangers}
}

// Config is what sources may do. The zero value of a field means its default.
type Config struct {
	Limit     meter.Limit   // new requests of an address; default 10 a second, 60 at once
	Unlimited bool          // count what is over Limit, and do nothing
	Shut      time.Duration // how long a source stays shut that was over its limit; 0: until it is within it again
	Strangers time.Duration // between two of all strangers together, on average; 0: no limit
	Places    int           // of the rate table, 16 bytes each; default 131,072
}

// What each user whom the platform accepted adds for his address: half a request a second, and 6 at once. So does each call that it accepted,
// or let ring without credentials, within about 10 minutes: a trunk that nobody made a peer.
const (
	userEvery = 2 * time.Second
	userBurst = 6
	maxUsers  = 2000 // that count

	callsHalve = 10 * time.Minute
)

// ofUser is what a user whom the platform accepted from an address may send from there when everybody's budget is used up.
var ofUser = meter.Limit{Every: userEvery, Burst: userBurst}

const (
	overWeight   = 0.02 // points for each request over the limit of who is proven
	overMost     = 5
	stormEvery   = 30 * time.Second // between two 503 to one user
	leastRetry   = 5                // seconds
	retrySpread  = 41               // so that a site that boots at once is up within a minute
	leastBurst   = 1
	mostPerLimit = time.Hour
)

func (c Config) withDefaults() Config {
	if c.Limit.Every == 0 {
		c.Limit.Every = 100 * time.Millisecond
	}
	if c.Limit.Burst == 0 {
		c.Limit.Burst = 60
	}
	c.Places = cmp.Or(c.Places, 1<<17)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Limit.Every < 0 || c.Limit.Every > mostPerLimit {
		errs = append(errs, fmt.Errorf("flood: a request every %v, want up to %v", c.Limit.Every, mostPerLimit))
	}
	if c.Limit.Burst < leastBurst {
		errs = append(errs, fmt.Errorf("flood: a burst of %d, want at least %d", c.Limit.Burst, leastBurst))
	}
	if c.Shut < 0 {
		errs = append(errs, fmt.Errorf("flood: shut for %v", c.Shut))
	}
	return errors.Join(errs...)
}

// begins is how often one flow may begin to register one user where nobody is known: a phone does so once, is challenged, and answers. Who guesses
// passwords and has many tries on their way at once is slowed here, before the first answer has come back.
var begins = meter.Limit{Every: time.Second, Burst: 5}

// A Check counts what each source sends.
type Check struct {
	cfg   Config
	key   meter.Key
	rates *meter.Rates
	calls *meter.Sketch // that went on
	users users

	all, proven *meter.Rates // of strangers who may be forged, and of those who are not
	told        *meter.Rates // to come back, of strangers; apart from rates, which forged sources would fill for 30 s each
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, key: key, rates: meter.NewRates(cfg.Places), calls: meter.NewSketch(1<<14, callsHalve),
		all: meter.NewRates(2), proven: meter.NewRates(2), told: meter.NewRates(cfg.Places / 8)}
}

// Inspect implements edge.Check.
//
// The address is what counts, but for who has earned a budget of his own: the flow of a registered phone, and a flow that answers a challenge
// which went there. So nobody spends the budget of a customer by writing his address on packets. Where the platform knows somebody, each other port
// has half of that at most.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	if x.Match != edge.MatchNew {
		return c.talks(x)
	}
	a := &x.Asked
	key := a.Source
	switch {
	case a.Fresh:
		key = a.Port + 1
	case a.Trust == edge.Known:
		key = a.Port
	}
	limit := c.limit(a.Known)
	if a.Method == sip.REGISTER && a.Secret == 0 && a.Known == 0 && !c.rates.Take(c.key.Words(a.User, a.Port), begins, x.At) {
		return x.Say(c.over(x, a.Port, limit))
	}
	if key == a.Source && a.Known > 0 && !c.rates.Take(a.Port+2, c.limit(a.Known/2), x.At) && !c.trunk(a, x.At) {
		return x.Say(c.over(x, a.Port+2, limit)) // one stranger behind a NAT is not to use up what his neighbours have
	}
	if c.rates.Take(key, limit, x.At) {
		switch {
		case a.Known > 0 || key != a.Source:
		case !c.rates.Take(c.key.Network(x.From.Remote.Addr()), c.networkLimit(), x.At):
			return x.Say(c.over(x, key, limit))
		case c.stranger(a, x.At):
			return x.Say(c.tooMany(x))
		}
		return nil
	}
	if calls := c.calls.Sum(a.Source, x.At); calls > 0 {
		if limit = c.limit(a.Known + calls); c.rates.Take(key, limit, x.At) {
			return nil
		}
	}
	if a.Good && c.rates.Take(c.ownBudget(a), ofUser, x.At) {
		return nil // who floods in his name has to know it
	}
	return x.Say(c.over(x, key, limit))
}

// ownBudget is the key of what a known user may always send. What comes with his name in credentials beside another in From, as a telephone system's calls do, has a budget
// apart: whoever forges such does not use up what the user himself has.
func (c *Check) ownBudget(a *edge.Asked) uint64 {
	if a.Lent {
		return c.key.Words(a.Login, a.Source) + 2
	}
	return c.key.Words(a.User, a.Source) + 1
}

// trunk reports whether a, from another port of an address than those of its users, is of a telephone system whose calls go on: all of them may come with one password, so that
// one user is known there.
func (c *Check) trunk(a *edge.Asked, at time.Time) bool {
	calls := c.calls.Sum(a.Source, at)
	return calls > 0 && c.rates.Take(a.Port+2, c.limit((a.Known+calls)/2), at)
}

// networkTimes is how many times what one stranger may send those of one network (IPv4 /24, IPv6 /48) may send together: who has many addresses
// does not have many budgets.
const networkTimes = 4

func (c *Check) networkLimit() meter.Limit {
	return meter.Limit{Every: c.cfg.Limit.Every / networkTimes, Burst: c.cfg.Limit.Burst * networkTimes}
}

// over is the verdict on a request too many.
func (c *Check) over(x *edge.Exchange, key uint64, limit meter.Limit) edge.Verdict {
	a := &x.Asked
	if c.cfg.Unlimited {
		return edge.Verdict{Action: edge.Note, Reason: reasonRate}
	}
	if c.cfg.Shut > 0 && key == a.Source {
		c.rates.Shut(key, limit, x.At.Add(c.cfg.Shut))
	}
	v := edge.Verdict{Action: edge.Drop, Reason: reasonRate}
	if a.Proven {
		v.Score, v.Most = overWeight, overMost
	}
	if retry, tell := c.later(c.rates, a, x.At); tell {
		v.Action, v.Reason, v.Status, v.Retry = edge.Reply, reasonStorm, 503, retry
	}
	return v
}

// Minds implements edge.Chooser: responses tell of calls, and of users who registered with a password.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	return edge.Minds{Bare: edge.All, Signed: edge.All}, edge.Minds{Bare: 1 << sip.INVITE, Signed: 1<<sip.INVITE | 1<<sip.REGISTER}
}

// Watch implements edge.Watcher: it counts calls that the platform accepts, those without credentials that it lets ring, and users.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	c.accepted(a, x.Msg.Status)
	if a.Method == sip.INVITE && x.Msg.Status < 300 {
		c.calls.Add(a.Source, 1, x.At)
	}
	return nil
}

// limit is that of an address with so many known users.
func (c *Check) limit(users int) meter.Limit {
	l := c.cfg.Limit
	if users = min(users, maxUsers); users > 0 {
		perSecond := float64(time.Second)/float64(l.Every) + float64(users)*float64(time.Second)/float64(userEvery)
		l.Every = time.Duration(float64(time.Second) / perSecond)
		l.Burst += users * userBurst
	}
	return l
}
