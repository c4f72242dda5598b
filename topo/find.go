package topo

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"unsafe"

	"github.com/ringwall/ringwall/sip"
)

// Find returns where the first mark in b at or after from stands; end is 0 if there is none. One pass, no allocation.
func (m *Marks) Find(b []byte, from int) (at, end int) {
	x := m.now.Load()
	if !x.dots {
		return x.findAny(b, from)
	}
	for i := x.next(b, from); i < len(b); i = x.next(b, i+1) {
		if at, end, marked := x.atDot(b, i, from); marked {
			return at, end
		}
	}
	return 0, 0
}

// next is the first dot of b at or after from with the bytes around it that stand around the first dot of a mark, len(b) if there is none.
//
//go:noinline // where it is, the compiler keeps its few values in memory: twenty instructions for sixteen bytes become eighty
func (x *index) next(b []byte, from int) int {
	rest := b[max(from, 1)-1:] // what is looked at, and the byte before it
	for len(rest) > 17 {
		low, high := mayBeDots(binary.LittleEndian.Uint64(rest[1:])), mayBeDots(binary.LittleEndian.Uint64(rest[9:]))
		for ; low != 0; low &= low - 1 {
			if i := bits.TrailingZeros64(low) >> 3 & 7; x.mayMark(rest[i], rest[i+2]) && rest[i+1] == '.' {
				return len(b) - len(rest) + i + 1
			}
		}
		for ; high != 0; high &= high - 1 {
			if i := bits.TrailingZeros64(high)>>3&7 + 8; x.mayMark(rest[i], rest[i+2]) && rest[i+1] == '.' {
				return len(b) - len(rest) + i + 1
			}
		}
		rest = rest[16:]
	}
	for ; len(rest) > 1; rest = rest[1:] {
		if rest[1] == '.' && (len(rest) == 2 || x.mayMark(rest[0], rest[2])) {
			return len(b) - len(rest) + 1
		}
	}
	return len(b)
}

// mayBeDots has the highest bit set of each byte of text that is a dot, and of few others: each byte becomes one less than its difference from a dot,
// and that has this bit only where it is none of ASCII, or a slash behind a dot.
func mayBeDots(text uint64) uint64 {
	const each = 0x0101010101010101
	return ((text ^ '.'*each) - each) & (each << 7)
}

// mayMark reports whether a dot between these bytes might be the first of a mark.
func (x *index) mayMark(before, behind byte) bool { return x.pairs[before]>>(behind&63)&1 != 0 }

// findAny is Find where not only dots tell of marks.
func (x *index) findAny(b []byte, from int) (at, end int) {
	for i := from; i < len(b); i++ {
		kind := x.kinds[b[i]] & telling
		if kind == 0 {
			continue
		}
		if kind&startsName != 0 && apart(b, i, inLabel) {
			if n := x.find(b, i); n > 0 {
				return i, i + n
			}
		}
		switch {
		case kind&insideDot != 0:
			at, end, marked := x.atDot(b, i, from)
			if marked {
				return at, end
			}
			i = max(i, end-1)
		case kind&insideSix != 0:
			at, end := six(b, i, from)
			if addr, ok := addrOf(b[at:end]); ok && x.marks(addr) {
				return at, end
			}
			if bytes.IndexByte(b[i+1:end], ':') >= 0 {
				if at, end := x.fourBehind(b, i, end, from); end > 0 {
					return at, end
				}
				i = end - 1
			}
		}
	}
	return 0, 0
}

// fourBehind is where an IPv4 address of ours stands behind colons in b[i:end], which is no address of IPv6, or another one; end is 0 if there is none.
func (x *index) fourBehind(b []byte, i, end, from int) (int, int) {
	for ; i < end; i++ {
		if b[i] == '.' {
			if at, end, marked := x.atDot(b, i, from); marked {
				return at, end
			}
		}
	}
	return 0, 0
}

// atDot looks at what has its first dot at b[i], a name or an IPv4 address: where it stands if it is one of ours. Else nothing up to end needs
// a look.
func (x *index) atDot(b []byte, i, from int) (at, end int, marked bool) {
	if i == 0 {
		return 0, 0, false
	}
	before := x.kinds[b[i-1]]
	if before&endsLabel != 0 {
		if at, end := x.findDotted(b, i, from); end > 0 {
			return at, end, true
		}
	}
	if before&digit == 0 {
		return 0, 0, false
	}
	for at = i; at > from && i-at < 3 && isDigit(b[at-1]); {
		at--
	}
	if at = afterEscape(b, at, i); at == i || at > 1 && b[at-1] == '.' && isDigit(b[at-2]) || !apart(b, at, isDigit) { // no digit, not the first dot, or too many
		return 0, 0, false
	}
	addr, n := four(b[at:])
	if n > 0 && x.marksFour(addr) {
		return at, at + n, true
	}
	if x.numbers {
		return 0, 0, false
	}
	return at, at + n, false
}

// marks reports whether a is an address inside.
func (x *index) marks(a netip.Addr) bool {
	if a.Is4() {
		return x.marksFour(numberOf(a))
	}
	if x.shown[a] {
		return false
	}
	for i := range x.nets {
		if x.nets[i].Contains(a) {
			return true
		}
	}
	return x.addrs[a]
}

// marksFour is marks for an address of IPv4.
func (x *index) marksFour(a uint32) bool {
	for low, high := 0, len(x.fours); low < high; {
		switch middle := (low + high) / 2; {
		case a < x.fours[middle].first:
			high = middle
		case a > x.fours[middle].last:
			low = middle + 1
		default:
			return true
		}
	}
	return false
}

// findDotted is where the name stands whose first dot is b[i], which is not the first byte; end is 0 if it is none of ours.
func (x *index) findDotted(b []byte, i, from int) (at, end int) {
	for _, d := range x.dotted[b[i-1]] {
		if at := i - d.dot; at >= from && apart(b, at, inLabel) && stands(b, at, d.name) {
			return at, at + len(d.name)
		}
	}
	return 0, 0
}

// stands reports whether name stands at b[i], and is not the beginning of another one.
func stands(b []byte, i int, name string) bool {
	end := i + len(name)
	if end > len(b) || end < len(b) && inLabel(b[end]) || !sip.Spells(b[i:end], name) {
		return false
	}
	return end+1 >= len(b) || b[end] != '.' || !inLabel(b[end+1])
}

// find is the length of the name without a dot at b[i], 0 if none of ours stands there. It is one only where a host stands: behind "@",
// "/" or "sip:".
func (x *index) find(b []byte, i int) int {
	for _, name := range x.starts[b[i]] {
		if stands(b, i, name) && i > 0 && (b[i-1] == '@' || b[i-1] == '/' || bytes.HasSuffix(b[:i], []byte("sip:")) ||
			bytes.HasSuffix(b[:i], []byte("sips:")) || bytes.HasSuffix(b[:i], []byte("%40"))) {
			return len(name)
		}
	}
	return 0
}

// apart reports whether what begins at b[i] does not belong to what stands before it, which it would if that ended with such a byte: an escape (RFC 3986
// §2.1) stands for itself.
func apart(b []byte, i int, belongs func(byte) bool) bool {
	return i == 0 || !belongs(b[i-1]) || escapeAt(b, i-3)
}

// afterEscape is where digits that go on to b[i] begin at or after b[at], where the first of them may be of an escape.
func afterEscape(b []byte, at, i int) int {
	for n := max(3, at); n <= i && n <= at+2; n++ {
		if escapeAt(b, n-3) {
			return n
		}
	}
	return at
}

// escapeAt reports whether an escape stands at b[i].
func escapeAt(b []byte, i int) bool {
	return i >= 0 && b[i] == '%' && i+2 < len(b) && isHexDigit(b[i+1]) && isHexDigit(b[i+2])
}

func inLabel(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
}

// four reads the IPv4 address at the start of b, and how long it is there; 0: there is none.
func four(b []byte) (addr uint32, n int) {
	part, digits, dots := uint32(0), 0, 0
	for i, c := range b {
		if d := uint32(c - '0'); d <= 9 {
			part = 10*part + d
			if digits++; digits > 3 {
				return 0, 0
			}
			continue
		}
		if c != '.' || dots == 3 { // the end
			if n = i; c != '.' || i+1 == len(b) || !isDigit(b[i+1]) {
				break
			}
			return 0, 0
		}
		if digits == 0 || part > 255 {
			return 0, 0
		}
		addr = addr<<8 | part
		part, digits, dots = 0, 0, dots+1
		n = len(b)
	}
	if dots < 3 || digits == 0 || part > 255 {
		return 0, 0
	}
	return addr<<8 | part, n
}

// lenFour is how long an IPv4 address is, written without needless zeros.
func lenFour(addr uint32) int {
	n := len("0.0.0.0")
	for ; addr != 0; addr >>= 8 {
		if part := addr & 0xff; part > 99 {
			n += 2
		} else if part > 9 {
			n++
		}
	}
	return n
}

// addrFour is the address that numberOf makes a number.
func addrFour(a uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], a)
	return netip.AddrFrom4(b)
}

// six is where the text around the colon at b[i] that might be an IPv6 address begins and ends.
func six(b []byte, i, from int) (at, end int) {
	at, end = i, i+1
	for at > from && i-at < 4 && isHexDigit(b[at-1]) {
		at--
	}
	for end < len(b) && end-at < 45 && (isHexDigit(b[end]) || b[end] == ':' || b[end] == '.') {
		end++
	}
	for end > i+1 && (b[end-1] == '.' || b[end-1] == ':' && b[end-2] != ':') { // the end of a sentence, or what precedes a port
		end--
	}
	return at, end
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHexDigit(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// addrOf reads a host as an address, without allocating.
func addrOf(host []byte) (netip.Addr, bool) {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	if a, n := four(host); n > 0 && n == len(host) {
		return addrFour(a), true
	}
	if len(host) < 2 || len(host) > 45 || bytes.Count(host, []byte{':'}) < 2 || bytes.IndexByte(host, '%') >= 0 {
		return netip.Addr{}, false
	}
	// ParseAddr keeps its argument only for a zone, which was excluded, or in an error, which is dropped here.
	a, err := netip.ParseAddr(unsafe.String(&host[0], len(host)))
	return a.Unmap(), err == nil
}
