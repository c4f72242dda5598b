package proxy

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// Some phones take a second challenge for a wrong password, whatever it says (docs/adr/0011-own-challenges.md). They are asked in another
// way first: with an OPTIONS, which they answer by themselves. Their request, which they repeat over UDP after half a second, and which is held if
// it came over a connection (held.go), then goes on. Who does not answer gets our challenge for that.

// knockMark stands in our branch where requests have their loop hash: a response with it answers a knock.
const knockMark = 0x6b6e6f63

// knockID names the source of x together with its Call-ID.
func (l *lane) knockID(x *edge.Exchange) transaction.ID {
	l.hashed = binary.BigEndian.AppendUint64(l.hashed[:0], hashFlow(l.p.seed, x.From))
	l.hashed = append(l.hashed, x.Msg.CallID.Of(x.Msg.Raw)...)
	return transaction.NoID(maphash.Bytes(l.p.seed, l.hashed))
}

// knockMarkOf is what is remembered of a knock at a flow.
func (l *lane) knockMarkOf(id transaction.ID, at edge.Flow, what byte) uint64 {
	b := binary.BigEndian.AppendUint64(append(l.hashed[:0], what), uint64(id))
	l.hashed = binary.BigEndian.AppendUint64(b, hashFlow(l.p.seed, at))
	return maphash.Bytes(l.p.seed, l.hashed)
}

const knockedAt, answeredFrom = 'k', 'a'

// knocks sends an OPTIONS to where x came from, the first time that it comes, and reports whether x is done with for now. Nothing grows with it: that
// it was sent is a mark in a table of fixed size, and where there is no room to hold x, it goes on.
func (l *lane) knocks(x *edge.Exchange) bool {
	m, stream := x.Msg, x.From.Transport.Stream()
	if m.Find(sip.FieldAuthorization) >= 0 || m.Find(sip.FieldProxyAuthorization) >= 0 || stream && len(m.Raw) > largestHeld {
		return false
	}
	id := l.knockID(x)
	mark := l.knockMarkOf(id, x.From, knockedAt)
	if l.p.knocks.has(mark, x.At) {
		return false
	}
	if stream && !l.hold(x, id) {
		l.pass(x)
		return true
	}
	l.p.knocks.add(mark, x.At)
	b := l.appendKnock(l.out.Buffer(), x.From, id)
	if !l.proven(x) && 10*len(b) > 13*len(m.Raw) {
		return false
	}
	l.transmit(b, x.From)
	l.count.SentRequest(x.From, sip.OPTIONS)
	return true
}

// appendKnock appends the OPTIONS that is sent to a flow for the request with that id.
func (l *lane) appendKnock(b []byte, to edge.Flow, id transaction.ID) []byte {
	f := &l.p.faces[to.Listener]
	l.value = l.branches.append(l.value[:0], id, knockMark)
	branch := l.value
	b = append(to.Remote.AppendTo(append(b, "OPTIONS sip:"...)), " SIP/2.0\r\nVia: "...)
	b = append(append(append(append(b, f.Via...), ";branch="...), branch...), ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:"...)
	b = append(append(append(b, f.host...), ">;tag="...), branch[len(cookie):len(cookie)+8]...)
	b = to.Remote.AppendTo(append(b, "\r\nTo: <sip:"...))
	b = append(append(b, ">\r\nCall-ID: "...), branch[len(cookie):]...)
	b = append(b, "\r\nCSeq: 1 OPTIONS\r\n"...)
	if face := l.cfg.scrub.Face(); len(face) > 0 && l.cfg.Hide {
		b = append(append(append(b, "User-Agent: "...), face...), "\r\n"...)
	}
	return append(b, "Content-Length: 0\r\n\r\n"...)
}

// answersKnock takes the response to a knock; false if x is none.
func (l *lane) answersKnock(x *edge.Exchange, id transaction.ID, mark uint32) bool {
	if mark != knockMark || x.From.Side != edge.Outside {
		return false
	}
	answered := l.knockMarkOf(id, x.From, answeredFrom)
	l.p.knocks.add(answered, x.At)
	l.admitHeld(answered, x.At)
	return true
}

// isHome reports whether a knock for x was answered from where x came from, within 10 minutes: a phone is there. It proves nothing of who wrote
// x: a phone answers for what was forged in its name, too.
func (l *lane) isHome(x *edge.Exchange) bool {
	return l.p.knocks.has(l.knockMarkOf(l.knockID(x), x.From, answeredFrom), x.At)
}
