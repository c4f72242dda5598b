//go:build !race

package challenge

import (
	"path/filepath"
	"testing"

	"github.com/ringwall/ringwall/edge"
)

// TestNoAllocation: making, knowing, learning and writing challenges allocates nothing.
func TestNoAllocation(t *testing.T) {
	n := NewNonces(newKeys(t, filepath.Join(t.TempDir(), "key")))
	home := flow("198.51.100.7:5060", edge.UDP)
	nonce := n.Append(nil, home, now)
	request := register(t, "100", `Authorization: Digest username="100", realm="r", nonce="`+string(nonce)+`", uri="sip:x", response="0"`)
	d := NewBook([]string{"example.com"}, "", testKey, nil).For([]byte("example.com"))
	answer := challenged(t, 401, "REGISTER", `Digest realm="pbx", nonce="1767323045/0123456789abcdef0123456789abcdef", opaque="0123456789abcdef", algorithm=MD5, qop="auth"`)
	var w Written
	host := []byte("example.com")
	d.Learn(answer, host, now)
	d.Write(&w, Form{Host: host, At: now, Stale: true})
	for name, do := range map[string]func(){
		"nonce":   func() { nonce = n.Append(nonce[:0], home, now) },
		"daily":   func() { nonce = n.AppendDaily(nonce[:0], request, home, now) },
		"fixed":   func() { nonce = n.AppendFixed(nonce[:0], request, home, now) },
		"answers": func() { n.Answers(request, home, now) },
		"learn":   func() { d.Learn(answer, host, now) },
		"write":   func() { d.Write(&w, Form{Host: host, At: now, Stale: true}) },
		"repeat":  func() { w.Repeat(answer, true) },
		"pace":    func() { d.First.Wait(true, 5, 1) },
	} {
		if got := testing.AllocsPerRun(200, do); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// BenchmarkAnswers is what each request with credentials costs more.
func BenchmarkAnswers(b *testing.B) {
	n := NewNonces(newKeys(b, filepath.Join(b.TempDir(), "key")))
	home := flow("198.51.100.7:5060", edge.UDP)
	for name, nonce := range map[string]string{"platform": "1767323045/0123456789abcdef0123456789abcdef", "own": string(n.Append(nil, home, now))} {
		request := register(b, "100", `Authorization: Digest username="100", realm="r", nonce="`+nonce+`", uri="sip:x", response="0123456789abcdef0123456789abcdef"`)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.Answers(request, home, now)
			}
		})
	}
}
