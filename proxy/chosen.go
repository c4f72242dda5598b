package proxy

import (
	"hash/maphash"
	"sync/atomic"
)

// chosen remembers the Call-IDs of the calls that began outside last, by their keyed hashes: where a field like Replaces names a dialog,
// outside knows those by their own Call-ID and all others by a masked one. What it forgets, and all after a restart, is taken for masked:
// nothing leaks, but a Replaces that goes to the caller of a long call may then find no dialog.
type chosen struct {
	seed  maphash.Seed
	marks [1 << 16]atomic.Uint32
}

func (c *chosen) place(callID []byte) (*atomic.Uint32, uint32) {
	h := maphash.Bytes(c.seed, callID)
	return &c.marks[h&(1<<16-1)], uint32(h>>32) | 1
}

func (c *chosen) add(callID []byte) {
	at, mark := c.place(callID)
	at.Store(mark)
}

func (c *chosen) has(callID []byte) bool {
	at, mark := c.place(callID)
	return at.Load() == mark
}
