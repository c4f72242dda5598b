package topo

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	nets    []netip.Prefix
	addrs   map[netip.Addr]bool // learnt
	shown   map[netip.Addr]bool // of ours outside, which are no marks whatever net they are in
	names   map[string]bool     // in lower case; false: learnt
	hosts   map[string]bool     // names that are no marks
	fours   []fours             // nets and addrs of IPv4 without those shown, in order and apart from each other
	starts  [256][]string       // names without a dot by their first byte, in either case
	dotted  [256][]dottedName   // the others by the byte before their first dot, in either case
	pairs   [256]uint64         // by the byte before the first dot of a mark, bits of those behind it, taken modulo 64
	kinds   [256]uint8          // what a byte may tell of
	dots    bool                // only dots tell of anything
	numbers bool                // names may begin with a number and a dot
	six     bool                // there are marks of IPv6
}

// fours are the addresses of IPv4 from first to last.
type fours struct{ first, last uint32 }

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
	digit            // before a dot: of an address
	endsLabel        // before a dot: of a name

	telling = startsName | insideDot | insideSix // by itself
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
	x.starts, x.dotted, x.pairs, x.kinds = [256][]string{}, [256][]dottedName{}, [256]uint64{}, [256]uint8{}
	x.dots, x.numbers, x.six = true, false, false
	for c := byte('0'); c <= '9'; c++ {
		x.kinds[c] = digit
	}
	for name := range x.names {
		x.prepareName(name)
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
	x.fours = x.foursInside()
	for _, f := range x.fours {
		x.prepareFours(f)
	}
	return x
}

// prepareFours fills in what stands around the first dot of the addresses of f. Their second number may have zeros in front.
func (x *index) prepareFours(f fours) {
	for i := f.first >> 16; i <= f.last>>16; i++ {
		first, second, behind := i>>8, i&0xff, uint64(0)
		if second < 100 {
			behind = 1 << ('0' & 63)
		}
		for second > 9 {
			second /= 10
		}
		x.pairs['0'+first%10] |= behind | 1<<(('0'+second)&63)
	}
}

// prepareName fills in where Find finds name.
func (x *index) prepareName(name string) {
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		behind := ^uint64(0) // anything, where that is all of the name
		if dot+1 < len(name) {
			behind = 0
			for _, c := range cases(name[dot+1]) {
				behind |= 1 << (c & 63)
			}
		}
		for _, c := range cases(name[dot-1]) {
			x.kinds[c] |= endsLabel
			x.pairs[c] |= behind
			x.dotted[c] = append(x.dotted[c], dottedName{name, dot})
		}
		x.numbers = x.numbers || strings.Trim(name[:dot], "0123456789") == ""
		return
	}
	x.dots = false
	for _, c := range cases(name[0]) {
		x.kinds[c] |= startsName
		x.starts[c] = append(x.starts[c], name)
	}
}

// foursInside is index.fours.
func (x *index) foursInside() []fours {
	var all []fours
	for _, p := range x.nets {
		if p.IsValid() && p.Addr().Is4() {
			first := numberOf(p.Masked().Addr())
			all = append(all, fours{first, first | uint32(uint64(1)<<(32-p.Bits())-1)})
		}
	}
	for a := range x.addrs {
		if a.Is4() {
			all = append(all, fours{numberOf(a), numberOf(a)})
		}
	}
	slices.SortFunc(all, func(a, b fours) int { return cmp.Compare(a.first, b.first) })
	merged := all[:0]
	for _, s := range all {
		if n := len(merged); n > 0 && s.first <= merged[n-1].last {
			merged[n-1].last = max(merged[n-1].last, s.last)
		} else {
			merged = append(merged, s)
		}
	}
	for a := range x.shown {
		if a.Is4() {
			merged = without(merged, numberOf(a))
		}
	}
	return merged
}

// without takes a out of all.
func without(all []fours, a uint32) []fours {
	for i, s := range all {
		if s.first <= a && a <= s.last {
			var rest []fours
			if s.first < a {
				rest = append(rest, fours{s.first, a - 1})
			}
			if a < s.last {
				rest = append(rest, fours{a + 1, s.last})
			}
			return slices.Replace(all, i, i+1, rest...)
		}
	}
	return all
}

// numberOf is an address of IPv4 as a number.
func numberOf(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
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
