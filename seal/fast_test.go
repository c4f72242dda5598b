package seal

import (
	"bytes"
	"crypto/aes"
	"testing"
)

// FuzzText holds AppendText and AppendBytes to the plain code that reads and writes one character after the other.
func FuzzText(f *testing.F) {
	f.Add([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), byte('/'), 17)
	f.Add(bytes.Repeat([]byte{0xff}, 29), byte('='), 5)
	f.Add([]byte("AAAAAAAAAAAAAAAAAB"), byte('Q'), 17)
	f.Fuzz(func(t *testing.T, data []byte, c byte, at int) {
		text := AppendText([]byte("before "), data)[len("before "):]
		want := make([]byte, textLen(len(data)))
		if encodeSlowly(want, data); !bytes.Equal(text, want) {
			t.Fatalf("%x became %q, not %q", data, text, want)
		}
		room := make([]byte, len(want)+slack)
		copy(room[len(want)-len(data):], data)
		if encode(room, room[len(want)-len(data):len(want)]); !bytes.Equal(room[:len(want)], want) {
			t.Fatalf("%x became %q in its place, not %q", data, room[:len(want)], want)
		}
		read := func(text []byte) {
			got, ok := AppendBytes([]byte("before "), text)
			want := make([]byte, len(text)*6/8+2)
			wantOK := decodeSlowly(want, text)
			if want = want[:len(want)-2]; ok != wantOK || ok && string(got) != "before "+string(want) || len(got) != len("before ")+len(want) {
				t.Fatalf("%q became %x, %t, not %x, %t", text, got, ok, want, wantOK)
			}
		}
		read(data)
		read(text)
		if len(text) > 0 {
			text[int(uint(at)%uint(len(text)))] = c
			read(text)
			read(text[:int(uint(at)%uint(len(text)))])
		}
	})
}

// TestTextRefusesEachOther: every character at every place of a text that is read many at once, as the plain code has it.
func TestTextRefusesEachOther(t *testing.T) {
	for n := leastText; n < 3*leastText; n++ {
		for at := range n {
			text := bytes.Repeat([]byte{'A'}, n)
			for c := range 256 {
				text[at] = byte(c)
				got, ok := AppendBytes(nil, text)
				want := make([]byte, n*6/8+2)
				if wantOK := decodeSlowly(want, text); ok != wantOK || ok && !bytes.Equal(got, want[:n*6/8]) {
					t.Fatalf("%q became %x, %t, not %x, %t", text, got, ok, want, wantOK)
				}
			}
		}
	}
}

// FuzzAES holds chains and streams of many blocks to crypto/aes, one block after the other.
func FuzzAES(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("a84b4c76e66710@pc33.example.com and some more, up to four blocks"), uint64(1), uint64(2))
	f.Add(make([]byte, 16), []byte{}, uint64(0), uint64(0))
	f.Add(bytes.Repeat([]byte{0xff}, 16), make([]byte, 15), ^uint64(0), uint64(0x7fffffff_7fffffff))
	f.Fuzz(func(t *testing.T, key, data []byte, hi, lo uint64) {
		key = append(bytes.Clone(key), make([]byte, 16)...)[:16]
		c, err := newAES128(key)
		if err != nil {
			t.Fatal(err)
		}
		b := block{hi, lo}
		if got, want := c.chain(data, b), c.slowChain(data, b); got != want {
			t.Errorf("the chain of %x ends in %x, not %x", data, got, want)
		}
		b.lo &= 0x7fffffff_7fffffff
		got, want := bytes.Clone(data), bytes.Clone(data)
		c.xorStream(got, b)
		if c.slowStream(want, b); !bytes.Equal(got, want) {
			t.Errorf("%x became %x, not %x", data, got, want)
		}
		last := data[:min(len(data), aes.BlockSize-1)]
		var padded [aes.BlockSize]byte
		padded[copy(padded[:], last)] = 0x80
		if got := pad(last); got != load(padded[:]) {
			t.Errorf("%x is padded to %x", last, got)
		}
	})
}

// TestWithoutInstructions: tokens are the same whatever the processor has.
func TestWithoutInstructions(t *testing.T) {
	k := openKeys(t)
	fast := k.set.Load().tokens[0]
	for n := range 100 {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		token := k.Seal(nil, plain, plain, costAD)
		slow := slowSIV{fast}
		if want := slow.seal(token[0], plain, plain, costAD); !bytes.Equal(token, want) {
			t.Fatalf("%d bytes: %s, not %s", n, token, want)
		}
	}
}

var costAD = []byte("1928301774")

// slowSIV is AES-SIV as RFC 5297 §2.4 to 2.6 writes it down, in plain code.
type slowSIV struct{ *siv }

func (s slowSIV) cmac(data []byte) block {
	last, k := data, s.k2
	if n := len(data); n > 0 {
		last = data[(n-1)/aes.BlockSize*aes.BlockSize:]
	}
	var padded [aes.BlockSize]byte
	if copy(padded[:], last); len(last) == aes.BlockSize {
		k = s.k1
	} else {
		padded[len(last)] = 0x80
	}
	return s.mac.slowChain(data[:len(data)-len(last)], load(padded[:]).xor(k))
}

func (s slowSIV) seal(id byte, plain, ad1, ad2 []byte) []byte {
	d := s.cmac(make([]byte, aes.BlockSize))
	for _, ad := range [][]byte{ad1, ad2} {
		d = d.double().xor(s.cmac(ad))
	}
	last := bytes.Clone(plain)
	if n := len(last); n >= aes.BlockSize {
		load(last[n-aes.BlockSize:]).xor(d).store(last[n-aes.BlockSize:])
	} else {
		last = append(append(last, 0x80), make([]byte, aes.BlockSize-1-n)...)
		load(last).xor(d.double()).store(last)
	}
	v := s.cmac(last)
	bin := append(make([]byte, tagLen), plain...)
	v.store(bin)
	v.lo &= 0x7fffffff_7fffffff
	s.ctr.slowStream(bin[tagLen:], v)
	text := make([]byte, textLen(len(bin)))
	encodeSlowly(text, bin)
	return append([]byte{id}, text...)
}
