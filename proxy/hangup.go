package proxy

import (
	"bytes"
	"hash/maphash"
	"iter"
	"strconv"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// The edge ends dialogs of others in two cases: a 2xx whose description can't be used, and a call whose media stopped. It writes the BYE (or
// ACK) that an end would have written and handles it as if that end had sent it, so that it goes the way of any other: through the far
// end's own flow, with the tokens and names that it knows. What answers it ends here.

// farCSeq is how far the numbers of our own requests in a dialog are ahead of the end's: it may still be sending some.
const farCSeq = 1000

// mostEnded bounds the dialogs that are ended in one second because their media stopped; the others have their turn in the next.
const mostEnded = 500

// ahead is a number that is higher than those of an end, and one that CSeq may have (RFC 3261 §8.1.1.5).
func ahead(number uint32) uint32 { return min(number, 1<<31-1-farCSeq) + farCSeq }

// hangUp notes what is to be sent because the 2xx x to an INVITE, tx, can't be used: an ACK, and, if it begins a dialog, a BYE (RFC 3261 §13.2.2.4).
// A dialog that was before goes on as it was: docs/rooms/media.md says why; its ACK is returned, for the target. tx is locked.
func (l *lane) hangUp(buf []byte, x *edge.Exchange, tx *transaction.Tx) (ack []byte) {
	l.d.fate = fateDrop
	if _, token, _ := tx.Back(); len(token) == 0 {
		return l.ackAccepted(x, tx)
	}
	client, ok := l.clientLeg(buf, x, tx)
	if !ok {
		return nil
	}
	l.orders = l.appendOrder(l.orders[:0], &client, "ACK", client.Number)
	l.split = len(l.orders)
	l.orders = l.appendOrder(l.orders, &client, "BYE", ahead(client.Number))
	l.orderer = tx.Client
	return nil
}

// ackAccepted builds the ACK for a 2xx, x, to an INVITE in a dialog, tx, as the target gets it.
func (l *lane) ackAccepted(x *edge.Exchange, tx *transaction.Tx) []byte {
	g := media.Leg{Flow: tx.Target, Target: firstURI(x.Msg, sip.FieldContact).Of(x.Msg.Raw)}
	if l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	for i := l.sent.Find(sip.FieldRoute); i >= 0; i = l.sent.Next(sip.FieldRoute, i) {
		g.Routes = appendField(g.Routes, "Route", l.sent.Fields[i].Value.Of(l.sent.Raw))
	}
	if len(g.Target) == 0 {
		g.Target = l.sent.RequestURI.Of(l.sent.Raw)
	}
	g.Fields = appendParties(nil, x.Msg, sip.FieldFrom, sip.FieldTo)
	return l.appendOrder(nil, &g, "ACK", x.Msg.CSeq.Number)
}

// keepLegs notes how each end of the dialog that the 2xx x belongs to would write requests, while calls are ended whose media stops. tx, the
// request, is locked.
func (l *lane) keepLegs(buf []byte, x *edge.Exchange, tx *transaction.Tx) {
	if x.Msg.Status/100 != 2 || tx.Method != sip.INVITE && tx.Method != sip.UPDATE || !l.p.media.Ends() {
		return
	}
	another := tx.State == transaction.Accepted && l.p.media.Lacks(tx.Key(), l.d.msg.Dialog) // of a fork that answered later
	if tx.State >= transaction.Completed && !another {
		return
	}
	if server, ok := l.serverLeg(x, tx); ok || another {
		if client, ok := l.clientLeg(buf, x, tx); ok {
			l.p.media.Keep(tx.Key(), l.d.msg.Dialog, client, server)
		}
	}
}

// clientLeg is the leg of the client of tx, which x, a 2xx, answers. Of the Routes that it would write the first is ours; those before lead to us. A 2xx
// in a dialog does not tell them.
func (l *lane) clientLeg(buf []byte, x *edge.Exchange, tx *transaction.Tx) (g media.Leg, ok bool) {
	if l.left.Parse(l.returned(buf, x, tx), true) != nil {
		return g, false
	}
	m := &l.left
	g = media.Leg{Flow: tx.Client, Number: m.CSeq.Number, Target: bytes.Clone(firstURI(m, sip.FieldContact).Of(m.Raw))}
	g.Fields = appendParties(nil, m, sip.FieldFrom, sip.FieldTo)
	_, token, _ := tx.Back()
	if len(token) == 0 {
		return g, true
	}
	var routes [][]byte
	for a := range recorded(m) {
		routes = append(routes, a.Whole.Of(m.Raw))
		if ok = l.namesUs(m, a, tx.Client.Side); ok {
			break
		}
	}
	for i := range routes { // Record-Route stands in the order of the way, so the last is the first of the way back
		g.Routes = appendField(g.Routes, "Route", routes[len(routes)-1-i])
	}
	return g, ok && len(g.Target) > 0
}

// serverLeg is the leg of who answered tx with x, a 2xx. Target and Routes stand in the request, which is kept until the first 2xx only.
func (l *lane) serverLeg(x *edge.Exchange, tx *transaction.Tx) (g media.Leg, ok bool) {
	g = media.Leg{Flow: x.From, Fields: appendParties(nil, x.Msg, sip.FieldTo, sip.FieldFrom)}
	if tx.State >= transaction.Completed || l.sent.Parse(tx.Request(), true) != nil {
		return g, false
	}
	m := &l.sent
	g.Target = bytes.Clone(firstURI(m, sip.FieldContact).Of(m.Raw))
	_, token, _ := tx.Back()
	if len(token) == 0 {
		return g, true
	}
	for a := range recorded(m) {
		if ok = ok || l.namesUs(m, a, tx.Target.Side); ok {
			g.Routes = appendField(g.Routes, "Route", a.Whole.Of(m.Raw))
		}
	}
	return g, ok && len(g.Target) > 0
}

// countNumber notes the CSeq number of x, a request in a dialog, which goes to to.
func (l *lane) countNumber(x *edge.Exchange, to *hop) {
	m := &l.d.msg
	if m.Dialog == 0 || l.ordered || !l.p.media.Ends() {
		return
	}
	if l.p.media.Count(m.Dialog, m.From, x.Msg.CSeq.Number) && l.own.tokened {
		l.learnRoutes(x, to)
	}
}

// learnRoutes notes the route set of who sent x, a request in a dialog that was not begun in this process: all Routes of x, of which the first is
// ours. Of the set of the other end ours alone is known.
func (l *lane) learnRoutes(x *edge.Exchange, to *hop) {
	m := x.Msg
	first := m.Fields[l.own.field].Value
	user, _, ok := l.routeUser(x.From.Side, first)
	if !ok {
		return
	}
	scheme := sip.SIP
	if bytes.HasPrefix(first.Of(m.Raw), []byte("<sips:")) {
		scheme = sip.SIPS
	}
	var routes []byte
	for i := l.own.field; i >= 0; i = m.Next(sip.FieldRoute, i) {
		routes = appendField(routes, "Route", m.Fields[i].Value.Of(m.Raw))
	}
	l.p.media.Learn(l.d.msg.Dialog, l.d.msg.From, routes, appendField(nil, "Route", l.appendRoute(nil, user, to.flow, scheme)))
}

// recorded are the addresses in the Record-Routes of m.
func recorded(m *sip.Message) iter.Seq[sip.Address] {
	return func(yield func(sip.Address) bool) {
		for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
			for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
				if !yield(a) {
					return
				}
			}
		}
	}
}

// namesUs reports whether a, of m, is one of our Record-Routes, as the far end on that side knows them.
func (l *lane) namesUs(m *sip.Message, a sip.Address, side edge.Side) bool {
	uri, err := sip.ParseURI(m.Raw, a.URI)
	return err == nil && uri.User.Present() && l.ours(side, uri.Host.Of(m.Raw), uri.Port)
}

// appendParties appends the From, To and Call-ID of a request in the dialog of m, whose From and To are in the fields from and to of m.
func appendParties(dst []byte, m *sip.Message, from, to sip.FieldID) []byte {
	dst = appendField(dst, "From", m.Value(from))
	dst = appendField(dst, "To", m.Value(to))
	return appendField(dst, "Call-ID", m.Value(sip.FieldCallID))
}

func appendField(dst []byte, name string, value []byte) []byte {
	return append(appendUnfolded(append(append(dst, name...), ": "...), value), "\r\n"...)
}

// appendOrder appends a request of g. Its branch is the same whenever it is written again.
func (l *lane) appendOrder(dst []byte, g *media.Leg, method string, number uint32) []byte {
	id := transaction.NoID(maphash.Bytes(l.p.seed, g.Fields) + uint64(number)<<32)
	dst = append(append(append(append(dst, method...), ' '), g.Target...), " SIP/2.0\r\nVia: "...)
	dst = append(append(dst, l.p.faces[g.Flow.Listener].Via...), ";branch="...)
	dst = append(l.branches.append(dst, id, orderMark), "\r\n"...)
	dst = append(append(append(dst, g.Routes...), g.Fields...), "Max-Forwards: 70\r\nCSeq: "...)
	dst = append(strconv.AppendUint(dst, uint64(number), 10), ' ')
	return append(append(dst, method...), "\r\nContent-Length: 0\r\n\r\n"...)
}

// orderMark stands in the branches of our own requests where others have their loop hash.
const orderMark = 0x68616e67

// obey handles the requests that hangUp noted, now that the message at hand is done with.
func (l *lane) obey(at time.Time) {
	orders, split, from := l.orders, l.split, l.orderer
	l.orders = l.orders[:0]
	l.order(orders[:split], from, at)
	l.order(orders[split:], from, at)
}

// order handles a request of our own as if it came from a far end.
func (l *lane) order(b []byte, from edge.Flow, at time.Time) {
	l.own.key, l.ordered = 0, true
	defer func() { l.ordered = false }()
	_ = l.handle(b, from, at) // ours: its end is in no doubt
}

// endSilenced ends dialogs whose media stopped: BYE to each end, in the name of the other.
func (l *lane) endSilenced(now time.Time) {
	if l.p.media == nil || !l.p.media.Ends() {
		return
	}
	for range mostEnded {
		ends, more := l.p.media.Silenced()
		if !more {
			return
		}
		for e := range ends {
			if g := &ends[e]; l.p.listed(&g.Flow) {
				l.order(l.appendOrder(nil, g, "BYE", ahead(g.Number)), g.Flow, now)
			}
		}
	}
}

// listed gives a flow that was kept over a restart a listener that it can have come by, if there is one: they may be others now.
func (p *Proxy) listed(flow *edge.Flow) bool {
	if p.serves(*flow) {
		return true
	}
	for i := range p.faces {
		if flow.Listener = uint16(i); p.serves(*flow) {
			return true
		}
	}
	return false
}
