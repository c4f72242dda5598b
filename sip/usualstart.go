package sip

import (
	"encoding/binary"
	"math/bits"
)

// usualStart decodes a start line as nearly all are, at b[i], and returns the index of the next line. It has done nothing if that is 0.
func (m *Message) usualStart(b []byte, i int) int {
	if i < 0 || i > len(b)-16 {
		return 0
	}
	if p := (*[16]byte)(b[i : i+16]); string(p[:8]) == "SIP/2.0 " {
		return m.usualStatus(b, i, p)
	}
	return m.usualRequest(b, i)
}

// usualStatus decodes the status line that begins with p, at b[i].
func (m *Message) usualStatus(b []byte, i int, p *[16]byte) int {
	x, y, z := p[8]-'0', p[9]-'0', p[10]-'0'
	if x-1 > 5 || y > 9 || z > 9 || p[11] != ' ' {
		return 0
	}
	from := i + len("SIP/2.0 200 ")
	end := control(b, from)
	if at(b, end) != '\r' || at(b, end+1) != '\n' {
		return 0
	}
	m.Status, m.Reason = int(x)*100+int(y)*10+int(z), span(from, end)
	return end + 2
}

// usualRequest decodes a request line with a method that has a name here and the URI sip:user@host:port;… or sip:host:port;…, at b[i].
func (m *Message) usualRequest(b []byte, i int) int {
	if i < 0 || i > len(b)-24 {
		return 0
	}
	sp := i + spaceIn(binary.LittleEndian.Uint64(b[i:]))
	method := MethodOf(b[i:sp])
	if method == MethodOther || sp > len(b)-8 || string(b[sp:sp+5]) != " sip:" {
		return 0
	}
	from := sp + 1
	user := from + len("sip:")
	j := skipLong(b, user, len(b), cUser)
	host := user
	u := URI{Scheme: SIP}
	switch at(b, j) {
	case '@':
		if j == user {
			return 0
		}
		u.User, host = span(user, j), j+1
	case ':', '%':
		return 0
	}
	if j = u.usualPlace(b, host, Span{}); j < 0 || j-from > MaxURI || j > len(b)-10 || string(b[j:j+10]) != " SIP/2.0\r\n" {
		return 0
	}
	u.Whole = span(from, j)
	m.Method, m.MethodName, m.RequestURI, m.URI, m.likely = method, span(i, sp), u.Whole, u, u
	return j + len(" SIP/2.0\r\n")
}

// spaceIn returns the index of the first SP in the eight bytes w, or 8.
func spaceIn(w uint64) int {
	w ^= ' ' * ones
	return bits.TrailingZeros64((w-ones)&^w&highs) >> 3
}
