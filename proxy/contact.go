package proxy

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// A Contact with which the platform registers at a peer leaves as a token at our outside address, so that the peer calls us and
// learns nothing of the inside. The token holds the Contact and the server to send to, sealed: nothing is kept for it, and as
// sealing is deterministic it is equal at each refresh and the peer's registrar never sees a second binding.

// contactToken is the kind of such a token, sealed in it; tokens of before 2026-11-23 began with it.
const contactToken = 'c'

// contactMark begins the user part of such a token. No usual name begins so, nor does a target token (topo.TargetMark).
const contactMark = ".."

var (
	contactAD        = []byte("marked contact")
	earlierContactAD = []byte("contact")
)

// maxContact is the longest Contact URI that is sealed, in bytes.
const maxContact = 255

// minContactToken is the length of the shortest user part that could be one of before 2026-11-23: kind, flags, an address with port, "sip:a".
var minContactToken = 1 + seal.TokenLen(1+1+4+2+5)

// What the flags of a contact token say of the server: its family, and above that its transport.
const (
	flagContact6 = 1
	contactBy    = 1 // place of the transport
)

// appendContactToken appends the user part for uri, a Contact of the server at to.
func appendContactToken(dst []byte, keys *seal.Keys, to edge.Flow, uri []byte) []byte {
	var room [2 + 18 + maxContact]byte
	plain := append(room[:0], contactToken, byte(to.Transport)<<contactBy)
	flags := plain[1]
	plain = appendAddr(plain, to.Remote, &flags, flagContact6)
	plain[1] = flags
	return keys.Seal(append(dst, contactMark...), append(plain, uri...), contactAD, nil)
}

// openContactToken reads a user part: the Contact URI, appended to dst, and the server. Most user parts are no tokens, which is no offence.
func openContactToken(dst []byte, keys *seal.Keys, user []byte) (uri []byte, to edge.Flow, ok bool) {
	ad := contactAD
	token, marked := bytes.CutPrefix(user, []byte(contactMark))
	if !marked {
		if len(user) < minContactToken || user[0] != contactToken {
			return dst, to, false
		}
		token, ad = user[1:], earlierContactAD
	}
	var room [2 + 18 + maxContact + seal.OpenRoom]byte
	b, err := keys.Open(room[:0], token, ad, nil)
	if err != nil || len(b) < 2 || b[0] != contactToken {
		return dst, to, false
	}
	flags := b[1]
	to.Side, to.Transport = edge.Inside, edge.Transport(flags>>contactBy)
	to.Remote, b, ok = cutAddr(b[2:], flags&flagContact6 != 0)
	return append(dst, b...), to, ok && to.Transport <= edge.TLS
}

// outbound rewrites a REGISTER of the platform on its way to a peer: each Contact becomes a token at our address on that side. It
// reports whether any did.
func (l *lane) outbound(x *edge.Exchange, to *hop) (done bool) {
	m := x.Msg
	f := &l.p.faces[to.flow.Listener]
	l.contacts(m, func(a sip.Address) {
		uri, err := sip.ParseURI(m.Raw, a.URI)
		if a.Star || err != nil || a.URI.Len() > maxContact || uri.Scheme != sip.SIP && uri.Scheme != sip.SIPS {
			if a.Star || !l.cfg.Hide {
				l.value = appendUnfolded(separated(l.value), a.Whole.Of(m.Raw))
			}
			return
		}
		l.value = separated(l.value)
		done = true
		if l.value = append(l.value, "<sip"...); uri.Scheme == sip.SIPS {
			l.value = append(l.value, 's')
		}
		l.value = appendContactToken(append(l.value, ':'), l.p.keys, l.home(x, a.URI), a.URI.Of(m.Raw))
		l.value = append(append(append(append(l.value, '@'), f.host...), f.params...), '>')
		if l.cfg.Hide { // the platform's instance id goes, too
			l.value = topo.AppendFeatures(l.value, m.Raw, a.Params)
		} else {
			l.value = appendParams(l.value, m.Raw, a.Params, "reg-id")
		}
	})
	l.endOutbound(m)
	return done
}

// contacts writes the Contact fields of m anew, each with what show appends to l.value for its addresses. A field without any goes.
func (l *lane) contacts(m *sip.Message, show func(a sip.Address)) {
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		l.value = l.value[:0]
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			show(a)
		}
		if len(l.value) == 0 {
			l.edit.Remove(i)
		} else {
			l.edit.Replace(i, l.value)
		}
	}
}

// home is where requests for a Contact of the platform go: to the server that it names, else to the one that sent x.
func (l *lane) home(x *edge.Exchange, contact sip.Span) edge.Flow {
	if named, ok := l.contactServer(x.Msg, contact); ok {
		return named
	}
	return l.insideSource(x)
}

// separated appends what stands between two Contacts of one field.
func separated(dst []byte) []byte {
	if len(dst) == 0 {
		return dst
	}
	return append(dst, ", "...)
}

// ownContacts shows the platform in a 2xx to its REGISTER its own Contacts, and nobody else's.
func (l *lane) ownContacts(m *sip.Message) {
	if m.Status < 200 || m.Status > 299 {
		return
	}
	l.contacts(m, func(a sip.Address) {
		uri, err := sip.ParseURI(m.Raw, a.URI)
		if err != nil {
			return
		}
		if contact, _, ok := openContactToken(l.uri[:0], l.p.keys, uri.User.Of(m.Raw)); ok {
			l.uri = contact
			l.value = append(append(append(separated(l.value), '<'), contact...), '>')
			l.value = appendParams(l.value, m.Raw, a.Params, "")
		}
	})
}

// toContact is the way of a request from outside whose Request-URI is a contact token at our address (own.home): to the server in it, with the
// platform's own Contact as Request-URI. It gives no right to be there: that was access's matter.
func (l *lane) toContact() (hop, bool) {
	home := l.own.home
	if !l.cfg.inside(home.Remote.Addr()) || l.cfg.formerly(home.Remote.Addr()) {
		return hop{}, false
	}
	flow, ok := l.out.Route(edge.Inside, home.Transport, home.Remote)
	return hop{flow: flow, inside: flow, uri: l.own.target}, ok
}
