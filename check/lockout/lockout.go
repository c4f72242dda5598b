// Package lockout keeps a source from trying passwords of a user after some wrong ones. See README.md.
package lockout

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const reasonLocked edge.Reason = "auth.lockout" // too many wrong passwords of this user from this source

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonLocked} }

// Config says when a user is locked for a source. The zero value of a field means its default.
type Config struct {
	Failures int           // wrong passwords; default 3
	Within   time.Duration // default 15 min
	For      time.Duration // how long the pair of user and source is locked; default 30 min
	Pairs    int           // with failures at once, 220 bytes each; default 65,536
}

func (c Config) withDefaults() Config {
	c.Failures = cmp.Or(c.Failures, 3)
	c.Within = cmp.Or(c.Within, 15*time.Minute)
	c.For = cmp.Or(c.For, 30*time.Minute)
	c.Pairs = cmp.Or(c.Pairs, 1<<16)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Failures < 1 || c.Failures > meter.LogMost {
		errs = append(errs, fmt.Errorf("lockout: %d failures, want 1 to %d", c.Failures, meter.LogMost))
	}
	if c.Within < time.Second || c.For < time.Second {
		errs = append(errs, fmt.Errorf("lockout: within %v, ban %v, want at least a second each", c.Within, c.For))
	}
	return errors.Join(errs...)
}

// Who fails slower than that is locked after each failure, once there were so many within a day.
const (
	day     = 24 * time.Hour
	dayMost = 20
)

// goodEvery is between two tries of a user whom the platform accepted from there before.
const goodEvery = time.Minute

// A Check remembers failures by pairs of user and source.
type Check struct {
	cfg   Config
	key   meter.Key
	pairs *meter.Table[pair]
	last  atomic.Int64 // when the last lock there is ends: before that nothing has to be looked up
}

// A pair is one user from one source.
type pair struct {
	user   uint64
	addr   [16]byte // of the source
	failed meter.Log
	slowly meter.Window // the same of a day
	until  int64        // it is locked, nanoseconds
	next   int64        // it may try again, if it is known good
	told   bool         // it got its 503
	n      uint8        // of name
	name   [maxName]byte
}

// maxName is how much is kept of a user's name, for operators.
const maxName = 46

// call gives p the name of the user whom x, a response, is about: that of To of a REGISTER, else of From; none where the credentials had another one.
func (p *pair) call(x *edge.Exchange) {
	m, of := x.Msg, &x.Msg.From
	if x.Asked.Login != 0 {
		return
	}
	if m.CSeq.Method == sip.REGISTER {
		of = &m.To
	}
	uri, err := sip.ParseURI(m.Raw, of.URI)
	if err != nil {
		return
	}
	name := append(p.name[:0], uri.User.Of(m.Raw)[:min(uri.User.Len(), maxName-1)]...)
	if host := uri.Host.Of(m.Raw); len(name)+1+len(host) <= maxName {
		name = append(append(name, '@'), host...)
	}
	p.n = uint8(len(name))
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, key: key, pairs: meter.NewEvidence[pair](cfg.Pairs, max(cfg.Within, cfg.For, day), nil)}
}

// Inspect implements edge.Check: it keeps away who is locked. The first request gets 503 with Retry-After, at which guessing tools stop; what
// follows gets silence. A user whom the platform accepted from there before is only slowed, to one try a minute, and the flow that his phone is
// registered with not at all.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	a, now := &x.Asked, x.At.UnixNano()
	if now >= c.last.Load() || a.Tried() == 0 || a.Method == sip.OPTIONS && a.Secret == 0 {
		return nil
	}
	key := c.key.Words(a.Tried(), a.Source)
	p := c.pairs.Find(key, x.At)
	if p == nil {
		return nil
	}
	defer c.pairs.Leave(key)
	if now >= p.until {
		return nil
	}
	if a.Good && a.Trust == edge.Known { // somebody else's tries at the same address
		return nil
	}
	if a.Good {
		if a.Secret == 0 || now >= p.next { // the try is the request with the password
			if a.Secret != 0 {
				p.next = now + int64(goodEvery)
			}
			return nil
		}
		return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonLocked, Status: 503, Text: "Try later", Retry: seconds(p.next - now)})
	}
	if p.told {
		return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonLocked})
	}
	p.told = true
	return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonLocked, Status: 503, Text: "Try later", Retry: seconds(p.until - now)})
}

// Minds implements edge.Chooser: who is locked is so whatever he sends, but without a password there is nothing to count.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	return edge.Minds{Bare: edge.All, Signed: edge.All}, edge.Minds{Signed: edge.All}
}

// Watch implements edge.Watcher: it counts wrong passwords. A right one forgets them.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	if a.Secret == 0 {
		return nil
	}
	key := c.key.Words(a.Tried(), a.Source)
	if a.Right(x.Msg.Status) && x.Msg.Status/100 == 2 {
		if p := c.pairs.Find(key, x.At); p != nil {
			*p = p.innocent()
			c.pairs.Leave(key)
		}
		return nil
	}
	if !a.Failed(x.Msg.Status) {
		return nil
	}
	p, fresh := c.pairs.Note(key, a.Proven, x.At)
	if p == nil {
		return nil
	}
	defer c.pairs.Leave(key)
	if fresh {
		*p = pair{user: a.Tried(), addr: a.From.Remote.Addr().As16()}
		p.call(x)
	}
	now := x.At.UnixNano()
	quickly, slowly := p.failed.Add(c.cfg.Within, x.At) >= c.cfg.Failures, p.slowly.Add(1, day, x.At) >= dayMost
	if !quickly && !slowly || now < p.until {
		return nil
	}
	before := p.slowly
	*p = p.innocent()
	p.slowly, p.until, p.next = before, now+int64(c.cfg.For), now+int64(goodEvery)
	if c.last.Load() < p.until {
		c.last.Store(p.until)
	}
	return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonLocked, Lock: edge.LockPair})
}

// innocent is the pair of the same user and source that did nothing yet.
func (p *pair) innocent() pair { return pair{user: p.user, addr: p.addr, n: p.n, name: p.name} }

// Held implements edge.Keeper.
func (c *Check) Held(user uint64, now time.Time) (list []edge.Hold) {
	c.pairs.All(func(_ uint64, p *pair) bool {
		if h, held := c.hold(p, now); held && p.user == user {
			list = append(list, h)
		}
		return true
	})
	return list
}

// From implements edge.Keeper.
func (c *Check) From(source edge.Source, now time.Time) (list []edge.Hold) {
	c.pairs.All(func(_ uint64, p *pair) bool {
		if h, held := c.hold(p, now); held && source.Prefix.Overlaps(h.Source.Prefix) {
			h.User = string(p.name[:p.n])
			list = append(list, h)
		}
		return true
	})
	return list
}

// Release implements edge.Keeper.
func (c *Check) Release(user uint64, from edge.Source, now time.Time) (list []edge.Hold) {
	c.pairs.All(func(_ uint64, p *pair) bool {
		h, held := c.hold(p, now)
		if held && p.user == user && (from == edge.Source{} || from.Prefix.Overlaps(h.Source.Prefix)) {
			list = append(list, h)
			*p = p.innocent()
		}
		return true
	})
	return list
}

// hold is what is held against p, if anything is.
func (c *Check) hold(p *pair, now time.Time) (h edge.Hold, held bool) {
	h = edge.Hold{Source: edge.SourceOf(netip.AddrFrom16(p.addr)), Reason: reasonLocked, Failures: p.failed.Count(c.cfg.Within, now)}
	if p.until > now.UnixNano() {
		h.Until, h.Failures = time.Unix(0, p.until), max(h.Failures, c.cfg.Failures)
	}
	return h, h.Failures > 0
}

func seconds(nanoseconds int64) int { return int(nanoseconds/int64(time.Second)) + 1 }
