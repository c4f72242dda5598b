package proxy

import (
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// veiled is what a route token says beyond the two ends of the dialog, where the platform is hidden: what outside does not see, and what
// is put right when it comes back.
type veiled struct {
	Masked   bool   // outside knows the dialog by a masked Call-ID
	Key      byte   // id of the key that it is masked with
	FromHost []byte // host and port that inside wrote in From; empty: outside sees them
	ToHost   []byte // the same of To
	Set      []byte // the proxies inside, in the order of Route (topo.NextEntry)
	Whole    bool   // Set is all there is: outside never saw a Route to a proxy inside
	Salt     uint32 // what tokens of a dialog that began outside are made with (topo.Leg), of saltLen bytes
}

// saltLen is the length of veiled.Salt in a token: whoever waits for it to come again waits for some ten million calls.
const saltLen = 3

const (
	hidesCallID = 1 << iota
	hidesFrom
	hidesTo
	hidesSet
	hidesPacked // hosts and set are packed; else they are as in tokens of before 2026-11-23
	hidesSame   // the host of To is that of From
	hidesSalt
)

// veils reports whether outside sees no proxies of the platform: Routes of its requests come from the token alone.
func (h *veiled) veils() bool { return h.Whole || len(h.Set) > 0 }

// appendTo appends h as it is sealed: nothing if there is nothing.
func (h *veiled) appendTo(dst []byte) []byte {
	flags := byte(0)
	if h.Masked {
		flags |= hidesCallID
	}
	if len(h.FromHost) > 0 {
		flags |= hidesFrom | hidesPacked
	}
	switch {
	case len(h.ToHost) == 0:
	case string(h.ToHost) == string(h.FromHost):
		flags |= hidesSame
	default:
		flags |= hidesTo | hidesPacked
	}
	if h.Whole {
		flags |= hidesSet
	}
	if len(h.Set) > 0 {
		flags |= hidesPacked
	}
	if h.Salt != 0 {
		flags |= hidesSalt
	}
	if flags == 0 {
		return dst
	}
	if dst = append(dst, flags); h.Masked {
		dst = append(dst, h.Key)
	}
	if h.Salt != 0 {
		dst = append(dst, byte(h.Salt>>16), byte(h.Salt>>8), byte(h.Salt))
	}
	if flags&hidesFrom != 0 {
		dst = topo.AppendHost(dst, h.FromHost)
	}
	if flags&hidesTo != 0 {
		dst = topo.AppendHost(dst, h.ToHost)
	}
	return append(dst, h.Set...)
}

// parse reads what appendTo wrote at b[at]. h refers to b, or to what is appended to it: b is returned as it has grown.
func (h *veiled) parse(b []byte, at int) (grown []byte, ok bool) {
	rest := b[at:]
	if len(rest) == 0 {
		return b, true
	}
	flags := rest[0]
	rest = rest[1:]
	h.Whole = flags&hidesSet != 0
	if h.Masked = flags&hidesCallID != 0; h.Masked {
		if len(rest) == 0 {
			return b, false
		}
		h.Key, rest = rest[0], rest[1:]
	}
	if flags&hidesSalt != 0 {
		if len(rest) < saltLen {
			return b, false
		}
		h.Salt, rest = uint32(rest[0])<<16|uint32(rest[1])<<8|uint32(rest[2]), rest[saltLen:]
	}
	if flags&hidesPacked == 0 {
		return h.parseEarlier(b, rest, flags)
	}
	ok = true
	if flags&hidesFrom != 0 {
		b, h.FromHost, rest, ok = topo.CutHost(b, rest)
	}
	if ok && flags&hidesTo != 0 {
		b, h.ToHost, rest, ok = topo.CutHost(b, rest)
	}
	if flags&hidesSame != 0 {
		h.ToHost = h.FromHost
	}
	h.Set = rest
	return b, ok
}

// parseEarlier reads rest, what stands behind flags in a token of before 2026-11-23: hosts as text, and the set as it was.
func (h *veiled) parseEarlier(b, rest []byte, flags byte) (grown []byte, ok bool) {
	ok = true
	if flags&hidesFrom != 0 {
		h.FromHost, rest, ok = topo.CutCounted(rest)
	}
	if ok && flags&hidesTo != 0 {
		h.ToHost, rest, ok = topo.CutCounted(rest)
	}
	if ok && len(rest) > 0 {
		n := len(b)
		b, ok = topo.AppendEarlier(b, rest)
		h.Set = b[n:]
	}
	return b, ok
}

// identify finds out which dialog a request from outside belongs to, where that is known there by a masked Call-ID.
func (l *lane) identify(x *edge.Exchange) {
	if x.From.Side == edge.Outside {
		l.own.callID, l.own.masked = l.insideCallID(x.Msg)
	}
}

// conceal notes in r, the token of a dialog that begins inside, what outside will not see of it.
func (l *lane) conceal(x *edge.Exchange, r *route) {
	m := x.Msg
	if r.Masked = l.masks(); r.Masked {
		r.Key = l.maskKey()
		l.p.chosen.masked(l.own.callID, r.Key)
	}
	l.unseen = l.unseen[:0]
	if at, ok := l.cfg.veil.Hidden(m.Raw, m.From.URI); ok {
		r.FromHost = at.Of(m.Raw)
	}
	if at, ok := l.cfg.veil.Hidden(m.Raw, m.To.URI); ok {
		r.ToHost = at.Of(m.Raw)
	}
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			l.unseen = l.appendInner(l.unseen, m, &a)
		}
	}
	r.Set = l.unseen
	if !l.own.tokened || l.own.path { // the Call-ID is the platform's, or the set holds a token of the dialog that began outside, and its salt
		l.own.salt = l.p.keys.Salt(r.Set)
	}
}

// masks reports whether the Call-ID of a request from inside is masked: that of a dialog is or is not from its beginning.
func (l *lane) masks() bool {
	if l.own.tokened && !l.own.path {
		return l.own.route.Masked
	}
	return l.cfg.Hide && l.cfg.veil.MasksCallID()
}

// maskKey is the id of the key that masks the Call-ID of a request from inside: that of its dialog, or of an earlier attempt to begin it.
func (l *lane) maskKey() byte {
	if l.own.tokened {
		return l.own.route.Key
	}
	if key, known := l.p.chosen.find(l.own.callID, nil); known && key != 0 {
		return key
	}
	key, _ := l.p.keys.Active()
	return key
}

// hide adds what hides the platform in a request from inside: our Via and Record-Route are the only ones, and what topo and scrub do.
func (l *lane) hide(x *edge.Exchange, to *hop) {
	m := x.Msg
	for i := range m.Fields {
		if id := m.Fields[i].ID; id == sip.FieldVia || id == sip.FieldRecordRoute {
			l.edit.Remove(i)
		}
	}
	l.hideRoutes(m)
	leg := l.wayOut(to.flow, x)
	leg.Tag, leg.Salt = m.FromTag.Of(m.Raw), l.own.salt
	if leg.Masked = l.masks(); leg.Masked {
		leg.Key = l.maskKey()
	}
	leg.Registers = m.Method == sip.REGISTER // its parties are the provider's, too
	own := &l.own
	hidden := own.inner && own.route.Masked || len(own.route.FromHost)+len(own.route.ToHost) > 0 // the dialog began so
	leg.Parties = !leg.Registers && (!own.tokened || own.path || hidden)
	l.mask.Outward(&l.edit, m, leg)
	l.hideBody(x, leg)
	l.cfg.scrub.Outward(&l.edit, m, to.peer != nil)
}

// hideRoutes takes the Routes that name servers inside off a request that is in no dialog: the platform preloaded them, and its servers are passed.
func (l *lane) hideRoutes(m *sip.Message) {
	own := &l.own
	i := m.Find(sip.FieldRoute)
	if i < 0 || own.tokened && !own.path || own.ownRoute && !own.rest.Present() && m.Next(sip.FieldRoute, i) < 0 {
		return
	}
	l.value = l.value[:0]
	for ours := own.ownRoute; i >= 0; i = m.Next(sip.FieldRoute, i) {
		l.edit.Remove(i)
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			if _, inside := l.serverAtURI(m, a.URI); !ours && !inside && l.unmarked(a.URI.Of(m.Raw)) {
				l.value = appendUnfolded(separated(l.value), a.Whole.Of(m.Raw))
			}
			ours = false // the first
		}
	}
	if len(l.value) > 0 {
		l.edit.Top(sip.FieldRoute, l.sealedAgain(l.value, m))
	}
}

// hideResponse does the same for a response to the client of tx, which is outside.
func (l *lane) hideResponse(x *edge.Exchange, tx *transaction.Tx) {
	leg := l.wayOut(tx.Client, x)
	leg.Tag, leg.Salt = x.Msg.ToTag.Of(x.Msg.Raw), tx.Salt
	leg.Registers = tx.Method == sip.REGISTER && x.Msg.Status/100 == 2
	if tx.Method == sip.INVITE {
		leg.Memo = &l.memo
	}
	l.mask.Outward(&l.edit, x.Msg, leg)
	l.hideBody(x, leg)
	l.cfg.scrub.Outward(&l.edit, x.Msg, l.cfg.peerFrom(tx.Client) != nil)
}

// hideBody adds what topo does to the body, and tells if it had to be taken out.
func (l *lane) hideBody(x *edge.Exchange, leg *topo.Leg) {
	if !l.mask.BodyOut(&l.edit, x.Msg, leg) {
		l.refuse(x, edge.Verdict{Action: edge.Note, Reason: reasonBody})
	}
}

// salt finds out what the tokens of a request, and of the responses that tx brings, are made with: what the dialog began with, else a number of which
// nobody outside knows when it comes again. The branch that was made last holds one.
func (l *lane) salt(tx *transaction.Tx) {
	switch own := &l.own; {
	case !own.tokened || own.path:
		own.salt = l.branches.number()
	default:
		own.salt = l.saltOf(&own.route)
	}
	if tx != nil {
		tx.Salt = l.own.salt
	}
}

// saltOf is what the tokens of the dialog of r are made with.
func (l *lane) saltOf(r *route) uint32 {
	if r.Salt != 0 {
		return r.Salt
	}
	return l.p.keys.Salt(r.Set)
}

// wayOut is the way of x, a message from inside, to outside.
func (l *lane) wayOut(to edge.Flow, x *edge.Exchange) *topo.Leg {
	l.mask.Veil = l.cfg.veil
	f := &l.p.faces[to.Listener]
	l.face = append(append(l.face[:0], f.host...), f.params...)
	l.leg = topo.Leg{Host: f.party, Edge: l.face, CallID: x.Msg.CallID.Of(x.Msg.Raw), At: x.At, Knows: l.knows}
	return &l.leg
}

// unveil puts a request from outside right: the Call-ID, what its fields name by tokens of ours, the parties' hosts and the proxies inside.
func (l *lane) unveil(x *edge.Exchange) {
	m, own := x.Msg, &l.own
	l.mask.Veil = l.cfg.veil
	l.leg = topo.Leg{CallID: own.callID, Masked: own.masked, At: x.At}
	l.mask.Inward(&l.edit, m, &l.leg)
	l.mask.BodyIn(&l.edit, m, &l.leg)
	if !own.tokened {
		return
	}
	l.rename(m, &m.From, sip.FieldFrom, own.route.ToHost) // who answered once is who asks now
	l.rename(m, &m.To, sip.FieldTo, own.route.FromHost)
	if !own.route.veils() {
		return
	}
	for i := m.Find(sip.FieldRoute); i >= 0; i = m.Next(sip.FieldRoute, i) {
		l.edit.Remove(i)
	}
	for set := own.route.Set; ; {
		var ok bool
		if l.value, set, ok = topo.NextEntry(l.value[:0], set, l.p.within); !ok {
			return
		}
		l.edit.Top(sip.FieldRoute, l.sealedAgain(l.value, m))
	}
}

// rename gives the URI of a party the host that inside knows it by.
func (l *lane) rename(m *sip.Message, a *sip.Address, id sip.FieldID, host []byte) {
	if len(host) == 0 {
		return
	}
	if uri, err := sip.ParseURI(m.Raw, a.URI); err == nil && uri.Host.Present() {
		l.edit.ReplaceSpan(m.Find(id), topo.HostPort(m.Raw, &uri), host)
	}
}

// maskCallID masks the Call-ID of a request in a dialog that began when the platform was hidden, and no more.
func (l *lane) maskCallID(x *edge.Exchange) {
	l.value = l.cfg.veil.AppendCallID(l.value[:0], l.own.callID, l.own.route.Key)
	l.edit.Replace(x.Msg.Find(sip.FieldCallID), l.value)
}

// ownParams are what a registrar may tell a phone of its own Contacts (RFC 3261 §10.2.4, RFC 5626, RFC 5627), besides what begins with "+"
// and is the phone's own. What it notes for itself, like the place that it saw the REGISTER come from, stays inside.
var ownParams = [...]string{"q", "methods", "reg-id", "pub-gruu", "temp-gruu", "temp-gruu-cookie", "ob", "audio", "video", "text", "isfocus"}

// appendOwnParams appends those of the parameters of a phone's own Contact. A GRUU (RFC 5627) at an address inside is one in the domain.
func (l *lane) appendOwnParams(dst, raw []byte, params sip.Span) []byte {
	for rest := params; rest.Present(); {
		var name, value, whole sip.Span
		name, value, whole, rest = sip.NextParam(raw, rest)
		own := name.Present() && raw[name.Start] == '+' && l.unmarked(whole.Of(raw))
		for _, p := range ownParams {
			own = own || sip.Spells(name.Of(raw), p)
		}
		if !own {
			continue
		}
		uri := sip.Span{Start: value.Start + 1, End: value.End - 1} // between quotes
		at, hidden := sip.Span{}, false
		if value.Len() > 2 && raw[value.Start] == '"' {
			at, hidden = l.cfg.veil.Hidden(raw, uri)
		}
		switch {
		case !hidden:
			dst = appendUnfolded(append(dst, ';'), whole.Of(raw))
		case l.cfg.Topology.Domain != "":
			dst = append(append(append(dst, ';'), raw[whole.Start:at.Start]...), l.cfg.Topology.Domain...)
			dst = append(dst, raw[at.End:whole.End]...)
		}
	}
	return dst
}
