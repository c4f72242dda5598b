package media

import "encoding/binary"

// A kind is what a packet is by its first bytes (RFC 7983, RFC 5761 §4).
type kind uint8

const (
	junk    kind = iota // none of the following
	rtp                 // RFC 3550 §5.1, or SRTP: the same header in the clear
	rtcp                // RFC 3550 §6, or SRTCP
	stun                // RFC 8489
	dtls                // RFC 6347, RFC 9147
	zrtp                // RFC 6189
	unknown             // of an opaque stream: it is not looked at
)

const (
	rtpHeader  = 12
	rtcpHeader = 8
	stunHeader = 20
)

// classify says what b is when it comes in on a port for RTP alone, for RTCP alone, or for both.
func classify(b []byte, onRTCP, mux bool) kind {
	if len(b) == 0 {
		return junk
	}
	switch first := b[0]; {
	case first < 4:
		return given(isSTUN(b), stun)
	case first >= 16 && first < 20:
		return given(len(b) >= rtpHeader, zrtp)
	case first >= 20 && first < 64:
		return given(len(b) > 13, dtls) // longer than a record's header
	case first < 128 || first > 191:
		return junk
	case onRTCP || mux && isRTCPType(b):
		return given(isRTCP(b), rtcp)
	}
	return given(isRTP(b), rtp)
}

// given is k if ok, else junk.
func given(ok bool, k kind) kind {
	if ok {
		return k
	}
	return junk
}

// isRTP reports whether the header of version 2 is whole: sources and extension included. Padding is not looked at: in SRTP it is encrypted.
func isRTP(b []byte) bool {
	if len(b) < rtpHeader {
		return false
	}
	n := rtpHeader + 4*int(b[0]&0x0f)
	if b[0]&0x10 == 0 {
		return len(b) >= n
	}
	if len(b) < n+4 {
		return false
	}
	return len(b) >= n+4+4*int(binary.BigEndian.Uint16(b[n+2:]))
}

// isRTCPType: types of RTCP are 192 to 223 in the second byte, which no RTP packet of a session that shares ports has (RFC 5761 §4).
func isRTCPType(b []byte) bool { return len(b) > 1 && b[1] >= 192 && b[1] <= 223 }

// isRTCP reports whether the first packet of a compound lies within b.
func isRTCP(b []byte) bool {
	return len(b) >= rtcpHeader && isRTCPType(b) && len(b) >= 4*(int(binary.BigEndian.Uint16(b[2:]))+1)
}

// isSTUN reports whether b is one STUN message by its cookie and length (RFC 8489 §5).
func isSTUN(b []byte) bool {
	return len(b) >= stunHeader && binary.BigEndian.Uint32(b[4:]) == stunCookie &&
		int(binary.BigEndian.Uint16(b[2:])) == len(b)-stunHeader && len(b)%4 == 0
}

// The header of an RTP packet; b is one.
func sequenceOf(b []byte) uint16  { return binary.BigEndian.Uint16(b[2:]) }
func timestampOf(b []byte) uint32 { return binary.BigEndian.Uint32(b[4:]) }
func ssrcOf(b []byte) uint32      { return binary.BigEndian.Uint32(b[8:]) }
