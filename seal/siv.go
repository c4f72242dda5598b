package seal

import (
	"crypto/aes"
	"fmt"
)

// sivKeyLen is the key length of AES-SIV with AES-128 (AEAD_AES_SIV_CMAC_256 of RFC 5297 §6.1): half for the MAC, half
// for the encryption.
const sivKeyLen = 32

// tagLen is the length of the synthetic IV, which is also the authentication tag.
const tagLen = aes.BlockSize

// siv is AES-SIV (RFC 5297) with one key, and S2V alone as a keyed hash of several strings.
type siv struct {
	mac, ctr *aes128
	k1, k2   block // CMAC subkeys (RFC 4493 §2.3)
	start    block // CMAC of the zero block: where S2V begins
	empty    block // CMAC of nothing
}

// newSIV prepares AES-SIV for a key of sivKeyLen bytes.
func newSIV(key []byte) (*siv, error) {
	if len(key) != sivKeyLen {
		return nil, fmt.Errorf("key of %d bytes, need %d", len(key), sivKeyLen)
	}
	mac, err := newAES128(key[:sivKeyLen/2])
	if err != nil {
		return nil, err
	}
	ctr, err := newAES128(key[sivKeyLen/2:])
	if err != nil {
		return nil, err
	}
	s := &siv{mac: mac, ctr: ctr}
	s.k1 = mac.chain(nil, block{}).double()
	s.k2 = s.k1.double()
	s.start, s.empty = s.cmac(make([]byte, aes.BlockSize)), s.cmac(nil)
	return s, nil
}

// add mixes one string into S2V (the loop body of RFC 5297 §2.4).
func (s *siv) add(d block, data []byte) block {
	if len(data) == 0 {
		return d.double().xor(s.empty)
	}
	return d.double().xor(s.cmac(data))
}

// bound is S2V after ad1 and ad2.
func (s *siv) bound(ad1, ad2 []byte) block { return s.add(s.add(s.start, ad1), ad2) }

// finish mixes the last string in and returns S2V's result, the synthetic IV. data is changed on the way and whole
// again at the end.
func (s *siv) finish(d block, data []byte) block {
	n := len(data)
	if n < aes.BlockSize {
		return s.mac.chain(nil, d.double().xor(pad(data)).xor(s.k1))
	}
	end := data[n-aes.BlockSize:]
	last := load(end)
	last.xor(d).store(end)
	v := s.cmac(data)
	last.store(end)
	return v
}

// crypt encrypts or decrypts data in place with AES-CTR, starting from the synthetic IV (RFC 5297 §2.5). Two bits of
// the IV are cleared, so the counter never carries out of its word.
func (s *siv) crypt(v block, data []byte) {
	v.lo &= 0x7fffffff_7fffffff
	s.ctr.xorStream(data, v)
}

// cmac is AES-CMAC (RFC 4493 §2.4).
func (s *siv) cmac(data []byte) block {
	whole := len(data) &^ (aes.BlockSize - 1)
	if whole < len(data) || whole == 0 {
		return s.mac.chain(data[:whole], pad(data[whole:]).xor(s.k2))
	}
	whole -= aes.BlockSize
	return s.mac.chain(data[:whole], load(data[whole:]).xor(s.k1))
}
