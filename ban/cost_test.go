//go:build !race

package ban

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// TestNothingAllocates: packets, banned or not, and calls cost no memory.
func TestNothingAllocates(t *testing.T) {
	b := newBook(t, Config{})
	fill(t, b, 0, 1000, true, start)
	fill(t, b, 5000, 1000, false, start)
	add(t, b, order("198.51.100.7:5062", true), start)
	known := edge.Flow{Remote: netip.MustParseAddrPort("192.0.2.1:5060")}
	at, calls := start, newBook(t, Config{})
	for name, f := range map[string]func(){
		"innocent": func() { b.Refuses(known, start); b.Soft(known, start); b.Holds(known, start) },
		"hard":     func() { b.Refuses(flowOf(nth(7), 5), start) },
		"soft":     func() { b.Soft(flowOf(nth(5007), 5), start) },
		"port":     func() { b.Refuses(from("198.51.100.7:5062"), start) },
		"call": func() {
			at = at.Add(time.Minute)
			calls.CallBegan(2, known.Remote, at)
			calls.CallEnded(2, at)
			calls.Tick(at.Add(afterwards))
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestSizeOfABan holds the memory of a full book.
func TestSizeOfABan(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	b := newBook(t, Config{})
	fill(t, b, 0, 100_000, true, start)
	if each := (heap() - before) / 100_000; each > 900 {
		t.Errorf("%d bytes for a ban", each)
	} else {
		t.Logf("%d bytes for a ban", each)
	}
	runtime.KeepAlive(b)
}

func BenchmarkRefuses(bench *testing.B) {
	full := newBook(bench, Config{})
	fill(bench, full, 0, 200_000, true, start)
	empty := newBook(bench, Config{})
	run := func(name string, b *Book, flow func(i int) edge.Flow) {
		bench.Run(name, func(bench *testing.B) {
			bench.ReportAllocs()
			for i := range bench.N {
				b.Refuses(flow(i), start)
			}
		})
	}
	stranger := flowOf(edge.SourceOf(netip.MustParseAddr("192.0.2.1")), 5060)
	run("innocent/nobody-banned", empty, func(int) edge.Flow { return stranger })
	run("innocent/200000", full, func(int) edge.Flow { return stranger })
	run("innocent-spread/200000", full, func(i int) edge.Flow { return flowOf(nth(1<<25+i*7919), 5060) })
	run("banned/200000", full, func(int) edge.Flow { return flowOf(nth(77), 5060) })
	run("banned-spread/200000", full, func(i int) edge.Flow { return flowOf(nth(i*7919%200_000), 5060) })
}

func BenchmarkAdd(bench *testing.B) {
	b := newBook(bench, Config{})
	fill(bench, b, 0, 200_000, true, start)
	bench.ResetTimer()
	for i := range bench.N {
		b.Add(Order{Ban: edge.Ban{Source: nth(1<<22 + i%(1<<22)), Hard: true, Reason: "r"}, By: Judge}, start.Add(time.Duration(i)))
	}
}
