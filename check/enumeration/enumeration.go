// Package enumeration finds who asks for one user after the other. See README.md.
package enumeration

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const reasonUsers edge.Reason = "enumeration.users" // asks for many users, and none of them is his

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonUsers} }

// Config says how many users are too many. The zero value of a field means its default.
type Config struct {
	Users   int           // without success, within Within; default 10
	Within  time.Duration // default 10 min
	Slowly  int           // without success, within a day; default 20, at most 24
	Sources int           // remembered at once, 270 bytes each; default 16,384
}

// The oldest user is forgotten after a day.
const (
	day        = 24 * time.Hour
	cells      = 24
	patience   = 10 * time.Second // that a challenged user has for his answer
	hearing    = 5 * time.Second  // that a call to a telephone number has until others of its source ring
	telephone  = 8                // digits that such a number has at least
	perSuccess = 3                // users without success for each request that succeeds are nothing unusual
	points     = 10
	near       = 2   // users before there are too many: by then it is known who comes over UDP and may be forged,
	hint       = 0.5 // since the judge makes nothing of his first two offences
)

func (c Config) withDefaults() Config {
	c.Users = cmp.Or(c.Users, 10)
	c.Within = cmp.Or(c.Within, 10*time.Minute)
	c.Slowly = cmp.Or(c.Slowly, 20)
	c.Sources = cmp.Or(c.Sources, 1<<14)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Users < 2 || c.Users > cells || c.Slowly < 2 || c.Slowly > cells {
		errs = append(errs, fmt.Errorf("enumeration: %d users, slowly %d, want 2 to %d", c.Users, c.Slowly, cells))
	}
	if c.Within < time.Second || c.Within > day {
		errs = append(errs, fmt.Errorf("enumeration: within %v, want 1s to 24h", c.Within))
	}
	return errors.Join(errs...)
}

// A Check remembers for each source the users it asked for without success.
type Check struct {
	cfg      Config
	key      meter.Key
	sources  *meter.Table[source]
	probes   *meter.Table[uint64] // the user whom a flow asks for with OPTIONS, by the hash of the flow
	networks networks
}

// A source has its last users, each with the second from which he counts; 0 is a free cell. Those who succeed all the time have none: of them
// nothing is read but what stands first, which is in one line of a processor's cache, since a source is 224 bytes long.
type source struct {
	good  [2]uint64 // users for whom requests other than calls succeeded in this half day and in the one before: a bit for each, some share one
	calls [2]uint16 // that succeeded
	half  uint32    // number of that half day
	asked bool      // there may be users
	users [cells]struct{ user, from uint32 }
}

// turn brings what succeeded to the half day at hand. Who registers himself again and again has succeeded once.
func (s *source) turn(at time.Time) {
	now := uint32(at.Unix() / int64(day/2/time.Second))
	switch now - s.half {
	case 0:
		return
	case 1:
		s.good, s.calls = [2]uint64{0, s.good[0]}, [2]uint16{0, s.calls[0]}
	default:
		s.good, s.calls = [2]uint64{}, [2]uint16{}
	}
	s.half = now
}

// succeeded is how many there were since the last half day began.
func (s *source) succeeded() int {
	return bits.OnesCount64(s.good[0]|s.good[1]) + int(s.calls[0]) + int(s.calls[1])
}

// New makes the check. cfg is valid.
func New(cfg Config, key meter.Key) *Check {
	cfg = cfg.withDefaults()
	return &Check{cfg: cfg, key: key, sources: meter.NewEvidence[source](cfg.Sources, day, nil), probes: meter.NewEvidence[uint64](cfg.Sources, day, nil),
		networks: networks{slow: meter.NewEvidence[queue](cfg.Sources/16, 2*slowed, nil)}}
}

// Minds implements edge.Chooser: the end of a call asks for nobody.
func (c *Check) Minds() (inspect, watch edge.Minds) {
	const asking = edge.All &^ (1<<sip.BYE | 1<<sip.CANCEL)
	return edge.Minds{Bare: edge.All, Signed: edge.All}, edge.Minds{Bare: asking, Signed: asking}
}

// Watch implements edge.Watcher. A user whom the platform denies counts at once, one who is challenged if no answer to the challenge follows.
// Who has an answer to give, or succeeds, or rings, is no longer counted; but where a REGISTER with credentials hears that there is no such user, some
// platform challenges before it looks whom it has. A trunk hears at once that a number is not there and only after a while that others ring: so
// telephone numbers count later than extensions.
func (c *Check) Watch(x *edge.Exchange) *edge.Verdict {
	a, status := &x.Asked, x.Msg.Status
	if a.Target == 0 || a.Method == sip.BYE || a.Method == sip.CANCEL {
		return nil
	}
	if a.Guest() { // all of an address together, too, since one may come from many ports
		if delay, counts := c.heard(a.Source, a, status, x.At); counts {
			c.without(a.Source, a, delay, x.At)
		}
	}
	if network := c.network(a); network != 0 {
		c.watchNetwork(network, a, status, x.At)
	}
	delay, counts := c.heard(a.Account(), a, status, x.At)
	if !counts {
		return nil
	}
	return x.Say(c.without(a.Account(), a, delay, x.At))
}

// heard takes note of a status for one of the accounts that a counts for, and reports whether the user is one without success, and after what delay he counts.
func (c *Check) heard(key uint64, a *edge.Asked, status int, at time.Time) (delay time.Duration, counts bool) {
	switch {
	case status < 300, answers(a) && (a.Method != sip.REGISTER || status != 404 && status != 410 && status != 604):
		c.answered(key, a, status, at)
		return 0, false
	case answers(a):
		c.answered(key, a, status, at) // from now on he counts, not from when he was challenged
	case status == 401, status == 407:
		delay = patience
	case !denied(status):
		return 0, false
	case a.Method == sip.INVITE && a.Number.Len() >= telephone:
		delay = hearing
	}
	return delay, true
}

// crowded reports whether the guests of an address asked for too many users without success, whatever others succeeded: they have to show that they read
// what is sent there, as phones do by themselves.
func (c *Check) crowded(source uint64, at time.Time) bool {
	s := c.sources.Find(source, at)
	if s == nil {
		return false
	}
	defer c.sources.Leave(source)
	return s.without(c.cfg.Within, at) >= c.cfg.Users
}

// answers reports whether a comes with credentials that count as an answer: anybody can write some into a call, and hear all the same whether there
// is such a user.
func answers(a *edge.Asked) bool { return a.Secret != 0 && a.Method == sip.REGISTER || a.Answers() }

// denied reports whether status says that there is no such user, or that he is not to be had.
func denied(status int) bool {
	switch status {
	case 403, 404, 410, 480, 484, 604:
		return true
	}
	return false
}

// Inspect implements edge.Check. OPTIONS for a user is answered by the edge, the same for all: it never succeeds, and users count whom a flow asks for besides
// the first. A stranger who answers his
// challenge is no longer counted at once: the platform may take its time while a whole site boots.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	a := &x.Asked
	if a.Target == 0 || a.Trust != edge.Unknown {
		return nil
	}
	if c.waits(a, x.At) {
		return x.Say(edge.Verdict{Action: edge.Reply, Reason: reasonUsers, Status: 503, Text: "Try later", Retry: retry + int(a.User%retries)})
	}
	if answers(a) && !a.Good {
		c.answered(a.Account(), a, 0, x.At)
		if a.Guest() {
			c.answered(a.Source, a, 0, x.At)
		}
		if network := c.network(a); network != 0 {
			c.answered(network, a, 0, x.At)
		}
	} else if a.Guest() && a.Method != sip.OPTIONS && c.crowded(a.Source, x.At) {
		return x.Say(edge.Verdict{Action: edge.Challenge, Reason: reasonUsers})
	}
	if a.Method != sip.OPTIONS || c.watches(a, x.At) {
		return nil
	}
	v := c.without(a.Account(), a, 0, x.At)
	if v.Score >= points {
		v.Action = edge.Drop
	}
	return x.Say(v)
}

// watches reports whether a, an OPTIONS, is for the one user whom its flow asks for: so softphones and monitors keep an eye on the platform.
func (c *Check) watches(a *edge.Asked, at time.Time) bool {
	target, fresh := c.probes.Note(a.Port, a.Proven, at)
	if target == nil { // many flows ask more often
		return true
	}
	defer c.probes.Leave(a.Port)
	if fresh {
		*target = a.Target
	}
	return *target == a.Target
}

// without notes a user without success, who counts after the delay.
func (c *Check) without(key uint64, a *edge.Asked, delay time.Duration, at time.Time) edge.Verdict {
	s, _ := c.sources.Note(key, a.Proven, at)
	if s == nil {
		return edge.Verdict{}
	}
	defer c.sources.Leave(key)
	s.add(uint32(a.Target>>32), at, delay, c.cfg.Within)
	s.turn(at)
	n := s.without(c.cfg.Within, at)
	left := min(c.cfg.Users-n, c.cfg.Slowly-s.without(day, at)) // until there are too many
	switch {
	case n <= perSuccess*s.succeeded(), left > near:
		return edge.Verdict{}
	case left > 0:
		return edge.Verdict{Action: edge.Note, Reason: reasonUsers, Score: hint, Most: near * hint}
	}
	return edge.Verdict{Action: edge.Note, Reason: reasonUsers, Score: points, Most: 2 * points}
}

// answered takes a user off who answered his challenge, or whom the platform accepted.
func (c *Check) answered(key uint64, a *edge.Asked, status int, at time.Time) {
	s := c.sources.Find(key, at)
	if s == nil {
		if a.Secret != 0 || a.Method != sip.INVITE {
			return
		}
		if s, _ = c.sources.Note(key, a.Proven, at); s == nil {
			return
		}
	}
	s.drop(uint32(a.Target >> 32))
	rings := status > 100 && status < 200 && a.Number.Len() >= telephone
	if (status >= 200 && status < 300 || rings) && a.Method != sip.OPTIONS {
		s.succeed(a, at)
	}
	c.sources.Leave(key)
}

// succeed notes a request that succeeded.
func (s *source) succeed(a *edge.Asked, at time.Time) {
	s.turn(at)
	if a.Method != sip.INVITE {
		s.good[0] |= 1 << (a.Target >> 58)
	} else if s.calls[0] < 1<<14 {
		s.calls[0]++
	}
}

// drop has a user count no more.
func (s *source) drop(user uint32) {
	if !s.asked {
		return
	}
	for i := range s.users {
		if s.users[i].user == user {
			s.users[i].from = 0
		}
	}
}

// add notes a user who counts from then on, a delay after now, if there is a place for him.
func (s *source) add(user uint32, now time.Time, delay, within time.Duration) {
	from := uint32(now.Add(delay).Unix())
	s.asked = true
	for i := range s.users {
		if one := &s.users[i]; one.from != 0 && one.user == user {
			return
		}
	}
	if i := s.place(now, delay, within); i >= 0 {
		s.users[i].user, s.users[i].from = user, from
	}
}

// place is where a user can be noted who counts a delay after now, -1: nowhere. Who counts at once gets the place of the last of those who don't yet, before that of who
// counts longest; who does not gets none of anybody's who came within that time. So nobody hides users who count behind many who are never to.
func (s *source) place(now time.Time, delay, within time.Duration) int {
	oldest, last := 0, 0
	for i := range s.users {
		if from := s.users[i].from; from < s.users[oldest].from {
			oldest = i
		} else if from > s.users[last].from {
			last = i
		}
	}
	switch from := s.users[oldest].from; {
	case from <= uint32(now.Add(-day).Unix()):
		return oldest
	case delay == 0 && s.users[last].from > uint32(now.Unix()):
		return last
	case delay > 0 && from > uint32(now.Add(-within).Unix()):
		return -1
	}
	return oldest
}

// without is how many users count at that time and have not counted for longer than that.
func (s *source) without(within time.Duration, at time.Time) (n int) {
	if !s.asked {
		return 0
	}
	now, since := uint32(at.Unix()), uint32(at.Add(-within).Unix())
	for i := range s.users {
		if from := s.users[i].from; from != 0 && from <= now && from > since {
			n++
		}
	}
	return n
}
