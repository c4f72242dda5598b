package binding

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Print stands for all that a REGISTER says of one Contact: AOR, instance, reg-id and Contact URI. It is a hash of 64
// bits with a secret of this process, which nobody can aim at, so that equal Prints mean equal texts. 0 is none.
type Print uint64

// print returns the Print of these texts.
func (t *Table) print(texts ...[]byte) Print {
	sum := uint64(0)
	for _, text := range texts {
		if sum *= weight; len(text) > 0 { // most have no instance
			sum += maphash.Bytes(t.sources.seed, text)
		}
	}
	return Print(max(sum, 1))
}

// Identify is ID, together with the Print of the same texts. For a registration that is on record with this Print it only
// looks the id up, which costs a fraction.
func (t *Table) Identify(aor, instance, regID, contact []byte) (ID, Print) {
	p := t.print(aor, instance, regID, contact)
	if id, ok := t.hints.recall(t, p); ok {
		return id, p
	}
	return t.ID(aor, instance, regID, contact), p
}

// Refresh moves the end of a registration that is otherwise unchanged: the binding with this id was put with the same
// Print, flow and NAT. False: it was not, or the new end is past, and Put has to be called.
func (t *Table) Refresh(id ID, p Print, f edge.Flow, nat bool, expires, now time.Time) bool {
	if p == 0 || !now.Before(expires) {
		return false
	}
	n := t.shardIndex(id)
	s := &t.shards[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.get(id)
	if e == nil || !e.is(p, f, nat) {
		return false
	}
	e.expires = t.clock.at(expires).UnixNano()
	s.earliest = min(s.earliest, e.expires)
	t.sources.stay(id, f, e.expires)
	t.hints.note(p, n)
	t.changed(e)
	return true
}

// hints say for a Print in which shard its binding is. Each Print has one place, so one that another has taken is forgotten
// until the next refresh; that costs time and nothing else.
type hints []atomic.Uint64 // all of a Print but its lowest bits, and there the shard

const (
	shardBits     = aorBits // so many bits number all shards
	hintsPerShard = perShard / 2
)

// place is where the hint for p is; their number is a power of two.
func (h hints) place(p Print) *atomic.Uint64 { return &h[uint64(p)&uint64(len(h)-1)] }

func hint(p Print, shard uint32) uint64 { return uint64(p)&^(1<<shardBits-1) | uint64(shard) }

// note remembers the shard of a Print.
func (h hints) note(p Print, shard uint32) {
	at := h.place(p)
	if want := hint(p, shard); at.Load() != want {
		at.Store(want)
	}
}

// recallMost bounds how far recall looks through one shard, which an AOR with very many bindings may fill.
const recallMost = 64

// recall returns the id of the binding that was put with this Print, if there is a hint for it.
func (h hints) recall(t *Table, p Print) (ID, bool) {
	n := uint32(h.place(p).Load() & (1<<shardBits - 1))
	if h.place(p).Load() != hint(p, n) {
		return ID{}, false
	}
	s := &t.shards[n]
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries[:min(len(s.entries), recallMost)] {
		if e := &s.entries[i]; e.print == p {
			return e.id, true
		}
	}
	return ID{}, false
}
