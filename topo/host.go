package topo

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/ringwall/ringwall/sip"
)

// What a packed host begins with, unless that is the length of a text and packedText.
const (
	packedFour     = iota // the four bytes of an address follow
	packedFourPort        // the same, and a port
	packedText
)

// AppendHost appends a host, with its port if it has one, as CutHost reads it: an IPv4 address in binary, anything else as it is.
func AppendHost(dst, host []byte) []byte {
	var room [24]byte
	addr, port, hasPort := fourPort(host)
	if !addr.IsValid() || string(appendFourPort(room[:0], addr, port, hasPort)) != string(host) {
		return append(binary.AppendUvarint(dst, uint64(len(host))+packedText), host...)
	}
	four := addr.As4()
	if !hasPort {
		return append(append(dst, packedFour), four[:]...)
	}
	return binary.BigEndian.AppendUint16(append(append(dst, packedFourPort), four[:]...), port)
}

// fourPort reads an IPv4 address, and the port behind it if there is one. The address is not valid if host is something else.
func fourPort(host []byte) (addr netip.Addr, port uint16, hasPort bool) {
	name, digits, hasPort := bytes.Cut(host, []byte{':'})
	number, n := four(name)
	if n == 0 || n != len(name) {
		return netip.Addr{}, 0, false
	}
	for _, c := range digits {
		port = 10*port + uint16(c-'0') // too large a one or no number comes back as another one, which AppendHost sees
	}
	return addrFour(number), port, hasPort
}

func appendFourPort(dst []byte, addr netip.Addr, port uint16, hasPort bool) []byte {
	if dst = sip.AppendAddr(dst, addr); hasPort {
		dst = sip.AppendPort(append(dst, ':'), port)
	}
	return dst
}

// CutHost reads the host at the start of packed, and returns what follows it. host refers to packed or to room, to which what has to be
// written out is appended; room is returned as it has grown.
func CutHost(room, packed []byte) (grown, host, rest []byte, ok bool) {
	n, used := binary.Uvarint(packed)
	if used <= 0 {
		return room, nil, nil, false
	}
	packed = packed[used:]
	if n >= packedText {
		if n -= packedText; n > uint64(len(packed)) {
			return room, nil, nil, false
		}
		return room, packed[:n], packed[n:], true
	}
	size := 4 + 2*int(n)
	if len(packed) < size {
		return room, nil, nil, false
	}
	var port uint16
	if n == packedFourPort {
		port = binary.BigEndian.Uint16(packed[4:])
	}
	at := len(room)
	room = appendFourPort(room, netip.AddrFrom4([4]byte(packed[:4])), port, n == packedFourPort)
	return room, room[at:], packed[size:], true
}
