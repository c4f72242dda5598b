package topo

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ringwall/ringwall/sip"
)

// maxLearnt bounds what is learnt of the platform.
const maxLearnt = 256

// Marks are what names the inside in a text: addresses, networks and host names, as configured and as learnt from what the platform writes.
// All methods may be called by any goroutine.
type Marks struct {
	learning sync.Mutex
	now      atomic.Pointer[index]
}

// An index is one state of Marks. It is never written after it was made.
type index struct {
	nets   []netip.Prefix
	addrs  map[netip.Addr]bool // learnt
	shown  map[netip.Addr]bool // of ours outside, which are no marks whatever net they are in
	names  map[string]bool     // in lower case; false: learnt
	hosts  map[string]bool     // names that are no marks
	starts [256][]string       // names without a dot by their first byte, in either case
	dotted [256][]dottedName   // the others by the byte before their first dot, in either case
	kinds  [256]uint8          // what a byte may tell of
	dots   bool                // only dots tell of anything
	six    bool                // there are marks of IPv6
}

// A dottedName is a name and where its first dot stands.
type dottedName struct {
	name string
	dot  int
}

// What a byte may tell of.
const (
	startsName uint8 = 1 << iota
	insideDot        // of an address or a name
	insideSix        // a colon
)

// NewMarks makes Marks of networks, addresses and host names. shown are addresses of ours that outside knows, hosts names that it may see.
// learnt are the marks of a state before, of which those that were learnt go on.
func NewMarks(nets []netip.Prefix, names []string, shown []netip.Addr, hosts []string, learnt *Marks) *Marks {
	x := &index{addrs: map[netip.Addr]bool{}, shown: map[netip.Addr]bool{}, names: map[string]bool{}, hosts: map[string]bool{"": true}}
	for _, a := range shown {
		x.shown[a.Unmap()] = true
	}
	for _, p := range nets {
		x.nets = append(x.nets, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
	}
	for _, name := range names {
		x.names[strings.ToLower(name)] = true
	}
	if learnt != nil {
		old := learnt.now.Load()
		for a := range old.addrs {
			x.addrs[a] = true
		}
		for name, given := range old.names {
			if _, have := x.names[name]; !given && !have {
				x.names[name] = false
			}
		}
	}
	for _, host := range hosts {
		x.hosts[strings.ToLower(host)] = true
	}
	for host := range x.hosts {
		delete(x.names, host)
	}
	m := &Marks{}
	m.now.Store(x.prepare())
	return m
}

// prepare fills in what Find looks at.
func (x *index) prepare() *index {
	x.six, x.starts, x.dotted, x.kinds = false, [256][]string{}, [256][]dottedName{}, [256]uint8{}
	x.dots = true
	for name := range x.names {
		if dot := strings.IndexByte(name, '.'); dot > 0 {
			for _, c := range cases(name[dot-1]) {
				x.dotted[c] = append(x.dotted[c], dottedName{name, dot})
			}
			continue
		}
		x.dots = false
		for _, c := range cases(name[0]) {
			x.kinds[c] |= startsName
			x.starts[c] = append(x.starts[c], name)
		}
	}
	x.kinds['.'] |= insideDot
	for _, p := range x.nets {
		x.six = x.six || p.Addr().Is6()
	}
	for a := range x.addrs {
		x.six = x.six || a.Is6()
	}
	if x.six {
		x.kinds[':'] |= insideSix
		x.dots = false
	}
	return x
}

// cases are c, which is no capital letter, in either case.
func cases(c byte) []byte {
	if 'a' <= c && c <= 'z' {
		return []byte{c, c - 'a' + 'A'}
	}
	return []byte{c}
}

// Learn makes host, which the platform wrote as its own, a mark: a name, or an address that is private (RFC 1918, RFC 4193) or of this
// machine. Public addresses and .invalid names (RFC 7118) are not learnt, and at most 256 marks in all.
func (m *Marks) Learn(host []byte) {
	x := m.now.Load()
	if addr, ok := addrOf(host); ok {
		if x.marks(addr) || x.shown[addr] || !addr.IsPrivate() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() {
			return
		}
		m.extend(func(x *index) { x.addrs[addr] = true })
		return
	}
	name := bytes.TrimSuffix(host, []byte{'.'})
	if len(name) == 0 || len(name) > 253 || x.knows(name) || bytes.IndexByte(name, '.') <= 0 ||
		sip.EqualFold(name[max(0, len(name)-8):], []byte(".invalid")) {
		return
	}
	low := strings.ToLower(string(name))
	if x.hosts[low] {
		return
	}
	m.extend(func(x *index) {
		if _, have := x.names[low]; !have {
			x.names[low] = false
		}
	})
}

// knows reports whether name, which has a dot, is a mark, in any case.
func (x *index) knows(name []byte) bool {
	dot := bytes.IndexByte(name, '.')
	if dot <= 0 {
		return false
	}
	for _, d := range x.dotted[name[dot-1]] {
		if sip.Spells(name, d.name) {
			return true
		}
	}
	return false
}

// extend replaces the index by one that add has added to.
func (m *Marks) extend(add func(*index)) {
	m.learning.Lock()
	defer m.learning.Unlock()
	old := m.now.Load()
	if len(old.addrs)+len(old.names) >= maxLearnt {
		return
	}
	x := &index{nets: old.nets, shown: old.shown, hosts: old.hosts, addrs: map[netip.Addr]bool{}, names: map[string]bool{}}
	for a := range old.addrs {
		x.addrs[a] = true
	}
	for name, given := range old.names {
		x.names[name] = given
	}
	add(x)
	m.now.Store(x.prepare())
}

// Find returns where the first mark in b at or after from stands; end is 0 if there is none. One pass, no allocation.
func (m *Marks) Find(b []byte, from int) (at, end int) {
	x := m.now.Load()
	for i := x.next(b, from); i < len(b); i = x.next(b, i+1) {
		kind := x.kinds[b[i]]
		if kind&startsName != 0 && (i == 0 || !inLabel(b[i-1])) {
			if n := x.find(b, i); n > 0 {
				return i, i + n
			}
		}
		switch {
		case kind&insideDot != 0:
			if at, end := x.findDotted(b, i, from); end > 0 {
				return at, end
			}
			at := i
			for at > from && i-at < 3 && isDigit(b[at-1]) {
				at--
			}
			if at == i || at > 0 && (b[at-1] == '.' || isDigit(b[at-1])) { // no digit, too many, or not the first dot
				continue
			}
			if addr, n := four(b[at:]); n > 0 && x.marks(addr) {
				return at, at + n
			}
		case kind&insideSix != 0:
			at, end := six(b, i, from)
			if addr, ok := addrOf(b[at:end]); ok && x.marks(addr) {
				return at, end
			}
			if bytes.IndexByte(b[i+1:end], ':') >= 0 {
				i = end - 1
			}
		}
	}
	return 0, 0
}

// next is the index of the first byte of b at i or behind it that may tell of anything.
func (x *index) next(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	if x.dots {
		if n := bytes.IndexByte(b[i:], '.'); n >= 0 {
			return i + n
		}
		return len(b)
	}
	for i < len(b) && x.kinds[b[i]] == 0 {
		i++
	}
	return i
}

// marks reports whether a is an address inside.
func (x *index) marks(a netip.Addr) bool {
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

// findDotted is where the name stands whose first dot is b[i]; end is 0 if it is none of ours.
func (x *index) findDotted(b []byte, i, from int) (at, end int) {
	if i == 0 {
		return 0, 0
	}
	for _, d := range x.dotted[b[i-1]] {
		if at := i - d.dot; at >= from && (at == 0 || !inLabel(b[at-1])) && stands(b, at, d.name) {
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
			bytes.HasSuffix(b[:i], []byte("sips:"))) {
			return len(name)
		}
	}
	return 0
}

func inLabel(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
}

// four reads the IPv4 address at the start of b, and how long it is there; 0: there is none.
func four(b []byte) (netip.Addr, int) {
	var a [4]byte
	i := 0
	for k := range a {
		if k > 0 {
			if i == len(b) || b[i] != '.' {
				return netip.Addr{}, 0
			}
			i++
		}
		from, n := i, 0
		for ; i < len(b) && i-from < 3 && isDigit(b[i]); i++ {
			n = 10*n + int(b[i]-'0')
		}
		if i == from || n > 255 {
			return netip.Addr{}, 0
		}
		a[k] = byte(n)
	}
	if i < len(b) && (isDigit(b[i]) || b[i] == '.' && i+1 < len(b) && isDigit(b[i+1])) {
		return netip.Addr{}, 0
	}
	return netip.AddrFrom4(a), i
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
		return a, true
	}
	if len(host) < 2 || len(host) > 45 || bytes.Count(host, []byte{':'}) < 2 || bytes.IndexByte(host, '%') >= 0 {
		return netip.Addr{}, false
	}
	// ParseAddr keeps its argument only for a zone, which was excluded, or in an error, which is dropped here.
	a, err := netip.ParseAddr(unsafe.String(&host[0], len(host)))
	return a.Unmap(), err == nil
}
