package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// shed refuses what begins something while memory is short (limits.memory). What belongs to something that is on record, or claims to, is
// not asked.
func (l *lane) shed(x *edge.Exchange) edge.Verdict {
	p := l.p.srv.Pressure()
	if p == edge.Calm || x.Match != edge.MatchNew || x.Msg.ToTag.Present() {
		return edge.Verdict{}
	}
	switch x.Msg.Method {
	case sip.ACK, sip.BYE, sip.CANCEL:
		return edge.Verdict{}
	}
	switch {
	case p == edge.Drought:
	case x.Trust != edge.Unknown:
		return edge.Verdict{}
	case p == edge.Tight && l.forUs(x): // needs no state
		return edge.Verdict{}
	}
	return silenced(x, edge.Verdict{Action: edge.Reply, Reason: reasonMemory, Status: 503})
}
