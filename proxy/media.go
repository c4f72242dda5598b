package proxy

import (
	"encoding/binary"
	"errors"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// Where media is relayed no session description passes as it is: what is an offer or an answer becomes ours, what can't be read is
// refused, and every other one is taken out. This file is the one place where that happens (design, section 3, step 8).

// A fate is what becomes of the description in a message.
type fate uint8

const (
	fateNone    fate = iota // there is none, or media is not relayed
	fateReplace             // description.text stands in its place
	fateDrop                // it goes, with the body it is in
)

// A description is what a lane knows of the one in the message at hand.
type description struct {
	fate    fate
	at, end int    // where it stands in the body
	text    []byte // what stands in its place
	msg     media.Message
}

// mediate hands a request, which goes to to, to media. A verdict other than Pass or Note says that it can't go on.
func (l *lane) mediate(x *edge.Exchange, to *hop) edge.Verdict {
	found, v := l.findDescription(x)
	if v.Action == edge.Reply {
		return l.withoutDescription(x, v)
	}
	m, d := &l.d.msg, &l.d
	*m = media.Message{At: x.At, Key: l.own.key, Method: x.Msg.Method, SDP: m.SDP}
	m.Dialog, m.From = l.dialogOf(x)
	switch m.Method {
	case sip.INVITE, sip.UPDATE, sip.PRACK, sip.BYE:
	case sip.ACK:
		m.Key = 0
	default:
		l.countNumber(x, to)
		return l.settleDescription(x, found, nil, media.ErrStray)
	}
	m.Parties[m.From] = media.Party{Flow: x.From, Trust: x.Trust, Proven: l.proven(x)}
	m.Parties[m.From.Other()] = l.receiver(to)
	m.Label = media.Label{CallID: l.own.callID, Other: l.outsideCallID(x), Caller: x.Msg.From.URI.Of(x.Msg.Raw), Callee: x.Msg.To.URI.Of(x.Msg.Raw)}
	m.Clean = l.cleanTo(to.flow.Side)
	out, err := l.p.media.Request(d.text[:0], m)
	l.countNumber(x, to)
	return l.settleDescription(x, found, out, err)
}

// mediateReply hands a response to media, which answers the request of tx. tx is locked, and not while media has it: ports may have to be
// opened. What is returned is tx, locked again, or nil if it is gone.
func (l *lane) mediateReply(x *edge.Exchange, tx *transaction.Tx) (*transaction.Tx, edge.Verdict) {
	found, v := l.findDescription(x)
	if !MayDescribe(tx.Method) {
		if found || v.Action != edge.Pass { // as in a 200 to OPTIONS (RFC 3261 §11.2): no offer and no answer, whatever it is
			l.settleDescription(x, true, nil, media.ErrStray)
		}
		return tx, edge.Verdict{}
	}
	id, method := tx.ID(), tx.Method
	m := &l.d.msg
	*m = media.Message{At: x.At, Key: tx.Key(), Method: method, Status: x.Msg.Status, SDP: m.SDP,
		Reliable: x.Msg.Status < 200 && x.Msg.Find(sip.FieldRSeq) >= 0}
	m.Dialog = l.dialogMade(x.Msg, tx)
	m.Replier = l.receiver(&hop{flow: x.From})
	m.Clean = l.cleanTo(tx.Client.Side)
	if v.Action == edge.Pass {
		l.unlock(tx)
		out, err := l.p.media.Response(l.d.text[:0], m)
		v = l.settleDescription(x, found, out, err)
		tx = l.p.table.FindID(id)
		l.held = tx
	}
	return tx, v
}

// cleanTo says what may stand in a description for side: where the platform is hidden nothing that names the inside leaves (F20).
func (l *lane) cleanTo(side edge.Side) func([]byte) bool {
	if side == edge.Inside || !l.cfg.Hide {
		return nil
	}
	return l.clean
}

// unmarked reports whether text names nothing of the inside.
func (l *lane) unmarked(text []byte) bool {
	marks := l.cfg.Topology.Marks
	if marks == nil {
		return true
	}
	_, end := marks.Find(text, 0)
	return end == 0
}

// MayDescribe reports whether requests of method, or responses to them, hold offers and answers (RFC 6337 §1.2).
func MayDescribe(m sip.Method) bool {
	return m == sip.INVITE || m == sip.UPDATE || m == sip.PRACK || m == sip.BYE
}

// receiver is who a request goes to.
func (l *lane) receiver(to *hop) media.Party {
	p := media.Party{Flow: to.flow, Trust: edge.Peer, Proven: true}
	if to.flow.Side == edge.Outside && l.cfg.peerAt(to.flow) == nil {
		if p.Trust = edge.Unknown; l.p.bindings.KnownAddr(to.flow.Remote.Addr(), l.x.At) {
			p.Trust = edge.Known
		}
	}
	return p
}

// untyped is what a body without Content-Type is taken for where there may be a description: Asterisk and FreeSWITCH read it so.
var untyped = []byte("application/sdp")

// findDescription finds the session description in x. A verdict other than Pass says that it can't be read.
func (l *lane) findDescription(x *edge.Exchange) (found bool, v edge.Verdict) {
	d, m := &l.d, x.Msg
	d.fate, d.msg.SDP = fateNone, nil
	if m.Body.Len() == 0 {
		return false, v
	}
	body, kind := m.Body.Of(m.Raw), m.Value(sip.FieldContentType)
	if len(kind) == 0 && (MayDescribe(m.CSeq.Method) || m.CSeq.Method == sip.ACK) {
		kind = untyped
	}
	at, end, found, err := sdp.FindPart(kind, body)
	switch {
	case err != nil:
		return false, l.unreadable(x, err)
	case !found:
		return false, v
	case m.Find(sip.FieldContentEncoding) >= 0:
		return true, edge.Verdict{Action: edge.Reply, Reason: reasonEncoded, Status: 415}
	}
	d.at, d.end, d.msg.SDP = at, end, body[at:end]
	return true, v
}

// unreadable is the verdict on a description that media refuses.
func (l *lane) unreadable(x *edge.Exchange, err error) edge.Verdict {
	var bad sdp.Error
	switch {
	case errors.As(err, &bad):
		return edge.Verdict{Action: edge.Reply, Reason: edge.Reason(bad.ID()), Status: bad.Status()}
	case errors.Is(err, media.ErrEngine):
		return edge.Verdict{Action: edge.Reply, Reason: reasonMediaDown, Status: 503}
	case errors.Is(err, media.ErrShare), errors.Is(err, media.ErrOwner):
		return edge.Verdict{Action: edge.Reply, Reason: reasonMediaShare, Status: 503}
	}
	return edge.Verdict{Action: edge.Reply, Reason: reasonMediaFull, Status: 503}
}

// settleDescription notes what becomes of the description in x: media says out, or err.
func (l *lane) settleDescription(x *edge.Exchange, found bool, out []byte, err error) edge.Verdict {
	d := &l.d
	if out != nil {
		d.text = out
	}
	switch {
	case errors.Is(err, media.ErrStray):
		if found {
			d.fate = fateDrop
			l.refuse(x, edge.Verdict{Action: edge.Note, Reason: reasonStraySDP})
		}
		return edge.Verdict{}
	case err != nil:
		return l.withoutDescription(x, l.unreadable(x, err))
	case found:
		d.fate = fateReplace
	}
	return edge.Verdict{}
}

// withoutDescription is v, but for messages that go on without their description, because nobody can be told: ACK and provisional
// responses that are not repeated.
func (l *lane) withoutDescription(x *edge.Exchange, v edge.Verdict) edge.Verdict {
	m := x.Msg
	loose := m.Method == sip.ACK
	if !m.IsRequest() {
		loose = m.Status < 200 && m.Find(sip.FieldRSeq) < 0 || m.Status >= 300
	}
	if !loose {
		return v
	}
	l.d.fate = fateDrop
	v.Action, v.Status = edge.Note, 0
	l.refuse(x, v)
	return edge.Verdict{}
}

// dialogOf names the dialog of a request for media, 0 if it begins one, and tells which end sent it.
func (l *lane) dialogOf(x *edge.Exchange) (uint64, media.End) {
	m, own := x.Msg, &l.own
	if own.tokened && !own.path {
		if own.inner == (x.From.Side == edge.Inside) {
			return l.dialogKey(&own.route, own.callID, m.FromTag.Of(m.Raw), m.ToTag.Of(m.Raw)), media.Caller
		}
		return l.dialogKey(&own.route, own.callID, m.ToTag.Of(m.Raw), m.FromTag.Of(m.Raw)), media.Callee
	}
	if !m.ToTag.Present() {
		return 0, media.Caller
	}
	if x.From.Side == edge.Outside { // without a token nobody knows who began it (mode: monitor)
		return l.dialogKey(&route{}, own.callID, m.FromTag.Of(m.Raw), m.ToTag.Of(m.Raw)), media.Caller
	}
	return l.dialogKey(&route{}, own.callID, m.ToTag.Of(m.Raw), m.FromTag.Of(m.Raw)), media.Callee
}

// dialogMade names the dialog that a response m makes, whose request was tx.
func (l *lane) dialogMade(m *sip.Message, tx *transaction.Tx) uint64 {
	callID, _ := l.insideCallID(m)
	_, token, _ := tx.Back()
	r, opened, _ := openToken(l.again, l.p.keys, token, tx.Client.Side, m, callID)
	l.again = opened
	return l.dialogKey(&r, callID, m.FromTag.Of(m.Raw), m.ToTag.Of(m.Raw))
}

// dialogKey is the keyed hash of what both ends of a dialog have alike, whatever else of it they know by other names: its Call-ID as inside knows it,
// the tags of who called and of who was called, and, because a call may pass here twice, who is outside in it. It is the same after a restart, and never 0.
func (l *lane) dialogKey(r *route, callID, caller, callee []byte) uint64 {
	var flags byte
	b := appendAddr(append(l.hashed[:0], r.Binding[:]...), r.Outside.Remote, &flags, 1)
	b = append(binary.AppendUvarint(b, uint64(len(callID))), callID...)
	b = append(binary.AppendUvarint(b, uint64(len(caller))), caller...)
	l.hashed = append(b, callee...)
	id := l.p.keys.ID("dialog with media", l.hashed, nil, nil)
	const odd = 0x9e3779b97f4a7c15 // spreads 40 of its 80 bits over all
	return (binary.BigEndian.Uint64(id[:8])*odd + binary.BigEndian.Uint64(id[8:])) | 1
}

// describe puts what media said in the place of a body that is a description and nothing else, or takes the body out. It is the last edit.
func (l *lane) describe(m *sip.Message) {
	switch d := &l.d; {
	case d.fate == fateDrop:
		topo.DropBody(&l.edit, m)
	case d.fate == fateReplace && d.end-d.at == m.Body.Len():
		l.edit.SetBody(d.text)
	}
}

// describePart is describe for a body of several parts, of which others may have been rewritten: b is the message as it would leave.
func (l *lane) describePart(dst, b []byte, m *sip.Message) []byte {
	d := &l.d
	if d.fate != fateReplace || d.end-d.at == m.Body.Len() || l.left.Parse(b, true) != nil {
		return b
	}
	body := l.left.Body.Of(l.left.Raw)
	at, end, found, err := sdp.FindPart(l.left.Value(sip.FieldContentType), body)
	if err != nil || !found {
		return b
	}
	l.body = append(append(append(l.body[:0], body[:at]...), d.text...), body[end:]...)
	l.edit.Reset(&l.left)
	l.edit.SetBody(l.body)
	l.redone = l.edit.AppendTo(l.redone[:0])
	return append(dst, l.redone...)
}

// mediated is mediateReply for a response that goes on if it can. nil: it does not, and tx is unlocked.
func (l *lane) mediated(buf []byte, x *edge.Exchange, tx *transaction.Tx) *transaction.Tx {
	tx, v := l.mediateReply(x, tx)
	switch {
	case tx == nil:
		return nil
	case v.Action == edge.Reply:
		v.Action, v.Status = edge.Drop, 500
		l.refuse(x, v)
	case !late(x, tx) || l.d.fate != fateDrop:
		l.keepLegs(buf, x, tx)
		return tx
	}
	if x.Msg.Status < 200 { // it comes again, and its sender gives up in the end (RFC 3262 §3)
		l.unlock(tx)
		return nil
	}
	var ack []byte
	target := tx.Target
	if tx.Method == sip.INVITE {
		ack = l.hangUp(buf, x, tx)
	}
	if tx.State < transaction.Completed {
		l.giveUp(tx, 500, x.At)
	} else {
		l.unlock(tx)
	}
	if len(ack) > 0 {
		l.transmit(ack, target)
	}
	return nil
}

// late reports whether x is a 2xx to an INVITE, tx, that the edge has refused to its client by itself. If it has a description, that belongs to
// nothing: it is one that came again, or its call has no media any more.
func late(x *edge.Exchange, tx *transaction.Tx) bool {
	return tx.Method == sip.INVITE && x.Msg.Status/100 == 2 && (tx.State == transaction.Completed || tx.State == transaction.Confirmed)
}

// An ending is how the request of a transaction ended, for media to be told once nothing is locked.
type ending struct {
	key    uint64
	status int
}

// over notes how the request of tx, which is locked, ended. conclude tells it.
func (l *lane) over(tx *transaction.Tx, status int) {
	if l.p.media != nil && status >= 200 && MayDescribe(tx.Method) {
		l.ending = ending{tx.Key(), status}
	}
}

// conclude tells media what over noted.
func (l *lane) conclude() {
	if e := l.ending; e.key != 0 {
		l.ending = ending{}
		if l.p.aside != nil {
			l.p.aside.put(e.key, parked{ending: e})
			return
		}
		l.p.media.Over(e.key, e.status)
	}
}

// unmediated tells media that the request at hand, which it has seen, does not go on.
func (l *lane) unmediated(status int) {
	if l.p.media != nil {
		l.p.media.Over(l.own.key, status)
	}
}
