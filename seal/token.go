package seal

import (
	"encoding/base32"
	"errors"
	"slices"
)

// ErrToken is what Open returns for anything that is not a token of ours: altered, cut, lengthened, of another use or
// of a key that is gone. It never says which; whoever forged it learns nothing.
var ErrToken = errors.New("token does not verify")

// OpenRoom is how many bytes more than the plain text Open needs in dst, so that it allocates nothing, and writes to behind it.
const OpenRoom = tagLen + slack

// TokenLen returns the length of the text that Seal makes of a plain text of that many bytes.
func TokenLen(plain int) int {
	return 1 + textLen(tagLen+plain)
}

// Seal appends the token for plain to dst and returns the extended slice: one character that names the key, then
// letters, digits, "-" and "_" (safe as the user part of a SIP URI, in a Call-ID and as a token of RFC 3261 §25.1;
// upper and lower case differ). The token says nothing of plain but its length; equal input under one key gives an
// equal token. ad1 and ad2 are not in the token, but Open needs equal ones: they say what the token is for and what it
// is bound to. Each is taken as a whole, so bytes cannot move from one to the other. Either may be empty.
//
// Nothing is kept; nothing is allocated when dst has room for TokenLen(len(plain)) and 16 more bytes. Where it has, up to 16 bytes behind the token
// are written to, and hold nothing of use; no more. None of this may overlap the other arguments.
func (k *Keys) Seal(dst, plain, ad1, ad2 []byte) []byte {
	set := k.set.Load()
	return set.seal(0, set.tokens[0].bound(ad1, ad2), dst, plain)
}

// SealUnder is Seal with the key that has this id, so that what Open told of a token makes it again; false, and dst as it was, if that key is
// gone.
func (k *Keys) SealUnder(id byte, dst, plain, ad1, ad2 []byte) ([]byte, bool) {
	set := k.set.Load()
	key := set.find(id)
	if key < 0 {
		return dst, false
	}
	return set.seal(key, set.tokens[key].bound(ad1, ad2), dst, plain), true
}

// seal makes the token of Seal. d is what S2V has taken in of what it is bound to. Tag and text are made at the end of the room for their characters,
// which are written from its beginning.
func (s *keySet) seal(key int, d block, dst, plain []byte) []byte {
	c, at, n := s.tokens[key], len(dst), TokenLen(len(plain))
	dst = slices.Grow(dst, n+slack)[:at+n+slack]
	bin := dst[at+n-tagLen-len(plain) : at+n]
	text := bin[tagLen:]
	copy(text, plain)
	v := c.finish(d, text)
	c.crypt(v, text)
	v.store(bin)
	dst[at] = s.stored[key].id
	encode(dst[at+1:], bin)
	return dst[:at+n]
}

// Open verifies a token that Seal made with the same ad1 and ad2 under any key still in the file, appends the plain
// text to dst and returns the extended slice. Every other token gives what dst held and ErrToken. Exactly one text
// opens to a given token: case, padding, line breaks and unused bits all count.
//
// Nothing is kept; nothing is allocated when dst has room for the plain text and OpenRoom, also for forged tokens. So much of it, and no more, is written to
// in any case, and must not overlap the other arguments.
func (k *Keys) Open(dst, token, ad1, ad2 []byte) ([]byte, error) {
	set := k.set.Load()
	key := set.named(token)
	if key < 0 {
		return dst, ErrToken
	}
	bin, ok := AppendBytes(dst, token[1:])
	if !ok {
		return bin[:len(dst)], ErrToken
	}
	c := set.tokens[key]
	return c.open(c.bound(ad1, ad2), bin, len(dst))
}

// named returns the index of the key that token says it was made with, -1 if it can be no token.
func (s *keySet) named(token []byte) (key int) {
	if len(token) < TokenLen(0) {
		return -1
	}
	return s.find(token[0])
}

// open verifies a token, of which tag and text are behind the first n bytes of bin, and puts its plain text there.
func (s *siv) open(d block, bin []byte, n int) ([]byte, error) {
	tag, text := load(bin[n:]), bin[n+tagLen:]
	s.crypt(tag, text)
	if wrong := s.finish(d, text).xor(tag); wrong.hi|wrong.lo != 0 { // all bits at once, so the time tells nobody which
		return bin[:n], ErrToken
	}
	return append(bin[:n], text...), nil
}

// IDLen is the length of the text that ID makes.
const IDLen = 16

// idEncoding has lower-case letters and digits only: registrars may lower-case a user part.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ID returns a keyed hash of purpose and three strings as 16 characters of a-z and 2-7 (80 bits). It is equal for equal
// input as long as the key file lives: its key is never rotated and is no per-process secret. Each string is taken as a
// whole (S2V of RFC 5297 §2.4), so bytes cannot move from one to the next. No allocation; nothing is kept.
func (k *Keys) ID(purpose string, a, b, c []byte) [IDLen]byte {
	h := k.set.Load().id
	var room [32]byte
	v := h.finish(h.add(h.add(h.add(h.start, a), b), c), append(room[:0], purpose...))
	v.store(room[:])
	var out [IDLen]byte
	idEncoding.Encode(out[:], room[:IDLen*5/8])
	return out
}

// Salt returns a keyed hash of data (AES-CMAC, RFC 4493) under the key of ID, to be sealed into a token: equal for equal data, and nobody can
// find data with equal salts, who would see by his tokens whether the rest of them is equal, too. No allocation; nothing is kept.
func (k *Keys) Salt(data []byte) uint32 { return uint32(k.set.Load().id.cmac(data).lo) }
