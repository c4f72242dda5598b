package proxy

import (
	"bytes"
	"strconv"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// A hop is where a request goes next: what routing found.
type hop struct {
	flow    edge.Flow
	uri     []byte     // new Request-URI, nil: unchanged
	binding binding.ID // the registered phone it goes to, if it is one
	inside  edge.Flow  // for the route token: the server of the platform that this dialog is with
	server  int        // index in pool, if that is not nil
	pool    *pool      // another server of it would do as well
	peer    *peer      // outside, if it goes to one
	call    uint64     // of a peer that it begins or ends, 0: none

	seek resolve.Query // with a host: what has to be looked up before there is any of this
}

// relay sends an admitted request on (RFC 3261 §16.4 to §16.6).
func (l *lane) relay(x *edge.Exchange) {
	if l.forUs(x) {
		l.reply(x, 200, "")
		return
	}
	if l.mayTakeLong(x) {
		l.park(x, l.p.aside, l.asideKey(x))
		return
	}
	var to hop
	v := l.route(x, &to)
	if to.seek.Host != "" {
		l.seek(x, to.seek)
		return
	}
	if v.Action == edge.Pass && !mayCarry(&x.Msg.URI, to.flow.Transport) {
		v = refusal(x, edge.Reply, reasonSIPS, 480, "")
	}
	if v.Action == edge.Pass && l.p.media != nil {
		v = l.mediate(x, &to)
	}
	if v.Action == edge.Pass && len(l.cfg.peers) > 0 {
		if to.call, v = l.metered(x, &to); v.Action != edge.Pass {
			l.unmediated(v.Status)
		}
	}
	if v.Action != edge.Pass {
		l.refuse(x, v)
		if v.Action == edge.Reply {
			l.answer(x, v)
		}
		return
	}
	if x.Msg.Method == sip.ACK { // to a 2xx: end to end, no transaction (RFC 3261 §16.6)
		b := l.rewrite(x, &to, nil)
		b, ok := l.mayLeave(x, b, &to)
		if !ok {
			return
		}
		l.transmit(b, to.flow)
		l.count.SentRequest(to.flow, sip.ACK)
		return
	}
	l.begin(x, &to)
}

// begin puts the transaction on record and sends the request.
func (l *lane) begin(x *edge.Exchange, to *hop) {
	l.disown(x)
	buf := l.out.Buffer() // may flush: not under a shard's lock
	tx, found, err := l.enter(x)
	if err != nil || found {
		l.p.calls.failed(to.call)
		if !found {
			l.unmediated(503)
		}
		l.full(x, found)
		return
	}
	l.held = tx
	tx.Client, tx.Target, tx.Method, tx.Call, tx.Asked, tx.Own = x.From, to.flow, x.Msg.Method, to.call, x.Asked, l.ordered
	tx.Even, tx.Began = l.evens(x), x.At.UnixNano()
	tx.Quiet = tx.Even&evenOn != 0
	if own := &l.own.route; l.own.tokened && x.From.Side == edge.Outside && (own.veils() || own.Inside.Remote != to.flow.Remote) {
		tx.Even |= evenMoved
	}
	if !l.proven(x) {
		tx.Meter(len(x.Msg.Raw))
	}
	b, ok := l.mayLeave(x, l.rewriteInto(buf, x, to, tx), to)
	if !ok {
		l.held = nil
		tx.Abandon()
		l.p.calls.failed(to.call)
		l.unmediated(500)
		l.reply(x, 500, "")
		return
	}
	if to.pool != nil {
		tx.Tried = 1 << to.pool.servers[to.server].place
		tx.Movable = len(to.pool.servers) > 1
	}
	if tooLong(len(b), to.flow) {
		b = l.overTCP(b, tx)
		to.flow = tx.Target
	}
	tx.Sent(b, x.At)
	l.unlock(tx)
	l.leaving(b, to.flow)
	if err := l.out.Send(b, to.flow); err != nil {
		l.unsent(b, to.flow, err, x.At)
		return
	}
	l.count.SentRequest(to.flow, x.Msg.Method)
}

// full deals with a table that has no room: 503 where the source is proven, silence where it may be forged. found: another
// lane was faster with the same request, which is then a retransmission.
func (l *lane) full(x *edge.Exchange, found bool) {
	if found {
		l.count.Retransmission(x.From)
		return
	}
	v := silenced(x, edge.Verdict{Action: edge.Reply, Reason: reasonFull, Status: 503})
	l.refuse(x, v)
	if v.Action == edge.Reply {
		l.answer(x, v)
	}
}

func (l *lane) rewrite(x *edge.Exchange, to *hop, tx *transaction.Tx) []byte {
	return l.rewriteInto(l.out.Buffer(), x, to, tx)
}

// rewriteInto appends x as it goes to its next hop: our Via, the source in the caller's Via, Max-Forwards one less, our
// Route gone, Record-Route where a dialog may begin, the Request-URI and Contact of bindings, the source header. tx is nil
// for an ACK.
func (l *lane) rewriteInto(dst []byte, x *edge.Exchange, to *hop, tx *transaction.Tx) []byte {
	m, e := x.Msg, &l.edit
	e.Reset(m)
	id := transaction.NoID(l.own.key) // an ACK's branch: the same for its retransmissions, another for any other ACK
	if tx != nil {
		id = tx.ID()
	}
	l.value = l.branches.append(append(append(l.value[:0], l.p.faces[to.flow.Listener].Via...), ";branch="...), id, l.own.loop)
	l.salt(tx)
	e.Top(sip.FieldVia, l.finishVia(to.flow))
	if via := l.topVia(x); x.From.Side == edge.Inside {
		l.keepBack(m)
	} else {
		e.Replace(m.Via.Field, trimLF(via))
	}
	l.countDown(x)
	if to.uri != nil {
		e.SetRequestURI(to.uri)
	}
	l.scrubRequest(x)
	l.dropRoutes(x)
	l.dropAnswers(x)
	token := l.recordRoute(x, to)
	extra := l.appendNote(l.extra[:0], x)
	switch {
	case x.From.Side == edge.Inside && len(token) > 0:
		extra = appendValues(extra, m, sip.FieldRecordRoute)
	case m.Method == sip.REGISTER && x.From.Side == edge.Outside:
		extra = l.registration(x, to, extra)
	case m.Method == sip.REGISTER && x.From.Side == edge.Inside && (to.peer != nil || l.cfg.Hide) && l.outbound(x, to):
		extra = append(extra, contactToken)
	}
	l.sourceHeader(x)
	switch {
	case x.From.Side == edge.Outside:
		l.unveil(x)
	case l.cfg.Hide:
		l.hide(x, to)
	case l.masks():
		l.maskCallID(x)
	}
	if x.From.Side == edge.Inside && !l.cfg.Hide && l.own.tokened && !l.own.path && to.peer == nil {
		l.markRequest(x)
	}
	if tx != nil {
		tx.Keep(l.vias, token, extra)
		if len(token) > 0 && x.From.Side == edge.Outside && x.Trust != edge.Peer {
			tx.Called = l.called(l.own.callID, m, &m.URI)
		}
	}
	l.extra = extra[:0]
	l.describe(m)
	return l.describePart(dst, e.AppendTo(dst), m)
}

// finishVia ends l.value, the Via of a request to flow: over TLS with a client certificate of ours it asks that requests to us come back
// over the same connection (RFC 5923).
func (l *lane) finishVia(to edge.Flow) []byte {
	l.value = append(l.value, ";rport"...)
	if to.Transport == edge.TLS && l.out.Certified(to) {
		l.value = append(l.value, ";alias"...)
	}
	return l.value
}

// keepBack takes the Vias of a request that leaves off it, and what sourceHeader wrote on its way in: who sent it is nobody's business
// outside, and a call that passes here twice must not grow beyond a datagram. The transaction has the Vias for the responses.
func (l *lane) keepBack(m *sip.Message) {
	for i := m.Find(sip.FieldVia); i >= 0; i = m.Next(sip.FieldVia, i) {
		l.edit.Remove(i)
	}
	l.dropSource(m)
}

func trimLF(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}

// countDown takes one off Max-Forwards or sets it to 70 (RFC 3261 §16.6 step 3), and gives a request without Max-Breadth the 60
// of RFC 5393 §5.3.3.
func (l *lane) countDown(x *edge.Exchange) {
	m := x.Msg
	left := max(0, int(m.MaxForwards)-1)
	if m.MaxForwards < 0 {
		left = usualForwards
	}
	if l.cfg.Hide && x.From.Side == edge.Inside {
		left = rounded(left)
	}
	l.small = strconv.AppendInt(l.small[:0], int64(left), 10)
	if m.MaxForwards < 0 {
		l.edit.Add("Max-Forwards", l.small)
	} else {
		l.edit.Replace(m.Find(sip.FieldMaxForwards), l.small)
	}
	if m.Method != sip.ACK && m.Find(sip.FieldMaxBreadth) < 0 {
		l.edit.Add("Max-Breadth", sixty)
	}
}

// Max-Forwards of a request without one, and the most that leaves a hidden platform.
const usualForwards, mostForwards = 70, 60

// rounded is left as it leaves a hidden platform, so that it does not tell how many proxies are inside: less, to a whole ten. It is never
// more, because that alone ends a loop through somebody who takes our Vias off; the last ten are counted one by one.
func rounded(left int) int {
	if left < 10 {
		return left
	}
	return min(left/10*10, mostForwards)
}

var sixty = []byte("60")

// dropRoutes removes the Route that names us (RFC 3261 §16.4). From outside, without a token of ours, every other Route goes
// with it: a stranger does not choose the way inside.
func (l *lane) dropRoutes(x *edge.Exchange) {
	m, own := x.Msg, &l.own
	if x.From.Side == edge.Outside && !own.tokened {
		for i := m.Find(sip.FieldRoute); i >= 0; i = m.Next(sip.FieldRoute, i) {
			l.edit.Remove(i)
		}
		return
	}
	switch {
	case !own.ownRoute:
	case own.rest.Present():
		l.edit.Replace(own.field, bytes.TrimLeft(own.rest.Of(m.Raw), " \t"))
	default:
		l.edit.Remove(own.field)
	}
}

// recordRoute adds our Record-Route to requests that may begin a dialog (RFC 3261 §16.6 step 4; NOTIFY may be the first to:
// RFC 6665 §4.3), named by our address on the side it goes to, and returns its user part: what brings replies back to it.
func (l *lane) recordRoute(x *edge.Exchange, to *hop) []byte {
	m := x.Msg
	switch m.Method {
	case sip.NOTIFY:
	case sip.INVITE, sip.SUBSCRIBE, sip.REFER:
		if m.ToTag.Present() {
			return nil
		}
	default:
		return nil
	}
	r := route{Binding: to.binding, Outside: to.flow, Inside: to.inside, veiled: veiled{Whole: l.cfg.Hide}}
	if l.own.tokened && !l.own.path { // a NOTIFY, which may come before the answer that makes the dialog
		r.Salt = l.own.route.Salt
	}
	if x.From.Side == edge.Outside {
		r.Outside = x.From
		if l.cfg.Hide {
			r.Salt = l.own.salt
		}
		if r.Masked = l.own.masked; r.Masked {
			r.Key = m.Raw[m.CallID.Start]
		}
		if l.cfg.Hide && !m.ToTag.Present() && !r.Masked {
			l.p.chosen.began(l.own.callID, m.FromTag.Of(m.Raw))
		}
		if x.Trust != edge.Unknown { // a phone may be registered from the network of a peer
			r.Binding = l.p.bindings.At(x.From, x.At)
		}
	}
	if l.cfg.Hide && x.From.Side == edge.Inside {
		l.conceal(x, &r)
	}
	l.small = appendToken(l.small[:0], l.p.keys, &r, x.From.Side, m, l.own.callID)
	if x.From.Side == edge.Inside && !l.cfg.Hide && to.peer == nil {
		l.small = l.marksOfCall(l.small, m, to.inside)
	}
	l.value = l.appendRoute(l.value[:0], l.small, to.flow, m.URI.Scheme)
	switch i := m.Find(sip.FieldRecordRoute); {
	case i < 0 || l.cfg.Hide && x.From.Side == edge.Inside:
		l.edit.Top(sip.FieldRecordRoute, l.value)
	case x.From.Side == edge.Inside:
		l.joinRoutes(m, i)
	default:
		l.edit.Before(i, sip.FieldRecordRoute, l.value)
	}
	return l.small
}

// joinRoutes writes l.value and all Record-Routes of m, of which field i is the first, in one line: a call that passes here twice must not
// grow beyond a datagram.
func (l *lane) joinRoutes(m *sip.Message, i int) {
	at := m.Fields[i].Value
	l.edit.ReplaceSpan(i, sip.Span{Start: at.Start, End: at.Start}, append(l.value, ", "...))
	l.value = l.value[:0]
	for k := m.Next(sip.FieldRecordRoute, i); k >= 0; k = m.Next(sip.FieldRecordRoute, k) {
		l.value = append(append(l.value, ", "...), m.Fields[k].Value.Of(m.Raw)...)
		l.edit.Remove(k)
	}
	if len(l.value) > 0 {
		l.edit.ReplaceSpan(i, sip.Span{Start: at.End, End: at.End}, l.value)
	}
}

// appendRoute appends a Record-Route value of ours with user part token, as the far end of flow shall see it. Where the request is
// for a sips URI, so is the Record-Route (RFC 3261 §16.6 step 4).
func (l *lane) appendRoute(dst, token []byte, flow edge.Flow, scheme sip.Scheme) []byte {
	f := &l.p.faces[flow.Listener]
	if dst = append(dst, "<sip"...); scheme == sip.SIPS {
		dst = append(dst, 's')
	}
	dst = append(append(append(dst, ':'), token...), '@')
	return append(append(append(dst, f.host...), f.params...), ";lr>"...)
}

// sourceHeader tells the platform where a request came from; what outside wrote under that name is gone by then.
func (l *lane) sourceHeader(x *edge.Exchange) {
	name := l.cfg.SourceHeader
	if name == "" || x.From.Side != edge.Outside {
		return
	}
	l.value = l.appendSourceHeader(l.value[:0], x.From)
	l.edit.Add(name, l.value)
}

// dropSource removes what sourceHeader adds.
func (l *lane) dropSource(m *sip.Message) {
	for i := range m.Fields {
		if f := &m.Fields[i]; f.ID == sip.FieldOther && sip.Spells(f.Name.Of(m.Raw), l.cfg.source) {
			l.edit.Remove(i)
		}
	}
}
