//go:build !race

package binding

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// fill puts n phones, each behind an address of its own, with texts of the usual length.
func fill(t testing.TB, table *Table, n int) []Binding {
	t.Helper()
	all := make([]Binding, n)
	for i := range all {
		aor := fmt.Sprintf("1%05d@pbx.example.com", i)
		f := udp("192.0.2.1:5060")
		f.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(1024+i%60000))
		all[i] = phone(table, aor, fmt.Sprintf("sip:1%05d@192.168.178.%d:%d;transport=udp", i, i%250, 49152+i%1000), f, time.Hour)
		all[i].ID, all[i].Print = table.Identify([]byte(aor), nil, nil, []byte(all[i].Contact))
		all[i].NAT = true
		if err := table.Put(all[i], start); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestMemory holds the price of a binding below 300 bytes, all indexes included, at several fillings of the maps.
func TestMemory(t *testing.T) {
	const most = 100_000
	keys := openKeys(t)
	for _, n := range []int{most / 2, most * 7 / 10, most} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table, err := New(Config{Max: most}, keys)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, table, n)[0].AOR = "" // the test's own copies are garbage from here
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
		t.Logf("%d bindings: %.0f bytes each", n, each)
		if each > 300 {
			t.Errorf("%d bindings take %.0f bytes each", n, each)
		}
		runtime.KeepAlive(table)
	}
}

// TestNoAllocation holds that what messages ask of the table, and a refresh that changes no text, allocate nothing.
func TestNoAllocation(t *testing.T) {
	table := newTable(t, Config{})
	b := fill(t, table, 1000)[500]
	aor, contact := []byte(b.AOR), []byte(b.Contact)
	stranger := udp("203.0.113.1:1")
	for name, f := range map[string]func(){
		"Known":      func() { table.Known(b.Flow, start) },
		"stranger":   func() { table.Known(stranger, start) },
		"KnownAddr":  func() { table.KnownAddr(b.Flow.Remote.Addr(), start) },
		"At":         func() { table.At(b.Flow, start) },
		"Get":        func() { table.Get(b.ID, start) },
		"ID":         func() { table.ID(aor, nil, nil, contact) },
		"Identify":   func() { table.Identify(aor, nil, nil, contact) },
		"Put":        func() { _ = table.Put(b, start) },
		"Refresh":    func() { table.Refresh(b.ID, b.Print, b.Flow, b.NAT, b.Expires, start) },
		"Sweep":      func() { table.Sweep(start) },
		"Keepalives": func() { table.Keepalives(start, time.Second, func(edge.Flow) {}) },
		"Expires":    func() { Expires([]byte("3600"), nil, time.Hour) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkKnown(b *testing.B) {
	table := newTable(b, Config{})
	all := fill(b, table, 100_000)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		table.Known(all[i*7919%len(all)].Flow, start)
		i++
	}
}

func BenchmarkKnownHot(b *testing.B) {
	table := newTable(b, Config{})
	all := fill(b, table, 100_000)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		table.Known(all[i&63].Flow, start)
		i++
	}
}

func BenchmarkGet(b *testing.B) {
	table := newTable(b, Config{})
	all := fill(b, table, 100_000)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		table.Get(all[i*7919%len(all)].ID, start)
		i++
	}
}

func BenchmarkPutRefresh(b *testing.B) {
	table := newTable(b, Config{})
	all := fill(b, table, 100_000)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if err := table.Put(all[i*7919%len(all)], start); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkRefresh is what a registration that goes on asks of the table: Identify, then Refresh.
func BenchmarkRefresh(b *testing.B) {
	table := newTable(b, Config{})
	all := fill(b, table, 100_000)
	texts := make([][2][]byte, len(all))
	for i := range all {
		texts[i] = [2][]byte{[]byte(all[i].AOR), []byte(all[i].Contact)}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		k := i * 7919 % len(all)
		one := &all[k]
		id, p := table.Identify(texts[k][0], nil, nil, texts[k][1])
		if !table.Refresh(id, p, one.Flow, one.NAT, one.Expires, start) {
			b.Fatal("not refreshed")
		}
		i++
	}
}

func BenchmarkID(b *testing.B) {
	table := newTable(b, Config{})
	aor, contact := []byte("100001@pbx.example.com"), []byte("sip:100001@192.168.178.20:49152;transport=udp")
	b.ReportAllocs()
	for b.Loop() {
		table.ID(aor, nil, nil, contact)
	}
}

// BenchmarkSweep is the second-by-second cost of a full table in which nothing expires.
func BenchmarkSweep(b *testing.B) {
	table := newTable(b, Config{})
	fill(b, table, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		table.Sweep(start)
	}
}

// BenchmarkKeepaliveSecond is the second-by-second cost of 100,000 phones behind NAT, without the sending.
func BenchmarkKeepaliveSecond(b *testing.B) {
	table := newTable(b, Config{})
	fill(b, table, 100_000)
	now := start
	b.ReportAllocs()
	for b.Loop() {
		table.Keepalives(now, 25*time.Second, func(edge.Flow) {})
		now = now.Add(time.Second)
	}
}

// BenchmarkFlush writes 1,000 refreshed bindings; the figure is for all of them.
func BenchmarkFlush(b *testing.B) {
	table := newTable(b, Config{})
	j := openJournal(b, stateFile(b, filepath.Join(b.TempDir(), "state.db")), table, start, twoListeners())
	all := fill(b, table, 1000)
	for b.Loop() {
		for _, one := range all {
			if err := table.Put(one, start); err != nil {
				b.Fatal(err)
			}
		}
		if err := j.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad is a start with 100,000 bindings in the file.
func BenchmarkLoad(b *testing.B) {
	keys := openKeys(b)
	path := filepath.Join(b.TempDir(), "state.db")
	db := stateFile(b, path)
	table, err := New(Config{}, keys)
	if err != nil {
		b.Fatal(err)
	}
	j := openJournal(b, db, table, start, twoListeners())
	fill(b, table, 100_000)
	if err := errors.Join(j.Close(b.Context()), db.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db := stateFile(b, path)
		table, err := New(Config{}, keys)
		if err != nil {
			b.Fatal(err)
		}
		j := openJournal(b, db, table, start, twoListeners())
		if restored, _ := j.Loaded(); restored != 100_000 {
			b.Fatal(restored)
		}
		if err := errors.Join(j.Close(b.Context()), db.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
