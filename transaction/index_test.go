package transaction

import (
	"testing"

	"pgregory.net/rapid"
)

// TestIndexIsAMap holds the index against a map, with keys that crowd a few places.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, want := newIndex(), map[uint64]uint32{}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			key := uint64(rapid.IntRange(0, 9).Draw(t, "place")) + uint64(rapid.IntRange(0, 30).Draw(t, "turn"))<<32
			slot, ok := x.find(key)
			if have, had := want[max(key, 1)]; had != ok || ok && have != slot {
				t.Fatalf("%x: %d %v, want %d %v", key, slot, ok, have, had)
			}
			switch {
			case !ok:
				slot = rapid.Uint32().Draw(t, "slot")
				x.put(key, slot)
				want[max(key, 1)] = slot
			case rapid.Bool().Draw(t, "remove"):
				x.remove(key)
				delete(want, max(key, 1))
			}
		}
		for key, slot := range want {
			if got, ok := x.find(key); !ok || got != slot {
				t.Fatalf("%x is lost", key)
			}
		}
		if x.n != len(want) {
			t.Fatalf("%d entries, want %d", x.n, len(want))
		}
	})
}
