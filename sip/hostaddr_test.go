package sip

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestDotted: what is read in the quick way is what netip reads, and the rest is left to it.
func TestDotted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const letters = "0123456789001122255...." // mostly what an address is made of
	read := 0
	for range 400_000 {
		b := make([]byte, r.IntN(17))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
			if r.IntN(200) == 0 {
				b[i] = byte(r.Uint32())
			}
		}
		a, ok := dotted(b)
		want, err := netip.ParseAddr(string(b))
		if ok {
			read++
		}
		if is4 := err == nil && want.Is4(); ok != is4 || ok && a != want {
			t.Fatalf("%q: %v %t, want %v %v", b, a, ok, want, err)
		}
	}
	if read < 100 {
		t.Errorf("only %d addresses", read)
	}
}
