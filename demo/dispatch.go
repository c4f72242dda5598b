package demo

import (
	"strings"

	"github.com/ringwall/ringwall/sip"
)

// What the extensions can do, for Allow and 405 (RFC 3261 §20.5).
var (
	allow      = sip.Header{Name: "Allow", Value: []byte("INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, MESSAGE, REGISTER")}
	accept     = sip.Header{Name: "Accept", Value: []byte("application/sdp")}
	retryAfter = sip.Header{Name: "Retry-After", Value: []byte("5")}
)

// receive handles one datagram or framed message; b is the platform's to keep.
func (p *Platform) receive(b []byte, from hop) {
	var m sip.Message
	if err := m.Parse(b, !from.stream); err != nil {
		p.malformed(&m, from, err)
		return
	}
	if !m.IsRequest() {
		p.response(&m, from)
		return
	}
	r, err := p.own(&m, from)
	if err != nil {
		p.cfg.Log.Info("demo: refused", "err", err)
		return
	}
	p.request(r)
}

// malformed refuses what does not parse, where a reply is possible at all.
func (p *Platform) malformed(m *sip.Message, from hop, err error) {
	p.cfg.Log.Info("demo: malformed message", "from", from.addr, "err", err)
	bad, known := err.(sip.Error)
	if !known || !m.Replyable() || m.Method == sip.ACK {
		return
	}
	r := request{Message: *m, from: from}
	p.transmit(sip.AppendReply(nil, m, nil, bad.Status(), "", []byte(newTag())), r.replyHop())
}

// response hands a reply to its client transaction; others are not ours to relay.
func (p *Platform) response(m *sip.Message, from hop) {
	ct := p.clients[clientKey(m)]
	if ct == nil || ct.to.addr.Addr() != from.addr.Addr() {
		return
	}
	ct.receive(m)
}

// request finds or makes the server transaction of r (RFC 3261 §17.2.3).
func (p *Platform) request(r *request) {
	key := r.key(string(r.MethodName.Of(r.Raw)))
	if st := p.servers[key]; st != nil {
		st.again(r)
		return
	}
	if r.Method == sip.ACK {
		p.acknowledged(r)
		return
	}
	st := p.newServer(r, key)
	if st == nil {
		p.transmit(sip.AppendReply(nil, &r.Message, nil, 503, "", []byte(newTag()), retryAfter), r.replyHop())
		return
	}
	switch required := tokens(&r.Message, sip.FieldProxyRequire); {
	case r.Method == sip.CANCEL:
		p.cancelled(st)
	case len(required) > 0:
		st.respond(420, unsupported(required))
	case r.ToTag.Present():
		p.inDialog(st)
	default:
		p.initial(st)
	}
}

func unsupported(options []string) sip.Header {
	return sip.Header{Name: "Unsupported", Value: []byte(strings.Join(options, ", "))}
}

// cancelled answers a CANCEL (RFC 3261 §9.2, §16.10). It must come from the address of its INVITE.
func (p *Platform) cancelled(st *serverTx) {
	invite := p.servers[st.req.key("INVITE")]
	if invite == nil {
		st.respond(481)
		return
	}
	st.tag = invite.tag // RFC 3261 §9.2: the same To tag
	st.respond(200)
	if invite.cancel != nil {
		invite.cancel()
	}
}

// inDialog serves a request with a To tag: ours if it is a call with an extension, else on its way through to where its
// Route set points. The platform does not Record-Route; such requests come from an edge that both sides of a call share.
func (p *Platform) inDialog(st *serverTx) {
	r := st.req
	if c := p.calls[dialogKey(&r.Message)]; c != nil {
		c.request(st)
		return
	}
	if next, ok := p.nextHop(r); ok {
		p.forward(st, []target{{to: next}})
		return
	}
	st.respond(481)
}

// nextHop is where the topmost Route, or else the Request-URI, points, unless that is the platform itself.
func (p *Platform) nextHop(r *request) (hop, bool) {
	uri := r.URI
	if r.Find(sip.FieldRoute) >= 0 {
		var ok bool
		if uri, _, ok = topRoute(&r.Message); !ok {
			return hop{}, false
		}
	}
	h, ok := hopOf(r.Raw, &uri)
	return h, ok && h.addr != p.addr
}

// acknowledged handles the ACK of a 2xx: a call's, or one that passes through. It is never answered.
func (p *Platform) acknowledged(r *request) {
	if c := p.calls[dialogKey(&r.Message)]; c != nil {
		c.acknowledged(r)
		return
	}
	if next, ok := p.nextHop(r); ok && r.ToTag.Present() && r.MaxForwards != 0 {
		p.transmit(p.forwarded(r, target{to: next}, 0), next)
	}
}

// initial serves a request outside of any dialog. Everything but OPTIONS needs credentials, whether or not its user and
// its target exist.
func (p *Platform) initial(st *serverTx) {
	r := st.req
	switch r.Method {
	case sip.OPTIONS:
		st.respond(200, allow, accept)
		return
	case sip.REGISTER:
		p.register(st)
		return
	case sip.BYE, sip.PRACK, sip.UPDATE, sip.INFO, sip.NOTIFY:
		st.respond(481)
		return
	}
	if p.admit(st, sip.FieldProxyAuthorization, r.From) == nil {
		return
	}
	switch {
	case r.URI.Scheme == sip.SchemeOther:
		st.respond(416)
	case r.Find(sip.FieldRoute) >= 0: // a caller doesn't choose the way of a new request
		st.respond(403)
	case r.Method == sip.SUBSCRIBE || r.Method == sip.PUBLISH:
		st.respond(489)
	case r.Method == sip.INVITE || r.Method == sip.MESSAGE || r.Method == sip.REFER:
		p.call(st, string(r.URI.User.Of(r.Raw)))
	default:
		st.respond(405, allow)
	}
}

// call brings an admitted request to the extension or the phones that number names. The domain does not matter: the
// platform owns whatever name the edge goes by.
func (p *Platform) call(st *serverTx, number string) {
	p.cfg.Log.Info("demo: call", "method", string(st.req.MethodName.Of(st.req.Raw)), "to", number, "from", st.req.from.addr)
	switch {
	case isExtension(number):
		p.extension(st, number)
	case p.account(number) != nil:
		p.forward(st, p.contactsOf(number))
	default:
		st.respond(404)
	}
}
