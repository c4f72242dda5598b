package ban

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"github.com/ringwall/ringwall/meter"
)

// A roll has a talk for each party with calls. Nearly every call of a phone is the only one it has, so that making and forgetting one is what counts: an
// Index costs a third of what a map does.
type roll struct {
	seed   maphash.Seed
	byFlow meter.Index
	all    []*talk  // by place
	free   []uint32 // places of talks that nobody has now
}

// A talk is the calls of one flow, linked in the order in which they began, or the flows of one address.
type talk struct {
	flow           netip.AddrPort // the zero AddrPort: it is free
	hash           uint64
	place          uint32
	oldest, newest uint32
	flows          int // of an address: how many there are
}

func newRoll() roll { return roll{seed: maphash.MakeSeed(), byFlow: meter.NewIndex()} }

// hash is the same for an IPv4 address and its IPv6 mapping, and for all zones of one: these are told apart by find.
func (r *roll) hash(flow netip.AddrPort) uint64 {
	var b [18]byte
	*(*[16]byte)(b[:]) = flow.Addr().As16()
	binary.LittleEndian.PutUint16(b[16:], flow.Port())
	return maphash.Bytes(r.seed, b[:])
}

// find returns the talk of a flow, nil if there is none.
func (r *roll) find(flow netip.AddrPort) *talk { return r.at(flow, r.hash(flow)) }

func (r *roll) at(flow netip.AddrPort, hash uint64) *talk {
	place, next, ok := r.byFlow.Find(hash)
	for ok && r.all[place].flow != flow {
		place, next, ok = r.byFlow.Next(hash, next)
	}
	if !ok {
		return nil
	}
	return r.all[place]
}

// enter returns the talk of a flow, and whether it is new and so empty.
func (r *roll) enter(flow netip.AddrPort) (t *talk, fresh bool) {
	hash := r.hash(flow)
	if t = r.at(flow, hash); t != nil {
		return t, false
	}
	if n := len(r.free); n > 0 {
		t = r.all[r.free[n-1]]
		r.free = r.free[:n-1]
	} else {
		t = &talk{place: uint32(len(r.all))}
		r.all = append(r.all, t)
	}
	t.flow, t.hash, t.oldest, t.newest, t.flows = flow, hash, none, none, 0
	r.byFlow.Put(hash, t.place)
	return t, true
}

// remove takes a talk out.
func (r *roll) remove(t *talk) {
	r.byFlow.Remove(t.hash, t.place)
	t.flow = netip.AddrPort{}
	r.free = append(r.free, t.place)
}

// len is how many talks there are.
func (r *roll) len() int { return r.byFlow.Len() }

// within reports whether one of them is of an address in p.
func (r *roll) within(p netip.Prefix) bool {
	for _, t := range r.all {
		if p.Contains(t.flow.Addr()) {
			return true
		}
	}
	return false
}
