package transaction

// An index finds slots by the 64-bit keyed hash of their transactions: open addressing with linear probing, half full at most, eight bytes
// an entry, so that a look-up touches one cache line. Nobody outside can choose keys that collide. An entry holds all of a key but its
// lowest bits, so a find is a candidate: who looks up compares the whole key with the one on record.
type index struct {
	entries []uint64 // tag of the key | slot; 0: free
	n       int
}

const (
	firstIndex = 64
	slotMask   = 1<<slotBits - 1
)

func newIndex() index { return index{entries: make([]uint64, firstIndex)} }

// tag is the part of key that an entry holds, never 0, so that no entry is.
func tag(key uint64) uint64 {
	if t := key &^ slotMask; t != 0 {
		return t
	}
	return slotMask + 1
}

func (x *index) home(entry uint64) int { return int(entry>>slotBits) & (len(x.entries) - 1) }

// find returns the first candidate for key, and where to go on from for the next one.
func (x *index) find(key uint64) (slot uint32, next int, ok bool) {
	t := tag(key)
	return x.findFrom(t, x.home(t))
}

// findFrom goes on with a search for the tag t at place i.
func (x *index) findFrom(t uint64, i int) (slot uint32, next int, ok bool) {
	mask := len(x.entries) - 1
	for ; x.entries[i] != 0; i = (i + 1) & mask {
		if e := x.entries[i]; e&^slotMask == t {
			return uint32(e & slotMask), (i + 1) & mask, true
		}
	}
	return 0, 0, false
}

// put adds key for slot.
func (x *index) put(key uint64, slot uint32) {
	if 2*(x.n+1) > len(x.entries) {
		old := x.entries
		x.entries = make([]uint64, 2*len(old))
		for _, e := range old {
			if e != 0 {
				x.insert(e)
			}
		}
	}
	x.insert(tag(key) | uint64(slot))
	x.n++
}

func (x *index) insert(e uint64) {
	i := x.home(e)
	for x.entries[i] != 0 {
		i = (i + 1) & (len(x.entries) - 1)
	}
	x.entries[i] = e
}

// remove takes key's entry for slot out and moves what had to make way for it back, so that no search meets a gap.
func (x *index) remove(key uint64, slot uint32) {
	mask, e := len(x.entries)-1, tag(key)|uint64(slot)
	gap := x.home(e)
	for x.entries[gap] != e {
		if x.entries[gap] == 0 {
			return
		}
		gap = (gap + 1) & mask
	}
	x.n--
	for i := (gap + 1) & mask; x.entries[i] != 0; i = (i + 1) & mask {
		if (i-x.home(x.entries[i]))&mask >= (i-gap)&mask { // its search begins at the gap or before
			x.entries[gap] = x.entries[i]
			gap = i
		}
	}
	x.entries[gap] = 0
}
