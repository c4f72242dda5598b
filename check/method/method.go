// Package method finds who sends what belongs to nothing, or what nobody understands. See README.md.
package method

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonUnknown edge.Reason = "method.unknown" // a method that no RFC knows
	reasonRefused edge.Reason = "method.refused" // a stranger begins what only users may
	reasonStray   edge.Reason = "method.stray"   // again and again ACK, BYE, CANCEL and the like that belong to nothing
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonUnknown, reasonRefused, reasonStray} }

// Config says how many strays are too many. The zero value of a field means its default.
type Config struct {
	Stray   int           // requests that belong to nothing, within Within; default 20
	Within  time.Duration // default 1 min
	Grace   time.Duration // after the first message, in which nothing is held against calls from before a restart; default 5 min
	Sources int           // remembered at once, 60 bytes each; default 16,384
	Allowed []sip.Method  // that strangers may begin; nil: none of those that are looked at
}

const (
	points = 10
	memory = 10 * time.Minute // of who sends no more strays

	oddPoints   = 1
	oddMost     = 3 // a phone may subscribe to the state of a dozen lines before it is registered
	unknownMost = 7 // no phone has a reason to: who goes on with one a minute is greylisted after some ten, and not banned for that alone
)

// looked is what strangers seldom have a reason to begin.
var looked = []sip.Method{sip.MESSAGE, sip.SUBSCRIBE, sip.REFER, sip.PUBLISH}

func (c Config) withDefaults() Config {
	c.Stray = cmp.Or(c.Stray, 20)
	c.Within = cmp.Or(c.Within, time.Minute)
	c.Grace = cmp.Or(c.Grace, 5*time.Minute)
	c.Sources = cmp.Or(c.Sources, 1<<14)
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Stray < 2 || c.Within < time.Second || c.Grace < 0 {
		return errors.Join(fmt.Errorf("method: %d strays within %v, grace %v: want at least 2 within 1s", c.Stray, c.Within, c.Grace))
	}
	return nil
}

// A Check counts strays of each source.
type Check struct {
	cfg     Config
	sources *meter.Table[meter.Window]
	refused uint32 // a bit for each sip.Method
	began   start
}

// New makes the check. cfg is valid.
func New(cfg Config, _ meter.Key) *Check {
	cfg = cfg.withDefaults()
	c := &Check{cfg: cfg, sources: meter.NewEvidence[meter.Window](cfg.Sources, memory+cfg.Within, nil)}
	for _, m := range looked {
		if !slices.Contains(cfg.Allowed, m) {
			c.refused |= 1 << m
		}
	}
	return c
}

// Inspect implements edge.Check. It is asked about what matched nothing: so whatever belongs to a call belongs to none that we know.
func (c *Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m, a := x.Msg, &x.Asked
	if m.Method == sip.MethodOther && a.Trust == edge.Unknown {
		return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonUnknown, Score: oddPoints, Most: unknownMost})
	}
	if c.refused>>m.Method&1 == 1 && a.Trust == edge.Unknown && !a.Good && !m.ToTag.Present() {
		return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonRefused, Score: oddPoints, Most: oddMost})
	}
	early := c.began.since(x.At) < c.cfg.Grace
	switch m.Method {
	case sip.ACK, sip.BYE, sip.CANCEL, sip.PRACK, sip.UPDATE, sip.INFO:
	default:
		return nil
	}
	if early {
		return nil
	}
	key := a.Account()
	w, _ := c.sources.Note(key, a.Proven, x.At)
	if w == nil {
		return nil
	}
	defer c.sources.Leave(key)
	if w.Add(1, c.cfg.Within, x.At) < c.cfg.Stray {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonStray, Score: points, Most: points})
}
