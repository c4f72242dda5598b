// Package meter counts per key in bounded memory: rates (GCRA), events in a sliding window, distinct things, sums of keys that
// have no entry of their own (a sketch), and tables that hold an entry for whoever matters most.
//
// Everything is pure: now is an argument, nothing is read from a clock, nothing allocates after it was made, and nothing grows with
// what strangers send, but for an Index, which grows with its owner's records. Keys are hashes under a secret key, so that nobody can aim at the
// place of somebody else.
package meter

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A Key makes keyed hashes: SipHash-1-3 (Aumasson and Bernstein, 2012; the rounds that hash tables of other languages use). Equal keys make equal hashes in every process, so what is
// kept by hash survives a restart; who does not know the key can't find two texts of one hash, nor texts for one place of a table.
type Key struct{ k0, k1 uint64 }

// NewKey makes a Key of a secret.
func NewKey(secret [16]byte) Key {
	return Key{binary.LittleEndian.Uint64(secret[:8]), binary.LittleEndian.Uint64(secret[8:])}
}

// Bytes is the keyed hash of b.
func (k Key) Bytes(b []byte) uint64 {
	v := k.begin()
	last := uint64(len(b)) << 56
	for ; len(b) >= 8; b = b[8:] {
		v = v.word(binary.LittleEndian.Uint64(b))
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	return v.word(last).end()
}

// Words is the keyed hash of two words, none of which can take the place of the other.
func (k Key) Words(a, b uint64) uint64 {
	return k.begin().word(a).word(b).word(16 << 56).end()
}

// What stands before the parts of an address, so that no address is hashed as another one, or as something else.
const (
	fourTag     = 4 << 56
	fourPortTag = 5 << 56
	sixTag      = 6 << 56
	sixPortTag  = 7 << 56
	fourNetTag  = 8 << 56
	sixNetTag   = 9 << 56
)

// Addr is the keyed hash of an address; that of an IPv6 address is that of its /64, which is what one site has. An IPv4 address and
// its IPv6 mapping are one.
func (k Key) Addr(a netip.Addr) uint64 {
	if a.Is4() || a.Is4In6() {
		return k.begin().word(fourTag | four(a)).end()
	}
	b := a.As16()
	return k.begin().word(binary.BigEndian.Uint64(b[:8])).word(sixTag).end()
}

// AddrPort is the keyed hash of an address, all of it, and a port.
func (k Key) AddrPort(a netip.AddrPort) uint64 {
	ip, port := a.Addr(), uint64(a.Port())
	if ip.Is4() || ip.Is4In6() {
		return k.begin().word(fourPortTag | port<<32 | four(ip)).end()
	}
	b := ip.As16()
	return k.begin().word(binary.BigEndian.Uint64(b[:8])).word(binary.BigEndian.Uint64(b[8:])).word(sixPortTag | port).end()
}

// Source is Addr and AddrPort of one source.
func (k Key) Source(a netip.AddrPort) (addr, port uint64) {
	if ip := a.Addr(); ip.Is4() {
		at := four(ip)
		return k.begin().word(fourTag | at).end(), k.begin().word(fourPortTag | uint64(a.Port())<<32 | at).end()
	}
	return k.Addr(a.Addr()), k.AddrPort(a)
}

// Network is the keyed hash of the network of an address: its /24, of IPv6 its /48.
func (k Key) Network(a netip.Addr) uint64 {
	if a.Is4() || a.Is4In6() {
		return k.begin().word(fourNetTag | four(a)>>8).end()
	}
	b := a.As16()
	return k.begin().word(sixNetTag | binary.BigEndian.Uint64(b[:8])>>16).end()
}

// four is an IPv4 address, or one that is mapped, as a number.
func four(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// sip is the state of SipHash. It is passed by value, so that it stays in registers.
type sip struct{ v0, v1, v2, v3 uint64 }

func (k Key) begin() sip {
	return sip{k.k0 ^ 0x736f6d6570736575, k.k1 ^ 0x646f72616e646f6d, k.k0 ^ 0x6c7967656e657261, k.k1 ^ 0x7465646279746573}
}

func (s sip) word(m uint64) sip {
	s.v3 ^= m
	s = s.round()
	s.v0 ^= m
	return s
}

func (s sip) end() uint64 {
	s.v2 ^= 0xff
	s = s.round().round().round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

func (s sip) round() sip {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}
