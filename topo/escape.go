package topo

import "encoding/hex"

// unescape appends b with its %HH escapes decoded (RFC 3261 §19.1.2).
func unescape(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			var c [1]byte
			if _, err := hex.Decode(c[:], b[i+1:i+3]); err == nil {
				dst = append(dst, c[0])
				i += 2
				continue
			}
		}
		dst = append(dst, b[i])
	}
	return dst
}

// escape escapes what dst holds from n on, as the value of a header of a URI needs it.
func escape(dst []byte, n int) []byte {
	plain := true
	for _, c := range dst[n:] {
		plain = plain && unreserved(c)
	}
	if plain {
		return dst
	}
	text := append([]byte(nil), dst[n:]...)
	dst = dst[:n]
	for _, c := range text {
		if unreserved(c) {
			dst = append(dst, c)
			continue
		}
		dst = hex.AppendEncode(append(dst, '%'), []byte{c})
	}
	return dst
}

// unreserved reports whether c may stand in the value of a URI header as it is (RFC 3261 §25.1).
func unreserved(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	}
	switch c {
	case '-', '_', '.', '!', '~', '*', '\'', '(', ')':
		return true
	}
	return false
}
