package media

import (
	"encoding/binary"
	"hash/maphash"
)

// Types of RTCP packets and of SDES items that hold words of their sender (RFC 3550 §6.5 and §6.6), and an item's header.
const (
	typeSDES    = 202
	typeBYE     = 203
	itemEnd     = 0
	itemPrivate = 8 // a text that begins with the length of a prefix
	itemHeader  = 2
)

// anonymize puts meaningless words of the same length in the place of those that the sender of b wrote about himself: the texts of all
// SDES items, CNAME first of all, and the reason of BYE. The same text always becomes the same one, so that who pairs streams by their CNAME
// still can. b is left as it is unless it is one whole RTCP compound in the clear: SRTCP has a trailer, which no length accounts for, and
// words that nobody can read. What is not well formed in a packet of these types becomes zeros; APP and extensions pass.
func anonymize(b []byte, key maphash.Seed) {
	if !isCompound(b) {
		return
	}
	for len(b) > 0 {
		n := packetLen(b)
		switch p := b[:n]; p[1] {
		case typeSDES:
			anonymizeSDES(p, key)
		case typeBYE:
			anonymizeBYE(p, key)
		}
		b = b[n:]
	}
}

// packetLen is the length in bytes that the header of an RTCP packet tells; b holds at least its first four bytes.
func packetLen(b []byte) int { return 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1) }

// isCompound reports whether b is RTCP packets and nothing else.
func isCompound(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 || !isRTCPType(b) || packetLen(b) > len(b) {
			return false
		}
		b = b[packetLen(b):]
	}
	return true
}

// anonymizeSDES: p is a header with the number of chunks, then the chunks: a source, items, and zeros up to the next word.
func anonymizeSDES(p []byte, key maphash.Seed) {
	at := 4
	for chunks := p[0] & 0x1f; chunks > 0 && at+4 < len(p); chunks-- {
		at += 4
		for at < len(p) && p[at] != itemEnd {
			if at+itemHeader > len(p) || at+itemHeader+int(p[at+1]) > len(p) {
				wipe(p, at)
				return
			}
			text := p[at+itemHeader:][:p[at+1]]
			disguise(text, key)
			if p[at] == itemPrivate && len(text) > 0 {
				text[0] = 0 // no prefix
			}
			at += itemHeader + len(text)
		}
		for word := min((at+4)&^3, len(p)); at < word; at++ {
			p[at] = 0
		}
	}
	wipe(p, at)
}

// anonymizeBYE: p is a header with the number of sources, the sources, and maybe a reason with its length before it.
func anonymizeBYE(p []byte, key maphash.Seed) {
	at := 4 + 4*int(p[0]&0x1f)
	if at >= len(p) {
		return
	}
	n := int(p[at])
	if at+1+n > len(p) {
		wipe(p, at)
		return
	}
	disguise(p[at+1:][:n], key)
	wipe(p, at+1+n)
}

// wipe zeroes p from at on, but for the last byte of padding: its length.
func wipe(p []byte, at int) {
	if padded := p[0]&0x20 != 0; padded && at < len(p) {
		p = p[:len(p)-1]
	}
	clear(p[min(at, len(p)):])
}

// letters of a disguised text: those of the base64 that RFC 7022 §4.2 makes CNAMEs of.
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// disguise overwrites text by letters that depend on it and on key.
func disguise(text []byte, key maphash.Seed) {
	var h maphash.Hash
	h.SetSeed(key)
	_, _ = h.Write(text)
	bits := h.Sum64()
	for i := range text {
		if i%10 == 9 {
			_ = h.WriteByte(0)
			bits = h.Sum64()
		}
		text[i] = letters[bits&63]
		bits >>= 6
	}
}
