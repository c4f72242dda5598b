package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// goesOn reports whether a request that belongs to nothing on record may still pass while new work is refused: the refresh of a registered phone
// that has a call, which would lose its way to the phone without it (row P62), and a phone's farewell. A phone without a call is
// refused like any new work, so that it moves at once to where it can be called.
func (l *lane) goesOn(x *edge.Exchange) bool {
	if x.Msg.Method != sip.REGISTER || x.From.Side != edge.Outside {
		return false
	}
	for k := range l.asked.contacts {
		n, _ := l.noted(x.Msg, &l.asked.contacts[k])
		if n.star && x.Trust == edge.Known {
			return true
		}
		if b, ok := l.p.bindings.Get(n.id, x.At); ok && (n.life == 0 || l.p.bans.Calling(b.Flow.Remote)) {
			return true
		}
	}
	return false
}
