package topo

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/ringwall/ringwall/seal"
)

// What the seals are for. A token of one use opens as no other.
const (
	targetUse  = "marked target"
	earlierUse = "target" // of target tokens of before 2026-11-23, which had no mark
	callIDUse  = "call-id"
	etagUse    = "etag"         // of inside, as outside knows it
	etagInUse  = "etag outside" // of outside, as inside knows it
)

// Life of target tokens. They hold the week they were made in, so one dialog shows one token for days.
const (
	week       = 7 * 24 * time.Hour
	targetLife = 5 // weeks after the one it was made in
)

const (
	saltLen  = 4
	maxShort = 200 // bytes of a URI that is worth packing
	maxSix   = 64  // bytes of base64 that are
)

// TargetMark is the first character of target tokens. No usual user name begins with it, and nobody escapes it.
const TargetMark = '.'

// LeastTarget is how long a user part that begins with TargetMark must be to be taken for a token, if an altered or cut one; the shortest
// whole one has 33 characters.
const LeastTarget = 20

// ErrTarget is why a user part that looks like a token of ours stands for nothing, and ErrExpired why a good one does not any more.
var (
	ErrTarget  = errors.New("token does not verify")
	ErrExpired = errors.New("token is too old")
)

// appendTarget appends the token for uri, a whole URI, in the dialog of leg.
func (v *Veil) appendTarget(dst, uri []byte, leg *Leg) []byte {
	var room [256]byte
	plain := append(binary.BigEndian.AppendUint32(room[:0], v.Salt(leg)), byte(weekOf(leg.At)))
	return v.targets.Seal(append(dst, TargetMark), appendPacked(plain, uri))
}

func weekOf(t time.Time) uint16 { return uint16(t.Unix() / int64(week/time.Second)) }

// Target opens the user part of a URI that names us: the URI that it stands for, appended to dst. It gives the sender no right; it only
// says which URI is meant. Nil and dst as it was: user is an ordinary name.
func (v *Veil) Target(dst, user []byte, now time.Time) (uri []byte, err error) {
	uri, _, err = v.Open(dst, user, now)
	return uri, err
}

// Salt is what target tokens made for leg have in them, by its Salt, Tag and CallID.
func (v *Veil) Salt(leg *Leg) uint32 {
	var room [256]byte
	salted := append(append(binary.BigEndian.AppendUint32(room[:0], leg.Salt), leg.Tag...), 0) // no tag holds a zero
	return v.keys.Salt(append(salted, leg.CallID...))
}

// Open is Target, and tells for which dialog the token was made: salt is what Salt says of its leg.
func (v *Veil) Open(dst, user []byte, now time.Time) (uri []byte, salt uint32, err error) {
	if len(user) < LeastTarget {
		return dst, 0, nil
	}
	if user[0] != TargetMark {
		return v.earlierTarget(dst, user, now)
	}
	var room [256 + seal.OpenRoom]byte
	plain, err := v.targets.Open(room[:0], user[1:])
	if err != nil || len(plain) < saltLen+1 {
		return dst, 0, ErrTarget
	}
	if byte(weekOf(now))-plain[saltLen] > targetLife {
		return dst, 0, ErrExpired
	}
	uri, err = unpackedTarget(dst, plain[saltLen+1:])
	return uri, binary.BigEndian.Uint32(plain), err
}

// earlierTarget is Target for the tokens of before 2026-11-23: they had no mark, so what does not verify may be a user.
func (v *Veil) earlierTarget(dst, user []byte, now time.Time) (uri []byte, salt uint32, err error) {
	var room [256 + seal.OpenRoom]byte
	plain, err := v.earlier.Open(room[:0], user)
	switch {
	case err != nil || len(plain) < saltLen+2:
		return dst, 0, nil
	case weekOf(now)-binary.BigEndian.Uint16(plain[saltLen:]) > targetLife:
		return dst, 0, ErrExpired
	}
	uri, err = unpackedTarget(dst, plain[saltLen+2:])
	return uri, binary.BigEndian.Uint32(plain), err
}

func unpackedTarget(dst, packed []byte) ([]byte, error) {
	if uri, ok := appendUnpacked(dst, packed); ok {
		return uri, nil
	}
	return dst, ErrTarget
}

// AppendCallID appends what outside sees instead of callID, which may be of any length. key is the id of the key to seal with, so that a
// dialog keeps its Call-ID when keys rotate.
func (v *Veil) AppendCallID(dst, callID []byte, key byte) []byte {
	var room [256]byte
	return v.callIDs.SealUnder(key, dst, appendPackedID(room[:0], callID))
}

// CallID appends the Call-ID that token stands for; false if it is not one of ours.
func (v *Veil) CallID(dst, token []byte) ([]byte, bool) {
	var room [256 + seal.OpenRoom]byte
	plain, err := v.callIDs.Open(room[:0], token)
	if err != nil {
		return dst, false
	}
	return appendUnpackedID(dst, plain)
}

// Ways in which a Call-ID is packed.
const (
	idAsIs byte = iota
	idHex       // lower-case hexadecimal, of even length
	idUUID      // the same with the hyphens of RFC 9562
	idSix       // six bits for each character of base64 (RFC 4648 §5)
)

// appendPackedID appends callID in few bytes: most are random numbers in hexadecimal.
func appendPackedID(dst, callID []byte) []byte {
	const uuid = 36
	if len(callID) == uuid && callID[8] == '-' && callID[13] == '-' && callID[18] == '-' && callID[23] == '-' {
		digits := append(append(append(append(append(make([]byte, 0, uuid), callID[:8]...), callID[9:13]...), callID[14:18]...),
			callID[19:23]...), callID[24:]...)
		if isHex(digits) {
			return appendHex(append(dst, idUUID), digits)
		}
	}
	if len(callID) > 0 && isHex(callID) {
		return appendHex(append(dst, idHex), callID)
	}
	if packed, ok := appendSix(append(dst, idSix), callID); ok {
		return packed
	}
	return append(append(dst, idAsIs), callID...)
}

// appendSix appends the bytes that text stands for as base64; false, if it is too long, or other text would stand for the same.
func appendSix(dst, text []byte) ([]byte, bool) {
	if len(text) > maxSix {
		return dst, false
	}
	return seal.AppendBytes(dst, text)
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(b)%2 == 0
}

// appendHex appends the bytes that digits stand for.
func appendHex(dst, digits []byte) []byte {
	n := len(dst)
	dst = append(dst, digits[:len(digits)/2]...)
	if _, err := hex.Decode(dst[n:], digits); err != nil {
		return dst[:n] // never: isHex said yes
	}
	return dst
}

func appendUnpackedID(dst, packed []byte) ([]byte, bool) {
	if len(packed) == 0 {
		return dst, false
	}
	switch kind, b := packed[0], packed[1:]; {
	case kind == idAsIs:
		return append(dst, b...), true
	case kind == idHex:
		return hex.AppendEncode(dst, b), true
	case kind == idSix:
		return seal.AppendText(dst, b), true
	case kind == idUUID && len(b) == 16:
		for i, part := range [...][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, part)
		}
		return dst, true
	}
	return dst, false
}
