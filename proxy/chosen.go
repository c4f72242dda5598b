package proxy

import (
	"hash/maphash"
	"sync/atomic"
)

// chosen remembers by which Call-ID outside knows the dialogs that began last, by keyed hashes: its own, or one masked with a certain key.
// A field like Replaces names a dialog by it. Where a proxy of the platform sends a call from outside out again, its two ends know it by two
// Call-IDs: the caller is told by its tag. What is forgotten, and all after a restart, is taken for masked with the active key: nothing leaks,
// but a Replaces that goes to the caller of a long call may then find no dialog.
type chosen struct {
	seed  maphash.Seed
	marks *[1 << 16]atomic.Uint32 // hash, and in the low byte the id of the key; 0: outside chose it
}

func newChosen(seed maphash.Seed) chosen { return chosen{seed, new([1 << 16]atomic.Uint32)} }

// A chosenPlace is where a dialog has its mark.
type chosenPlace struct {
	at   *atomic.Uint32
	mark uint32
}

// places are that of a dialog by its Call-ID alone, and by a tag besides: one behind the other, so that both are in one line of a processor's cache,
// of which each kind has half. The tag has none if it is empty.
func (c *chosen) places(callID, tag []byte) (alone, both chosenPlace) {
	const half = 8 // of the marks in a line
	h := maphash.Bytes(c.seed, callID)
	line := c.marks[h&(1<<16-1)&^(2*half-1):][:2*half]
	alone = chosenPlace{&line[h%half], uint32(h>>32)&^0xff | 0x100}
	if len(tag) > 0 {
		h ^= maphash.Bytes(c.seed, tag) | 1
		both = chosenPlace{&line[half+h%half], uint32(h>>32)&^0xff | 0x100}
	}
	return alone, both
}

// began notes a dialog that outside began, with the caller's tag.
func (c *chosen) began(callID, tag []byte) {
	alone, both := c.places(callID, tag)
	alone.at.Store(alone.mark)
	if both.at != nil {
		both.at.Store(both.mark)
	}
}

// masked notes a dialog that leaves under a Call-ID masked with that key.
func (c *chosen) masked(callID []byte, key byte) {
	alone, _ := c.places(callID, nil)
	alone.at.Store(alone.mark | uint32(key))
}

// find is what topo.Leg.Knows asks for.
func (c *chosen) find(callID, tag []byte) (key byte, known bool) {
	alone, both := c.places(callID, tag)
	if both.at != nil && both.at.Load() == both.mark {
		return 0, true
	}
	have := alone.at.Load()
	return byte(have), have&^0xff == alone.mark
}
