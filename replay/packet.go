package replay

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// Raw IP has two more numbers, one for each family of BSD.
const (
	linkRaw12 layers.LinkType = 12
	linkRaw14 layers.LinkType = 14
)

// readable reports whether packets of a link are read.
func readable(link layers.LinkType) bool {
	switch link {
	case layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeNull, layers.LinkTypeLoop,
		layers.LinkTypeRaw, linkRaw12, linkRaw14, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
		return true
	}
	return false
}

// Ether types.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherVLAN2 = 0x9100
)

// network returns the IP packet in a packet of a link; nil if there is none.
func network(link layers.LinkType, b []byte) []byte {
	switch link {
	case layers.LinkTypeEthernet:
		return tagged(b, 12, 14)
	case layers.LinkTypeLinuxSLL:
		return tagged(b, 14, 16)
	case layers.LinkTypeLinuxSLL2:
		return tagged(b, 0, 20)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		if len(b) < 4 {
			return nil
		}
		return b[4:] // the family, in an order and with numbers that differ; the version of IP says the same
	}
	return b
}

// tagged returns what stands behind a head of that length whose ether type is at, and behind VLAN tags.
func tagged(b []byte, at, head int) []byte {
	if len(b) < head {
		return nil
	}
	kind, rest := binary.BigEndian.Uint16(b[at:]), b[head:]
	for kind == etherVLAN || kind == etherQinQ || kind == etherVLAN2 {
		if len(rest) < 4 {
			return nil
		}
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	if kind != etherIPv4 && kind != etherIPv6 {
		return nil
	}
	return rest
}

// A packet is an IP packet, or one put together of fragments.
type packet struct {
	src, dst netip.Addr
	protocol byte
	b        []byte // behind the IP head
	short    bool   // there was more of it than was captured
}

// A piece is what an IP packet says of being a fragment.
type piece struct {
	id     uint32
	offset int // bytes
	more   bool
}

// Protocol numbers.
const (
	protoHop      = 0
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoDest     = 60
)

// parseIP reads an IP packet; ok is false for what is none. part is the zero piece for a whole one.
func parseIP(b []byte) (p packet, part piece, ok bool) {
	if len(b) == 0 {
		return p, part, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return p, part, false
}

func parseIPv4(b []byte) (p packet, part piece, ok bool) {
	if len(b) < 20 {
		return p, part, false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // left to the network card
		total = len(b)
	}
	if head < 20 || total < head || len(b) < head {
		return p, part, false
	}
	p.short = total > len(b)
	p.b = b[head:min(total, len(b))]
	p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.protocol = b[9]
	frag := binary.BigEndian.Uint16(b[6:])
	part = piece{id: uint32(binary.BigEndian.Uint16(b[4:])), offset: int(frag&0x1fff) * 8, more: frag&0x2000 != 0}
	return p, part, true
}

func parseIPv6(b []byte) (p packet, part piece, ok bool) {
	if len(b) < 40 {
		return p, part, false
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total == 40 {
		total = len(b)
	}
	p.short = total > len(b)
	p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.protocol, p.b = b[6], b[40:min(total, len(b))]
	for {
		length := 0
		switch p.protocol {
		case protoHop, protoRouting, protoDest:
			if len(p.b) >= 8 {
				length = 8 + int(p.b[1])*8
			}
		case protoAH:
			if len(p.b) >= 8 {
				length = 8 + int(p.b[1])*4
			}
		case protoFragment:
			if len(p.b) >= 8 {
				length = 8
				frag := binary.BigEndian.Uint16(p.b[2:])
				part = piece{id: binary.BigEndian.Uint32(p.b[4:]), offset: int(frag &^ 7), more: frag&1 != 0}
			}
		default:
			return p, part, true
		}
		if length == 0 || length > len(p.b) {
			return p, part, false
		}
		p.protocol, p.b = p.b[0], p.b[length:]
		if part.offset > 0 || part.more { // what follows belongs to the packet as a whole
			return p, part, true
		}
	}
}

// parseUDP reads a datagram; whole is false if some of it is missing.
func parseUDP(p *packet) (src, dst netip.AddrPort, payload []byte, whole, ok bool) {
	b := p.b
	if len(b) < 8 {
		return src, dst, nil, false, false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 { // left to the network card
		length = len(b)
	}
	if length < 8 {
		return src, dst, nil, false, false
	}
	src = netip.AddrPortFrom(p.src, binary.BigEndian.Uint16(b))
	dst = netip.AddrPortFrom(p.dst, binary.BigEndian.Uint16(b[2:]))
	return src, dst, b[8:min(length, len(b))], length <= len(b) && !p.short, true
}

// A segment is one of TCP.
type segment struct {
	src, dst      netip.AddrPort
	seq           uint32
	syn, fin, rst bool
	b             []byte
	short         bool // there was more of it than was captured
}

func parseTCP(p *packet) (s segment, ok bool) {
	b := p.b
	if len(b) < 20 {
		return s, false
	}
	head := int(b[12]>>4) * 4
	if head < 20 || head > len(b) {
		return s, false
	}
	return segment{
		src: netip.AddrPortFrom(p.src, binary.BigEndian.Uint16(b)), dst: netip.AddrPortFrom(p.dst, binary.BigEndian.Uint16(b[2:])),
		seq: binary.BigEndian.Uint32(b[4:]), fin: b[13]&1 != 0, syn: b[13]&2 != 0, rst: b[13]&4 != 0, b: b[head:], short: p.short,
	}, true
}
