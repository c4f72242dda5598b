package proxy

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

const (
	cookie    = "z9hG4bK" // RFC 3261 §8.1.1.7
	branchLen = len(cookie) + 22
)

// A brancher makes and reads the branches of our own Vias: one AES block under a key of this process that holds the
// transaction's ID, the loop hash of the request and a check. So a response finds its transaction without a look-up, a
// loop is seen without state (RFC 3261 §16.6 step 8), and nobody can make a branch that we take for ours.
// Each lane has its own copy, for the room in it.
type brancher struct {
	block cipher.Block
	room  [32]byte // a block, and what seal.AppendBytes may write behind it
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
	block := b.room[:aes.BlockSize]
	binary.BigEndian.PutUint64(block, uint64(id))
	binary.BigEndian.PutUint32(block[8:], loop)
	binary.BigEndian.PutUint32(block[12:], check)
	b.block.Encrypt(block, block)
	return seal.AppendText(append(dst, cookie...), block)
}

// number is of the branch that was appended last, of saltLen bytes and never zero.
func (b *brancher) number() uint32 {
	return max(1, binary.BigEndian.Uint32(b.room[:])>>(32-8*saltLen))
}

// open reads a branch; false if it is not one of ours.
func (b *brancher) open(branch []byte) (id transaction.ID, loop uint32, ok bool) {
	if len(branch) != branchLen || string(branch[:len(cookie)]) != cookie {
		return 0, 0, false
	}
	block, ok := seal.AppendBytes(b.room[:0], branch[len(cookie):])
	if !ok {
		return 0, 0, false
	}
	b.block.Decrypt(block, block)
	if binary.BigEndian.Uint32(block[12:]) != check {
		return 0, 0, false
	}
	return transaction.ID(binary.BigEndian.Uint64(block)), binary.BigEndian.Uint32(block[8:]), true
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
