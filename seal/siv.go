package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"
)

// sivKeyLen is the key length of AES-SIV with AES-128 (AEAD_AES_SIV_CMAC_256 of RFC 5297 §6.1): half for the MAC, half
// for the encryption.
const sivKeyLen = 32

// tagLen is the length of the synthetic IV, which is also the authentication tag.
const tagLen = aes.BlockSize

// block is 16 bytes as two big-endian words.
type block struct{ hi, lo uint64 }

// siv is AES-SIV (RFC 5297) with one key, and S2V alone as a keyed hash of several strings.
type siv struct {
	mac, ctr cipher.Block
	k1, k2   block // CMAC subkeys (RFC 4493 §2.3)
	start    block // CMAC of the zero block: where S2V begins
	empty    block // CMAC of nothing
}

// work is the memory of one sealing, hashing or opening. Blocks go through an interface to the AES code and would
// escape to the heap one by one; so they live here, and the whole is pooled.
type work struct {
	in, out, last [aes.BlockSize]byte
	stream        [4 * aes.BlockSize]byte
	bin           []byte // tag, then text
}

// maxKept is the largest buffer that goes back to the pool, in bytes.
const maxKept = 4096

var pool = sync.Pool{New: func() any { return &work{bin: make([]byte, 0, 256)} }}

func getWork() *work { return pool.Get().(*work) }

func putWork(w *work) {
	if cap(w.bin) <= maxKept {
		pool.Put(w)
	}
}

// newSIV prepares AES-SIV for a key of sivKeyLen bytes.
func newSIV(key []byte) (*siv, error) {
	if len(key) != sivKeyLen {
		return nil, fmt.Errorf("key of %d bytes, need %d", len(key), sivKeyLen)
	}
	mac, err := aes.NewCipher(key[:sivKeyLen/2])
	if err != nil {
		return nil, err
	}
	ctr, err := aes.NewCipher(key[sivKeyLen/2:])
	if err != nil {
		return nil, err
	}
	s := &siv{mac: mac, ctr: ctr}
	w := getWork()
	defer putWork(w)
	s.k1 = s.encrypt(w, block{}).double()
	s.k2 = s.k1.double()
	var zero [aes.BlockSize]byte
	s.start, s.empty = s.cmac(w, zero[:]), s.cmac(w, nil)
	return s, nil
}

// add mixes one string into S2V (the loop body of RFC 5297 §2.4).
func (s *siv) add(w *work, d block, data []byte) block {
	if len(data) == 0 {
		return d.double().xor(s.empty)
	}
	return d.double().xor(s.cmac(w, data))
}

// bound is S2V after ad1 and ad2.
func (s *siv) bound(w *work, ad1, ad2 []byte) block { return s.add(w, s.add(w, s.start, ad1), ad2) }

// finish mixes the last string in and returns S2V's result, the synthetic IV. data is changed on the way and whole
// again at the end.
func (s *siv) finish(w *work, d block, data []byte) block {
	n := len(data)
	if n < aes.BlockSize {
		return s.encrypt(w, d.double().xor(pad(data)).xor(s.k1))
	}
	end := data[n-aes.BlockSize:]
	last := load(end)
	last.xor(d).store(end)
	v := s.cmac(w, data)
	last.store(end)
	return v
}

// crypt encrypts or decrypts data in place with AES-CTR, starting from the synthetic IV (RFC 5297 §2.5). Two bits of
// the IV are cleared, so the counter below never carries out of its word.
func (s *siv) crypt(w *work, v block, data []byte) {
	v.lo &= 0x7fffffff_7fffffff
	for len(data) > 0 {
		n := min(len(data), len(w.stream))
		stream := w.stream[:(n+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize]
		for at := 0; at < len(stream); at += aes.BlockSize {
			v.store(stream[at:])
			v.lo++
		}
		for at := 0; at < len(stream); at += aes.BlockSize {
			s.ctr.Encrypt(stream[at:], stream[at:])
		}
		subtle.XORBytes(data[:n], data[:n], stream)
		data = data[n:]
	}
}

// cmac is AES-CMAC (RFC 4493 §2.4). The last block is made ready first and the chain runs through XORBytes: whole blocks
// written at once can be read again without waiting for the store, two half ones cannot.
func (s *siv) cmac(w *work, data []byte) block {
	full := 0
	if len(data) > 0 {
		full = (len(data) - 1) / aes.BlockSize * aes.BlockSize // bytes before the last block
	}
	s.mask(data[full:]).store(w.last[:])
	w.out = [aes.BlockSize]byte{}
	for at := 0; at < full; at += aes.BlockSize {
		subtle.XORBytes(w.in[:], w.out[:], data[at:at+aes.BlockSize])
		s.mac.Encrypt(w.out[:], w.in[:])
	}
	subtle.XORBytes(w.in[:], w.out[:], w.last[:])
	s.mac.Encrypt(w.out[:], w.in[:])
	return load(w.out[:])
}

// mask is the last block of a message before it enters the chain.
func (s *siv) mask(last []byte) block {
	if len(last) == aes.BlockSize {
		return load(last).xor(s.k1)
	}
	return pad(last).xor(s.k2)
}

// encrypt enciphers one block with the MAC key.
func (s *siv) encrypt(w *work, b block) block {
	b.store(w.in[:])
	s.mac.Encrypt(w.out[:], w.in[:])
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

// pad fills a short last block with one 1 bit and zeros (RFC 4493 §2.4).
func pad(data []byte) block {
	var p [aes.BlockSize]byte
	n := copy(p[:], data)
	p[n] = 0x80
	return load(p[:])
}
