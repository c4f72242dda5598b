package meter

import (
	"testing"

	"pgregory.net/rapid"
)

// TestIndexIsAMap holds the index against a map, with keys that crowd a few places and share their tags.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex()
		placeOf, keyOf := map[uint64]uint32{}, map[uint32]uint64{}
		find := func(key uint64) (uint32, bool) {
			place, next, ok := x.Find(key)
			for ok && keyOf[place] != key {
				place, next, ok = x.Next(key, next)
			}
			return place, ok
		}
		for step := range rapid.IntRange(1, 400).Draw(t, "steps") {
			key := uint64(rapid.IntRange(0, 2).Draw(t, "low")) + uint64(rapid.IntRange(0, 9).Draw(t, "place"))<<placeBits +
				uint64(rapid.IntRange(0, 30).Draw(t, "turn"))<<44
			place, ok := find(key)
			if have, had := placeOf[key]; had != ok || ok && have != place {
				t.Fatalf("%x: %d %v, want %d %v", key, place, ok, have, had)
			}
			switch {
			case !ok:
				place = uint32(step)
				x.Put(key, place)
				placeOf[key], keyOf[place] = place, key
			case rapid.Bool().Draw(t, "remove"):
				x.Remove(key, place)
				delete(placeOf, key)
				delete(keyOf, place)
			}
		}
		for key, place := range placeOf {
			if got, ok := find(key); !ok || got != place {
				t.Fatalf("%x is lost", key)
			}
		}
		if x.Len() != len(placeOf) {
			t.Fatalf("%d entries, want %d", x.Len(), len(placeOf))
		}
	})
}
