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
	marks [1 << 16]atomic.Uint32 // hash, and in the low byte the id of the key; 0: outside chose it
}

func (c *chosen) place(callID, tag []byte) (*atomic.Uint32, uint32) {
	h := maphash.Bytes(c.seed, callID)
	if len(tag) > 0 {
		h ^= maphash.Bytes(c.seed, tag) | 1
	}
	return &c.marks[h&(1<<16-1)], uint32(h>>32)&^0xff | 0x100
}

// began notes a dialog that outside began, with the caller's tag.
func (c *chosen) began(callID, tag []byte) {
	c.add(callID, tag, 0)
	c.add(callID, nil, 0)
}

// masked notes a dialog that leaves under a Call-ID masked with that key.
func (c *chosen) masked(callID []byte, key byte) { c.add(callID, nil, key) }

func (c *chosen) add(callID, tag []byte, key byte) {
	at, mark := c.place(callID, tag)
	at.Store(mark | uint32(key))
}

// find is what topo.Leg.Knows asks for.
func (c *chosen) find(callID, tag []byte) (key byte, known bool) {
	if len(tag) > 0 {
		if at, mark := c.place(callID, tag); at.Load() == mark {
			return 0, true
		}
	}
	at, mark := c.place(callID, nil)
	have := at.Load()
	return byte(have), have&^0xff == mark
}
