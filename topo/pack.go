package topo

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"

	"github.com/ringwall/ringwall/sip"
)

// A packed URI begins with a byte that says what follows: the whole URI as it is, or for a SIP URI the address in binary, the port, the
// user part and what stands behind the port.
const (
	packedURI byte = 1 << iota // else it follows as it is
	packedSIPS
	packed6
	packedPort
	packedUser
	packedToken // the user part is a token of ours: after its first two characters it is packed, too
	packedLR    // ";lr" and no more stands behind the port
	packedOwn   // address and port are those of a listener of ours, whose place among them is one byte
)

// leastToken is the length of the shortest user part that is worth a look whether it is a token.
const leastToken = 24

// appendPacked appends uri packed, so that appendUnpacked gives the same bytes.
func appendPacked(dst, uri []byte) []byte {
	if packed, tail, ok := appendShort(dst, uri, nil); ok {
		return append(packed, shortTail(tail)...)
	}
	return append(append(dst, 0), uri...)
}

// appendShort packs a SIP URI whose host is an address, but for what stands behind the port, which it returns as tail. own are
// listeners of ours, at most 256. False, and dst as it was: uri is none, or would not come back byte for byte.
func appendShort(dst, uri []byte, own []netip.AddrPort) (packed, tail []byte, ok bool) {
	if packed, tail, ok = appendParsed(dst, uri, own); !ok {
		return dst, nil, false
	}
	var room [maxShort + 64]byte
	again, _, ok := appendUnshort(room[:0], packed[len(dst):], own)
	if again = append(again, tail...); !ok || string(again) != string(uri) {
		return dst, nil, false
	}
	return packed, tail, true
}

// appendParsed is appendShort without the last look.
func appendParsed(dst, uri []byte, own []netip.AddrPort) (packed, tail []byte, ok bool) {
	u, err := sip.ParseURI(uri, sip.Span{End: uint32(len(uri))})
	if err != nil || len(uri) > maxShort || u.Scheme != sip.SIP && u.Scheme != sip.SIPS || u.Password.Present() || u.User.Len() > 255 {
		return dst, nil, false
	}
	host := u.Host.Of(uri)
	if len(host) == 0 || len(host) > 45 || host[0] != '[' && (host[0] < '0' || host[0] > '9') {
		return dst, nil, false
	}
	addr, ok := addrOf(host)
	six := host[0] == '['
	if !ok || addr.Is4() == six {
		return dst, nil, false
	}
	flags, at := packedURI, len(dst)
	dst = append(dst, 0)
	if u.Scheme == sip.SIPS {
		flags |= packedSIPS
	}
	place := -1
	if u.HasPort {
		flags |= packedPort
		place = slices.Index(own, netip.AddrPortFrom(addr, u.Port))
	}
	if place >= 0 {
		flags |= packedOwn
		dst = append(dst, byte(place))
	} else {
		if dst = AppendAddr(dst, addr); six {
			flags |= packed6
		}
		if u.HasPort {
			dst = binary.BigEndian.AppendUint16(dst, u.Port)
		}
	}
	end := HostPort(uri, &u).End
	if u.User.Present() {
		var how byte
		dst, how = appendUser(dst, u.User.Of(uri))
		flags |= how
	}
	if tail = uri[end:]; string(tail) == ";lr" {
		flags, tail = flags|packedLR, nil
	}
	dst[at] = flags
	return dst, tail, true
}

// appendUser packs a user part of at most 255 bytes, and returns the flags that say how.
func appendUser(dst, user []byte) ([]byte, byte) {
	if !isToken(user) {
		return append(append(dst, byte(len(user))), user...), packedUser
	}
	at := len(dst)
	dst = append(dst, 0, user[0], user[1])
	dst, _ = base64.RawURLEncoding.AppendDecode(dst, user[2:]) // isToken leaves nothing to fail
	dst[at] = byte(len(dst) - at - 1)
	return dst, packedUser | packedToken
}

// isToken reports whether user may be the user part of a token of ours: two characters, then base64 (RFC 4648 §5).
func isToken(user []byte) bool {
	return len(user) >= leastToken && (len(user)-2)%4 != 1 && isBase64(user)
}

// isBase64 reports whether b is nothing but characters of base64 (RFC 4648 §5).
func isBase64(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// appendUnpacked appends the URI that packed holds.
func appendUnpacked(dst, packed []byte) ([]byte, bool) {
	if len(packed) == 0 {
		return dst, false
	}
	if packed[0]&packedURI == 0 {
		return append(dst, packed[1:]...), packed[0] == 0 && len(packed) > 1
	}
	dst, tail, ok := appendUnshort(dst, packed, nil)
	return appendTail(dst, tail), ok
}

// appendUnshort appends the URI that appendShort packed, and returns what stands behind it, which may be its tail.
func appendUnshort(dst, packed []byte, own []netip.AddrPort) (uri, rest []byte, ok bool) {
	flags := packed[0]
	at, b, ok := cutAddrPort(packed[1:], flags, own)
	if !ok {
		return dst, nil, false
	}
	if dst = append(dst, "sip"...); flags&packedSIPS != 0 {
		dst = append(dst, 's')
	}
	dst = append(dst, ':')
	if flags&packedUser != 0 {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return dst, nil, false
		}
		user := b[1 : 1+int(b[0])]
		b = b[1+len(user):]
		if flags&packedToken != 0 && len(user) >= 2 {
			dst = base64.RawURLEncoding.AppendEncode(append(dst, user[0], user[1]), user[2:])
		} else {
			dst = append(dst, user...)
		}
		dst = append(dst, '@')
	}
	if dst = appendHostPort(dst, at, flags&packedPort != 0); flags&packedLR != 0 {
		dst = append(dst, ";lr"...)
	}
	return dst, b, true
}

// cutAddrPort reads the address that b begins with, and the port if there is one.
func cutAddrPort(b []byte, flags byte, own []netip.AddrPort) (at netip.AddrPort, rest []byte, ok bool) {
	if flags&packedOwn != 0 {
		if len(b) == 0 || int(b[0]) >= len(own) {
			return at, nil, false
		}
		return own[b[0]], b[1:], true
	}
	addr, b, ok := CutAddr(b, flags&packed6 != 0)
	if !ok {
		return at, nil, false
	}
	var port uint16
	if flags&packedPort != 0 {
		if len(b) < 2 {
			return at, nil, false
		}
		port, b = binary.BigEndian.Uint16(b), b[2:]
	}
	return netip.AddrPortFrom(addr, port), b, true
}

func appendHostPort(dst []byte, at netip.AddrPort, hasPort bool) []byte {
	if addr := at.Addr(); addr.Is6() {
		dst = append(addr.AppendTo(append(dst, '[')), ']')
	} else {
		dst = addr.AppendTo(dst)
	}
	if !hasPort {
		return dst
	}
	return strconv.AppendUint(append(dst, ':'), uint64(at.Port()), 10)
}
