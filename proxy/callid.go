package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// insideCallID is the Call-ID by which inside knows the dialog of m, and whether outside knows another. It is valid until the next call.
func (l *lane) insideCallID(m *sip.Message) (id []byte, masked bool) {
	id = m.CallID.Of(m.Raw)
	if l.unmasked, masked = l.cfg.veil.CallID(l.unmasked[:0], id); masked {
		id = l.unmasked
	}
	return id, masked
}

// otherCallID is the Call-ID by which the other side knows the dialog of m, which came from or goes to side; nil if that is the same, or not
// known any more. It is valid until the next call.
func (l *lane) otherCallID(m *sip.Message, side edge.Side) []byte {
	if !m.CallID.Present() || m.CallID.Start > m.CallID.End || int(m.CallID.End) > len(m.Raw) {
		return nil
	}
	id, ok := m.CallID.Of(m.Raw), false
	if side == edge.Outside {
		l.other, ok = l.cfg.veil.CallID(l.other[:0], id)
	} else if l.cfg.Hide {
		var key byte
		if key, ok = l.p.chosen.find(id, nil); ok && key != 0 {
			l.other = l.cfg.veil.AppendCallID(l.other[:0], id, key)
		} else {
			ok = false
		}
	}
	if !ok {
		return nil
	}
	return l.other
}

// outsideCallID is the Call-ID by which outside knows the dialog of a request, where that is another one than inside's. It is valid until the next call.
func (l *lane) outsideCallID(x *edge.Exchange) []byte {
	switch {
	case x.From.Side == edge.Outside && l.own.masked:
		return x.Msg.CallID.Of(x.Msg.Raw)
	case x.From.Side == edge.Inside && l.masks():
		l.other = l.cfg.veil.AppendCallID(l.other[:0], l.own.callID, l.maskKey())
		return l.other
	}
	return nil
}
