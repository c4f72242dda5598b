package demo

import (
	"math"
	"math/bits"
)

const (
	sampleRate = 8000
	toneHertz  = 440
	toneLevel  = 8000 // peak, of 32767: not loud
)

// fillTone writes samples of the tone from sample number at on, encoded as codec (RFC 3551 §4.5.14, ITU-T G.711).
func fillTone(dst []byte, at uint32, codec int) {
	encode := encodeMuLaw
	if codec == pcma {
		encode = encodeALaw
	}
	for i := range dst {
		turn := float64((at+uint32(i))%sampleRate) * toneHertz / sampleRate
		dst[i] = encode(int16(toneLevel * math.Sin(2*math.Pi*turn)))
	}
}

// encodeMuLaw encodes one sample as G.711 mu-law: sign, 3 bits of exponent, 4 of mantissa, all inverted.
func encodeMuLaw(s int16) byte {
	const bias, clip = 132, 32635
	v, sign := int(s), 0
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exponent := bits.Len(uint(v>>7)) - 1
	return ^byte(sign | exponent<<4 | v>>(exponent+3)&0xf)
}

// encodeALaw encodes one sample as G.711 A-law: sign, 3 bits of exponent, 4 of mantissa, every other bit inverted.
func encodeALaw(s int16) byte {
	v, sign := int(s), 0x80
	if v < 0 {
		v, sign = -v-1, 0
	}
	v >>= 4
	exponent := bits.Len(uint(v >> 4))
	mantissa := v >> max(exponent-1, 0) & 0xf
	return byte(sign|exponent<<4|mantissa) ^ 0x55
}
