// Package judge makes up its mind about messages and about who sends them. Checks look and say; the judge adds up what they say into a
// score for each source, remembers whom the platform accepted from where, knows who has shown that it reads our answers, and
// gives one verdict: what is to happen to the message, and what to its source. Start reading at (*Judge).Inspect.
//
// It sends nothing, bans nobody and reads no clock: Exchange.At is the only one. So the same judge works on live traffic and on captures.
package judge

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// Mode is what the opinions of a check are for.
type Mode uint8

// Modes.
const (
	Off     Mode = iota // it is not asked
	Monitor             // it is asked and counted; what would come of it is told, and nothing does
	Enforce
)

var modeNames = [...]string{"off", "monitor", "enforce"}

// String is m as in the configuration.
func (m Mode) String() string { return modeNames[min(int(m), len(modeNames)-1)] }

// A Charge is one check and what its opinions are for. Check is an edge.Check, an edge.Watcher, an edge.Sorter, or several of them.
type Charge struct {
	Name    string
	Mode    Mode
	Check   any
	Reasons []edge.Reason // all that it may give
}

// Config holds the sizes of a Judge. The zero value of a field means its default.
type Config struct {
	Sources int           // sources with a score at once, 200 bytes each; default 65,536
	Pairs   int           // users known good from a source, 150 bytes each; default 131,072
	Domains []string      // of the platform, lower case: the user of another host counts as one of the first domain
	Ticks   func() uint64 // nanoseconds of a clock that only tells what checks cost; nil: nobody asks
}

// The score of a source halves every 10 minutes. From these on it is watched, is greylisted, and is to be banned.
const (
	HalfLife = 10 * time.Minute

	WatchAt = 3
	GreyAt  = 6
	BanAt   = 10
)

// A Judge is used by any number of goroutines at once. Nothing in it grows with what strangers send, and nothing on the way of a message
// allocates but a ban.
type Judge struct {
	cfg     Config
	key     meter.Key
	seed    maphash.Seed // of hashes of long texts that nothing keeps over a restart
	charges atomic.Pointer[charges]

	sources  *meter.Table[record]   // by address and, as other entries, by address and port
	offences *meter.Sketch          // of unproven sources without an entry: how many
	points   *meter.Sketch          // tenths of points of sources without an entry
	issued   *meter.Table[issue]    // nonces of the platform, by their hash
	given    *meter.Table[struct{}] // nonces and the sources they went to, by the hash of both
	shares   *meter.Table[share]    // nonces that went out more than once, by the hash of each, the flow and what it was for
	known    known
	wrong    wrong
	shown    shown
	crowd    crowd
	dry      atomic.Bool
	heir     atomic.Bool // checks enforce that only watched before
}

// New makes a judge. key makes every hash; it must be the same in every run, or whom the platform accepted is forgotten.
func New(cfg Config, key meter.Key, list []Charge) (*Judge, error) {
	if cfg.Sources == 0 {
		cfg.Sources = 1 << 16
	}
	if cfg.Pairs == 0 {
		cfg.Pairs = 1 << 17
	}
	j := &Judge{cfg: cfg, key: key, seed: maphash.MakeSeed(),
		offences: meter.NewSketch(1<<15, HalfLife), points: meter.NewSketch(1<<15, HalfLife),
		issued: meter.NewTable[issue](1<<15, nil), given: meter.NewTable[struct{}](1<<17, nil),
		shares: meter.NewTable[share](sharedNonces, nil)}
	j.sources = meter.NewTable(2*cfg.Sources, j.forget).Fade(10 * HalfLife)
	j.known.init(cfg.Pairs)
	j.wrong.init()
	return j, j.Apply(list)
}

// Acts reports whether any check enforces.
func (j *Judge) Acts() bool { return j.charges.Load().acting && !j.dry.Load() }

// Suspend has all checks only watch, as in mode monitor, or ends that.
func (j *Judge) Suspend(dry bool) {
	if j.dry.Store(dry); dry {
		j.heir.Store(false) // what is only told from now on is forgiven
	}
}

// Inspect judges a request that has been matched. The judge fills in x.Asked, which is then to be kept for the responses. What belongs
// to something accepted before, and what peers and the platform send, is not judged: the zero Verdict. Only who tries a password in a dialog meets the
// locks of users.
func (j *Judge) Inspect(x *edge.Exchange) edge.Verdict {
	j.read(x)
	if x.From.Side == edge.Outside {
		j.crowd.count(x.From.Remote.Addr())
	}
	if x.Trust == edge.Peer || x.From.Side == edge.Inside {
		return edge.Verdict{}
	}
	all := j.charges.Load()
	if x.Match != edge.MatchNew {
		for i := range all.follow {
			if v := all.follow[i].check.Inspect(x); v != nil {
				return j.hear(all, all.follow, x, i, v)
			}
		}
		return j.tried(all, x)
	}
	if j.measured(x.At) {
		return j.hear(all, all.inspect, x, 0, nil)
	}
	list := all.inspects.of(&x.Asked)
	for i := range list { // most requests are nothing to talk about: they do not pay for what opinions are gathered in
		if v := list[i].check.Inspect(x); v != nil {
			return j.hear(all, list, x, i, v)
		}
	}
	return edge.Verdict{}
}

// tried asks those who lock users about x if it is a try of a password in a dialog: a token says where a dialog leads, and is no leave to guess. Whom the
// platform accepted from there is not touched.
func (j *Judge) tried(all *charges, x *edge.Exchange) edge.Verdict {
	a := &x.Asked
	if x.Match != edge.MatchInDialog || a.Secret == 0 {
		return edge.Verdict{}
	}
	if j.recall(a, x.At); a.Good {
		return edge.Verdict{}
	}
	return j.hear(all, all.keep, x, 0, nil)
}

// hear asks the checks of a list from number next on, whose opinion is known already unless it is nil, and gathers what they say.
func (j *Judge) hear(all *charges, list []*charge, x *edge.Exchange, next int, known *edge.Verdict) edge.Verdict {
	var h hearing
	timer := j.timer(x.At)
	for i := next; i < len(list); i++ {
		c, v := list[i], known
		if known = nil; v == nil {
			v = c.says(x)
			timer.took(c.count)
		}
		if v != nil {
			h.take(c, x, *v, c.enforce && !j.dry.Load())
		}
	}
	return j.verdict(all, &h, x)
}

// Telling reports whether a response with this status tells anything of who asked: if it is the last one, or if a call goes on of a stranger who has not
// said who he is, as a trunk's does. Only such responses need to be shown to Watch.
func Telling(a *edge.Asked, status int) bool {
	return status >= 200 || status > 100 && a.Method == sip.INVITE && a.Secret == 0 && a.Trust == edge.Unknown
}

// Watch judges who asked by the response that it gets. x.Asked is what Inspect made of the request; x.Match is MatchReply. Of the verdict
// the response itself is never touched: it says what happens to the source. What the edge itself answers (x.Ours) says nothing of the platform,
// and is looked at all the same.
func (j *Judge) Watch(x *edge.Exchange) edge.Verdict {
	a := &x.Asked
	if a.Source == 0 || a.Trust == edge.Peer || a.From.Side == edge.Inside || !Telling(a, x.Msg.Status) {
		return edge.Verdict{}
	}
	if a.Match == edge.MatchInDialog && (a.Method != sip.BYE || a.Secret != 0 || x.Msg.Status >= 300) { // the usual end of a call tells nothing of who asks
		j.recall(a, x.At)
	}
	if !x.Ours {
		j.learn(x)
	}
	all := j.charges.Load()
	if j.measured(x.At) {
		return noted(j.hear(all, all.watch, x, 0, nil))
	}
	list := all.watches.of(a)
	for i := range list {
		if v := list[i].watcher.Watch(x); v != nil {
			return noted(j.hear(all, list, x, i, v))
		}
	}
	return edge.Verdict{}
}

// noted is a verdict on a response: what is to happen to it is at most that it is noted.
func noted(v edge.Verdict) edge.Verdict {
	v.Action = min(v.Action, edge.Note)
	return v
}

// Unreadable judges what came from outside and could not be parsed.
func (j *Judge) Unreadable(x *edge.Exchange, why sip.Error) edge.Verdict {
	if x.Trust == edge.Peer || x.From.Side == edge.Inside {
		return edge.Verdict{}
	}
	x.Asked = edge.Asked{From: x.From, Trust: x.Trust, Proven: x.From.Transport.Stream(),
		Source: j.key.Addr(x.From.Remote.Addr()), Port: j.key.AddrPort(x.From.Remote)}
	x.Asked.Known = j.known.at(x.Asked.Source, x.At)
	var h hearing
	all := j.charges.Load()
	for i := range all.sort {
		c := all.sort[i]
		if v := c.sorter.Unreadable(x, why); v != nil && v.Score != 0 {
			h.take(c, x, *v, c.enforce && !j.dry.Load())
		}
	}
	return j.verdict(all, &h, x)
}

// A hearing is what checks said of one message.
type hearing struct {
	out  edge.Verdict
	acts points // of checks that enforce
	all  points // of these and of those that only watch
}

// points are opinions that hold something against a source.
type points struct {
	list [maxPoints]opinion
	n    int
}

// maxPoints is how many opinions on one message count at most.
const maxPoints = 8

// An opinion is what one check holds against the source.
type opinion struct {
	reason      edge.Reason
	score, most float64
}

// add takes what v holds against the source, if anything.
func (p *points) add(v *edge.Verdict, weight float64) {
	if v.Score > 0 && p.n < maxPoints {
		p.list[p.n] = opinion{v.Reason, v.Score * weight, v.Most}
		p.n++
	}
}

// score is the sum.
func (p *points) score() (sum float64) {
	for _, o := range p.list[:p.n] {
		sum += o.score
	}
	return sum
}

// take hears one check on x; if it is not to be acted on, it is only noted.
func (h *hearing) take(c *charge, x *edge.Exchange, v edge.Verdict, enforce bool) {
	c.count.hits.Add(1)
	weight := 1.0
	if x.Asked.Match != edge.MatchNew {
		weight = otherWeight
	}
	h.all.add(&v, weight)
	if enforce {
		h.acts.add(&v, weight)
	} else {
		v = v.Told()
		v.Score = 0
	}
	out := &h.out
	out.Score += v.Score
	out.Lock, out.Locks = max(out.Lock, v.Lock), max(out.Locks, v.Locks)
	if v.Action > out.Action || v.Action == out.Action && v.Would > out.Would || out.Reason == "" {
		out.Action, out.Would, out.Reason, out.Status, out.Text, out.Retry, out.Steady = v.Action, v.Would, v.Reason, v.Status, v.Text, v.Retry, v.Steady
	}
}

// verdict is what comes of a hearing about x: where some checks only watch, also what would have come of it did all enforce.
func (j *Judge) verdict(all *charges, h *hearing, x *edge.Exchange) edge.Verdict {
	if h.all.n > 0 {
		j.shown.keep(&x.Asked, x)
	}
	if h.acts.n > 0 {
		h.out.Ban = j.weigh(all, x, &h.acts, false)
	}
	if h.all.n > 0 && h.out.Ban == nil && (all.watching || j.dry.Load()) {
		h.out.Ban = j.weigh(all, x, &h.all, true)
	}
	return h.out
}
