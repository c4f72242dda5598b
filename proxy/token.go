package proxy

import (
	"encoding/base32"
	"encoding/binary"
	"net/netip"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// A route is what a route token says: both ends of a dialog as the edge saw them when it began. It travels sealed in the
// user part of our Record-Route URI, so a dialog needs no memory here and survives a restart. The seal is bound to the
// Call-ID and to the tag of whoever the token was made from, so that a token is worth nothing in another dialog.
type route struct {
	Binding binding.ID // the registered phone on Outside; zero if it was not one
	Outside edge.Flow  // where it was
	Inside  edge.Flow  // the server of the platform; Listener and Conn are not kept
	veiled             // what outside does not see of the dialog
}

// The first character of a route user part says what the seal is bound to.
const (
	fromOutside = 'o' // the From tag of a request from Outside
	fromInside  = 'i' // the From tag of a request from Inside
	pathToken   = 'p' // nothing: Path of a registration (RFC 3327)
)

const (
	flagBinding = 1 << iota
	flagOutside6
	flagInside6
	flagOutsideStream
	flagInsideStream
	_ // two bits say which stream transport outside is: TCP, TLS, WS, WSS
	_
	flagInsideTLS
)

// flagInsideInSet, without flagInsideStream, says that Inside is where the first entry of Set leads to.
const flagInsideInSet = flagInsideTLS

// outsideKind is the place of the two bits in the flags.
const outsideKind = 5

// idText is how binding.ID writes its ten bytes.
var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// usualRoute is room for what is sealed, if inside has few proxies.
const usualRoute = 1 + 1 + 10 + 1 + 18 + 8 + 18 + 96

// appendPlain appends r in the form that is sealed in a token of this kind. The kind is sealed too, so that no token opens as one of
// another kind.
func (r *route) appendPlain(dst []byte, kind byte) []byte {
	flags := byte(0)
	dst = append(dst, kind)
	at := len(dst)
	dst = append(dst, 0, byte(r.Outside.Listener))
	if r.Binding != (binding.ID{}) {
		flags |= flagBinding
		var raw [10]byte
		if _, err := idText.Decode(raw[:], r.Binding[:]); err != nil {
			flags &^= flagBinding
		} else {
			dst = append(dst, raw[:]...)
		}
	}
	dst = appendPacked(dst, r.Outside.Remote, &flags, flagOutside6)
	if r.Outside.Transport.Stream() {
		flags |= flagOutsideStream | byte(r.Outside.Transport-edge.TCP)<<outsideKind
		dst = binary.BigEndian.AppendUint64(dst, r.Outside.Conn)
	}
	next, over, ok := topo.NextServer(r.Set)
	switch inSet := ok && next == r.Inside.Remote && r.Inside.Transport == over; {
	case inSet:
		flags |= flagInsideInSet
	case r.Inside.Transport == edge.TCP:
		flags |= flagInsideStream
	case r.Inside.Transport == edge.TLS:
		flags |= flagInsideStream | flagInsideTLS
	}
	if flags&(flagInsideStream|flagInsideInSet) != flagInsideInSet {
		dst = appendPacked(dst, r.Inside.Remote, &flags, flagInside6)
	}
	dst[at] = flags
	return r.veiled.appendTo(dst)
}

// appendPacked is appendAddr in few bytes.
func appendPacked(dst []byte, a netip.AddrPort, flags *byte, six byte) []byte {
	if a.Addr().Is6() {
		*flags |= six
	}
	return binary.BigEndian.AppendUint16(topo.AppendAddr(dst, a.Addr()), a.Port())
}

func appendAddr(dst []byte, a netip.AddrPort, flags *byte, six byte) []byte {
	if addr := a.Addr(); addr.Is4() {
		v4 := addr.As4()
		dst = append(dst, v4[:]...)
	} else {
		*flags |= six
		v6 := addr.As16()
		dst = append(dst, v6[:]...)
	}
	return binary.BigEndian.AppendUint16(dst, a.Port())
}

// parse reads from b what appendPlain wrote for this kind. r refers to b, which is returned as it has grown. The bytes were
// authenticated, so a failure means that the token is of another kind, or that another version of ringwall made it.
func (r *route) parse(b []byte, kind byte) (grown []byte, ok bool) {
	*r = route{Outside: edge.Flow{Side: edge.Outside}, Inside: edge.Flow{Side: edge.Inside}}
	if len(b) < 3 || b[0] != kind {
		return b, false
	}
	flags := b[1]
	r.Outside.Listener = uint16(b[2])
	rest := b[3:]
	if flags&flagBinding != 0 {
		if len(rest) < 10 {
			return b, false
		}
		idText.Encode(r.Binding[:], rest[:10])
		rest = rest[10:]
	}
	if r.Outside.Remote, rest, ok = cutPacked(rest, flags&flagOutside6 != 0); !ok {
		return b, false
	}
	if flags&flagOutsideStream != 0 {
		if len(rest) < 8 {
			return b, false
		}
		r.Outside.Transport = edge.TCP + edge.Transport(flags>>outsideKind&3)
		r.Outside.Conn = binary.BigEndian.Uint64(rest)
		rest = rest[8:]
	}
	inSet := flags&(flagInsideStream|flagInsideInSet) == flagInsideInSet
	if !inSet {
		if r.Inside.Remote, rest, ok = cutPacked(rest, flags&flagInside6 != 0); !ok {
			return b, false
		}
	}
	switch flags & (flagInsideStream | flagInsideTLS) {
	case flagInsideStream:
		r.Inside.Transport = edge.TCP
	case flagInsideStream | flagInsideTLS:
		r.Inside.Transport = edge.TLS
	}
	if b, ok = r.veiled.parse(b, len(b)-len(rest)); ok && inSet {
		r.Inside.Remote, r.Inside.Transport, ok = topo.NextServer(r.Set)
	}
	return b, ok
}

// cutPacked reads what appendPacked wrote, and what appendAddr did in tokens of before 2026-11-23.
func cutPacked(b []byte, six bool) (netip.AddrPort, []byte, bool) {
	addr, b, ok := topo.CutAddr(b, six)
	if !ok || len(b) < 2 {
		return netip.AddrPort{}, nil, false
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b)), b[2:], true
}

func cutAddr(b []byte, six bool) (netip.AddrPort, []byte, bool) {
	n := 4
	if six {
		n = 16
	}
	if len(b) < n+2 {
		return netip.AddrPort{}, nil, false
	}
	addr, _ := netip.AddrFromSlice(b[:n])
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[n:])), b[n+2:], true
}

// appendToken appends the user part of a Record-Route URI for a request m that came from side: r, sealed. callID is the Call-ID that
// inside knows.
func appendToken(dst []byte, keys *seal.Keys, r *route, side edge.Side, m *sip.Message, callID []byte) []byte {
	kind := byte(fromOutside)
	if side == edge.Inside {
		kind = fromInside
	}
	var plain [usualRoute]byte
	return keys.Seal(append(dst, kind), r.appendPlain(plain[:0], kind), callID, m.FromTag.Of(m.Raw))
}

// openToken reads the user part of a Route URI that names us, in a request m that came from side. From the initiator's side
// its tag is in From, from the other in To (RFC 3261 §12.2.1.1). callID is the Call-ID that inside knows; what r refers to lies in
// room, which is returned as it has grown.
func openToken(room []byte, keys *seal.Keys, user []byte, side edge.Side, m *sip.Message, callID []byte) (r route, grown []byte, ok bool) {
	if len(user) == 0 {
		return r, room, false
	}
	user, _ = cutMarks(user)
	ad1, ad2 := callID, m.FromTag.Of(m.Raw)
	switch {
	case user[0] == pathToken && side == edge.Inside:
		ad1, ad2 = pathAD, nil
	case user[0] != fromOutside && user[0] != fromInside:
		return r, room, false
	case (user[0] == fromOutside) != (side == edge.Outside):
		ad2 = m.ToTag.Of(m.Raw)
	}
	room, err := keys.Open(room[:0], user[1:], ad1, ad2)
	if err == nil {
		room, ok = r.parse(room, user[0])
	}
	return r, room, ok
}

var pathAD = []byte("path")
