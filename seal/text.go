package seal

import (
	"encoding/binary"
	"slices"
)

// The text of tokens is base64url without padding (RFC 4648 §5): characters that may stand in user parts, Call-IDs and branches.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// letters gives the character that stands for six bits.
var letters = [64]byte([]byte(alphabet))

// notSextet marks a character outside the alphabet in sextet.
const notSextet = 0x80

// sextet gives the six bits that a character stands for.
var sextet = func() (table [256]byte) {
	for i := range table {
		table[i] = notSextet
	}
	for i, c := range letters {
		table[c] = byte(i)
	}
	return table
}()

// textLen is how many characters stand for n bytes.
func textLen(n int) int { return (8*n + 5) / 6 }

// Of long texts, sixteen characters are read or written at once, and what is made of the last of them may take up to slack bytes more than it should.
const (
	leastText = 16
	slack     = 16
)

// AppendText appends b as text to dst and returns the extended slice. It may write up to 16 bytes behind it, if dst has room.
func AppendText(dst, b []byte) []byte {
	at, n := len(dst), len(dst)+textLen(len(b))
	dst = slices.Grow(dst, n-at+slack)[:n+slack]
	encode(dst[at:], b)
	return dst[:n]
}

// encode writes b as text to out, which has room for a slack more. b may end where the text does: no character is written to where a byte is still to be
// read.
func encode(out, b []byte) {
	if hasShuffle && len(b) >= leastText {
		encodeText(out, b)
		return
	}
	encodeSlowly(out[:textLen(len(b))], b)
}

func encodeSlowly(out, b []byte) {
	for len(b) >= 8 && len(out) >= 8 { // six of them at a time
		v := binary.BigEndian.Uint64(b)
		out[0], out[1], out[2], out[3] = letters[v>>58], letters[v>>52&63], letters[v>>46&63], letters[v>>40&63]
		out[4], out[5], out[6], out[7] = letters[v>>34&63], letters[v>>28&63], letters[v>>22&63], letters[v>>16&63]
		b, out = b[6:], out[8:]
	}
	var last uint64
	for i, c := range b {
		last |= uint64(c) << (56 - 8*i)
	}
	for i := range out {
		out[i] = letters[last>>58]
		last <<= 6
	}
}

// AppendBytes appends the bytes that text stands for to dst and returns the extended slice. It takes nothing but what AppendText writes: no padding, no
// line breaks, no set bit that means nothing. False, and any bytes behind those of dst: text is something else. It may write up to 16 bytes more, if dst
// has room.
func AppendBytes(dst, text []byte) ([]byte, bool) {
	at, n := len(dst), len(dst)+len(text)*6/8
	dst = slices.Grow(dst, n-at+slack)[:n+slack]
	if !hasShuffle || len(text) < leastText {
		return dst[:n], decodeSlowly(dst[at:n+2], text) // eight bytes are written for the last six
	}
	bad := decodeText(dst[at:], text)
	return dst[:n], bad == 0 && dst[n] == 0 && len(text)%4 != 1
}

func decodeSlowly(out, text []byte) (ok bool) {
	var all byte
	for len(text) >= 8 && len(out) >= 8 {
		a, b, c, d := sextet[text[0]], sextet[text[1]], sextet[text[2]], sextet[text[3]]
		e, f, g, h := sextet[text[4]], sextet[text[5]], sextet[text[6]], sextet[text[7]]
		all |= a | b | c | d | e | f | g | h
		binary.BigEndian.PutUint64(out, uint64(a)<<58|uint64(b)<<52|uint64(c)<<46|uint64(d)<<40|uint64(e)<<34|uint64(f)<<28|uint64(g)<<22|uint64(h)<<16)
		text, out = text[8:], out[6:]
	}
	var last uint64
	for i, c := range text {
		six := sextet[c]
		all |= six
		last |= uint64(six) << (58 - 6*i)
	}
	whole := len(text) * 6 / 8
	for i := range out[:whole] {
		out[i] = byte(last >> 56)
		last <<= 8
	}
	return all&notSextet == 0 && last == 0 && len(text)%4 != 1
}
