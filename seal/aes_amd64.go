package seal

import (
	"crypto/aes"
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// hasAES: the processor has the instructions that aes_amd64.s is written in.
var hasAES = cpu.X86.HasAES

// schedule holds the round keys of AES-128 (FIPS 197 §5.2).
type schedule [11 * aes.BlockSize]byte

func newSchedule(key []byte) (s schedule) {
	if !hasAES {
		return s
	}
	copy(s[:], key)
	word := func(i int) []byte { return s[4*i : 4*i+4] }
	constant := uint32(1)
	for i := 4; i < len(s)/4; i++ {
		w := binary.LittleEndian.Uint32(word(i - 1))
		if i%4 == 0 {
			w = subRotAES(w) ^ constant
			constant = constant<<1 ^ constant>>7*0x11b
		}
		binary.LittleEndian.PutUint32(word(i), w^binary.LittleEndian.Uint32(word(i-4)))
	}
	return s
}

// subRotAES is RotWord(SubWord(w)) of FIPS 197 §5.2, w and the result in little-endian order.
//
//go:noescape
func subRotAES(w uint32) uint32

// chainAES is aes128.chain: what is behind the last whole block of data is passed over.
//
//go:noescape
func chainAES(s *schedule, data []byte, hi, lo uint64) (h, l uint64)

// streamAES is aes128.xorStream for the whole blocks of data, and returns the next block of the stream.
//
//go:noescape
func streamAES(s *schedule, data []byte, hi, lo uint64) (h, l uint64)
