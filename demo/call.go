package demo

import (
	"fmt"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// A call is a dialog with extension 600 or 601, seen from its UAS (RFC 3261 §12, §13.3, §14.2).
type call struct {
	p          *Platform
	key        string
	invite     *request // that made the dialog; its Record-Routes are the route set
	tag        []byte   // ours
	target     []byte   // the far end's Contact
	targetHop  hop
	cseq       uint32 // of our own requests
	remoteCSeq uint32 // of the last request of the far end
	okCSeq     uint32 // of the INVITE that ok answers
	media      *media
	version    uint64 // of our session description
	answerDue  bool   // our offer waits for the answer in the ACK

	ok     []byte // the 2xx that waits for its ACK; nil once it came
	okTo   hop
	wait   time.Duration
	resend *timer
	unsure *timer // no ACK
	limit  *timer
}

// dialogKey finds a call from a request of the far end: its To tag is ours.
func dialogKey(m *sip.Message) string {
	return string(m.CallID.Of(m.Raw)) + "|" + string(m.ToTag.Of(m.Raw)) + "|" + string(m.FromTag.Of(m.Raw))
}

func (p *Platform) newCall(st *serverTx, m *media) *call {
	r := st.req
	c := &call{p: p, invite: r, tag: st.tag, remoteCSeq: r.CSeq.Number, media: m}
	c.key = string(r.CallID.Of(r.Raw)) + "|" + string(st.tag) + "|" + string(r.FromTag.Of(r.Raw))
	c.retarget(r)
	c.limit = p.after(p.cfg.timing.call, c.hangUp)
	p.calls[c.key] = c
	return c
}

// retarget takes the remote target from a request's Contact (RFC 3261 §12.2.2).
func (c *call) retarget(r *request) {
	if uri, ok := contact(&r.Message); ok {
		to, _ := hopOf(r.Raw, &uri)
		c.target, c.targetHop = uri.Whole.Of(r.Raw), r.prefer(to)
	}
}

// accept sends the 2xx to INVITE or UPDATE: the answer to offer, or an offer of ours if that is nil.
func (c *call) accept(st *serverTx, offer *session) {
	c.version++
	fields := st.recordRoutes(c.p.contactField(), allow, sip.Header{Name: "Content-Type", Value: []byte("application/sdp")})
	if c.answerDue = offer == nil; !c.answerDue {
		c.media.follow(offer)
	}
	b := sip.AppendReply(nil, &st.req.Message, nil, 200, "", st.tag, fields...)
	b = withBody(b, appendSDP(nil, c.media.local, uint64(c.media.ssrc), c.version, offer))
	st.deliver(b, 200)
	if st.req.Method != sip.INVITE {
		return
	}
	c.cancelTimers()
	t := c.p.cfg.timing
	c.ok, c.okTo, c.okCSeq, c.wait = b, st.req.replyHop(), st.req.CSeq.Number, t.t1
	c.resend = c.p.after(c.wait, c.repeat)
	c.unsure = c.p.after(64*t.t1, c.hangUp) // RFC 3261 §13.3.1.4: no ACK
}

// withBody returns the message b with a body, or b if it can't be read.
func withBody(b, body []byte) []byte {
	var m sip.Message
	if m.Parse(b, false) != nil {
		return b
	}
	var e sip.Edit
	e.Reset(&m)
	e.SetBody(body)
	return e.AppendTo(nil)
}

// repeat sends the 2xx again, also over TCP: some proxy on the way may use UDP (RFC 3261 §13.3.1.4).
func (c *call) repeat() {
	c.p.transmit(c.ok, c.okTo)
	c.wait = min(2*c.wait, c.p.cfg.timing.t2)
	c.resend = c.p.after(c.wait, c.repeat)
}

// acknowledged handles the ACK of a 2xx and, after an offer of ours, the answer in it.
func (c *call) acknowledged(r *request) {
	if c.ok == nil || r.CSeq.Number != c.okCSeq {
		return
	}
	c.cancelTimers()
	if !c.answerDue {
		return
	}
	c.answerDue = false
	answer, status := offerOf(&r.Message)
	if status != 0 || answer == nil {
		c.hangUp()
		return
	}
	c.media.follow(answer)
}

func (c *call) cancelTimers() {
	c.ok = nil
	c.p.cancel(c.resend)
	c.p.cancel(c.unsure)
}

// request serves a request within the dialog.
func (c *call) request(st *serverTx) {
	m := &st.req.Message
	required := tokens(m, sip.FieldRequire)
	switch {
	case m.CSeq.Number <= c.remoteCSeq: // RFC 3261 §12.2.2
		st.respond(500)
		return
	case len(required) > 0:
		st.respond(420, unsupported(required))
		return
	}
	c.remoteCSeq = m.CSeq.Number
	switch m.Method {
	case sip.INVITE, sip.UPDATE:
		c.renegotiate(st)
	case sip.BYE:
		st.respond(200)
		c.end()
	case sip.INFO, sip.OPTIONS:
		st.respond(200, allow)
	case sip.PRACK: // we send nothing reliable
		st.respond(481)
	default:
		st.respond(405, allow)
	}
}

// renegotiate serves re-INVITE and UPDATE (RFC 3261 §14.2, RFC 3311 §5.2). While an offer of ours is open, or an INVITE
// waits for its ACK, another offer is refused.
func (c *call) renegotiate(st *serverTx) {
	m := &st.req.Message
	offer, status := offerOf(m)
	switch {
	case c.answerDue:
		st.respond(491)
	case c.ok != nil && m.Method == sip.INVITE:
		st.respond(500, retryAfter)
	case status != 0:
		st.respond(status, accept)
	case m.Method == sip.UPDATE && offer == nil:
		c.retarget(st.req)
		st.respond(200, c.p.contactField(), allow)
	default:
		c.retarget(st.req)
		c.accept(st, offer)
	}
}

// hangUp sends BYE and ends the call.
func (c *call) hangUp() {
	b, to, ok := c.bye()
	c.end()
	if ok {
		c.p.startClient(b, to, nil)
	}
}

// bye builds a BYE by the route set (RFC 3261 §12.2.1.1, loose routers only) and says where it goes.
func (c *call) bye() (b []byte, to hop, ok bool) {
	m := &c.invite.Message
	to = c.targetHop
	routes := ""
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		value := m.Fields[i].Value
		if a, _, err := sip.NextAddress(m.Raw, value); err == nil && routes == "" {
			if uri, err := sip.ParseURI(m.Raw, a.URI); err == nil {
				to, _ = hopOf(m.Raw, &uri)
			}
		}
		routes += "Route: " + string(value.Of(m.Raw)) + "\r\n"
	}
	if !to.addr.IsValid() || to.addr == c.p.addr {
		return nil, to, false
	}
	c.cseq++
	return fmt.Appendf(nil, "BYE %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\n%sFrom: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d BYE\r\nContent-Length: 0\r\n\r\n",
		c.target, c.p.newVia(to), routes, m.Value(sip.FieldTo), c.tag, m.Value(sip.FieldFrom), m.CallID.Of(m.Raw), c.cseq), to, true
}

// end forgets the call and closes its media.
func (c *call) end() {
	c.cancelTimers()
	c.p.cancel(c.limit)
	c.media.close()
	delete(c.p.calls, c.key)
}
