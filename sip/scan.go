package sip

import (
	"encoding/binary"
	"math/bits"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// control returns the index of the first control byte (00-1F, 7F) of b at or after i, or len(b). It looks at eight bytes
// at a time: a line end and every byte that must not be in a line are found in the same pass.
func control(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		// The lowest marked byte is exact but for 7E after FF, which the check below catches.
		if hit := ((x - ' '*ones) | (x + ones)) &^ x & highs; hit != 0 {
			i += bits.TrailingZeros64(hit) >> 3
			if isControl(b[i]) {
				return i
			}
			i -= 7
		}
	}
	for i < len(b) && !isControl(b[i]) {
		i++
	}
	return i
}

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// colon returns the index of the first ":" of b at or after i, or len(b).
func colon(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ ':'*ones
		if hit := (x - ones) &^ x & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)>>3
		}
	}
	for i < len(b) && b[i] != ':' {
		i++
	}
	return i
}

// skipSpace returns the index of the first byte of raw[i:end] that is not linear white space, or end.
func skipSpace(raw []byte, i, end int) int {
	for i < end && is(raw[i], cSpace) {
		i++
	}
	return i
}

// skip returns the index of the first byte of raw[i:end] that does not belong to mask, or end.
func skip(raw []byte, i, end int, mask uint16) int {
	for i < end && class[raw[i]]&mask != 0 {
		i++
	}
	return i
}

// skipEscaped is skip where "%" HEXDIG HEXDIG counts as one more character of the class (RFC 3261 §25.1, escaped).
func skipEscaped(raw []byte, i, end int, mask uint16) int {
	for i < end {
		switch {
		case class[raw[i]]&mask != 0:
			i++
		case raw[i] == '%' && i+2 < end && is(raw[i+1], cHex) && is(raw[i+2], cHex):
			i += 3
		default:
			return i
		}
	}
	return i
}

// quoted returns the index after the quoted-string that begins at raw[i] (RFC 3261 §25.1), or -1: no closing quote, a
// control byte that is not a quoted-pair, or a quoted-pair of CR, LF or a byte above 7F.
func quoted(raw []byte, i, end int) int {
	for i++; i < end; i++ {
		switch c := raw[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
			if i == end || raw[i] >= 0x80 || raw[i] == '\r' || raw[i] == '\n' {
				return -1
			}
		case isControl(c) && !is(c, cSpace):
			return -1
		}
	}
	return -1
}

func span(i, j int) Span { return Span{uint32(i), uint32(j)} }
