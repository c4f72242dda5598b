//go:build !race

package meter

import (
	"testing"
	"time"
)

type evidence [64]uint32

func TestAllocNothing(t *testing.T) {
	r, s, table, held := NewRates(1024), NewSketch(1024, time.Minute), NewTable[evidence](1024, nil), NewEvidence[evidence](1024, time.Minute, nil)
	var w Window
	var d Distinct
	n := uint64(0)
	if allocs := testing.AllocsPerRun(1000, func() {
		n++
		h := key.Words(n, 1)
		r.Take(h, Limit{Every: time.Second, Burst: 3}, start)
		s.Add(h, 1, start)
		if v, _ := table.Enter(h, 1, start); v != nil {
			v[0]++
			table.Leave(h)
		}
		if v, _ := held.Note(h, n%3 == 0, start); v != nil {
			v[0]++
			held.Leave(h)
		}
		w.Add(1, time.Minute, start)
		d.Add(h)
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkHash(b *testing.B) {
	for i := uint64(0); b.Loop(); i++ {
		key.Words(i, i)
	}
}

func BenchmarkTake(b *testing.B) {
	r := NewRates(1 << 17)
	for i := uint64(0); b.Loop(); i++ {
		r.Take(key.Words(i&1023, 0), Limit{Every: time.Millisecond, Burst: 60}, start.Add(time.Duration(i)))
	}
}

func BenchmarkFind(b *testing.B) {
	table := NewTable[evidence](1<<14, nil)
	for i := uint64(0); b.Loop(); i++ {
		if table.Find(key.Words(i&1023, 0), start) != nil {
			b.Fatal("found")
		}
	}
}

func BenchmarkNote(b *testing.B) {
	table := NewEvidence[evidence](1<<14, time.Hour, nil)
	for i := uint64(0); b.Loop(); i++ { // a flood: each key comes once
		key := key.Words(i, 0)
		if v, _ := table.Note(key, false, start); v != nil {
			table.Leave(key)
		}
	}
}
