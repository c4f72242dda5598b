package topo

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/seal"
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
	packedToken // the user part is a token of ours, or looks like one: after its first two characters it is base64 (RFC 4648 §5), and packed, too
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
	flags, at := packedURI, len(dst)
	rest, ok := bytes.CutPrefix(uri, []byte("sip:"))
	if !ok {
		flags |= packedSIPS
		rest, ok = bytes.CutPrefix(uri, []byte("sips:"))
	}
	user, host := []byte(nil), rest
	if i := bytes.IndexByte(rest, '@'); i >= 0 {
		user, host = rest[:i], rest[i+1:]
	}
	addr, rest, written := cutWritten(host)
	if !ok || !written || len(uri) > maxShort {
		return dst, nil, false
	}
	port, tail, hasPort := cutPort(rest)
	if len(tail) > 0 && tail[0] != ';' && tail[0] != '?' {
		return dst, nil, false
	}
	if addr.Is6() {
		flags |= packed6
	}
	place := -1
	if hasPort {
		flags |= packedPort
		place = slices.Index(own, netip.AddrPortFrom(addr, port))
	}
	dst = append(dst, 0)
	switch {
	case place >= 0:
		flags = flags&^packed6 | packedOwn
		dst = append(dst, byte(place))
	case hasPort:
		dst = binary.BigEndian.AppendUint16(AppendAddr(dst, addr), port)
	default:
		dst = AppendAddr(dst, addr)
	}
	if user != nil {
		var how byte
		dst, how = appendUser(dst, user)
		flags |= how
	}
	if string(tail) == ";lr" {
		flags, tail = flags|packedLR, nil
	}
	dst[at] = flags
	return dst, tail, true
}

// cutWritten reads the address at the start of b, an IPv6 one in brackets, and returns what follows it. False: there is none, or it is not written as
// netip would write it.
func cutWritten(b []byte) (addr netip.Addr, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		number, n := four(b)
		if n == 0 || n != lenFour(number) {
			return addr, nil, false
		}
		return addrFour(number), b[n:], true
	}
	n := bytes.IndexByte(b, ']') + 1
	addr, ok = addrOf(b[:n])
	var room [64]byte
	if !ok || addr.Is4() || string(appendHostPort(room[:0], netip.AddrPortFrom(addr, 0), false)) != string(b[:n]) {
		return addr, nil, false
	}
	return addr, b[n:], true
}

// cutPort reads a colon and a port at the start of b, and returns what follows it. False, and all of b: there is none, or it begins with a zero.
func cutPort(b []byte) (port uint16, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != ':' || b[1] == '0' {
		return 0, b, false
	}
	number, n := 0, 1
	for n < len(b) && isDigit(b[n]) && number < 1<<16 {
		number = 10*number + int(b[n]-'0')
		n++
	}
	if n == 1 || number >= 1<<16 {
		return 0, b, false
	}
	return uint16(number), b[n:], true
}

// appendUser packs a user part of at most 255 bytes, and returns the flags that say how.
func appendUser(dst, user []byte) ([]byte, byte) {
	if at := len(dst); len(user) >= leastToken {
		if packed, ok := seal.AppendBytes(append(dst, 0, user[0], user[1]), user[2:]); ok {
			packed[at] = byte(len(packed) - at - 1)
			return packed, packedUser | packedToken
		}
	}
	return append(append(dst, byte(len(user))), user...), packedUser
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
			dst = seal.AppendText(append(dst, user[0], user[1]), user[2:])
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
		dst = append(sip.AppendAddr(append(dst, '['), addr), ']')
	} else {
		dst = sip.AppendAddr(dst, addr)
	}
	if !hasPort {
		return dst
	}
	return sip.AppendPort(append(dst, ':'), at.Port())
}
