package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"sync"
)

// block is 16 bytes as two big-endian words.
type block struct{ hi, lo uint64 }

// aes128 is AES-128 with one key, for as many blocks at once as there are: crypto/aes does one a call, and the calls cost more than the cipher.
type aes128 struct {
	one   cipher.Block
	round schedule
}

func newAES128(key []byte) (*aes128, error) {
	one, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &aes128{one: one, round: newSchedule(key)}, nil
}

// chain is CBC-MAC of the whole blocks in data and then last.
func (c *aes128) chain(data []byte, last block) block {
	if hasAES {
		hi, lo := chainAES(&c.round, data, last.hi, last.lo)
		return block{hi, lo}
	}
	return c.slowChain(data, last)
}

// xorStream encrypts or decrypts data in place in counter mode from counter on, whose low word must not overflow on the way.
func (c *aes128) xorStream(data []byte, counter block) {
	if !hasAES {
		c.slowStream(data, counter)
		return
	}
	hi, lo := streamAES(&c.round, data, counter.hi, counter.lo)
	block{hi, lo}.xorTail(data[len(data)&^(aes.BlockSize-1):])
}

// xorTail mixes the first bytes of b into data, which is shorter.
func (b block) xorTail(data []byte) {
	rest := b.hi
	if len(data) >= 8 {
		binary.BigEndian.PutUint64(data, binary.BigEndian.Uint64(data)^b.hi)
		data, rest = data[8:], b.lo
	}
	for i := range data {
		data[i] ^= byte(rest >> 56)
		rest <<= 8
	}
}

// oneBlock is the memory of crypto/aes for a block: what goes there through the interface would escape to the heap.
type oneBlock struct{ in, out [aes.BlockSize]byte }

var blocks = sync.Pool{New: func() any { return new(oneBlock) }}

// slowChain is chain where the processor has no AES that we know how to use.
func (c *aes128) slowChain(data []byte, last block) block {
	w := blocks.Get().(*oneBlock)
	defer blocks.Put(w)
	var b block
	for ; len(data) >= aes.BlockSize; data = data[aes.BlockSize:] {
		b = c.encrypt(w, b.xor(load(data)))
	}
	return c.encrypt(w, b.xor(last))
}

// slowStream is xorStream there.
func (c *aes128) slowStream(data []byte, counter block) {
	w := blocks.Get().(*oneBlock)
	defer blocks.Put(w)
	for ; len(data) >= aes.BlockSize; data = data[aes.BlockSize:] {
		c.encrypt(w, counter).xor(load(data)).store(data)
		counter.lo++
	}
	c.encrypt(w, counter).xorTail(data)
}

func (c *aes128) encrypt(w *oneBlock, b block) block {
	b.store(w.in[:])
	c.one.Encrypt(w.out[:], w.in[:])
	return load(w.out[:])
}

// double multiplies by x in the field of RFC 5297 §2.3, in constant time.
func (b block) double() block {
	carry := -(b.hi >> 63) & 0x87
	return block{b.hi<<1 | b.lo>>63, b.lo<<1 ^ carry}
}

func (b block) xor(o block) block { return block{b.hi ^ o.hi, b.lo ^ o.lo} }

func (b block) store(to []byte) {
	_ = to[aes.BlockSize-1]
	binary.BigEndian.PutUint64(to, b.hi)
	binary.BigEndian.PutUint64(to[8:], b.lo)
}

func load(from []byte) block {
	_ = from[aes.BlockSize-1]
	return block{binary.BigEndian.Uint64(from), binary.BigEndian.Uint64(from[8:])}
}

// pad fills a short last block with one 1 bit and zeros (RFC 4493 §2.4). A shift by the whole width gives zero.
func pad(data []byte) (b block) {
	n := len(data)
	switch {
	case n >= 8:
		b.hi = binary.BigEndian.Uint64(data)
		b.lo = binary.BigEndian.Uint64(data[n-8:])<<(8*(16-n)) | 0x80<<(8*(15-n))
	case n >= 4:
		behind := binary.BigEndian.Uint32(data[n-4:]) << (8 * (8 - n))
		b.hi = uint64(binary.BigEndian.Uint32(data))<<32 | uint64(behind) | 0x80<<(8*(7-n))
	default:
		b.hi = 0x80 << 56
		for i := range data {
			b.hi = b.hi>>8 | uint64(data[n-1-i])<<56
		}
	}
	return b
}
