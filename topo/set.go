package topo

import (
	"encoding/binary"

	"github.com/ringwall/ringwall/sip"
)

// A route set is what a route token holds of the proxies inside: the values of their Record-Routes, packed one after the other.

// What an entry of a route set is.
const (
	entryURI byte = iota // a URI in angle brackets and nothing else
	entryRaw             // any other value, as it is
)

// AppendEntry appends the Record-Route value a to a route set.
func AppendEntry(set, raw []byte, a *sip.Address) []byte {
	var room [128]byte
	entry := append(room[:0], entryURI)
	if uri := a.URI.Of(raw); a.Angle && a.Whole.Len() == len(uri)+2 {
		entry = appendPacked(entry, uri)
	} else {
		entry = append(append(room[:0], entryRaw), a.Whole.Of(raw)...)
	}
	return append(binary.AppendUvarint(set, uint64(len(entry))), entry...)
}

// NextEntry appends the first value of set to dst, and returns what follows it; false at the end.
func NextEntry(dst, set []byte) (value, rest []byte, ok bool) {
	n, used := binary.Uvarint(set)
	if used <= 0 || n == 0 || n > uint64(len(set)-used) {
		return dst, nil, false
	}
	entry, rest := set[used:used+int(n)], set[used+int(n):]
	if entry[0] == entryRaw {
		return append(dst, entry[1:]...), rest, true
	}
	if dst, ok = appendUnpacked(append(dst, '<'), entry[1:]); !ok {
		return dst, nil, false
	}
	return append(dst, '>'), rest, true
}
