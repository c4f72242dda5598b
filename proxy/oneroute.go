package proxy

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// oneRoute leaves of the Record-Routes of a response m to a client outside ours alone, and what stands behind it, which is of outside; the
// proxies inside go into its token. A response without our token, or one that makes no dialog, gets none.
func (l *lane) oneRoute(m *sip.Message, token []byte, tx *transaction.Tx) {
	if i := m.Find(sip.FieldRecordRoute); i >= 0 && l.ownAlone(m, i, token, tx) {
		l.edit.Remove(i)
		l.value = l.appendRoute(l.value[:0], l.withCalled(token, tx.Called), tx.Client, sip.SIP)
		l.edit.Top(sip.FieldRecordRoute, l.value)
		return
	}
	var first sip.Span // the URI of the next hop inside
	found := len(token) == 0 || m.Status >= 300
	l.unseen, l.value, l.counts = l.unseen[:0], l.value[:0], l.counts[:0]
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		l.edit.Remove(i)
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			switch uri := a.URI.Of(m.Raw); {
			case len(l.value) > 0 && !l.unmarked(uri): // a proxy inside that does not write above ours, as RFC 3261 §16.6 has it
			case len(l.value) > 0:
				l.value = appendUnfolded(append(l.value, ", "...), a.Whole.Of(m.Raw))
			case found:
			case bytes.Contains(uri, token):
				l.value = l.appendOwnRoute(m, uri, token, first, tx)
			default:
				first = a.URI
				l.small = topo.AppendEntry(l.small[:0], m.Raw, &a, l.p.within)
				l.unseen = append(l.unseen, l.small...) // turned round below
				l.counts = append(l.counts, len(l.small))
			}
		}
	}
	if len(l.value) > 0 {
		l.edit.Top(sip.FieldRecordRoute, l.value)
	}
}

// ownAlone reports whether the first Record-Route of m, in field i, is the only one and ours as tx sent it, and nothing of its token changes: m makes
// a dialog with the server that tx went to. That is the usual case.
func (l *lane) ownAlone(m *sip.Message, i int, token []byte, tx *transaction.Tx) bool {
	if len(token) == 0 || m.Status >= 300 || m.Next(sip.FieldRecordRoute, i) >= 0 || tx.Target.Transport != edge.UDP {
		return false
	}
	uri, found := bytes.CutPrefix(m.Fields[i].Value.Of(m.Raw), []byte("<sip:"))
	tail, own := bytes.CutPrefix(uri, token)
	if !found || !own || len(tail) == 0 || tail[0] != '@' || string(tail[1:]) != l.p.faces[tx.Target.Listener].tail {
		return false
	}
	s := l.cfg.serverAt(tx.Target)
	return s != nil && s.named(m.Value(sip.FieldContact))
}

// appendOwnRoute is our Record-Route for the client of tx: with a token that holds the proxies inside, which stood before ours, in the
// order in which requests from outside pass them, and the server that those go to.
func (l *lane) appendOwnRoute(m *sip.Message, uri, token []byte, next sip.Span, tx *transaction.Tx) []byte {
	server, named := l.serverNamed(m, next)
	moved := named && (server.Remote != tx.Target.Remote || server.Transport != tx.Target.Transport) // the token was made with the target
	if moved || len(l.unseen) > 0 {
		r, opened, ok := openToken(l.again, l.p.keys, token, edge.Outside, m, m.CallID.Of(m.Raw))
		l.again = opened
		if named {
			r.Inside = server
		}
		if len(l.unseen) > 0 {
			r.Set = l.turned()
		}
		if ok {
			l.small = appendToken(l.small[:0], l.p.keys, &r, edge.Outside, m, m.CallID.Of(m.Raw))
			token = l.small
		}
	}
	scheme := sip.SIP
	if bytes.HasPrefix(uri, []byte("sips:")) { // as we wrote it
		scheme = sip.SIPS
	}
	return l.appendRoute(l.value[:0], l.withCalled(token, tx.Called), tx.Client, scheme)
}

// turned is the entries of l.unseen, of the lengths in l.counts, in reverse.
func (l *lane) turned() []byte {
	l.turn = l.turn[:0]
	end := len(l.unseen)
	for i := len(l.counts) - 1; i >= 0; i-- {
		l.turn = append(l.turn, l.unseen[end-l.counts[i]:end]...)
		end -= l.counts[i]
	}
	return l.turn
}

// revealed is where a request from outside with a token goes: to the first proxy inside that the token holds, else to the URI that its
// Request-URI stands for. uri is that URI, nil if the Request-URI is no token of ours. A proxy recorded itself, so any address inside
// will do; that URI may be of somebody outside. False: neither names a server of the platform.
func (l *lane) revealed() (uri []byte, next Upstream, ok bool) {
	own := &l.own
	if !own.home.Remote.IsValid() {
		uri = own.target
	}
	if own.tokened && len(own.route.Set) > 0 {
		l.value, _, ok = topo.NextEntry(l.value[:0], own.route.Set, l.p.within)
		a, _, err := sip.NextAddress(l.value, sip.Span{End: uint32(len(l.value))})
		if !ok || err != nil {
			return uri, Upstream{}, false
		}
		next, ok = l.serverOf(a.URI.Of(l.value))
		return uri, next, ok
	}
	if uri == nil {
		return nil, Upstream{}, false
	}
	if next, ok = l.serverOf(uri); !ok || own.tokened && next.Addr == own.route.Inside.Remote || l.ofPlatform(next.Addr) {
		return uri, next, ok
	}
	return uri, Upstream{}, false
}

// serverOf reads uri as the address of a server of the platform.
func (l *lane) serverOf(uri []byte) (Upstream, bool) {
	for _, s := range l.cfg.servers {
		if s.meant(uri) {
			return Upstream{Addr: s.Addr, Transport: edge.UDP}, l.cfg.inside(s.Addr.Addr()) && !l.p.own(s.Addr)
		}
	}
	u, err := sip.ParseURI(uri, sip.Span{End: uint32(len(uri))})
	if err != nil {
		return Upstream{}, false
	}
	addr, isAddr := hostPort(uri, &u)
	transport, ok := transportOf(uri, &u)
	return Upstream{Addr: addr, Transport: transport}, ok && isAddr && l.cfg.inside(addr.Addr()) && !l.p.own(addr)
}
