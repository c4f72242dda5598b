package meter

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// note notes a key, and returns how often its entry was, 0 if it has none.
func note(t *Table[int], key uint64, proven bool, at time.Time) (n int) {
	v, _ := t.Note(key, proven, at)
	if v == nil {
		return 0
	}
	defer t.Leave(key)
	*v++
	return *v
}

// TestEvidence (F6, F8): who is noted again and again, however slowly, keeps his entry from the second time on among a million keys that come once; the
// same among keys that come as often as he, if he is proven.
func TestEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		times  int // that each other key comes
		proven bool
		early  bool // he came before the others
		want   int  // that his entry was noted in 10 times
	}{
		"others once":                      {times: 1, want: 9},
		"others once, and he came before":  {times: 1, early: true, want: 10},
		"others as often, and he is known": {times: 10, proven: true, want: 10},
	} {
		table, other := NewEvidence[int](4096, time.Hour, nil), rand.New(rand.NewPCG(5, 6))
		if c.early {
			note(table, 4711, c.proven, start)
			note(table, 4711, c.proven, start)
			c.want++
		}
		n, at := 0, start
		for i := range 10 {
			n = note(table, 4711, c.proven, at)
			for range 100_000 / 10 {
				key := other.Uint64()
				for range c.times {
					note(table, key, false, at)
				}
			}
			at = start.Add(time.Duration(i) * time.Minute)
		}
		if n < c.want {
			t.Errorf("%s: noted %d times, want %d", name, n, c.want)
		}
		if table.Len() > 4096 {
			t.Errorf("%s: %d entries", name, table.Len())
		}
	}
}

// TestProvenCrowd: a proven entry that was noted twice outlives any number of proven ones that come once, until half the life of the table is over.
func TestProvenCrowd(t *testing.T) {
	for after, kept := range map[time.Duration]bool{0: true, time.Minute: true, 29 * time.Minute: true, 31 * time.Minute: false} {
		table, other := NewEvidence[int](4096, time.Hour, nil), rand.New(rand.NewPCG(5, 6))
		note(table, 4711, true, start)
		note(table, 4711, true, start)
		for range 100_000 {
			note(table, other.Uint64(), true, start.Add(after))
		}
		if _, found := table.Copy(4711); found != kept {
			t.Errorf("after %v: kept %v", after, found)
		}
	}
}

// TestKeep: an entry that is kept outlives any number of proven ones, for half the life of the table, and no longer once it is free.
func TestKeep(t *testing.T) {
	for name, c := range map[string]struct {
		after      time.Duration
		free, kept bool
	}{
		"at once":            {0, false, true},
		"half an hour later": {29 * time.Minute, false, true},
		"an hour later":      {59 * time.Minute, false, false},
		"free":               {0, true, false},
	} {
		table, other := NewEvidence[int](4096, time.Hour, nil), rand.New(rand.NewPCG(5, 6))
		note(table, 4711, false, start)
		table.Keep(4711)
		if c.free {
			table.Free(4711)
		}
		for range 100_000 {
			note(table, other.Uint64(), true, start.Add(c.after))
		}
		if _, found := table.Copy(4711); found != c.kept {
			t.Errorf("%s: kept %v", name, found)
		}
	}
}

// TestProvenFindPlace: whatever fills a table, who is proven gets in; who is not has to come as often as those who hold his places.
func TestProvenFindPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, proven := range []bool{false, true} {
		table := NewEvidence[int](1, time.Hour, nil)
		for range 400 {
			key := random.Uint64() >> 6 // all in one shard
			for range 5 {
				note(table, key, proven, start)
			}
		}
		if n := note(table, random.Uint64()>>6, true, start); n != 1 {
			t.Errorf("others proven %v: a proven one is noted %d times", proven, n)
		}
		key, times := random.Uint64()>>6, 1
		for ; times < 20 && note(table, key, false, start) == 0; times++ {
		}
		if proven != (times == 20) || times < 3 {
			t.Errorf("others proven %v: another gets in at the time %d", proven, times)
		}
	}
}

// TestEvidenceFades: what nobody noted for the life of a table makes room for anybody, and is nothing to come back to.
func TestEvidenceFades(t *testing.T) {
	table := NewEvidence[int](1, time.Hour, nil)
	random := rand.New(rand.NewPCG(2, 2))
	first := random.Uint64() >> 6
	note(table, first, true, start)
	for range 50 {
		note(table, random.Uint64()>>6, true, start)
	}
	if note(table, random.Uint64()>>6, false, start.Add(30*time.Minute)) != 0 {
		t.Error("evidence of half an hour makes room for who comes once")
	}
	later := start.Add(61 * time.Minute)
	for range 20 {
		if note(table, random.Uint64()>>6, false, later) == 0 {
			t.Error("evidence of more than an hour is in the way")
		}
	}
	if worth := table.shards[0].recall(table, first, stampOf(later)); worth != 0 {
		t.Errorf("after an hour a ghost is worth %x", worth)
	}
	if note(table, random.Uint64()>>6, true, start.Add(-time.Hour)) == 0 { // somebody set the clock back
		t.Error("no place in the past")
	}
}

// TestGhostsTellKeysApart: nobody inherits what another one did.
func TestGhostsTellKeysApart(t *testing.T) {
	table, other, heirs := NewEvidence[int](1024, time.Hour, nil), rand.New(rand.NewPCG(9, 9)), 0
	for range 200_000 {
		key := other.Uint64()
		if table.shard(key).recall(table, key, stampOf(start)) != 0 {
			heirs++
		}
		note(table, key, false, start)
	}
	if heirs > 0 {
		t.Errorf("%d of 200,000 beginners are taken for somebody else", heirs)
	}
	if size := unsafe.Sizeof(ghost(0))*ghostsByEntry + 16; size > 48 {
		t.Errorf("%d bytes an entry", size)
	}
}
