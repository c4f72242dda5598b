package binding

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// perShard is how many bindings a shard holds when the table is full: so few that a sorted list is the quickest and
// smallest index, and walking all of one costs little.
const perShard = 8

// shard is a part of the table.
type shard struct {
	mu       sync.Mutex
	entries  []entry // sorted by id
	earliest int64   // no entry expires before: Unix nanoseconds; too early after a refresh, never too late
}

// entry is a Binding in memory: 88 bytes and its text.
type entry struct {
	id       ID
	text     string // AOR, then Contact
	addr     netip.Addr
	conn     uint64
	expires  int64 // Unix nanoseconds
	print    Print
	port     uint16
	listener uint16
	aorLen   uint8
	bits     uint8
}

// Bits of an entry below its transport.
const (
	bitNAT       = 1
	bitSide      = 2
	bitMarked    = 4 // the journal knows that it differs from what is on the disk, and has not read it since
	transportBit = 3 // the lowest bit of the transport
)

// find returns where the entry with this id is or would be; the caller holds the lock.
func (s *shard) find(id ID) (int, bool) {
	from, to := 0, len(s.entries)
	for from < to {
		middle := (from + to) / 2
		switch order := bytes.Compare(s.entries[middle].id[:], id[:]); {
		case order == 0:
			return middle, true
		case order < 0:
			from = middle + 1
		default:
			to = middle
		}
	}
	return from, false
}

// get returns the entry with this id, nil if there is none; it is good as long as the caller holds the lock.
func (s *shard) get(id ID) *entry {
	if i, ok := s.find(id); ok {
		return &s.entries[i]
	}
	return nil
}

// insert makes an entry for id at i. A list grows by little, since there are many.
func (s *shard) insert(i int, id ID) {
	if n := len(s.entries); n == cap(s.entries) {
		s.entries = append(slices.Grow([]entry(nil), n+1+n/8), s.entries...)
	}
	s.entries = slices.Insert(s.entries, i, entry{id: id})
}

// count returns how many live bindings of an AOR are in the shard.
func (s *shard) count(aor string, at int64) (n int) {
	for i := range s.entries {
		if e := &s.entries[i]; e.expires > at && e.aor() == aor {
			n++
		}
	}
	return n
}

// holds reports whether one of entries is of an AOR.
func holds(entries []entry, aor string) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.aor() == aor })
}

// ids returns the ids in the shard.
func (s *shard) ids() []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]ID, len(s.entries))
	for i := range s.entries {
		ids[i] = s.entries[i].id
	}
	return ids
}

// from reports whether a binding of the shard that is live at now (Unix nanoseconds) comes from p.
func (s *shard) from(p netip.Prefix, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		if s.entries[i].expires > now && p.Contains(s.entries[i].addr.Unmap()) {
			return true
		}
	}
	return false
}

// removeIf takes out the entries of a shard that match; the caller holds its lock.
func (t *Table) removeIf(s *shard, match func(*entry) bool) {
	kept := s.entries[:0]
	for i := range s.entries {
		e := &s.entries[i]
		if !match(e) {
			kept = append(kept, *e)
			continue
		}
		t.sources.leave(e.id, e.flow(), false)
		t.held.Add(-1)
		if !holds(kept, e.aor()) && !holds(s.entries[i+1:], e.aor()) {
			t.users.Add(-1)
		}
		t.changed(e)
	}
	clear(s.entries[len(kept):])
	if 2*len(kept) < cap(kept) {
		kept = append([]entry(nil), kept...)
	}
	s.entries = kept
}

func (e *entry) aor() string { return e.text[:e.aorLen] }

// set fills the entry from a binding; the text is copied only when it differs.
func (e *entry) set(b *Binding) {
	if e.text[:e.aorLen] != b.AOR || e.text[e.aorLen:] != b.Contact {
		var text strings.Builder // always a copy: concatenation with an empty string would be none
		text.Grow(len(b.AOR) + len(b.Contact))
		text.WriteString(b.AOR)
		text.WriteString(b.Contact)
		e.text, e.aorLen = text.String(), uint8(len(b.AOR))
	}
	e.addr, e.port = b.Flow.Remote.Addr(), b.Flow.Remote.Port()
	e.conn, e.listener, e.expires, e.print = b.Flow.Conn, b.Flow.Listener, b.Expires.UnixNano(), b.Print
	e.bits = bitsOf(b.Flow, b.NAT) | e.bits&bitMarked
}

// bitsOf are the bits of an entry with this flow, all but bitMarked.
func bitsOf(f edge.Flow, nat bool) uint8 {
	bits := uint8(f.Transport) << transportBit
	if f.Side == edge.Inside {
		bits |= bitSide
	}
	if nat {
		bits |= bitNAT
	}
	return bits
}

// is reports whether the entry was put with this Print, flow and NAT.
func (e *entry) is(p Print, f edge.Flow, nat bool) bool {
	return e.print == p && e.bits&^bitMarked == bitsOf(f, nat) && e.conn == f.Conn && e.listener == f.Listener &&
		e.port == f.Remote.Port() && e.addr == f.Remote.Addr()
}

func (e *entry) transport() edge.Transport { return edge.Transport(e.bits >> transportBit) }

func (e *entry) nat() bool { return e.bits&bitNAT != 0 }

func (e *entry) flow() edge.Flow {
	f := edge.Flow{Remote: netip.AddrPortFrom(e.addr, e.port), Conn: e.conn, Listener: e.listener, Transport: e.transport()}
	if e.bits&bitSide != 0 {
		f.Side = edge.Inside
	}
	return f
}

func (e *entry) binding() Binding {
	return Binding{ID: e.id, AOR: e.aor(), Contact: e.text[e.aorLen:], Flow: e.flow(), Expires: time.Unix(0, e.expires),
		NAT: e.nat(), Print: e.print}
}
