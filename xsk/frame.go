package xsk

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A linkAddr is who sends a frame to whom: six bytes of the receiver, six of ours, as in a frame.
type linkAddr [12]byte

// hops is the TTL, or hop limit, of what we send: Linux's default.
const hops = 64

// writeFrame writes a frame with datagram to dst, which has room, and returns its length. id is the IPv4 identification: routers may part what we send (no DF).
func writeFrame(dst []byte, link linkAddr, from, to netip.AddrPort, id uint16, datagram []byte) int {
	copy(dst, link[:])
	udp := dst[udp4:]
	size := udpLen + len(datagram)
	var sum uint64
	if from.Addr().Is4() {
		binary.BigEndian.PutUint16(dst[typeOffset:], 0x0800)
		sum = writeIP4(dst[ip4:udp4], from.Addr().As4(), to.Addr().As4(), id, size)
	} else {
		udp = dst[udp6:]
		binary.BigEndian.PutUint16(dst[typeOffset:], 0x86dd)
		sum = writeIP6(dst[ip6:udp6], from.Addr().As16(), to.Addr().As16(), size)
	}
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(size))
	binary.BigEndian.PutUint16(udp[6:], 0)
	copy(udp[udpLen:], datagram)
	check := ^fold(addSum(sum+pseudo(size), udp[:size]))
	if check == 0 { // which would say that there is none (RFC 768)
		check = 0xffff
	}
	binary.NativeEndian.PutUint16(udp[6:], check)
	return len(dst) - len(udp) + size
}

// writeIP4 writes an IPv4 header and returns the sum of its addresses.
func writeIP4(h []byte, from, to [4]byte, id uint16, size int) uint64 {
	h[0], h[1], h[6], h[7], h[8], h[9], h[10], h[11] = 0x45, 0, 0, 0, hops, protocolUDP, 0, 0
	binary.BigEndian.PutUint16(h[2:], uint16(ip4Len+size))
	binary.BigEndian.PutUint16(h[4:], id)
	copy(h[12:], from[:])
	copy(h[16:], to[:])
	binary.NativeEndian.PutUint16(h[10:], ^fold(addSum(0, h[:ip4Len])))
	return addSum(0, h[12:20])
}

// writeIP6 writes an IPv6 header and returns the sum of its addresses.
func writeIP6(h []byte, from, to [16]byte, size int) uint64 {
	h[0], h[1], h[2], h[3], h[6], h[7] = 0x60, 0, 0, 0, protocolUDP, hops
	binary.BigEndian.PutUint16(h[4:], uint16(size))
	copy(h[8:], from[:])
	copy(h[24:], to[:])
	return addSum(0, h[8:40])
}

// pseudo is what the pseudo header adds to the sum beside the addresses, in the order of bytes of addSum.
func pseudo(size int) uint64 {
	return uint64(bits.ReverseBytes16(uint16(size))) + uint64(bits.ReverseBytes16(protocolUDP))
}

// addSum adds b to a one's complement sum (RFC 1071), as this machine orders bytes; an odd byte at the end has a zero behind it. sum is
// below 2^35 (as fold leaves it, or the sum of a few numbers), and so is what is returned for all b that fit into a frame.
func addSum(sum uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 32 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b), 0)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, 0, carry)
		sum += carry
		b = b[32:]
	}
	sum = sum>>32 + sum&0xffffffff
	for len(b) >= 4 {
		sum += uint64(binary.NativeEndian.Uint32(b))
		b = b[4:]
	}
	var last [4]byte
	copy(last[:], b)
	return sum + uint64(binary.NativeEndian.Uint32(last[:]))
}

// fold makes 16 bits of a one's complement sum.
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// readFrame returns the datagram in a frame, a part of it, with where it comes from and goes to; nil unless it is whole and its checksums are right.
func readFrame(b []byte) (datagram []byte, from, to netip.AddrPort) {
	if len(b) < udp4+udpLen {
		return nil, from, to
	}
	var udp []byte
	var sum uint64
	var source, dest netip.Addr
	switch binary.BigEndian.Uint16(b[typeOffset:]) {
	case 0x0800:
		h, all := b[ip4:], int(binary.BigEndian.Uint16(b[ip4+2:]))
		if h[0] != 0x45 || h[9] != protocolUDP || h[6]&0x3f != 0 || h[7] != 0 || all < ip4Len+udpLen || all > len(h) || fold(addSum(0, h[:ip4Len])) != 0xffff {
			return nil, from, to
		}
		udp, sum = h[ip4Len:all], addSum(0, h[12:20])
		source, dest = netip.AddrFrom4([4]byte(h[12:16])), netip.AddrFrom4([4]byte(h[16:20]))
	case 0x86dd:
		h := b[ip6:]
		if len(h) < ip6Len+udpLen || h[0]>>4 != 6 || h[6] != protocolUDP {
			return nil, from, to
		}
		all := ip6Len + int(binary.BigEndian.Uint16(h[4:]))
		if all < ip6Len+udpLen || all > len(h) {
			return nil, from, to
		}
		udp, sum = h[ip6Len:all], addSum(0, h[8:40])
		source, dest = netip.AddrFrom16([16]byte(h[8:24])), netip.AddrFrom16([16]byte(h[24:40]))
	default:
		return nil, from, to
	}
	size := int(binary.BigEndian.Uint16(udp[4:]))
	if size < udpLen || size > len(udp) || !intact(udp[:size], sum+pseudo(size), source.Is4()) {
		return nil, from, to
	}
	from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(udp))
	return udp[udpLen:size], from, netip.AddrPortFrom(dest, binary.BigEndian.Uint16(udp[2:]))
}

// intact reports whether the checksum of a datagram is right, or is one that the interface was to complete and did not, since the frame never left this
// machine (CHECKSUM_PARTIAL: the sum of the pseudo header alone), or, over IPv4, is none. sum is the pseudo header's.
func intact(udp []byte, sum uint64, none bool) bool {
	switch check := binary.NativeEndian.Uint16(udp[6:]); check {
	case 0:
		return none
	case fold(sum):
		return true
	}
	return fold(addSum(sum, udp)) == 0xffff
}
