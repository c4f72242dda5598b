package card

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringwall/ringwall/bench/batch"
)

type linkAddr [6]byte

// Where things are in what is read and written: what the kernel says of the frame (struct virtio_net_hdr), Ethernet, IPv4
// without options, UDP.
const (
	metaLen = 10
	eth     = metaLen
	ip      = eth + 14
	udp     = ip + 20
	// headerLen is all that stands before the datagram.
	headerLen = udp + 8

	needsSum  = 1 // meta flags: the checksum holds the pseudo header's sum only, the card is to complete it
	segmented = 5 // meta kind: a train of datagrams of equal length, the last may be shorter
	typeIP4   = 0x0800
	typeUDP   = 17
)

// append appends a frame with the datagram. Its checksum is marked as still to do, which stands for what cards say: it was
// looked at and is right.
func (c *Card) append(b []byte, from, to netip.AddrPort, id uint16, datagram []byte) []byte {
	var h [headerLen]byte
	size := 8 + len(datagram)
	h[0] = needsSum
	binary.NativeEndian.PutUint16(h[6:], udp-eth)
	binary.NativeEndian.PutUint16(h[8:], 6)
	copy(h[eth:], c.far[:])
	copy(h[eth+6:], c.own[:])
	binary.BigEndian.PutUint16(h[eth+12:], typeIP4)
	h[ip], h[ip+8], h[ip+9] = 0x45, 64, typeUDP
	binary.BigEndian.PutUint16(h[ip+2:], uint16(20+size))
	binary.BigEndian.PutUint16(h[ip+4:], id)
	source, dest := from.Addr().As4(), to.Addr().As4()
	copy(h[ip+12:], source[:])
	copy(h[ip+16:], dest[:])
	binary.BigEndian.PutUint16(h[ip+10:], ^sum(0, h[ip:udp]))
	binary.BigEndian.PutUint16(h[udp:], from.Port())
	binary.BigEndian.PutUint16(h[udp+2:], to.Port())
	binary.BigEndian.PutUint16(h[udp+4:], uint16(size))
	binary.BigEndian.PutUint16(h[udp+6:], sum(typeUDP+uint32(size), h[ip+12:udp]))
	return append(append(b, h[:]...), datagram...)
}

// sum is the one's complement sum of b (RFC 1071), whose length is even, and of start.
func sum(start uint32, b []byte) uint16 {
	s := start
	for ; len(b) > 0; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// deliver gives the datagrams of a frame to whom they are for. What is not UDP over IPv4 is nobody's: the kernel asks for no
// neighbour whom it was told.
func (c *Card) deliver(b []byte) {
	if len(b) < headerLen || binary.BigEndian.Uint16(b[eth+12:]) != typeIP4 || b[ip] != 0x45 || b[ip+9] != typeUDP {
		return
	}
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[ip+16:])), binary.BigEndian.Uint16(b[udp+2:]))
	conn := c.listener(to)
	if conn == nil {
		return
	}
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[ip+12:])), binary.BigEndian.Uint16(b[udp:]))
	data := b[headerLen:]
	if all := int(binary.BigEndian.Uint16(b[ip+2:])) - 28; b[1] != segmented && all < len(data) {
		data = data[:max(all, 0)]
	}
	size := max(len(data), 1)
	if b[1] == segmented {
		size = max(int(binary.NativeEndian.Uint16(b[4:])), 1)
	}
	for len(data) > 0 {
		n := min(size, len(data))
		conn.came = append(conn.came, batch.Packet{Data: data[:n:n], From: from, To: to.Addr()})
		data = data[n:]
	}
}

// listener is who has an address and port, nil if nobody has.
func (c *Card) listener(to netip.AddrPort) (found *Conn) {
	for _, conn := range c.conns {
		if conn.local == to {
			return conn
		}
		if conn.local.Port() == to.Port() && conn.local.Addr().IsUnspecified() {
			found = conn
		}
	}
	return found
}
