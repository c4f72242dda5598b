package sip

import (
	"encoding/binary"
	"math/bits"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// control returns the index of the first control byte (00-1F, 7F) of b at or after i, or len(b). It looks at sixteen bytes
// at a time: a line end and every byte that must not be in a line are found in the same pass.
func control(b []byte, i int) int {
	for i >= 0 && i <= len(b)-16 {
		x, y := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])
		hits := controls(x)
		if hits|controls(y) == 0 {
			i += 16
			continue
		}
		if hits == 0 {
			hits, i = controls(y), i+8
		}
		i += bits.TrailingZeros64(hits) >> 3
		if isControl(b[i]) {
			return i
		}
		i++
	}
	for i < len(b) && !isControl(b[i]) {
		i++
	}
	return i
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// controls marks the control bytes of x by their highest bit. The lowest mark is exact but for 7E after FF.
func controls(x uint64) uint64 { return ((x - ' '*ones) | (x + ones)) &^ x & highs }

// belowSpace reports whether b holds a byte below SP. It looks at eight at a time, at the last eight first.
func belowSpace(b []byte) bool {
	n := len(b) - 8
	if n < 0 {
		for _, c := range b {
			if c < ' ' {
				return true
			}
		}
		return false
	}
	x := binary.LittleEndian.Uint64(b[n:])
	hits := (x - ' '*ones) &^ x
	for i := 0; i < n; i += 8 {
		x = binary.LittleEndian.Uint64(b[i:])
		hits |= (x - ' '*ones) &^ x
	}
	return hits&highs != 0
}

// skipSpace returns the index of the first byte of raw[i:end] that is not linear white space, or end.
func skipSpace(raw []byte, i, end int) int {
	for i < end && is(raw[i], cSpace) {
		i++
	}
	return i
}

// skip returns the index of the first byte of raw[i:end] that does not belong to mask, or end.
func skip(raw []byte, i, end int, mask uint32) int {
	b := raw[:end]
	k := uint(i)
	for k < uint(len(b)) && class[b[k]]&mask != 0 {
		k++
	}
	return int(k)
}

// skipLong is skip, quicker from some four bytes on: it looks at four at a time.
func skipLong(raw []byte, i, end int, mask uint32) int {
	b := raw[:end:end]
	for i >= 0 && i <= len(b)-8 {
		p := (*[8]byte)(b[i : i+8])
		if class[p[0]]&class[p[1]]&class[p[2]]&class[p[3]]&mask == 0 {
			break
		}
		i += 4
		if class[p[4]]&class[p[5]]&class[p[6]]&class[p[7]]&mask == 0 {
			break
		}
		i += 4
	}
	return skip(raw, i, end, mask)
}

// skipEscaped is skip where "%" HEXDIG HEXDIG counts as one more character of the class (RFC 3261 §25.1, escaped).
func skipEscaped(raw []byte, i, end int, mask uint32) int {
	for {
		i = skip(raw, i, end, mask)
		if i+2 >= end || raw[i] != '%' || !is(raw[i+1], cHex) || !is(raw[i+2], cHex) {
			return i
		}
		i += 3
	}
}

// quoted returns the index after the quoted-string that begins at raw[i] (RFC 3261 §25.1), or -1: no closing quote, a
// control byte that is not a quoted-pair, or a quoted-pair of CR, LF or a byte above 7F.
func quoted(raw []byte, i, end int) int {
	for i++; ; i++ {
		if i = skipLong(raw, i, end, cQuoted); i == end {
			return -1
		}
		switch raw[i] {
		case '"':
			return i + 1
		case '\\':
			i++
			if i == end || raw[i] >= 0x80 || raw[i] == '\r' || raw[i] == '\n' {
				return -1
			}
		default:
			return -1
		}
	}
}

func span(i, j int) Span { return Span{uint32(i), uint32(j)} }
