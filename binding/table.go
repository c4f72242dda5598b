// Package binding keeps what registered phones are bound to: the id that the platform stores as their Contact, the
// Contact they gave themselves, and the flow that reaches them (RFC 3261 §10, RFC 5626). The table lives in memory,
// bounded and sharded; a journal brings it over a restart.
package binding

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/seal"
)

// ID names one binding: 16 characters of a-z and 2-7, the user part of the Contact that the platform stores. It is
// opaque, equal at every refresh and safe in a registrar that lower-cases user parts.
type ID [seal.IDLen]byte

// ParseID reads the user part of a URI as an id. It tells only whether the text can be one; Get tells whether it is.
func ParseID(user []byte) (ID, bool) {
	if len(user) != len(ID{}) {
		return ID{}, false
	}
	for _, c := range user {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return ID{}, false
		}
	}
	return ID(user), true
}

// String returns the id as text.
func (id ID) String() string { return string(id[:]) }

// A Binding is one registered phone.
type Binding struct {
	ID      ID
	AOR     string    // user@host, host in lower case
	Contact string    // the phone's own Contact URI, as it gave it
	Flow    edge.Flow // the way to the phone
	Expires time.Time // when the registration ends
	NAT     bool      // the source differs from what the phone believes: over UDP it needs keep-alives
}

// What Put refuses.
var (
	ErrFull    = errors.New("binding table is full")
	ErrAORFull = errors.New("too many bindings of one address of record")
	ErrTooLong = errors.New("address of record or contact too long")
)

// Longest texts of a binding, in bytes.
const (
	MaxAOR     = 255
	MaxContact = 512
)

// Config holds the limits of a Table. The zero value of a field means its default.
type Config struct {
	Max    int // bindings in all; default 100,000
	PerAOR int // bindings of one address of record; default 32
}

// Default returns the Config with every default filled in.
func Default() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	if c.Max == 0 {
		c.Max = 100_000
	}
	if c.PerAOR == 0 {
		c.PerAOR = 32
	}
	return c
}

// Validate reports what cannot work, all of it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Max < 1 || c.Max > 1<<24 {
		errs = append(errs, fmt.Errorf("bindings: %d, want 1 to %d", c.Max, 1<<24))
	}
	if c.PerAOR < 1 {
		errs = append(errs, fmt.Errorf("bindings of one address of record: %d, want at least 1", c.PerAOR))
	}
	return errors.Join(errs...)
}

// perShard is how many bindings a shard holds when the table is full: so few that a sorted list is the quickest and
// smallest index, and walking all of one costs little.
const perShard = 8

// A Table holds the bindings. All methods may be used by any number of goroutines at once; locks are short, and none is
// held while it calls out or writes to a disk.
//
// A binding that has expired is gone for every reader at once. Its memory comes back with the next Sweep.
type Table struct {
	cfg     Config
	keys    *seal.Keys
	shards  []shard      // by the part of the id that stands for the AOR: all bindings of an AOR are in one
	sources sources      // their locks are taken after that of a shard
	held    atomic.Int64 // bindings in memory, expired ones too
	journal atomic.Pointer[Journal]
	walk    keepaliveWalk
}

// shard is a part of the table.
type shard struct {
	mu       sync.Mutex
	entries  []*entry // sorted by id
	earliest int64    // no entry expires before: Unix nanoseconds; too early after a refresh, never too late
}

// entry is a Binding in memory: 80 bytes and its text.
type entry struct {
	id       ID
	text     string // AOR, then Contact
	addr     netip.Addr
	conn     uint64
	expires  int64 // Unix nanoseconds
	port     uint16
	listener uint16
	aorLen   uint8
	bits     uint8 // transport, then a bit for the side and one for NAT
}

// New makes an empty table. keys make its ids.
func New(cfg Config, keys *seal.Keys) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("binding table: %w", err)
	}
	cfg = cfg.withDefaults()
	t := &Table{cfg: cfg, keys: keys, shards: make([]shard, shardCount(cfg.Max))}
	for i := range t.shards {
		t.shards[i].earliest = math.MaxInt64
	}
	t.sources.init(len(t.shards))
	return t, nil
}

// shardCount returns the power of two of shards for a table of that many bindings.
func shardCount(most int) int {
	return 1 << bits.Len(uint(min(max(most/perShard, 8), 1<<aorBits-1)))
}

// aorLetters of an id stand for the AOR alone; they choose the shard. Each carries five bits.
const (
	aorLetters = 4
	aorBits    = 5 * aorLetters
)

// ID returns the id of the binding of a phone: a keyed hash of the AOR and of what stays equal at every refresh, which
// is the instance (+sip.instance) and reg-id where the phone gives an instance (RFC 5626 §4.1), else its Contact URI.
// The key is never rotated. Nothing is kept or allocated.
func (t *Table) ID(aor, instance, regID, contact []byte) ID {
	var whole [seal.IDLen]byte
	if len(instance) > 0 {
		whole = t.keys.ID("binding by instance", aor, instance, regID)
	} else {
		whole = t.keys.ID("binding by contact", aor, contact, nil)
	}
	of := t.keys.ID("address of record", aor, nil, nil)
	copy(whole[:aorLetters], of[:])
	return whole
}

// shardOf returns the shard of an id.
func (t *Table) shardOf(id ID) *shard {
	var n uint32
	for _, c := range id[:aorLetters] {
		if c >= 'a' {
			n = n<<5 | uint32(c-'a')&31
		} else {
			n = n<<5 | uint32(c-'2'+26)&31
		}
	}
	return &t.shards[n&uint32(len(t.shards)-1)]
}

// Put inserts or refreshes a binding; its ID is one that ID made for its AOR. A table full of live bindings refuses new
// ones with ErrFull, an AOR that has its share with ErrAORFull; refreshing is always possible, and no live binding is
// ever evicted. A binding that has expired already is deleted. The texts are copied when they are new.
func (t *Table) Put(b Binding, now time.Time) error {
	if len(b.AOR) > MaxAOR || len(b.Contact) > MaxContact {
		return ErrTooLong
	}
	if !now.Before(b.Expires) {
		t.Delete(b.ID, now)
		return nil
	}
	for swept := false; ; swept = true {
		done, err := t.put(&b, now)
		if done || err != nil {
			return err
		}
		if swept {
			return ErrFull
		}
		t.Sweep(now)
	}
}

// put does Put's work under the lock of the shard. It returns false when a new binding has no room.
func (t *Table) put(b *Binding, now time.Time) (done bool, err error) {
	s := t.shardOf(b.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := s.find(b.ID)
	if !found {
		if s.count(b.AOR, now.UnixNano()) >= t.cfg.PerAOR {
			return false, ErrAORFull
		}
		if t.held.Add(1) > int64(t.cfg.Max) {
			t.held.Add(-1)
			return false, nil
		}
	}
	t.sources.enter(b.ID, b.Flow, b.Expires.UnixNano())
	if found { // left after entering, so that a source that stays is known all the time
		old := s.entries[i].flow()
		t.sources.leave(b.ID, old, old == b.Flow)
	} else {
		s.entries = slices.Insert(s.entries, i, &entry{id: b.ID})
	}
	e := s.entries[i]
	e.set(b)
	s.earliest = min(s.earliest, e.expires)
	t.changed(b.ID)
	return true, nil
}

// Get returns the binding with this id, if it is live at now.
func (t *Table) Get(id ID, now time.Time) (Binding, bool) {
	b, ok := t.peek(id)
	if !ok || !now.Before(b.Expires) {
		return Binding{}, false
	}
	return b, true
}

// peek returns the binding with this id, live or not.
func (t *Table) peek(id ID) (Binding, bool) {
	s := t.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(id)
	if !ok {
		return Binding{}, false
	}
	return s.entries[i].binding(), true
}

// Delete removes a binding. An unknown id is no error.
func (t *Table) Delete(id ID, now time.Time) {
	s := t.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.removeIf(s, func(e *entry) bool { return e.id == id })
}

// DeleteAOR removes all bindings of an AOR: Contact "*" with Expires 0 (RFC 3261 §10.2.2).
func (t *Table) DeleteAOR(aor string, now time.Time) {
	of := t.keys.ID("address of record", []byte(aor), nil, nil)
	s := t.shardOf(of)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.removeIf(s, func(e *entry) bool { return e.aor() == aor })
}

// Len returns how many bindings are in memory: live ones, and expired ones that no Sweep has met.
func (t *Table) Len() int { return int(t.held.Load()) }

// Sweep drops what has expired at now. It is meant to be called about once a second: it looks only into shards where
// something can have expired.
func (t *Table) Sweep(now time.Time) {
	at := now.UnixNano()
	for i := range t.shards {
		t.sweepShard(&t.shards[i], at)
	}
}

func (t *Table) sweepShard(s *shard, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.earliest > at {
		return
	}
	s.earliest = math.MaxInt64
	t.removeIf(s, func(e *entry) bool {
		if e.expires > at {
			s.earliest = min(s.earliest, e.expires)
		}
		return e.expires <= at
	})
}

// removeIf takes out the entries of a shard that match; the caller holds its lock.
func (t *Table) removeIf(s *shard, match func(*entry) bool) {
	s.entries = slices.DeleteFunc(s.entries, func(e *entry) bool {
		if !match(e) {
			return false
		}
		t.sources.leave(e.id, e.flow(), false)
		t.held.Add(-1)
		t.changed(e.id)
		return true
	})
}

// changed tells the journal, if there is one, that a binding differs from what is on the disk.
func (t *Table) changed(id ID) {
	if j := t.journal.Load(); j != nil {
		j.mark(id)
	}
}

// count returns how many live bindings of an AOR are in the shard.
func (s *shard) count(aor string, at int64) (n int) {
	for _, e := range s.entries {
		if e.expires > at && e.aor() == aor {
			n++
		}
	}
	return n
}

// ids returns the ids in the shard.
func (s *shard) ids() []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]ID, len(s.entries))
	for i, e := range s.entries {
		ids[i] = e.id
	}
	return ids
}

// find returns where the entry with this id is or would be; the caller holds the lock.
func (s *shard) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(s.entries, id, func(e *entry, id ID) int { return bytes.Compare(e.id[:], id[:]) })
}

func (e *entry) aor() string { return e.text[:e.aorLen] }

// Bits of an entry below its transport.
const (
	bitNAT       = 1
	bitSide      = 2
	transportBit = 2 // the lowest bit of the transport
)

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
	e.conn, e.listener, e.expires = b.Flow.Conn, b.Flow.Listener, b.Expires.UnixNano()
	e.bits = uint8(b.Flow.Transport) << transportBit
	if b.Flow.Side == edge.Inside {
		e.bits |= bitSide
	}
	if b.NAT {
		e.bits |= bitNAT
	}
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
	return Binding{ID: e.id, AOR: e.aor(), Contact: e.text[e.aorLen:], Flow: e.flow(), Expires: time.Unix(0, e.expires), NAT: e.nat()}
}
