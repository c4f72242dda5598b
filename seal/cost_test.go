//go:build !race

package seal

import "testing"

var (
	costPlain = make([]byte, 40)
	costAD1   = []byte("a84b4c76e66710@pc33.example.com")
	costAD2   = []byte("1928301774")
)

// TestNoAllocation holds that nothing on the message path allocates, forged tokens included.
func TestNoAllocation(t *testing.T) {
	k := openKeys(t)
	dst, room, use := make([]byte, 0, 256), make([]byte, 0, 256), k.Use("use")
	token := k.Seal(nil, costPlain, costAD1, costAD2)
	forged := k.Seal(nil, costPlain, costAD2, costAD1)
	ugly := append([]byte(nil), token...)
	ugly[len(ugly)-1] = '!'
	for name, f := range map[string]func(){
		"Seal":       func() { dst = k.Seal(dst[:0], costPlain, costAD1, costAD2) },
		"Open":       func() { dst, _ = k.Open(dst[:0], token, costAD1, costAD2) },
		"OpenForged": func() { dst, _ = k.Open(dst[:0], forged, costAD1, costAD2) },
		"OpenUgly":   func() { dst, _ = k.Open(dst[:0], ugly, costAD1, costAD2) },
		"Use":        func() { dst, _ = use.Open(dst[:0], use.Seal(room[:0], costPlain)) },
		"ID":         func() { k.ID("binding", costAD1, costAD2, nil) },
		"stack": func() {
			var room [128]byte
			var plain [40]byte
			_ = k.Seal(room[:0], plain[:], costAD1, costAD2)
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	k := openKeys(b)
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = k.Seal(dst[:0], costPlain, costAD1, costAD2)
	}
}

func BenchmarkOpen(b *testing.B) {
	k := openKeys(b)
	dst := make([]byte, 0, 256)
	token := k.Seal(nil, costPlain, costAD1, costAD2)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = k.Open(dst[:0], token, costAD1, costAD2)
	}
}

func BenchmarkOpenForged(b *testing.B) {
	k := openKeys(b)
	token := k.Seal(nil, costPlain, costAD2, costAD1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(nil, token, costAD1, costAD2); err == nil {
			b.Fatal("opened")
		}
	}
}

func BenchmarkID(b *testing.B) {
	k := openKeys(b)
	b.ReportAllocs()
	for b.Loop() {
		k.ID("binding", costAD1, costAD2, nil)
	}
}
