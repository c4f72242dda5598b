package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
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
	case l.reserved(x):
		return edge.Verdict{}
	case p == edge.Tight && l.forUs(x): // needs no state
		return edge.Verdict{}
	}
	return silenced(x, edge.Verdict{Action: edge.Reply, Reason: reasonMemory, Status: 503})
}

// reserved reports whether x may use what is kept free of strangers. Besides known sources and peers that is who comes over a stream from the
// address of a registered phone, as a phone does that has lost its connection: a handshake has proven the address. It gets no right by that.
func (l *lane) reserved(x *edge.Exchange) bool {
	return x.Trust != edge.Unknown || x.From.Transport.Stream() && l.p.bindings.KnownAddr(x.From.Remote.Addr(), x.At)
}

// usualSize is the largest request in a dialog of strangers, bytes, that may use what is kept free of them.
const usualSize = 2 << 10

// enter puts x on record, in the share of strangers or in the other. A flood of strangers must not keep other strangers from ending
// their calls: what carries a token of ours may use half the table.
func (l *lane) enter(x *edge.Exchange) (tx *transaction.Tx, found bool, err error) {
	t := l.p.table
	tx, found, err = t.Begin(l.own.key, l.reserved(x))
	if err != nil && l.own.tokened && len(x.Msg.Raw) <= usualSize && t.Len() < l.cfg.Transactions.Max/2 {
		return t.Begin(l.own.key, true)
	}
	return tx, found, err
}
