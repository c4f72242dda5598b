package flood

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
)

// inDialog is what one dialog may send. The busiest innocent one is a phone that sends each key as two INFOs, 20 a second; a notifier of an office of 500 may
// tell all of it at once.
var inDialog = meter.Limit{Every: time.Second / 200, Burst: 2000}

// FollowsDialogs says that Inspect is asked about requests in dialogs, too.
func (c *Check) FollowsDialogs() {}

// talks looks at what is in a dialog. Who sends it, and from where, is no matter: the dialog is in its token, which nobody makes himself.
func (c *Check) talks(x *edge.Exchange) *edge.Verdict {
	if x.Match != edge.MatchInDialog || x.Dialog == 0 || c.rates.Take(x.Dialog, inDialog, x.At) {
		return nil
	}
	if c.cfg.Unlimited {
		return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonDialog})
	}
	return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonDialog})
}
