package topo

import "net/netip"

// An IPv6 address is packed without its longest run of zero words. What is left stands behind a byte that says where the run is. No
// address begins with such a byte (8000::/2 is not in use): one without a run is packed as it is, as all were before 2026-11-23.
const (
	sixRun   = 0x80 // the first word of the run in three bits, the number of its words less one in the next three
	sixWhole = 0xbf // would be a run behind the end of the address: it follows as it is, since it begins with such a byte
)

// AppendAddr appends an address as CutAddr reads it. Whoever packs it notes whether it is of IPv4.
func AppendAddr(dst []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		a := addr.As4()
		return append(dst, a[:]...)
	}
	a := addr.As16()
	switch at, n := longestRun(&a); {
	case n > 0:
		dst = append(dst, byte(sixRun|at<<3|(n-1)))
		return append(append(dst, a[:2*at]...), a[2*(at+n):]...)
	case a[0]&0xc0 == sixRun:
		dst = append(dst, sixWhole)
	}
	return append(dst, a[:]...)
}

// longestRun finds the first of the longest runs of zero words: which word it begins with, and how many there are.
func longestRun(a *[16]byte) (at, n int) {
	for i := 0; i < 8; i++ {
		end := i
		for end < 8 && a[2*end]|a[2*end+1] == 0 {
			end++
		}
		if end-i > n {
			at, n = i, end-i
		}
		i = max(i, end)
	}
	return at, n
}

// CutAddr cuts an address off b, of IPv6 if six; false if none is there.
func CutAddr(b []byte, six bool) (addr netip.Addr, rest []byte, ok bool) {
	if !six {
		if len(b) < 4 {
			return addr, b, false
		}
		return netip.AddrFrom4([4]byte(b)), b[4:], true
	}
	var a [16]byte
	at, n := 0, 0
	if len(b) > 0 && b[0]&0xc0 == sixRun {
		if b[0] != sixWhole {
			at, n = int(b[0]>>3&7), int(b[0]&7)+1
		}
		b = b[1:]
	}
	left := 16 - 2*n
	if at+n > 8 || len(b) < left {
		return addr, b, false
	}
	copy(a[:2*at], b)
	copy(a[2*(at+n):], b[2*at:left])
	return netip.AddrFrom16(a), b[left:], true
}

// usualTails are what often stands behind the port of a URI. They are packed as one byte, their place in this list, which no other tail begins with.
// New ones go to the end.
var usualTails = [...]string{";transport=tcp;lr", ";transport=tcp", ";transport=tls;lr", ";transport=tls", ";transport=udp", ";transport=udp;lr", ";lr=on"}

// tailTCP is the place of the tail that a proxy has which is reached over TCP.
const tailTCP = 0

// shortTail is tail as it is packed.
func shortTail(tail []byte) []byte {
	for i, usual := range usualTails {
		if string(tail) == usual {
			return shortTails[i : i+1]
		}
	}
	return tail
}

var shortTails = [len(usualTails)]byte{0, 1, 2, 3, 4, 5, 6}

// appendTail appends the tail that packed stands for.
func appendTail(dst, packed []byte) []byte {
	if len(packed) == 1 && int(packed[0]) < len(usualTails) {
		return append(dst, usualTails[packed[0]]...)
	}
	return append(dst, packed...)
}
