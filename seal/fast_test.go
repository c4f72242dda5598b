package seal

import (
	"bytes"
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
