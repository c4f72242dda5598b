package replay

import (
	"net/netip"
	"time"
)

// Bounds of datagrams that wait for their fragments.
const (
	maxPartial   = 256              // at once, 64 KiB each
	maxPieces    = 128              // of one
	maxDatagram  = 65535            // bytes
	partialLife  = 30 * time.Second // RFC 791 §3.2 lets them wait 15, RFC 8200 §4.5 asks for 60
	pieceQuantum = 8
)

// fragments puts fragmented IP packets together. Of fragments that overlap nothing is made (RFC 5722, RFC 8200 §4.5): two hosts could read
// them differently.
type fragments struct {
	waiting map[fragmentKey]*partial
	lost    int // that never became whole
}

type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	protocol byte
}

// A partial is a packet of which some fragments are there.
type partial struct {
	began  time.Time
	b      []byte
	pieces []extent
	have   int // bytes
	total  int // 0: not known yet
	bad    bool
}

type extent struct{ from, to int }

// add takes a packet. It returns what is whole now: the packet itself, or the one that this fragment completes.
func (f *fragments) add(p packet, part piece, at time.Time) (packet, bool) {
	if part.offset == 0 && !part.more {
		return p, true
	}
	if p.short || part.more && len(p.b)%pieceQuantum != 0 || part.offset+len(p.b) > maxDatagram || len(p.b) == 0 {
		return p, false
	}
	key := fragmentKey{p.src, p.dst, part.id, p.protocol}
	one := f.waiting[key]
	if one != nil && at.Sub(one.began) > partialLife {
		f.drop(key)
		one = nil
	}
	if one == nil {
		one = f.begin(key, at)
	}
	one.take(part, p.b)
	if one.bad || one.total == 0 || one.have < one.total {
		return p, false
	}
	delete(f.waiting, key)
	p.b = one.b[:one.total]
	return p, true
}

// begin makes room for another packet: the oldest goes.
func (f *fragments) begin(key fragmentKey, at time.Time) *partial {
	if f.waiting == nil {
		f.waiting = map[fragmentKey]*partial{}
	}
	if len(f.waiting) >= maxPartial {
		var oldest fragmentKey
		var since time.Time
		for k, one := range f.waiting {
			if since.IsZero() || one.began.Before(since) {
				oldest, since = k, one.began
			}
		}
		f.drop(oldest)
	}
	one := &partial{began: at}
	f.waiting[key] = one
	return one
}

func (f *fragments) drop(key fragmentKey) {
	delete(f.waiting, key)
	f.lost++
}

// take puts a fragment in its place.
func (o *partial) take(part piece, b []byte) {
	if o.bad {
		return
	}
	to := part.offset + len(b)
	for _, have := range o.pieces {
		if have == (extent{part.offset, to}) && string(o.b[have.from:have.to]) == string(b) {
			return // the same once more
		}
		o.bad = o.bad || part.offset < have.to && have.from < to
	}
	if !part.more {
		o.bad = o.bad || o.total != 0 && o.total != to
		o.total = to
	}
	if o.bad = o.bad || len(o.pieces) == maxPieces || o.total != 0 && max(to, len(o.b)) > o.total; o.bad {
		o.b = nil
		return
	}
	if to > len(o.b) {
		o.b = append(o.b, make([]byte, to-len(o.b))...)
	}
	copy(o.b[part.offset:], b)
	o.pieces, o.have = append(o.pieces, extent{part.offset, to}), o.have+len(b)
}
