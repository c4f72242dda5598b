package transaction

// An index finds slots by the 64-bit keyed hash of their transactions: open addressing with linear probing, half full at most, so that a
// look-up touches one cache line. Nobody outside can choose keys that collide.
type index struct {
	entries []entry
	n       int
}

type entry struct {
	key  uint64 // 0: free; a hash of 0 is kept as 1
	slot uint32
}

const firstIndex = 64

func newIndex() index { return index{entries: make([]entry, firstIndex)} }

func nonzero(key uint64) uint64 { return max(key, 1) }

// at is the place of key, or the free place where it would go.
func (x *index) at(key uint64) int {
	mask := len(x.entries) - 1
	i := int(key) & mask
	for x.entries[i].key != key && x.entries[i].key != 0 {
		i = (i + 1) & mask
	}
	return i
}

func (x *index) find(key uint64) (slot uint32, ok bool) {
	e := &x.entries[x.at(nonzero(key))]
	return e.slot, e.key != 0
}

// put adds key, which is not there yet.
func (x *index) put(key uint64, slot uint32) {
	if 2*(x.n+1) > len(x.entries) {
		old := x.entries
		x.entries = make([]entry, 2*len(old))
		for _, e := range old {
			if e.key != 0 {
				x.entries[x.at(e.key)] = e
			}
		}
	}
	key = nonzero(key)
	x.entries[x.at(key)] = entry{key, slot}
	x.n++
}

// remove takes key out and moves what had to make way for it back, so that no search meets a gap.
func (x *index) remove(key uint64) {
	mask := len(x.entries) - 1
	gap := x.at(nonzero(key))
	if x.entries[gap].key == 0 {
		return
	}
	x.n--
	for i := (gap + 1) & mask; x.entries[i].key != 0; i = (i + 1) & mask {
		home := int(x.entries[i].key) & mask
		if (i-home)&mask >= (i-gap)&mask { // its search begins at the gap or before
			x.entries[gap] = x.entries[i]
			gap = i
		}
	}
	x.entries[gap] = entry{}
}
