package transaction

import (
	"testing"

	"pgregory.net/rapid"
)

// TestIndexIsAMap holds the index against a map, with keys that crowd a few places and share their tags.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex()
		slotOf, keyOf := map[uint64]uint32{}, map[uint32]uint64{}
		find := func(key uint64) (uint32, bool) {
			slot, next, ok := x.find(key)
			for ok && keyOf[slot] != key {
				slot, next, ok = x.findFrom(tag(key), next)
			}
			return slot, ok
		}
		for step := range rapid.IntRange(1, 400).Draw(t, "steps") {
			key := uint64(rapid.IntRange(0, 2).Draw(t, "low")) + uint64(rapid.IntRange(0, 9).Draw(t, "place"))<<slotBits +
				uint64(rapid.IntRange(0, 30).Draw(t, "turn"))<<40
			slot, ok := find(key)
			if have, had := slotOf[key]; had != ok || ok && have != slot {
				t.Fatalf("%x: %d %v, want %d %v", key, slot, ok, have, had)
			}
			switch {
			case !ok:
				slot = uint32(step)
				x.put(key, slot)
				slotOf[key], keyOf[slot] = slot, key
			case rapid.Bool().Draw(t, "remove"):
				x.remove(key, slot)
				delete(slotOf, key)
				delete(keyOf, slot)
			}
		}
		for key, slot := range slotOf {
			if got, ok := find(key); !ok || got != slot {
				t.Fatalf("%x is lost", key)
			}
		}
		if x.n != len(slotOf) {
			t.Fatalf("%d entries, want %d", x.n, len(slotOf))
		}
	})
}
