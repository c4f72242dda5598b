package sip

import (
	"encoding/binary"
	"math/bits"
)

// maxKnownName is the length that all names in fieldInfo, with their colon, stay within.
const maxKnownName = 24

var (
	// nameTable holds the names, by nameHash, as little-endian words padded with zeros: quick to compare and to hash. Each ends in
	// its colon, so that a zero byte that somebody sends is never taken for padding.
	nameTable [128]struct {
		x, y, z uint64
		id      FieldID
	}
	compactTable [128]FieldID // by the letter of the compact form, in both cases
)

func init() {
	for id := FieldOther + 1; id < fieldIDs; id++ {
		info := &fieldInfo[id]
		x, y, z := pack([]byte(info.name))
		e := &nameTable[nameHash(x, y, z)]
		e.x, e.y, e.z, e.id = x, y, z, id
		if info.compact != 0 {
			compactTable[info.compact] = id
			compactTable[info.compact&^0x20] = id
		}
	}
}

// pack returns the words of name and its colon, of at most maxKnownName bytes.
func pack(name []byte) (x, y, z uint64) {
	var b [maxKnownName]byte
	b[copy(b[:maxKnownName-1], name)] = ':'
	return binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
}

// nameHash is blind to case and free of collisions over the names in fieldInfo (TestNameHash). The factor was found by
// search.
func nameHash(x, y, z uint64) uint64 {
	const lower = ' ' * ones
	return ((x | lower) ^ (y|lower)<<1 ^ (z | lower)) * 0xd12e8fc28be73c33 >> 57
}

// exactName returns the field whose canonical name stands at b[i:], and the index of the colon right behind it. It knows
// only the usual spelling, and nothing in the last bytes of b; id is FieldOther then. A Content-Length that ends a message without a body
// is not too near the end.
func exactName(b []byte, i int) (id FieldID, colon int) {
	if i < 0 || i > len(b)-16 {
		return FieldOther, 0
	}
	x := binary.LittleEndian.Uint64(b[i:])
	if hit := colons(x); hit != 0 {
		return wordsName(x&upTo(hit), 0, 0), i + bits.TrailingZeros64(hit)>>3
	}
	y := binary.LittleEndian.Uint64(b[i+8:])
	if hit := colons(y); hit != 0 {
		return wordsName(x, y&upTo(hit), 0), i + 8 + bits.TrailingZeros64(hit)>>3
	}
	if i > len(b)-maxKnownName {
		return FieldOther, 0
	}
	z := binary.LittleEndian.Uint64(b[i+16:])
	hit := colons(z)
	return wordsName(x, y, z&upTo(hit)), i + 16 + bits.TrailingZeros64(hit)>>3
}

// colons marks the colons of x by their highest bit. The lowest mark is exact.
func colons(x uint64) uint64 {
	x ^= ':' * ones
	return (x - ones) &^ x & highs
}

// upTo is a mask of the bytes up to the lowest mark of hit, with it; all of them if there is none.
func upTo(hit uint64) uint64 { return hit ^ (hit - 1) }

// wordsName returns the field whose canonical name is packed in x, y and z, with its colon.
func wordsName(x, y, z uint64) FieldID {
	e := &nameTable[nameHash(x, y, z)]
	if e.x == x && e.y == y && e.z == z {
		return e.id
	}
	return FieldOther
}

// FieldOf returns the field called name, in any case or in compact form, or FieldOther.
func FieldOf(name []byte) FieldID {
	switch {
	case len(name) == 1 && name[0] < 128:
		return compactTable[name[0]]
	case len(name) < 2 || len(name) >= maxKnownName:
		return FieldOther
	}
	if e := &nameTable[nameHash(pack(name))]; spells(name, fieldInfo[e.id].name) {
		return e.id
	}
	return FieldOther
}

// spells reports whether b is name in any case.
func spells(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(name[i]) {
			return false
		}
	}
	return true
}
