package seal

import (
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"slices"
)

// ErrToken is what Open returns for anything that is not a token of ours: altered, cut, lengthened, of another use or
// of a key that is gone. It never says which; whoever forged it learns nothing.
var ErrToken = errors.New("token does not verify")

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
// Nothing is kept; nothing is allocated when dst has room for TokenLen(len(plain)) more bytes. dst must not overlap
// the other arguments.
func (k *Keys) Seal(dst, plain, ad1, ad2 []byte) []byte {
	set, w := k.set.Load(), getWork()
	dst = set.seal(w, 0, set.tokens[0].bound(w, ad1, ad2), dst, plain)
	putWork(w)
	return dst
}

// SealUnder is Seal with the key that has this id, so that what Open told of a token makes it again; false, and dst as it was, if that key is
// gone.
func (k *Keys) SealUnder(id byte, dst, plain, ad1, ad2 []byte) ([]byte, bool) {
	set := k.set.Load()
	key := set.find(id)
	if key < 0 {
		return dst, false
	}
	w := getWork()
	dst = set.seal(w, key, set.tokens[key].bound(w, ad1, ad2), dst, plain)
	putWork(w)
	return dst, true
}

// seal makes the token of Seal. d is what S2V has taken in of what it is bound to.
func (s *keySet) seal(w *work, key int, d block, dst, plain []byte) []byte {
	c := s.tokens[key]
	w.bin = slices.Grow(w.bin[:0], tagLen+len(plain))[:tagLen]
	w.bin = append(w.bin, plain...)
	text := w.bin[tagLen:]
	v := c.finish(w, d, text)
	c.crypt(w, v, text)
	v.store(w.bin)
	dst = append(dst, s.stored[key].id)
	return AppendText(dst, w.bin)
}

// Open verifies a token that Seal made with the same ad1 and ad2 under any key still in the file, appends the plain
// text to dst and returns the extended slice. Every other token gives dst as it was and ErrToken. Exactly one text
// opens to a given token: case, padding, line breaks and unused bits all count.
//
// Nothing is kept; nothing is allocated when dst has room, also for forged tokens.
func (k *Keys) Open(dst, token, ad1, ad2 []byte) ([]byte, error) {
	set := k.set.Load()
	key := set.named(token)
	if key < 0 {
		return dst, ErrToken
	}
	w, c, err := getWork(), set.tokens[key], ErrToken
	if w.read(token) {
		dst, err = c.open(w, c.bound(w, ad1, ad2), dst)
	}
	putWork(w)
	return dst, err
}

// named returns the index of the key that token says it was made with, -1 if it can be no token.
func (s *keySet) named(token []byte) (key int) {
	if len(token) < TokenLen(0) {
		return -1
	}
	return s.find(token[0])
}

// read decodes token; false if it is none.
func (w *work) read(token []byte) (ok bool) {
	w.bin, ok = AppendBytes(w.bin[:0], token[1:])
	return ok
}

// open verifies the token that w has read, and appends its plain text to dst.
func (s *siv) open(w *work, d block, dst []byte) ([]byte, error) {
	tag, text := load(w.bin), w.bin[tagLen:]
	s.crypt(w, tag, text)
	s.finish(w, d, text).store(w.in[:])
	if subtle.ConstantTimeCompare(w.in[:], w.bin[:tagLen]) != 1 {
		return dst, ErrToken
	}
	return append(dst, text...), nil
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
	w := getWork()
	d := h.add(w, h.add(w, h.add(w, h.start, a), b), c)
	w.bin = append(w.bin[:0], purpose...)
	h.finish(w, d, w.bin).store(w.in[:])
	var out [IDLen]byte
	idEncoding.Encode(out[:], w.in[:IDLen*5/8])
	putWork(w)
	return out
}

// Salt returns a keyed hash of data (AES-CMAC, RFC 4493) under the key of ID, to be sealed into a token: equal for equal data, and nobody can
// find data with equal salts, who would see by his tokens whether the rest of them is equal, too. No allocation; nothing is kept.
func (k *Keys) Salt(data []byte) uint32 {
	w := getWork()
	salt := uint32(k.set.Load().id.cmac(w, data).lo)
	putWork(w)
	return salt
}
