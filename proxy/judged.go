package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// hear asks the judge about a request that was matched. In monitor mode its verdict is only noted. An answer that could hit somebody whose address
// was forged is silence, but for the 503 at which tools stop: reply bounds those.
func (l *lane) hear(x *edge.Exchange) edge.Verdict {
	j := l.cfg.Judge
	if j == nil || l.ordered || x.Match == edge.MatchNew && l.ownTag(x) {
		return edge.Verdict{}
	}
	v := j.Inspect(x)
	if x.Asked.Proven {
		l.proves(x)
	}
	told := l.cfg.Monitor || v.Would != edge.Pass
	if v.Would != edge.Pass {
		v.Action, v.Would = v.Would, edge.Pass
	}
	switch {
	case v.Action == edge.Reply && v.Status == 503:
		v.Action = refusal(x, v.Action, v.Reason, v.Status, v.Text).Action
	case v.Action == edge.Reply:
		v = silenced(x, v)
	}
	if told {
		return v.Told()
	}
	return v
}

// watched lets the judge look at a response of the platform to a request from outside: what it says of who asked.
func (l *lane) watched(x *edge.Exchange, asked *edge.Asked) {
	x.Asked = *asked
	v := l.cfg.Judge.Watch(x)
	if v.Action == edge.Pass && v.Ban == nil {
		return
	}
	of := edge.Exchange{Msg: x.Msg, From: asked.From, At: x.At, Trust: asked.Trust, Asked: *asked}
	if v.Action != edge.Pass {
		l.refuse(&of, v)
	}
	if v.Ban != nil {
		l.punish(&of, v.Ban)
	}
}

// watches reports whether the judge is to see the response at hand to tx, which was in l.was before.
func (l *lane) watches(x *edge.Exchange, tx *transaction.Tx) bool {
	return l.cfg.Judge != nil && judge.Telling(&tx.Asked, x.Msg.Status) && l.was < transaction.Completed && tx.Asked.Source != 0 && x.From.Side == edge.Inside
}

// weighed lets the judge look at what could not be parsed: what it says of its source.
func (l *lane) weighed(x *edge.Exchange, err error) {
	why, ok := err.(sip.Error)
	if l.cfg.Judge == nil || !ok || x.From.Side != edge.Outside || x.Trust == edge.Peer {
		return
	}
	if v := l.cfg.Judge.Unreadable(x, why); v.Ban != nil {
		l.punish(x, v.Ban)
	}
}
