package sdp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"unsafe"
)

// Classes of bytes.
const (
	cControl uint8 = 1 << iota // 00-1F and 7F
	cHigh                      // 80-FF
	cToken                     // token-char of RFC 8866 §9
	cICE                       // ice-char of RFC 8839 §5.4
	cDigit
	cAddress // what an address is made of
)

const alphanum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < ' ', c == 0x7f:
			t[c] |= cControl
		case c >= 0x80:
			t[c] |= cHigh
		}
	}
	for _, is := range []struct {
		bit   uint8
		chars string
	}{
		{cToken, alphanum + "!#$%&'*+-.^_`{|}~"},
		{cICE, alphanum + "+/"},
		{cDigit, "0123456789"},
		{cAddress, "0123456789abcdefABCDEF.:"},
	} {
		for i := range len(is.chars) {
			t[is.chars[i]] |= is.bit
		}
	}
	return t
}()

// A scanner cuts a description into lines.
type scanner struct {
	rest []byte
	size int  // of the whole
	at   int  // offset of the line that next returned last
	line int  // its number
	bare bool // lines end with LF only
	high bool // the line has bytes above 7F
}

// next returns the next line without its end and without spaces there; nil at the end. Lines end with CRLF, or all of them
// with LF; the last one may have no end (RFC 8866 §5 asks parsers to accept LF). Empty lines may stand at the end only.
func (s *scanner) next() ([]byte, Error) {
	if len(s.rest) == 0 {
		return nil, errNone
	}
	s.line++
	s.at = s.size - len(s.rest)
	i := s.control()
	line := s.rest[:i]
	if e := s.end(i); e != errNone {
		return nil, e
	}
	if i == 0 {
		return s.blank()
	}
	for len(line) > 1 && line[len(line)-1] == ' ' {
		line = line[:len(line)-1]
	}
	return line, errNone
}

// control returns the index of the first control byte in rest, or its length, and notes whether bytes above 7F stand before it. It
// looks at eight bytes at a time.
func (s *scanner) control() int {
	const ones, spaces, highs = 0x0101010101010101, 0x2020202020202020, 0x8080808080808080
	b, i, seen := s.rest, 0, uint64(0)
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if ((x-spaces)|(x+ones))&^x&highs != 0 { // below 20, or 7F; an FF may make it see one too early
			break
		}
		seen |= x
	}
	for ; i < len(b) && class[b[i]]&cControl == 0; i++ {
		seen |= uint64(b[i])
	}
	s.high = seen&highs != 0
	return i
}

// end reads the end of a line, which must stand at s.rest[i], the first control byte.
func (s *scanner) end(i int) Error {
	rest := s.rest[i:]
	crlf := len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n'
	switch {
	case len(rest) == 0:
		s.rest = nil
		return errNone
	case !crlf && rest[0] == '\r':
		return ErrLineEnd
	case !crlf && rest[0] != '\n':
		return ErrControl
	case s.line == 1:
		s.bare = !crlf
	case s.bare == crlf:
		return ErrLineEnd
	}
	s.rest = rest[1:]
	if crlf {
		s.rest = rest[2:]
	}
	return errNone
}

// blank ends the description at an empty line, behind which there must be nothing but more of them: some readers would end
// there, and others go on.
func (s *scanner) blank() ([]byte, Error) {
	end := "\r\n"
	if s.bare {
		end = "\n"
	}
	for len(s.rest) > 0 {
		if !bytes.HasPrefix(s.rest, []byte(end)) {
			return nil, ErrLine
		}
		s.rest = s.rest[len(end):]
	}
	return nil, errNone
}

// word cuts b at its first space.
func word(b []byte) (first, rest []byte) {
	for i, c := range b {
		if c == ' ' {
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// all reports whether b is not empty and all its bytes are of one of the classes.
func all(b []byte, classes uint8) bool {
	for _, c := range b {
		if class[c]&classes == 0 {
			return false
		}
	}
	return len(b) > 0
}

// number reads a decimal number up to limit, without leading zeros, which some would read as octal.
func number(b []byte, limit uint32) (n uint32, ok bool) {
	if len(b) == 0 || len(b) > 10 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	sum := uint64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		sum = sum*10 + uint64(c-'0')
	}
	return uint32(sum), sum <= uint64(limit)
}

// port reads a port number, 0 included.
func port(b []byte) (uint16, bool) {
	n, ok := number(b, 65535)
	return uint16(n), ok
}

// address reads "IP4" or "IP6" and an address of this family, which is no name, not multicast, and has no zone, TTL or count.
func address(family, text []byte) (netip.Addr, bool) {
	a, ok := literal(text)
	switch {
	case !ok || a.IsMulticast() || a.Is4In6():
		return netip.Addr{}, false
	case string(family) == "IP4":
		return a, a.Is4()
	case string(family) == "IP6":
		return a, a.Is6()
	}
	return netip.Addr{}, false
}

// literal reads an address of either family without allocating.
func literal(text []byte) (netip.Addr, bool) {
	if len(text) < 2 || len(text) > 45 || !all(text, cAddress) {
		return netip.Addr{}, false
	}
	// ParseAddr keeps its argument only for a zone, which has a "%", or in an error, which is dropped here.
	a, err := netip.ParseAddr(unsafe.String(&text[0], len(text)))
	return a, err == nil
}
