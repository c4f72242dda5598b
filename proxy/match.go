package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// match finds out by read-only look-ups what a request belongs to, and the trust of its source where that matters.
func (l *lane) match(x *edge.Exchange) {
	m := x.Msg
	l.own = belongings{} // and then its fields: a literal would be built elsewhere and copied
	l.own.key, l.own.callID = l.key(x), m.CallID.Of(m.Raw)
	known := l.p.table.Has(l.own.key)
	switch {
	case known && m.Method == sip.ACK && !l.accepted():
		x.Match = edge.MatchACK
		return
	case m.Method == sip.ACK: // of a 2xx; some phones give it the branch of the INVITE, against RFC 3261 §17.1.1.3
	case known && m.Method == sip.CANCEL:
		x.Match = edge.MatchCancel
		return
	case known:
		x.Match = edge.MatchRetransmission
		return
	}
	l.ownRoute(x)
	l.ownTarget(x)
	if l.own.tokened && x.From.Side == edge.Outside && l.own.target == nil {
		l.ownMark(x)
	}
	if x.Trust == edge.Unknown && l.p.bindings.Known(x.From, x.At) {
		x.Trust = edge.Known
	}
	if l.own.tokened {
		x.Match = edge.MatchInDialog
		if l.own.route.Outside.Remote == x.From.Remote && !l.ordered {
			l.proves(x) // the token was sent there
		}
	}
}

// accepted reports whether the transaction on record was answered with a 2xx.
func (l *lane) accepted() bool {
	tx := l.p.table.Find(l.own.key)
	if tx == nil {
		return false
	}
	defer tx.Unlock()
	return tx.State == transaction.Accepted
}

// key is the keyed hash of what RFC 3261 §17.2.3 compares, and of the source's address: nobody reaches into a transaction
// from another address. ACK and CANCEL get the key of their INVITE.
func (l *lane) key(x *edge.Exchange) uint64 {
	m := x.Msg
	addr := x.From.Remote.Addr().As16()
	b := append(append(l.hashed[:0], addr[:]...), byte(x.From.Side))
	if m.Method == sip.ACK || m.Method == sip.CANCEL {
		b = append(b, "INVITE"...)
	} else {
		b = append(b, m.MethodName.Of(m.Raw)...)
	}
	if m.Via.Cookie(m.Raw) {
		b = append(append(append(b, " \n"...), m.Via.Branch.Of(m.Raw)...), '\n')
		b = append(b, m.Via.SentBy.Of(m.Raw)...)
	} else { // RFC 2543. The To tag is left out: an ACK carries the one that the response brought.
		b = appendParts(appendNumber(b, m), m, m.RequestURI, m.FromTag, m.CallID, m.Via.Whole)
	}
	l.hashed = b
	return maphash.Bytes(l.p.seed, b)
}

// appendParts appends parts of m, apart from each other.
func appendParts(dst []byte, m *sip.Message, parts ...sip.Span) []byte {
	for _, s := range parts {
		dst = append(append(dst, '\n'), s.Of(m.Raw)...)
	}
	return dst
}

// appendFields appends the values of all fields with id, apart from each other.
func appendFields(dst []byte, m *sip.Message, id sip.FieldID) []byte {
	for i := m.Find(id); i >= 0; i = m.Next(id, i) {
		dst = append(append(dst, '\n'), m.Fields[i].Value.Of(m.Raw)...)
	}
	return dst
}

// appendNumber appends the CSeq number.
func appendNumber(dst []byte, m *sip.Message) []byte {
	return binary.BigEndian.AppendUint32(dst, m.CSeq.Number)
}

// loopHash covers what routing depends on (RFC 3261 §16.6 step 8). The Call-ID is that of the first pass: each pass of a loop through the outside
// of a hidden platform masks it once more.
func (l *lane) loopHash(x *edge.Exchange) uint32 {
	m := x.Msg
	b := appendNumber(append(l.hashed[:0], byte(x.From.Side)), m)
	b = append(append(append(b, '\n'), m.RequestURI.Of(m.Raw)...), '\n')
	b = append(append(append(b, m.FromTag.Of(m.Raw)...), '\n'), m.ToTag.Of(m.Raw)...)
	b = append(append(b, '\n'), m.MethodName.Of(m.Raw)...)
	callID, masked := m.CallID.Of(m.Raw), false
	if l.cfg.Hide && x.From.Side == edge.Inside {
		if l.other, masked = l.cfg.veil.CallID(l.other[:0], callID); masked {
			callID = l.other
		}
	}
	b = append(append(b, '\n'), callID...)
	b = appendFields(appendFields(b, m, sip.FieldRoute), m, sip.FieldProxyRequire)
	l.hashed = b
	return uint32(maphash.Bytes(l.p.seed, b))
}

// ownRoute looks at the topmost Route: does it name us, and does it hold a token of ours (RFC 3261 §16.4)?
func (l *lane) ownRoute(x *edge.Exchange) {
	m := x.Msg
	i := m.Find(sip.FieldRoute)
	if i < 0 {
		return
	}
	user, rest, ok := l.routeUser(x.From.Side, m.Fields[i].Value)
	if !ok {
		return
	}
	own := &l.own
	own.ownRoute, own.field, own.rest = true, i, rest
	user, marks := cutMarks(user)
	l.readMarks(marks)
	if len(user) == 0 {
		return
	}
	if user[0] != pathToken && !m.ToTag.Present() {
		return // a route token authorises in-dialog requests only
	}
	if m.Method == sip.REGISTER && x.From.Side == edge.Outside {
		return // which it never is (RFC 3261 §10.2): whoever holds a token is not to try passwords by it unjudged
	}
	l.identify(x)
	own.route, l.opened, own.tokened = openToken(l.opened, l.p.keys, user, x.From.Side, m, own.callID)
	if own.path, own.inner = user[0] == pathToken, user[0] == fromInside; !own.tokened {
		own.forged = reasonForged
	} else if len(user) > 10 {
		const odd = 0x9e3779b97f4a7c15 // spreads 48 bits of the seal, which are as good as random, over all
		x.Dialog = binary.BigEndian.Uint64(user[2:10]) * odd
		x.Dialog ^= x.Dialog >> 32
	}
}

// ownTarget looks at the Request-URI of a request from outside: is it a token of ours, and what does it stand for? A user part that has
// the mark of one and does not verify is told from a user by its length.
func (l *lane) ownTarget(x *edge.Exchange) {
	m := x.Msg
	user := m.URI.User.Of(m.Raw)
	if x.From.Side == edge.Inside || len(user) < topo.LeastTarget || !l.named(x) {
		return
	}
	var ok bool
	if l.uri, l.own.home, ok = openContactToken(l.uri[:0], l.p.keys, user); ok {
		l.own.target, x.Target = l.uri, l.uri
		return
	}
	var err error
	if l.uri, l.own.made, err = l.cfg.veil.Open(l.uri[:0], user, x.At); err == nil && len(l.uri) > 0 {
		l.own.target, x.Target = l.uri, l.uri
	}
	if l.own.forged == "" && err != nil {
		if l.own.forged = reasonTarget; err == topo.ErrExpired {
			l.own.forged = reasonExpired
		}
	}
}

// routeUser reads the first Route of value: its user part and what follows it, if it names one of our listeners of side.
func (l *lane) routeUser(side edge.Side, value sip.Span) (user []byte, rest sip.Span, ok bool) {
	raw := l.msg.Raw
	if user, ok = l.asWritten(side, value.Of(raw)); ok {
		return user, sip.Span{}, true
	}
	top, rest, err := sip.NextAddress(raw, value)
	if err != nil {
		return nil, sip.Span{}, false
	}
	uri, err := sip.ParseURI(raw, top.URI)
	if err != nil || !l.ours(side, uri.Host.Of(raw), uri.Port) {
		return nil, sip.Span{}, false
	}
	return uri.User.Of(raw), rest, true
}

// asWritten is routeUser for the usual case: one Route, byte for byte as we wrote the Record-Route.
func (l *lane) asWritten(side edge.Side, route []byte) (user []byte, ok bool) {
	uri, ok := bytes.CutPrefix(route, []byte("<sip:"))
	user, tail, found := bytes.Cut(uri, []byte{'@'})
	if !ok || !found {
		return nil, false
	}
	for i := range l.p.faces {
		if f := &l.p.faces[i]; f.Side == side && !f.Spread && f.tail == string(tail) {
			return user, true
		}
	}
	return nil, false
}
