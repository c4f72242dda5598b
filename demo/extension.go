package demo

import (
	"bytes"
	"errors"

	"github.com/ringwall/ringwall/sip"
)

var extensions = []Extension{
	{"600", "echo: hear yourself"},
	{"601", "a tone of 440 Hz"},
	{"602", "always busy"},
	{"603", "rings, but nobody answers"},
}

func isExtension(number string) bool {
	for _, e := range extensions {
		if e.Number == number {
			return true
		}
	}
	return false
}

// extension serves an admitted request outside of a dialog to one of the extensions.
func (p *Platform) extension(st *serverTx, number string) {
	m := &st.req.Message
	required := tokens(m, sip.FieldRequire)
	_, reachable := contact(m)
	switch {
	case m.Method != sip.INVITE:
		st.respond(405, allow)
	case len(required) > 0:
		st.respond(420, unsupported(required))
	case !reachable: // RFC 3261 §8.1.1.8
		st.respond(400)
	case p.merged(m):
		st.respond(482)
	case number == "600" || number == "601":
		p.answer(st, number == "601")
	case number == "603" && p.ringing < maxRinging:
		p.ring(st)
	default:
		st.respond(486)
	}
}

// merged reports whether m came before by another way (RFC 3261 §8.2.2.2).
func (p *Platform) merged(m *sip.Message) bool {
	for _, c := range p.calls {
		if bytes.Equal(c.invite.CallID.Of(c.invite.Raw), m.CallID.Of(m.Raw)) && c.remoteCSeq == m.CSeq.Number &&
			bytes.Equal(c.invite.FromTag.Of(c.invite.Raw), m.FromTag.Of(m.Raw)) {
			return true
		}
	}
	return false
}

// ring is extension 603: 180 until the caller cancels or 480 ends it.
func (p *Platform) ring(st *serverTx) {
	var again, end *timer
	p.ringing++
	stop := func(status int) {
		p.ringing--
		p.cancel(again)
		p.cancel(end)
		st.respond(status)
	}
	var alert func()
	alert = func() {
		st.respond(180, st.recordRoutes(p.contactField())...)
		again = p.after(p.cfg.timing.ringAgain, alert)
	}
	alert()
	end = p.after(p.cfg.timing.ring, func() { stop(480) })
	st.cancel = func() { stop(487) }
}

// answer is extensions 600 and 601: it answers at once, with an answer to the offer or, if there was none, with an offer.
func (p *Platform) answer(st *serverTx, tone bool) {
	if len(p.calls) >= maxMediaCalls {
		st.respond(486)
		return
	}
	offer, status := offerOf(&st.req.Message)
	if status != 0 {
		st.respond(status, accept)
		return
	}
	toward := st.req.from.addr.Addr()
	if offer != nil && !offer.remote.Addr().IsUnspecified() {
		toward = offer.remote.Addr()
	}
	m, err := p.openMedia(toward, tone)
	if err != nil {
		p.cfg.Log.Info("demo: no media", "err", err)
		st.respond(488)
		return
	}
	c := p.newCall(st, m)
	c.accept(st, offer)
}

// offerOf returns the offer in m, nil if it has no body, or the status to refuse it with.
func offerOf(m *sip.Message) (*session, int) {
	if m.Body.Len() == 0 {
		return nil, 0
	}
	kind, _, _ := bytes.Cut(bytes.ToLower(m.Value(sip.FieldContentType)), []byte(";"))
	if string(bytes.TrimSpace(kind)) != "application/sdp" || m.Find(sip.FieldContentEncoding) >= 0 {
		return nil, 415
	}
	s, err := parseSDP(m.Body.Of(m.Raw))
	switch {
	case errors.Is(err, errNotSDP):
		return nil, 400
	case err != nil:
		return nil, 488
	}
	return s, 0
}

// contactField is the Contact of the platform, the same for all calls: dialogs are told apart by Call-ID and tags.
func (p *Platform) contactField() sip.Header {
	return sip.Header{Name: "Contact", Value: []byte("<sip:" + p.addr.String() + ">")}
}

// recordRoutes returns fields followed by the Record-Routes of the request, for a reply that makes a dialog
// (RFC 3261 §12.1.1).
func (st *serverTx) recordRoutes(fields ...sip.Header) []sip.Header {
	m := &st.req.Message
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		fields = append(fields, sip.Header{Name: "Record-Route", Value: m.Fields[i].Value.Of(m.Raw)})
	}
	return fields
}
