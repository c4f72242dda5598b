package meter

// An Index finds the places of records, which its owner keeps elsewhere, by 64-bit keyed hashes: open addressing with linear probing, half full at
// most, eight bytes an entry, so that a look-up touches one cache line. Nobody outside can choose keys that collide. An entry holds all of a key
// but its lowest bits, so what is found is a candidate: who looks up compares the whole key with the one on record.
type Index struct {
	entries []uint64 // tag of the key | place; 0: free
	n       int
}

// MostPlaces bounds the places that an Index tells apart: they are numbers below it.
const MostPlaces = 1 << placeBits

const (
	placeBits  = 24
	firstIndex = 64
)

// NewIndex makes an empty one.
func NewIndex() Index { return Index{entries: make([]uint64, firstIndex)} }

// Len is how many entries there are.
func (x *Index) Len() int { return x.n }

// tag is the part of key that an entry holds, never 0, so that no entry is.
func tag(key uint64) uint64 {
	if t := key &^ (MostPlaces - 1); t != 0 {
		return t
	}
	return MostPlaces
}

func (x *Index) home(entry uint64) int { return int(entry>>placeBits) & (len(x.entries) - 1) }

// Find returns the first candidate for key, and where Next goes on from; false: there is none.
func (x *Index) Find(key uint64) (place uint32, next int, ok bool) {
	return x.Next(key, x.home(tag(key)))
}

// Next goes on with a search for key where the last one ended.
func (x *Index) Next(key uint64, from int) (place uint32, next int, ok bool) {
	t, mask := tag(key), len(x.entries)-1
	for i := from; x.entries[i] != 0; i = (i + 1) & mask {
		if e := x.entries[i]; e&^(MostPlaces-1) == t {
			return uint32(e & (MostPlaces - 1)), (i + 1) & mask, true
		}
	}
	return 0, 0, false
}

// Put adds key, which is not in x, for place.
func (x *Index) Put(key uint64, place uint32) {
	if 2*(x.n+1) > len(x.entries) {
		old := x.entries
		x.entries = make([]uint64, 2*len(old))
		for _, e := range old {
			if e != 0 {
				x.insert(e)
			}
		}
	}
	x.insert(tag(key) | uint64(place))
	x.n++
}

func (x *Index) insert(e uint64) {
	i := x.home(e)
	for x.entries[i] != 0 {
		i = (i + 1) & (len(x.entries) - 1)
	}
	x.entries[i] = e
}

// Remove takes the entry of key for place out, if it is there, and moves what had to make way for it back, so that no search meets a gap.
func (x *Index) Remove(key uint64, place uint32) {
	mask, e := len(x.entries)-1, tag(key)|uint64(place)
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
