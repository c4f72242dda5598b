package proxy

import (
	"bytes"
	"slices"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// renameRoute gives our Record-Route in a response the name that the client's side knows us by (RFC 3261 §16.7 step 8). Towards a
// caller outside the token in it also learns which server of the platform the dialog is with. A refusal makes no dialog (RFC 3261
// §12.1), though some servers record routes in it: the way in is not shown to who was refused.
func (l *lane) renameRoute(m *sip.Message, token []byte, tx *transaction.Tx) {
	refused := m.Status >= 300 && tx.Client.Side == edge.Outside
	if !refused && l.renameFirst(m, token, tx) {
		return
	}
	var before sip.Span // the URI that stands before ours: the next hop inside
	l.hops = l.hops[:0]
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		if refused {
			l.edit.Remove(i)
			continue
		}
		for rest := m.Fields[i].Value; rest.Present(); {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				return
			}
			rest = after
			if !bytes.Contains(a.URI.Of(m.Raw), token) {
				before = a.URI
				l.hops = append(l.hops, a)
				continue
			}
			if tx.Client.Side == edge.Outside {
				token = l.withCalled(l.withServer(m, token, before, tx), tx.Called)
			}
			scheme := sip.SIP
			if bytes.HasPrefix(a.URI.Of(m.Raw), []byte("sips:")) { // as we wrote it
				scheme = sip.SIPS
			}
			l.value = l.appendRoute(l.value[:0], token, tx.Client, scheme)
			l.edit.ReplaceSpan(i, a.Whole, l.value)
			return
		}
	}
}

// restoreRoute puts the Record-Route of a response from a stranger outside back to what the request had: ours, named as the platform
// knows us, then what stood there when it came, which others keeps, each value ended by LF. What a stranger writes there would
// become the platform's next hop. In front of ours stays who recorded himself outside: requests in the dialog pass us before him.
func (l *lane) restoreRoute(m *sip.Message, token, others []byte, tx *transaction.Tx) {
	first := m.Find(sip.FieldRecordRoute)
	if first < 0 {
		return
	}
	l.value = l.value[:0]
	scheme, passed := sip.SIP, false
	for i := first; i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		for rest := m.Fields[i].Value; rest.Present() && !passed; {
			a, after, err := sip.NextAddress(m.Raw, rest)
			if err != nil {
				break
			}
			rest = after
			uri := a.URI.Of(m.Raw)
			if passed = bytes.Contains(uri, token); passed && bytes.HasPrefix(uri, []byte("sips:")) {
				scheme = sip.SIPS // as we wrote it
			} else if !passed {
				l.value = appendLoose(l.value, m, a)
			}
		}
		if i > first || m.Status >= 300 {
			l.edit.Remove(i)
		}
	}
	if m.Status >= 300 {
		return
	}
	if !passed {
		l.value = l.value[:0] // who took ours out does not say where he stood
	}
	l.value = l.appendRoute(l.value, token, tx.Client, scheme)
	for len(others) > 0 {
		var one []byte
		one, others = cutLine(others)
		l.value = append(append(l.value, ", "...), one...)
	}
	l.edit.Replace(first, l.value)
}

// appendLoose appends an entry of Record-Route with the comma behind it, if it is of a loose router: requests to others are refused.
func appendLoose(dst []byte, m *sip.Message, a sip.Address) []byte {
	uri, err := sip.ParseURI(m.Raw, a.URI)
	if err != nil {
		return dst
	}
	if _, lr := uri.Param(m.Raw, "lr"); !lr {
		return dst
	}
	return append(appendUnfolded(dst, a.Whole.Of(m.Raw)), ", "...)
}

// appendValues appends the values of all fields with id, each ended by LF.
func appendValues(dst []byte, m *sip.Message, id sip.FieldID) []byte {
	for i := m.Find(id); i >= 0; i = m.Next(id, i) {
		dst = append(appendUnfolded(dst, m.Fields[i].Value.Of(m.Raw)), '\n')
	}
	return dst
}

// renameFirst is renameRoute for the usual case: our Record-Route is the first, as we wrote it, and the Contact names the server that the
// request went to. False: it is not that case.
func (l *lane) renameFirst(m *sip.Message, token []byte, tx *transaction.Tx) bool {
	const start = "<sip:"
	i := m.Find(sip.FieldRecordRoute)
	if i < 0 {
		return true
	}
	value := m.Fields[i].Value.Of(m.Raw)
	own, found := bytes.CutPrefix(value, []byte(start))
	end := bytes.IndexByte(value, '>')
	if !found || !bytes.HasPrefix(own, token) || end < len(start)+len(token) {
		return false
	}
	if tx.Client.Side == edge.Outside {
		if s := l.cfg.serverAt(tx.Target); s == nil || !s.named(m.Value(sip.FieldContact)) {
			return false
		}
	}
	l.value = l.appendRoute(l.value[:0], l.withCalled(token, tx.Called), tx.Client, sip.SIP)
	at := m.Fields[i].Value.Start
	l.edit.ReplaceSpan(i, sip.Span{Start: at, End: at + uint32(end) + 1}, l.value)
	return true
}

// named reports whether a Contact names s and nothing else: the usual form, over UDP.
func (s *server) named(contact []byte) bool {
	end := bytes.IndexByte(contact, '>')
	return end > 0 && contact[0] == '<' && s.meant(contact[1:end])
}

// meant reports whether uri leads to s over UDP, and says no more than for whom.
func (s *server) meant(uri []byte) bool {
	const scheme = "sip:"
	at := len(uri) - len(s.text)
	if at < len(scheme) || string(uri[at:]) != string(s.text) || string(uri[:len(scheme)]) != scheme || s.Transport != edge.UDP {
		return false
	}
	return at == len(scheme) || bytes.IndexByte(uri[len(scheme):at], '@') == at-len(scheme)-1
}

// withServer returns the token of a dialog from outside with the server that its requests go to next: who recorded itself
// inside of us, else the Contact. What a caller writes into Route or Request-URI later has no say in it. The token stays as it
// is where that server is the one it names already, or is none of the platform's. Behind it stand the marks of the target and of the proxies in l.hops.
func (l *lane) withServer(m *sip.Message, token []byte, next sip.Span, tx *transaction.Tx) []byte {
	server, ok := l.serverNamed(m, next)
	if !ok {
		server = tx.Target
	}
	token = l.movedTo(server, m, token, tx.Target)
	if l.cfg.peerAt(tx.Client) != nil {
		return token
	}
	slices.Reverse(l.hops)
	return l.withMarks(token, m, m.ToTag, server)
}

// movedTo is token, which was made with target, with that server.
func (l *lane) movedTo(server edge.Flow, m *sip.Message, token []byte, target edge.Flow) []byte {
	if server.Remote == target.Remote && server.Transport == target.Transport {
		return token
	}
	callID := m.CallID.Of(m.Raw)
	r, opened, ok := openToken(l.again, l.p.keys, token, edge.Outside, m, callID)
	if l.again = opened; !ok || r.Inside.Remote == server.Remote && r.Inside.Transport == server.Transport {
		return token
	}
	r.Inside = server
	l.small = appendToken(l.small[:0], l.p.keys, &r, edge.Outside, m, callID)
	return l.small
}

// serverNamed reads the URI at next, or where there is none that of Contact, as the address of a server of the platform.
func (l *lane) serverNamed(m *sip.Message, next sip.Span) (edge.Flow, bool) {
	if !next.Present() {
		return l.contactServer(m, firstURI(m, sip.FieldContact))
	}
	return l.serverAtURI(m, next)
}

// serverAtURI reads the URI at s as the address of a server inside.
func (l *lane) serverAtURI(m *sip.Message, s sip.Span) (edge.Flow, bool) {
	uri, err := sip.ParseURI(m.Raw, s)
	if err != nil {
		return edge.Flow{}, false
	}
	addr, isAddr := hostPort(m.Raw, &uri)
	transport, ok := transportOf(m.Raw, &uri)
	ok = ok && isAddr && l.cfg.inside(addr.Addr()) && !l.p.own(addr)
	return edge.Flow{Remote: addr, Transport: transport, Side: edge.Inside}, ok
}

// firstURI is the URI of the first address in the fields with id, absent if there is none.
func firstURI(m *sip.Message, id sip.FieldID) sip.Span {
	if i := m.Find(id); i >= 0 {
		if a, _, err := sip.NextAddress(m.Raw, m.Fields[i].Value); err == nil {
			return a.URI
		}
	}
	return sip.Span{}
}
