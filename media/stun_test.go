package media

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"testing"
)

// The request and the answers of RFC 5769 §2.1 to 2.3.
const (
	vectorPassword = "VOkJxbRl1RmTxUk/WvJxBt"
	vectorRequest  = `0001 0058 2112a442 b7e7a701bc34d686fa87dfae 8022 0010 5354554e207465737420636c69656e74 0024 0004 6e0001ff 8029 0008 932ff9b151263b36
		0006 0009 6576746a3a68367659202020 0008 0014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 8028 0004 e57a3bcf`
	vectorAnswer4 = `0101 003c 2112a442 b7e7a701bc34d686fa87dfae 8022 000b 7465737420766563746f7220 0020 0008 0001 a147 e112a643
		0008 0014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 8028 0004 c07d4c96`
)

func TestSTUNVectors(t *testing.T) {
	mac, sum := hmac.New(sha1.New, []byte(vectorPassword)), make([]byte, sha1.Size)
	for name, text := range map[string]string{"request": vectorRequest, "answer": vectorAnswer4} {
		b := bytesOf(t, text)
		m, ok := parseSTUN(b)
		if !ok || !isSTUN(b) || !m.fingerprint || !m.verify(b, mac, sum) {
			t.Errorf("%s is refused: %+v", name, m)
		}
		if !bytes.Equal(b, bytesOf(t, text)) {
			t.Errorf("%s was altered", name)
		}
	}
	if m, _ := parseSTUN(bytesOf(t, vectorRequest)); m.typ != stunRequest || string(m.username) != "evtj:h6vY" || m.nominates || m.strange {
		t.Errorf("read %+v", m)
	}
	xor := appendXorMapped(nil, netip.MustParseAddrPort("192.0.2.1:32853"), bytesOf(t, vectorRequest))
	if want := bytesOf(t, "0020 0008 0001 a147 e112a643"); !bytes.Equal(xor, want) {
		t.Errorf("XOR-MAPPED-ADDRESS %x, want %x", xor, want)
	}
	xor = appendXorMapped(nil, netip.MustParseAddrPort("[2001:db8:1234:5678:11:2233:4455:6677]:32853"), bytesOf(t, vectorRequest))
	if want := bytesOf(t, "0020 0014 0002 a147 0113a9faa5d3f179bc25f4b5bed2b9d9"); !bytes.Equal(xor, want) {
		t.Errorf("XOR-MAPPED-ADDRESS %x, want %x", xor, want)
	}
}

// No altered byte of a request, and no other length, passes.
func TestSTUNAltered(t *testing.T) {
	mac, sum := hmac.New(sha1.New, []byte(vectorPassword)), make([]byte, sha1.Size)
	good := bytesOf(t, vectorRequest)
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(good)
			b[i] ^= bit
			if !isSTUN(b) {
				continue
			}
			if m, ok := parseSTUN(b); ok && m.fingerprint && m.verify(b, mac, sum) {
				t.Errorf("byte %d altered: accepted", i)
			}
		}
		if isSTUN(good[:i]) {
			t.Errorf("%d of %d bytes are taken for a message", i, len(good))
		}
	}
}

// A checker makes binding requests as an ICE agent does.
type checker struct {
	username, password string
	nominate, plain    bool // plain: without FINGERPRINT
	typ                uint16
}

func (c checker) request() []byte {
	b := binary.BigEndian.AppendUint16(nil, max(c.typ, stunRequest))
	b = append(b, 0, 0, 0x21, 0x12, 0xa4, 0x42)
	b = append(b, "transaction1"...)
	attr := func(typ uint16, value string) {
		b = binary.BigEndian.AppendUint16(b, typ)
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	attr(attrUsername, c.username)
	attr(attrPriority, "\x6e\x00\x01\xff")
	attr(0x802a, "tie-brkr") // ICE-CONTROLLING
	if c.nominate {
		attr(attrUseCandidate, "")
	}
	if c.password != "" {
		b = appendIntegrity(b, 0, hmac.New(sha1.New, []byte(c.password)), make([]byte, sha1.Size))
	}
	if c.plain {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)-stunHeader))
		return b
	}
	return appendFingerprint(b, 0)
}

// FuzzSTUN: no message makes an agent panic or answer without the password; what it answers is a message, and no longer than what came.
func FuzzSTUN(f *testing.F) {
	f.Add(bytesOf(f, vectorRequest))
	f.Add(bytesOf(f, vectorAnswer4))
	f.Add(checker{username: "evtj:x", nominate: true}.request())
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isSTUN(b) {
			return
		}
		m, ok := parseSTUN(b)
		if !ok || !m.verify(b, hmac.New(sha1.New, []byte(vectorPassword)), make([]byte, sha1.Size)) {
			return
		}
		if !bytes.HasPrefix(b, bytesOf(t, vectorRequest)[:8]) && m.typ == stunRequest {
			t.Logf("another message with the password: %x", b)
		}
		answer := appendSuccess(nil, b, netip.MustParseAddrPort("192.0.2.1:9"), hmac.New(sha1.New, []byte("p")), make([]byte, sha1.Size))
		if m, ok := parseSTUN(answer); !ok || !isSTUN(answer) || !m.fingerprint {
			t.Errorf("answer %x", answer)
		}
	})
}
