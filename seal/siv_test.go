package seal

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC5297 runs the vectors of RFC 5297 Appendix A.
func TestRFC5297(t *testing.T) {
	tests := []struct {
		name, key, plain, want string
		ad                     []string
	}{
		{
			name:  "A.1 deterministic",
			key:   "fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff",
			ad:    []string{"10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627"},
			plain: "11223344 55667788 99aabbcc ddee",
			want:  "85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c",
		},
		{
			name: "A.2 nonce-based",
			key:  "7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f",
			ad: []string{
				"00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100",
				"10203040 50607080 90a0",
				"09f91102 9d74e35b d84156c5 635688c0",
			},
			plain: "74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 74207573 696e6720 5349562d 414553",
			want:  "7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := newSIV(unhex(t, tt.key))
			if err != nil {
				t.Fatal(err)
			}
			d := s.start
			for _, ad := range tt.ad {
				d = s.add(d, unhex(t, ad))
			}
			text := unhex(t, tt.plain)
			v := s.finish(d, text)
			if !bytes.Equal(text, unhex(t, tt.plain)) {
				t.Fatalf("finish left %x in the plain text", text)
			}
			s.crypt(v, text)
			got := make([]byte, tagLen)
			v.store(got)
			got = append(got, text...)
			if want := unhex(t, tt.want); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

// TestRFC4493 runs the CMAC vectors of RFC 4493 §4, with the subkeys.
func TestRFC4493(t *testing.T) {
	key := unhex(t, "2b7e1516 28aed2a6 abf71588 09cf4f3c")
	s, err := newSIV(append(key, key...))
	if err != nil {
		t.Fatal(err)
	}
	message := unhex(t, "6bc1bee2 2e409f96 e93d7e11 7393172a ae2d8a57 1e03ac9c 9eb76fac 45af8e51"+
		"30c81c46 a35ce411 e5fbc119 1a0a52ef f69f2445 df4f9b17 ad2b417b e66c3710")
	for _, tt := range []struct {
		n    int
		want string
	}{
		{0, "bb1d6929 e9593728 7fa37d12 9b756746"},
		{16, "070a16b4 6b4d4144 f79bdd9d d04a287c"},
		{40, "dfa66747 de9ae630 30ca3261 1497c827"},
		{64, "51f0bebf 7e3b9d92 fc497417 79363cfe"},
	} {
		if got, want := s.cmac(message[:tt.n]), load(unhex(t, tt.want)); got != want {
			t.Errorf("%d bytes: got %x, want %x", tt.n, got, want)
		}
	}
	if want := load(unhex(t, "fbeed618 35713366 7c85e08f 7236a8de")); s.k1 != want {
		t.Errorf("K1 = %x, want %x", s.k1, want)
	}
	if want := load(unhex(t, "f7ddac30 6ae266cc f90bc11e e46d513b")); s.k2 != want {
		t.Errorf("K2 = %x, want %x", s.k2, want)
	}
}

func TestNewSIVRefusesOtherKeys(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := newSIV(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was accepted", n)
		}
	}
}
