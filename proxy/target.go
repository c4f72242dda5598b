package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// Who holds a route token may talk to the far end of his dialog, and to nobody else: a proxy of the platform sends what is in a dialog on by Route and
// Request-URI, unasked. So the edge lets a request of a dialog in that goes where the platform said that the dialog goes. It knows that without a
// record of dialogs (docs/adr/0017-what-a-dialog-leads-to.md):
//
//   - the token names the server that the dialog is with;
//   - a target token, which is what outside sees of a hidden platform, tells by its salt which dialog it was made for;
//   - where a shown platform names another target than that server, or other proxies, marks stand behind the token in our Record-Route: keyed hashes of
//     the target and of the Routes; and, where it is not known to be ours, of the URI that was called. A target that changes in mid-dialog carries its mark with it, as a parameter of the Contact.

// marksBegin stands between a token and its marks. No token has it.
const marksBegin = '.'

// markLen is the length of a mark: 50 bits, of which each guess costs a request.
const markLen = 10

// calledLen is that of a mark of what was called: 30 bits.
const calledLen = len(transaction.Tx{}.Called)

// markParam is the parameter of a Contact that holds its mark: of what a phone puts there itself, or an edge in front of us, ours stands first, with a dot
// between them.
const markParam = "rw"

// mark is the mark of the URI u, which lies in raw, as the target of who has tag in the dialog that inside knows by callID.
func (l *lane) mark(callID, tag, raw []byte, u *sip.URI) (mark [markLen]byte) {
	l.other = appendTarget(l.other[:0], raw, u)
	id := l.p.keys.ID("remote target", callID, tag, l.other)
	copy(mark[:], id[:])
	return mark
}

// markRoutes is the mark of Routes, each as appendTarget writes it and ended by LF.
func (l *lane) markRoutes(callID, routes []byte) (mark [markLen]byte) {
	id := l.p.keys.ID("route set", callID, nil, routes)
	copy(mark[:], id[:])
	return mark
}

// appendTarget appends what tells one target from another, however it is written: user, host, port, and maddr, which leads elsewhere. What else
// stands there leads nowhere, and some phones lose it on the way.
func appendTarget(dst, raw []byte, u *sip.URI) []byte {
	for user := u.User.Of(raw); len(user) > 0; {
		var c byte
		c, user = unescape(user)
		dst = append(dst, c)
	}
	dst = append(dst, '@')
	addr, numeric := hostPort(raw, u)
	if numeric {
		at := addr.Addr().As16()
		dst = append(dst, at[:]...)
	} else {
		dst = sip.AppendLower(dst, u.Host.Of(raw))
	}
	dst = binary.BigEndian.AppendUint16(dst, addr.Port())
	if at, ok := u.Param(raw, "maddr"); ok {
		dst = sip.AppendLower(append(dst, ';'), at.Of(raw))
	}
	return dst
}

// called is the mark of u, the URI by which the far end of the dialog that m begins is known besides its Contact: some phones write it on requests in a
// dialog, though RFC 3261 §12.2.1.1 does not let them. Zero: it is ours anyway.
func (l *lane) called(callID []byte, m *sip.Message, u *sip.URI) (mark [calledLen]byte) {
	if !l.local(edge.Outside, m.Raw, u) {
		l.other = appendTarget(l.other[:0], m.Raw, u)
		id := l.p.keys.ID("called", callID, l.other, nil)
		copy(mark[:], id[:])
	}
	return mark
}

// withCalled is the token of a dialog from outside with the mark of what was called behind it, if there is one. The result may be in l.small.
func (l *lane) withCalled(token []byte, mark [calledLen]byte) []byte {
	if mark == [calledLen]byte{} {
		return token
	}
	l.small = append(l.small[:0], token...)
	if bytes.IndexByte(token, marksBegin) < 0 {
		l.small = append(l.small, marksBegin)
	}
	l.small = append(l.small, mark[:]...)
	return l.small
}

// local reports whether u names the edge itself or is in one of our domains: whatever stands there comes to the platform and goes no further.
func (l *lane) local(side edge.Side, raw []byte, u *sip.URI) bool {
	host := u.Host.Of(raw)
	return l.ours(side, host, u.Port) || among(l.cfg.Domains, host)
}

// astray reports whether x, a request in a dialog, is to go elsewhere than to the far end of that dialog. Peers may start what they like, and their
// machines are many: what is in a dialog with one goes on.
func (l *lane) astray(x *edge.Exchange) bool {
	if x.From.Side == edge.Inside || x.Trust == edge.Peer || l.ordered || l.cfg.peerAt(l.own.route.Outside) != nil {
		return false
	}
	if m := x.Msg; !l.readHops(m) || !l.returns(m) {
		return !l.onTarget(x) || !l.onRoute()
	}
	return false
}

// onTarget reports whether the Request-URI of x is where its dialog goes: to the far end's target, as the platform named it, or to a name of the
// platform's or of the far end's that goes no further.
func (l *lane) onTarget(x *edge.Exchange) bool {
	m, own := x.Msg, &l.own
	r, uri := &own.route, &m.URI
	switch {
	case own.target != nil:
		return own.home.Remote.IsValid() || own.made == l.cfg.veil.Salt(&topo.Leg{CallID: own.callID, Tag: m.ToTag.Of(m.Raw), Salt: l.saltOf(r)})
	case own.marked != nil:
		return true
	case !r.veils() && atServer(m.Raw, uri, r.Inside): // of a hidden one he would find out where it is by trying
		return true
	case l.local(edge.Outside, m.Raw, uri):
		return true
	case len(own.called) > 0:
		if mark := l.called(own.callID, m, uri); bytes.Equal(mark[:], own.called) {
			return true
		}
	}
	if len(own.marks) < markLen {
		return false
	}
	mark := l.mark(own.callID, m.ToTag.Of(m.Raw), m.Raw, uri)
	return bytes.Equal(mark[:], own.marks[:markLen])
}

// onRoute reports whether the Routes of x behind ours are those of its dialog, all of them, or none. The server that the dialog is with gets x anyway, however
// often it stands there. Where the platform was hidden they are taken off.
func (l *lane) onRoute() bool {
	own := &l.own
	if own.route.veils() {
		return true
	}
	routes := l.appendHops(l.value[:0], &l.msg, l.hops, own.route.Inside)
	if l.value = routes; len(routes) == 0 {
		return true
	}
	if len(own.marks) != 2*markLen {
		return false
	}
	mark := l.markRoutes(own.callID, routes)
	return bytes.Equal(mark[:], own.marks[markLen:])
}

// readHops puts the Routes of x behind ours into l.hops; false: they can't be read.
func (l *lane) readHops(m *sip.Message) bool {
	l.hops = l.hops[:0]
	for i, rest := l.own.field, l.own.rest; ; rest = m.Fields[i].Value {
		for rest.Present() {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				return false
			}
			l.hops, rest = append(l.hops, a), after
		}
		if i = m.Next(sip.FieldRoute, i); i < 0 {
			return true
		}
	}
}

// appendHops appends hops, Routes in a message m, for markRoutes, but for those to server.
func (l *lane) appendHops(dst []byte, m *sip.Message, hops []sip.Address, server edge.Flow) []byte {
	for i := range hops {
		uri, err := sip.ParseURI(m.Raw, hops[i].URI)
		switch {
		case err != nil:
			dst = append(append(dst, hops[i].URI.Of(m.Raw)...), '\n')
		case !atServer(m.Raw, &uri, server):
			dst = append(appendTarget(dst, m.Raw, &uri), '\n')
		}
	}
	return dst
}

// backToUs is the user part of the first of hops that does not lead to server, if it leads back to us, where a call passes here twice.
func (l *lane) backToUs(m *sip.Message, hops []sip.Address, server edge.Flow) []byte {
	for i := range hops {
		uri, err := sip.ParseURI(m.Raw, hops[i].URI)
		if err == nil && atServer(m.Raw, &uri, server) {
			continue
		}
		if err == nil && l.ours(edge.Inside, uri.Host.Of(m.Raw), uri.Port) {
			return uri.User.Of(m.Raw)
		}
		break
	}
	return nil
}

// returns reports whether x comes back to us from inside with the token of who called, wherever else it is to go: from here it goes to him, and to nobody else.
func (l *lane) returns(m *sip.Message) bool {
	own := &l.own
	if own.route.veils() {
		return false
	}
	user := l.backToUs(m, l.hops, own.route.Inside)
	if len(user) == 0 || user[0] != fromOutside {
		return false
	}
	_, room, ok := openToken(l.again, l.p.keys, user, edge.Inside, m, own.callID)
	l.again = room
	return ok
}

// withMarks is the token of a dialog with server, which m from inside makes, with marks behind it if its target is another one, or if there are other proxies
// to pass inside than server: l.hops are all of them, in the order of Route. tag is whose target it is. The result is in l.small.
func (l *lane) withMarks(token []byte, m *sip.Message, tag sip.Span, server edge.Flow) []byte {
	if user := l.backToUs(m, l.hops, server); len(user) > 0 && user[0] == fromOutside {
		return token
	}
	routes := l.appendHops(l.value[:0], m, l.hops, server)
	l.value = routes
	uri, err := sip.ParseURI(m.Raw, firstURI(m, sip.FieldContact))
	if len(routes) == 0 && (err != nil || atServer(m.Raw, &uri, server)) {
		return token
	}
	mark := [markLen]byte([]byte("----------")) // of no target, if there is none yet
	if err == nil {
		mark = l.mark(m.CallID.Of(m.Raw), tag.Of(m.Raw), m.Raw, &uri)
	}
	l.small = append(append(append(l.small[:0], token...), marksBegin), mark[:]...)
	if len(routes) > 0 {
		mark = l.markRoutes(m.CallID.Of(m.Raw), routes)
		l.small = append(l.small, mark[:]...)
	}
	return l.small
}

// marksOfCall is the token of a dialog that m, from inside, begins, with its marks: as withMarks, and that of who calls.
func (l *lane) marksOfCall(token []byte, m *sip.Message, server edge.Flow) []byte {
	l.hops = l.hops[:0]
	for a := range recorded(m) {
		l.hops = append(l.hops, a)
	}
	token = l.withMarks(token, m, m.FromTag, server)
	if uri, err := sip.ParseURI(m.Raw, m.From.URI); err == nil && !atServer(m.Raw, &uri, server) && l.backToUs(m, l.hops, server) == nil {
		return l.withCalled(token, l.called(m.CallID.Of(m.Raw), m, &uri))
	}
	return token
}

// cutMarks cuts the marks off the user part of a Route of ours.
func cutMarks(user []byte) (token, marks []byte) {
	token, marks, _ = bytes.Cut(user, []byte{marksBegin})
	return token, marks
}

// readMarks tells the marks behind the token of the request at hand apart.
func (l *lane) readMarks(marks []byte) {
	if n := len(marks); n%markLen == calledLen {
		marks, l.own.called = marks[:n-calledLen], marks[n-calledLen:]
	}
	l.own.marks = marks
}

// refreshes reports whether requests with this method and their responses may change the target of a dialog (RFC 3261 §12.2, RFC 3311, RFC 6665 §4.4.1).
func refreshes(method sip.Method) bool {
	switch method {
	case sip.INVITE, sip.UPDATE, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER:
		return true
	}
	return false
}

// markRequest gives the Contact of x, a request in a dialog from a shown platform, its mark, unless it is the server that the dialog is with.
func (l *lane) markRequest(x *edge.Exchange) {
	m, r := x.Msg, &l.own.route
	if refreshes(m.Method) && (r.veils() || !contactAt(m, r.Inside)) {
		l.markContact(m, m.FromTag)
	}
}

// markReply does the same for a response m to tx. The first one of a dialog needs none, since the token goes with it; a later one with another Contact
// does: not every phone takes the Record-Route of the last (RFC 3261 §13.2.2.4).
func (l *lane) markReply(m *sip.Message, token []byte, tx *transaction.Tx) {
	if !refreshes(tx.Method) || m.Status <= 100 || m.Status > 299 || l.cfg.peerAt(tx.Client) != nil {
		return
	}
	switch {
	case l.was >= transaction.Completed: // what the transaction had noted is forgotten
	case len(token) == 0 || tx.Method == sip.NOTIFY:
		if tx.Even&evenMoved == 0 && contactAt(m, tx.Target) {
			return
		}
	default:
		contact := firstURI(m, sip.FieldContact)
		l.hashed = appendParts(l.hashed[:0], m, m.ToTag, contact)
		shown := max(1, crc32.Checksum(l.hashed, castagnoli)) // only the platform could have two be alike, to its own loss
		if contact.Present() && m.ToTag.Present() && tx.Shown == 0 {
			tx.Shown = shown
		}
		if tx.Shown == shown || tx.Shown == 0 {
			return
		}
	}
	l.markContact(m, m.ToTag)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// contactAt reports whether the Contact of m, if there is one, is at server.
func contactAt(m *sip.Message, server edge.Flow) bool {
	contact := firstURI(m, sip.FieldContact)
	if !contact.Present() {
		return true
	}
	uri, err := sip.ParseURI(m.Raw, contact)
	return err == nil && atServer(m.Raw, &uri, server)
}

// atServer reports whether u, which lies in raw, is at the address and port of server.
func atServer(raw []byte, u *sip.URI, server edge.Flow) bool {
	addr, ok := hostPort(raw, u)
	return ok && addr == server.Remote
}

// markContact adds the mark of m's Contact to it. tag is whose Contact it is.
func (l *lane) markContact(m *sip.Message, tag sip.Span) {
	i, contact := m.Find(sip.FieldContact), firstURI(m, sip.FieldContact)
	uri, err := sip.ParseURI(m.Raw, contact)
	if i < 0 || err != nil || uri.Scheme != sip.SIP && uri.Scheme != sip.SIPS {
		return
	}
	mark := l.mark(m.CallID.Of(m.Raw), tag.Of(m.Raw), m.Raw, &uri)
	if theirs, ok := uri.Param(m.Raw, markParam); ok {
		if !theirs.Present() {
			return
		}
		l.edit.ReplaceSpan(i, sip.Span{Start: theirs.Start, End: theirs.Start}, append(append(l.value[:0], mark[:]...), marksBegin))
		return
	}
	end := sip.Span{Start: contact.End, End: contact.End}
	if uri.Headers.Present() {
		end = sip.Span{Start: uri.Headers.Start - 1, End: uri.Headers.Start - 1}
	}
	l.value = append(append(l.value[:0], ";"+markParam+"="...), mark[:]...)
	if m.Raw[contact.Start-1] != '<' { // without brackets it would be a parameter of the field
		l.value = append(append(append([]byte{'<'}, contact.Of(m.Raw)...), l.value...), '>')
		end = contact
	}
	l.edit.ReplaceSpan(i, end, l.value)
}

// ownMark looks for the mark in the Request-URI of x, a request in a dialog from outside: own.marked is the URI without it, as the platform wrote it, if it verifies.
func (l *lane) ownMark(x *edge.Exchange) {
	m := x.Msg
	raw, uri := m.Raw, &m.URI
	for rest := uri.Params; rest.Present(); {
		var name, value, whole sip.Span
		name, value, whole, rest = sip.NextParam(raw, rest)
		if !sip.Spells(name.Of(raw), markParam) {
			continue
		}
		mark := l.mark(l.own.callID, m.ToTag.Of(raw), raw, uri)
		end := whole.End
		if whole.Start--; value.Len() > markLen && raw[value.Start+markLen] == marksBegin {
			whole.Start, end = value.Start, value.Start+markLen+1
		} else if value.Len() != markLen {
			return
		}
		if bytes.Equal(mark[:], raw[value.Start:value.Start+markLen]) {
			l.uri = append(append(l.uri[:0], raw[uri.Whole.Start:whole.Start]...), raw[end:uri.Whole.End]...)
			l.own.marked = l.uri
		}
		return
	}
}
