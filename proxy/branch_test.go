package proxy

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestBlockText: a block is written as encoding/base64 writes it, and read where that, strictly, reads it.
func TestBlockText(t *testing.T) {
	strict := base64.RawURLEncoding.Strict()
	for range 10_000 {
		high, low := rand.Uint64(), rand.Uint64()
		block := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)
		text := appendBlock(nil, high, low)
		if want := strict.EncodeToString(block); string(text) != want {
			t.Fatalf("%x: %s, want %s", block, text, want)
		}
		for i := range text { // and with one byte changed, which may be to what it was
			changed := [blockText]byte(text)
			changed[i] = byte(rand.Uint32())
			gotHigh, gotLow, ok := parseBlock(&changed)
			var want [16]byte
			_, err := strict.Decode(want[:], changed[:])
			if ok != (err == nil) || ok && (gotHigh != binary.BigEndian.Uint64(want[:]) || gotLow != binary.BigEndian.Uint64(want[8:])) {
				t.Fatalf("%q: %x %x, %v; want %x, %v", changed, gotHigh, gotLow, ok, want, err)
			}
		}
	}
}
