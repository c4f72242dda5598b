package media

import (
	"crypto/hmac"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"net/netip"
)

// What of STUN (RFC 8489) an ICE-lite agent needs (RFC 8445 §7.3): to verify binding requests and answer them.
const (
	stunCookie  = 0x2112a442
	stunRequest = 0x0001
	stunSuccess = 0x0101

	attrUsername     = 0x0006
	attrIntegrity    = 0x0008
	attrXorMapped    = 0x0020
	attrPriority     = 0x0024
	attrUseCandidate = 0x0025
	attrFingerprint  = 0x8028

	integrityLen   = 20
	fingerprintLen = 4
	fingerprintXor = 0x5354554e
)

// A stunMessage is what a binding request says. Its slices are of the packet.
type stunMessage struct {
	typ         uint16
	username    []byte
	nominates   bool // USE-CANDIDATE
	integrityAt int  // where MESSAGE-INTEGRITY begins; 0: there is none
	integrity   []byte
	fingerprint bool // there, the last attribute, and right
	strange     bool // an attribute that must be understood, and is not
}

// parseSTUN reads b, of which isSTUN has been found true. What comes after MESSAGE-INTEGRITY is ignored but for FINGERPRINT (RFC 8489 §14.5).
func parseSTUN(b []byte) (m stunMessage, ok bool) {
	m.typ = binary.BigEndian.Uint16(b)
	for at := stunHeader; at < len(b); {
		if len(b)-at < 4 {
			return m, false
		}
		typ, n := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		next := at + 4 + (n+3)&^3
		if next > len(b) {
			return m, false
		}
		if !m.attribute(b, at, typ, b[at+4:at+4+n]) {
			return m, false
		}
		at = next
	}
	return m, true
}

// attribute takes in the attribute at b[at:]. It fails on one that is not what its type says.
func (m *stunMessage) attribute(b []byte, at int, typ uint16, value []byte) bool {
	switch {
	case m.fingerprint:
		return false // it is the last one
	case typ == attrFingerprint:
		m.fingerprint = len(value) == fingerprintLen && binary.BigEndian.Uint32(value) == fingerprintOf(b[:at])
		return m.fingerprint
	case m.integrityAt > 0:
		return true
	case typ == attrIntegrity:
		m.integrityAt, m.integrity = at, value
		return len(value) == integrityLen
	case typ == attrUsername:
		m.username = value
	case typ == attrUseCandidate:
		m.nominates = true
	case typ < 0x8000 && typ != attrPriority:
		m.strange = true
	}
	return true
}

// fingerprintOf is the FINGERPRINT of a message whose header counts it already, up to where it begins.
func fingerprintOf(b []byte) uint32 { return crc32.ChecksumIEEE(b) ^ fingerprintXor }

// verify reports whether m, which is b, carries the MESSAGE-INTEGRITY of mac's password. The comparison takes the same time wherever they differ.
func (m *stunMessage) verify(b []byte, mac hash.Hash, sum []byte) bool {
	if m.integrityAt == 0 {
		return false
	}
	return hmac.Equal(m.integrity, integrityOf(b[:m.integrityAt], mac, sum))
}

// integrityOf is the MESSAGE-INTEGRITY of the message that begins with b, which ends where it is to stand. For that time the header's
// length counts to its end; sum is room for the result.
func integrityOf(b []byte, mac hash.Hash, sum []byte) []byte {
	length := binary.BigEndian.Uint16(b[2:])
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-stunHeader+4+integrityLen))
	mac.Reset()
	mac.Write(b)
	binary.BigEndian.PutUint16(b[2:], length)
	return mac.Sum(sum[:0])
}

// appendSuccess appends the answer to the binding request b, which came from an address.
func appendSuccess(dst, b []byte, from netip.AddrPort, mac hash.Hash, sum []byte) []byte {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, stunSuccess)
	dst = append(dst, 0, 0)
	dst = append(dst, b[4:stunHeader]...)
	dst = appendXorMapped(dst, from, b)
	dst = appendIntegrity(dst, begin, mac, sum)
	return appendFingerprint(dst, begin)
}

// appendXorMapped appends XOR-MAPPED-ADDRESS (RFC 8489 §14.2); b has the cookie and transaction of its message.
func appendXorMapped(dst []byte, a netip.AddrPort, b []byte) []byte {
	family, n := byte(1), 4
	if a.Addr().Is6() {
		family, n = 2, 16
	}
	dst = binary.BigEndian.AppendUint16(dst, attrXorMapped)
	dst = append(dst, 0, byte(4+n), 0, family)
	dst = binary.BigEndian.AppendUint16(dst, a.Port()^stunCookie>>16)
	raw := a.Addr().As16()
	for i, x := range raw[16-n:] {
		dst = append(dst, x^b[4+i])
	}
	return dst
}

func appendIntegrity(dst []byte, begin int, mac hash.Hash, sum []byte) []byte {
	sum = integrityOf(dst[begin:], mac, sum)
	dst = binary.BigEndian.AppendUint16(dst, attrIntegrity)
	dst = append(dst, 0, integrityLen)
	return append(dst, sum...)
}

// appendFingerprint appends FINGERPRINT and completes the header that stands at begin.
func appendFingerprint(dst []byte, begin int) []byte {
	binary.BigEndian.PutUint16(dst[begin+2:], uint16(len(dst)-begin-stunHeader+4+fingerprintLen))
	sum := fingerprintOf(dst[begin:])
	dst = binary.BigEndian.AppendUint16(dst, attrFingerprint)
	dst = append(dst, 0, fingerprintLen)
	return binary.BigEndian.AppendUint32(dst, sum)
}
