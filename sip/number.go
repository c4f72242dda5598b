package sip

import (
	"encoding/binary"
	"math/bits"
)

// usualPort reads the port of up to five digits at b[i] and returns the index after it, or -1.
func usualPort(b []byte, i int) (port uint16, next int) {
	n, next := 0, 0
	if i >= 0 && i <= len(b)-8 {
		n, next = number8(binary.LittleEndian.Uint64(b[i:]))
		next += i
	} else {
		n, next = usualNumber(b, i, 5)
	}
	if uint(n-1) >= 65535 || next > i+5 {
		return 0, -1
	}
	return uint16(n), next
}

// usualNumber reads up to most digits, eight at most, at b[i] and returns the index after them, or i if there are none, or more.
func usualNumber(b []byte, i, most int) (n, next int) {
	if i >= 0 && i <= len(b)-8 {
		if n = int(b[i] - '0'); n <= 9 && b[i+1]-'0' > 9 { // 0, or the CSeq of most
			return n, i + 1
		}
		n, next = number8(binary.LittleEndian.Uint64(b[i:]))
	} else {
		for ; at(b, i+next)-'0' <= 9; next++ {
			n = n*10 + int(b[i+next]-'0')
		}
	}
	if next > most || next == 8 && at(b, i+8)-'0' <= 9 {
		return 0, i
	}
	return n, i + next
}

// number8 reads the digits that w, eight bytes of text, begins with, and returns how many there are.
func number8(w uint64) (n, digits int) {
	w ^= '0' * ones // a digit is below 10 now, and anything else is not
	other := (w | (w + (0x80-10)*ones)) & highs
	if digits = bits.TrailingZeros64(other) >> 3; digits == 0 { // the lowest mark is exact
		return 0, 0
	}
	w <<= (64 - 8*digits) & 63 // the last digit is the highest byte, zeros stand before the first
	w = w * (1 + 10<<8) >> 8 & 0x00ff00ff00ff00ff
	w = w * (1 + 100<<16) >> 16 & 0x0000ffff0000ffff
	return int(w * (1 + 10000<<32) >> 32), digits
}
