package meter

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

var (
	start = time.Unix(1_700_000_000, 0)
	key   = NewKey([16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
)

// TestSipHash: what CPython 3.11 makes of the same bytes (hash(bytes(range(15))) with PYTHONHASHSEED=0: a key of zeros).
func TestSipHash(t *testing.T) {
	var in []byte
	for i := range 15 {
		in = append(in, byte(i))
	}
	var zeros Key
	if got := zeros.Bytes(in); got != 0xf30eb725bb91c9ea {
		t.Errorf("SipHash-1-3 of 15 bytes = %x", got)
	}
	if got := zeros.Bytes(in[:8]); got != 0xead411e67ebe2eea {
		t.Errorf("SipHash-1-3 of 8 bytes = %x", got)
	}
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 7), 9)
	if key.Words(7, 9) != key.Bytes(b) {
		t.Error("Words is not Bytes of both words")
	}
}

func TestAddressKeys(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::2", true},
		{"2001:db8:0:1::1", "2001:db8::1", false},
	} {
		if same := key.Addr(addr(c.a)) == key.Addr(addr(c.b)); same != c.same {
			t.Errorf("%s and %s: same %v", c.a, c.b, same)
		}
	}
	if key.AddrPort(netip.MustParseAddrPort("[2001:db8::1]:5060")) == key.AddrPort(netip.MustParseAddrPort("[2001:db8::2]:5060")) {
		t.Error("flows of one /64 are one")
	}
}

func TestNetworkKeys(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.200", true},
		{"192.0.2.1", "::ffff:192.0.2.7", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"2001:db8:1::1", "2001:db8:1:2::1", true},
		{"2001:db8:1::1", "2001:db8:2::1", false},
	} {
		if same := key.Network(addr(c.a)) == key.Network(addr(c.b)); same != c.same {
			t.Errorf("networks of %s and %s: same %v", c.a, c.b, same)
		}
	}
	if a := addr("192.0.2.0"); key.Network(a) == key.Addr(a) {
		t.Error("a network is hashed as an address")
	}
}

// TestBusyNeighbours: who shares both places with a busy key pays for it; among a thousand busy ones that is nobody of ten thousand, or one by chance.
func TestBusyNeighbours(t *testing.T) {
	r, l, random := NewRates(1<<17), Limit{Every: 100 * time.Millisecond, Burst: 60}, rand.New(rand.NewPCG(7, 8))
	for range 1000 {
		for busy := random.Uint64(); r.Take(busy, l, start); {
		}
	}
	refused := 0
	for range 10_000 {
		if !r.Take(random.Uint64(), l, start) {
			refused++
		}
	}
	if refused > 3 {
		t.Errorf("%d of 10,000 innocents pay for 1,000 busy ones", refused)
	}
}

func TestRates(t *testing.T) {
	r, l := NewRates(1024), Limit{Every: 100 * time.Millisecond, Burst: 5}
	took := func(n int, at time.Time) (ok int) {
		for range n {
			if r.Take(77, l, at) {
				ok++
			}
		}
		return ok
	}
	if n := took(20, start); n != 5 {
		t.Errorf("%d at once, want 5", n)
	}
	if n := took(20, start.Add(time.Second)); n != 5 {
		t.Errorf("%d after a second, want the burst", n)
	}
	if n := took(20, start.Add(1300*time.Millisecond)); n != 3 {
		t.Errorf("%d after 300 ms more, want 3", n)
	}
	r.Shut(77, l, start.Add(10*time.Second))
	if n := took(5, start.Add(9*time.Second)); n != 0 {
		t.Errorf("%d while shut", n)
	}
	if n := took(5, start.Add(10200*time.Millisecond)); n != 3 {
		t.Errorf("%d after being shut, want 3", n)
	}
	if !r.Take(78, Limit{}, start) {
		t.Error("no limit is a limit")
	}
}

// TestNoRefund (F8): ten in an hour stay ten in an hour, through idle times and a million others.
func TestNoRefund(t *testing.T) {
	r, l := NewRates(1<<16), Limit{Every: 6 * time.Minute, Burst: 10}
	other := rand.New(rand.NewPCG(1, 2))
	ok := 0
	for minute := range 60 {
		at := start.Add(time.Duration(minute) * time.Minute)
		if minute%7 == 0 { // idle in between
			for range 10 {
				if r.Take(42, l, at) {
					ok++
				}
			}
		}
		for range 20_000 {
			r.Take(other.Uint64(), Limit{Every: time.Millisecond, Burst: 5}, at)
		}
	}
	if ok > 20 { // the burst and what an hour gives back
		t.Errorf("%d of at most 20 in an hour", ok)
	}
}

// TestRatesUnderForgery: a million forged sources take nothing from who sends at an ordinary pace.
func TestRatesUnderForgery(t *testing.T) {
	r, l := NewRates(1<<17), Limit{Every: 100 * time.Millisecond, Burst: 60}
	other, refused := rand.New(rand.NewPCG(3, 4)), 0
	for i := range 1_000_000 {
		at := start.Add(time.Duration(i) * 10 * time.Microsecond) // 100,000 a second
		r.Take(other.Uint64(), l, at)
		if i%100_000 == 0 && !r.Take(uint64(i)*0x9e3779b97f4a7c15+1, l, at) {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 10 innocents refused", refused)
	}
}

func TestSketch(t *testing.T) {
	s := NewSketch(1024, 10*time.Minute)
	if n := s.Add(5, 40, start); n != 40 {
		t.Errorf("sum %d, want 40", n)
	}
	if n := s.Add(5, 2, start.Add(10*time.Minute)); n != 22 {
		t.Errorf("after a half-life %d, want 22", n)
	}
	if n := s.Sum(6, start); n != 0 {
		t.Errorf("a stranger has %d", n)
	}
	if n := s.Sum(5, start.Add(100*time.Hour)); n != 0 {
		t.Errorf("after days %d", n)
	}
	s.Raise(5, 7, start)
	if n := s.Sum(5, start); n < 7 {
		t.Errorf("raised to %d", n)
	}
}

// TestNoise: where very many keys share the counters, none of them stands out, and one that does still does.
func TestNoise(t *testing.T) {
	s, other, loud := NewSketch(1024, 10*time.Minute), rand.New(rand.NewPCG(7, 8)), 0
	for range 200_000 {
		if k := other.Uint64(); s.Add(k, 1, start) >= 3+2*s.Noise(start) {
			loud++
		}
	}
	if loud > 200 {
		t.Errorf("%d of 200,000 stand out", loud)
	}
	for range 1000 {
		s.Add(5, 1, start)
	}
	if s.Sum(5, start) < 3+2*s.Noise(start) {
		t.Error("who is loud does not stand out")
	}
}

func TestWindow(t *testing.T) {
	var w Window
	const length = time.Minute
	for i := range 5 {
		if n := w.Add(1, length, start.Add(time.Duration(i)*time.Second)); n != i+1 {
			t.Errorf("%d events, want %d", n, i+1)
		}
	}
	if n := w.Count(length, start.Add(3*time.Minute)); n != 0 {
		t.Errorf("%d after three minutes", n)
	}
	if n := w.Add(3, length, start.Add(3*time.Minute)); n != 3 {
		t.Errorf("%d, want 3", n)
	}
}

func TestDistinct(t *testing.T) {
	var d Distinct
	for _, n := range []int{1, 10, 32} {
		d = Distinct{}
		for range 3 {
			for i := range n {
				d.Add(key.Words(uint64(i), 1))
			}
		}
		if d.Count() != n {
			t.Errorf("%d things counted as %d", n, d.Count())
		}
	}
	for _, n := range []int{33, 64, 100, 1000, 10_000} {
		d = Distinct{}
		for i := range n {
			d.Add(key.Words(uint64(i), 1))
			d.Add(key.Words(uint64(i), 1))
		}
		if off := float64(d.Count())/float64(n) - 1; off < -0.45 || off > 0.45 {
			t.Errorf("%d things counted as %d", n, d.Count())
		}
	}
	if size := unsafe.Sizeof(d); size > 132 {
		t.Errorf("%d bytes", size)
	}
}

// TestForgedEntriesShelterNobody (F6): a million keys of little worth fill the table; who is worth more gets in and stays.
func TestForgedEntriesShelterNobody(t *testing.T) {
	var table = NewTable[int](4096, nil)
	other := rand.New(rand.NewPCG(5, 6))
	enter := func(k uint64, worth uint32, at time.Time) bool {
		v, _ := table.Enter(k, worth, at)
		if v != nil {
			*v++
			table.Leave(k)
		}
		return v != nil
	}
	for i := range 1_000_000 {
		at := start.Add(time.Duration(i) * time.Microsecond)
		enter(other.Uint64(), 1, at)
		if i == 500_000 && !enter(4711, 50, at) {
			t.Fatal("an attacker finds shelter behind forged entries")
		}
	}
	v := table.Find(4711, start)
	if v == nil {
		t.Fatal("forged entries put an attacker out")
	}
	table.Leave(4711)
	if table.Len() > 4096 {
		t.Errorf("%d entries", table.Len())
	}
	if enter(other.Uint64(), 0, start) {
		t.Error("who is worth nothing takes a place from others")
	}
}

func TestEviction(t *testing.T) {
	var gone []uint64
	table := NewTable(1, func(k uint64, _ *int, _ time.Time) { gone = append(gone, k) })
	for k := uint64(1); k <= 400; k++ { // all in one shard
		if v, fresh := table.Enter(k, 0, start.Add(time.Duration(k))); v != nil {
			if !fresh || *v != 0 {
				t.Errorf("entry of %d is not new", k)
			}
			table.Leave(k)
		}
	}
	if len(gone)+table.Len() != 400 || gone[0] != 2 && gone[0] != 1 {
		t.Errorf("%d evicted, %d held, first %d", len(gone), table.Len(), gone[0])
	}
	table.Delete(400)
	if table.Find(400, start) != nil {
		t.Error("deleted, and still there")
	}
	n := 0
	table.All(func(uint64, *int) bool { n++; return n < 3 })
	if n != 3 {
		t.Errorf("All went on to %d", n)
	}
}

// TestKeyedPlaces (B12): keys of one place under one secret are spread under another.
func TestKeyedPlaces(t *testing.T) {
	other := NewKey([16]byte{1})
	places := map[uint64]int{}
	found := 0
	for i := uint64(0); found < 200; i++ {
		if key.Words(i, 0)&255 == 7 { // all in one place under key
			places[other.Words(i, 0)&255]++
			found++
		}
	}
	for place, n := range places {
		if n > 10 {
			t.Errorf("%d of 200 in place %d", n, place)
		}
	}
}

func TestLog(t *testing.T) {
	var l Log
	for i := range 40 {
		if n := l.Add(15*time.Minute, start.Add(time.Duration(i)*5*time.Minute)); n != min(i+1, 3) {
			t.Errorf("event %d: %d within 15 minutes", i, n)
		}
	}
	for range 40 {
		l.Add(time.Minute, start.Add(9*time.Hour))
	}
	if n := l.Count(time.Minute, start.Add(9*time.Hour)); n != LogMost {
		t.Errorf("%d of many", n)
	}
}
