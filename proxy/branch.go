package proxy

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

const (
	cookie    = "z9hG4bK" // RFC 3261 §8.1.1.7
	blockText = 22        // characters of a block
	branchLen = len(cookie) + blockText
)

// A brancher makes and reads the branches of our own Vias: one AES block under a key of this process that holds the
// transaction's ID, the loop hash of the request and a check. So a response finds its transaction without a look-up, a
// loop is seen without state (RFC 3261 §16.6 step 8), and nobody can make a branch that we take for ours.
// Each lane has its own copy, for the room in it.
type brancher struct {
	block cipher.Block
	room  [16]byte
}

// letters are those of base64url (RFC 4648 §5), which are all of a token; values are what they stand for, noLetter for any other byte.
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

const noLetter = 0x80

var values = func() (t [256]byte) {
	for i := range t {
		t[i] = noLetter
	}
	for i := range len(letters) {
		t[letters[i]] = byte(i)
	}
	return t
}()

// appendBlock appends the 128 bits of high and low, six a character, as encoding/base64 would.
func appendBlock(dst []byte, high, low uint64) []byte {
	var text [blockText]byte
	for i := range 10 {
		text[i] = letters[high>>58]
		high <<= 6
	}
	text[10] = letters[high>>58|low>>62] // the last four bits, and the first two
	low <<= 2
	for i := 11; i < blockText; i++ {
		text[i] = letters[low>>58]
		low <<= 6
	}
	return append(dst, text[:]...)
}

// parseBlock reads what appendBlock wrote; false for any other text.
func parseBlock(text *[blockText]byte) (high, low uint64, ok bool) {
	bad := byte(0)
	for _, c := range text[:10] {
		v := values[c]
		bad |= v
		high = high<<6 | uint64(v)
	}
	between, last := values[text[10]], values[text[blockText-1]]
	bad |= between | last
	for _, c := range text[11 : blockText-1] {
		v := values[c]
		bad |= v
		low = low<<6 | uint64(v)
	}
	high, low = high<<4|uint64(between>>2), low<<2|uint64(between&3)<<62|uint64(last>>4)
	return high, low, bad&noLetter == 0 && last&0xf == 0
}

// check marks a block that decrypts to something we wrote.
const check = 0x72696e67

func newBrancher() (brancher, error) {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return brancher{}, fmt.Errorf("key of branches: %w", err)
	}
	block, err := aes.NewCipher(key[:])
	return brancher{block: block}, err
}

// append appends the whole branch, cookie first.
func (b *brancher) append(dst []byte, id transaction.ID, loop uint32) []byte {
	block := &b.room
	binary.BigEndian.PutUint64(block[:], uint64(id))
	binary.BigEndian.PutUint32(block[8:], loop)
	binary.BigEndian.PutUint32(block[12:], check)
	b.block.Encrypt(block[:], block[:])
	return appendBlock(append(dst, cookie...), binary.BigEndian.Uint64(block[:]), binary.BigEndian.Uint64(block[8:]))
}

// open reads a branch; false if it is not one of ours.
func (b *brancher) open(branch []byte) (id transaction.ID, loop uint32, ok bool) {
	if len(branch) != branchLen || string(branch[:len(cookie)]) != cookie {
		return 0, 0, false
	}
	high, low, ok := parseBlock((*[blockText]byte)(branch[len(cookie):]))
	if !ok {
		return 0, 0, false
	}
	block := &b.room
	binary.BigEndian.PutUint64(block[:], high)
	binary.BigEndian.PutUint64(block[8:], low)
	b.block.Decrypt(block[:], block[:])
	if binary.BigEndian.Uint32(block[12:]) != check {
		return 0, 0, false
	}
	return transaction.ID(binary.BigEndian.Uint64(block[:])), binary.BigEndian.Uint32(block[8:]), true
}

// looped reports whether m has come this way before with the same routing: a Via of ours holds the same loop hash. A
// spiral, the same request routed elsewhere, holds another (RFC 3261 §16.3 step 4).
func (l *lane) looped(loop uint32) bool {
	m := &l.msg
	if m.Via.Whole.End == m.Fields[m.Via.Field].Value.End && m.Next(sip.FieldVia, m.Via.Field) < 0 {
		return l.loops(m.Via.Branch, loop) // one Via, as from nearly every phone: Parse has read it already
	}
	for i := m.Find(sip.FieldVia); i >= 0; i = m.Next(sip.FieldVia, i) {
		for rest := m.Fields[i].Value; rest.Present(); {
			via, after, err := sip.NextVia(m.Raw, rest)
			if err != nil {
				break
			}
			if l.loops(via.Branch, loop) {
				return true
			}
			rest = after
		}
	}
	return false
}

// loops reports whether branch is one of ours with this loop hash.
func (l *lane) loops(branch sip.Span, loop uint32) bool {
	_, seen, ok := l.branches.open(branch.Of(l.msg.Raw))
	return ok && seen == loop
}
