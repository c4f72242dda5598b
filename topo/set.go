package topo

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A route set is what a route token holds of the proxies inside: the values of their Record-Routes, packed one after the other. A URI in
// angle brackets and nothing else begins as a packed URI does; unless its tail is ";lr", that follows behind its length. Any other value
// follows a zero and its length.

// AppendEntry appends the Record-Route value a to a route set. own are the listeners of ours inside, at most 256, by which calls come back
// to us; NextEntry must be given them in the same order.
func AppendEntry(set, raw []byte, a *sip.Address, own []netip.AddrPort) []byte {
	if uri := a.URI.Of(raw); a.Angle && a.Whole.Len() == len(uri)+2 {
		if packed, tail, ok := appendShort(set, uri, own); ok {
			if packed[len(set)]&packedLR != 0 {
				return packed
			}
			return appendCounted(packed, shortTail(tail))
		}
	}
	return appendCounted(append(set, 0), a.Whole.Of(raw))
}

func appendCounted(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// CutCounted cuts the bytes off b that stand behind their number, a varint; false if they are not there. They refer to b.
func CutCounted(b []byte) (first, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}

// NextEntry appends the first value of set to dst, and returns what follows it; false at the end.
func NextEntry(dst, set []byte, own []netip.AddrPort) (value, rest []byte, ok bool) {
	var tail []byte
	switch {
	case len(set) == 0:
		return dst, nil, false
	case set[0]&packedURI == 0:
		value, rest, ok = CutCounted(set[1:])
		return append(dst, value...), rest, ok && set[0] == 0
	}
	dst, rest, ok = appendUnshort(append(dst, '<'), set, own)
	if ok && set[0]&packedLR == 0 {
		tail, rest, ok = CutCounted(rest)
	}
	return append(appendTail(dst, tail), '>'), rest, ok
}

// NextServer is where the first value of set leads to over UDP, or over TCP, if it is but the address and port of a server.
func NextServer(set []byte) (server netip.AddrPort, over edge.Transport, ok bool) {
	if len(set) == 0 || set[0]&^(packed6|packedLR) != packedURI|packedPort {
		return server, over, false
	}
	server, rest, ok := cutAddrPort(set[1:], set[0], nil)
	if ok && set[0]&packedLR == 0 {
		tail, _, counted := CutCounted(rest)
		over, ok = edge.TCP, counted && len(tail) == 1 && tail[0] == tailTCP
	}
	return server, over, ok
}

// AppendEarlier appends a set in the form that it had in tokens of before 2026-11-23, each value behind its length and a byte that says
// whether it is a URI, as it is now. Such tokens verify for as long as their key is kept.
func AppendEarlier(set, earlier []byte) ([]byte, bool) {
	for len(earlier) > 0 {
		entry, rest, ok := CutCounted(earlier)
		if !ok || len(entry) < 2 || entry[0] > 1 {
			return set, false
		}
		earlier = rest
		kind, value := entry[0], entry[1:]
		switch {
		case kind == 1:
			set = appendCounted(append(set, 0), value)
		case value[0]&packedURI == 0:
			set = appendCounted(append(set, 0), append(append([]byte{'<'}, value[1:]...), '>'))
		default:
			var room [maxShort + 64]byte
			_, tail, ok := appendUnshort(room[:0], value, nil)
			if !ok {
				return set, false
			}
			if set = append(set, value[:len(value)-len(tail)]...); value[0]&packedLR == 0 {
				set = appendCounted(set, tail)
			}
		}
	}
	return set, true
}
