package proxy

import (
	"bytes"

	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// A call of two phones outside passes here twice, and the token of its second pass holds that of the first. Bare, that one takes 16 bytes less,
// which keeps an INVITE below what a datagram takes: its plain text stands for it, since sealed again with the same key it is the same token.

// bareToken is the first character of the user part of a Record-Route of ours whose token is bare. None such leaves.
const bareToken = 'O'

// appendInner appends the Record-Route value a of m, which begins a dialog and came from inside, to the proxies inside that its token is to hold.
func (l *lane) appendInner(set []byte, m *sip.Message, a *sip.Address) []byte {
	if l.value = l.appendBare(l.value[:0], m, a); len(l.value) > 0 {
		if bare, _, err := sip.NextAddress(l.value, sip.Span{End: uint32(len(l.value))}); err == nil {
			return topo.AppendEntry(set, l.value, &bare, l.p.within)
		}
	}
	return topo.AppendEntry(set, m.Raw, a, l.p.within)
}

// appendBare appends the Record-Route value a of m with its token bare; nothing if it has no token of the first pass.
func (l *lane) appendBare(dst []byte, m *sip.Message, a *sip.Address) []byte {
	head, rest, found := bytes.Cut(a.Whole.Of(m.Raw), []byte{':', fromOutside})
	token, rest, tailed := bytes.Cut(rest, []byte{'@'})
	if !found || !tailed || len(token) < topo.LeastTarget {
		return dst
	}
	plain, err := l.p.keys.Open(l.small[:0], token, l.own.callID, m.FromTag.Of(m.Raw))
	l.small = plain
	if err != nil {
		return dst
	}
	dst = append(append(dst, head...), ':', bareToken, token[0])
	return append(append(seal.AppendText(dst, plain), '@'), rest...)
}

// sealedAgain is value, a proxy inside that the token of m held, as it was in the Record-Route, m being a request from outside to who began its
// dialog. It is valid until l.small changes.
func (l *lane) sealedAgain(value []byte, m *sip.Message) []byte {
	head, rest, found := bytes.Cut(value, []byte{':', bareToken})
	bare, rest, tailed := bytes.Cut(rest, []byte{'@'})
	if !found || !tailed || len(bare) < 2 {
		return value
	}
	plain, ok := seal.AppendBytes(l.again[:0], bare[1:])
	l.again = plain
	if !ok || len(plain) == 0 || plain[0] != fromOutside {
		return value
	}
	l.small = append(append(l.small[:0], head...), ':', fromOutside)
	if l.small, ok = l.p.keys.SealUnder(bare[0], l.small, plain, l.own.callID, m.ToTag.Of(m.Raw)); !ok {
		return value
	}
	l.small = append(append(l.small, '@'), rest...)
	return l.small
}
