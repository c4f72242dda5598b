package siptest

import "encoding/binary"

// Frame is a masked WebSocket frame, as a client sends it: first is its first byte (flags and opcode), payload what it carries (RFC 6455 §5.2).
func Frame[B []byte | string](first byte, payload B) B {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0xde, 0xad, 0xbe, 0xef}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return B(b)
}
