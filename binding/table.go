// Package binding keeps what registered phones are bound to: the id that the platform stores as their Contact, the
// Contact they gave themselves, and the flow that reaches them (RFC 3261 §10, RFC 5626). The table lives in memory,
// bounded and sharded; a journal brings it over a restart.
package binding

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
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
	Print   Print     // what Identify gave with the id; 0 where the id came from ID or the journal
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

	// Lapsed is told of each phone whose registration ended without a word of it, and of which address of record. It must not wait, nor come back to the table.
	// Nil: nobody is.
	Lapsed func(f edge.Flow, aor string)
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

// A Table holds the bindings. All methods may be used by any number of goroutines at once; locks are short, and none is
// held while it calls out or writes to a disk.
//
// A binding that has expired is gone for every reader at once. Its memory comes back with the next Sweep.
type Table struct {
	cfg     Config
	keys    *seal.Keys
	shards  []shard // by the part of the id that stands for the AOR: all bindings of an AOR are in one
	clock   clock   // what is kept of times is by it
	hints   hints
	sources sources      // their locks are taken after that of a shard
	held    atomic.Int64 // bindings in memory, expired ones too
	users   atomic.Int64 // addresses of record that have any of them
	journal atomic.Pointer[Journal]
	walk    keepaliveWalk
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
	t.hints = make(hints, hintsPerShard*len(t.shards))
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
func (t *Table) shardOf(id ID) *shard { return &t.shards[t.shardIndex(id)] }

// shardIndex returns the number of the shard of an id.
func (t *Table) shardIndex(id ID) uint32 {
	var n uint32
	for _, c := range id[:aorLetters] {
		if c >= 'a' {
			n = n<<5 | uint32(c-'a')&31
		} else {
			n = n<<5 | uint32(c-'2'+26)&31
		}
	}
	return n & uint32(len(t.shards)-1)
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
	at := t.clock.at(now) // first: an end that was read from the disk must not set the clock going
	b.Expires = t.clock.at(b.Expires)
	for swept := false; ; swept = true {
		done, err := t.put(&b, at)
		if done || err != nil {
			return err
		}
		if swept {
			return ErrFull
		}
		t.Sweep(now)
	}
}

// put does Put's work under the lock of the shard, with times by t.clock. It returns false when a new binding has no room.
func (t *Table) put(b *Binding, now time.Time) (done bool, err error) {
	n := t.shardIndex(b.ID)
	s := &t.shards[n]
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
		if !holds(s.entries, b.AOR) {
			t.users.Add(1)
		}
		s.insert(i, b.ID)
	}
	e := &s.entries[i]
	e.set(b)
	s.earliest = min(s.earliest, e.expires)
	if b.Print != 0 {
		t.hints.note(b.Print, n)
	}
	t.changed(e)
	return true, nil
}

// Get returns the binding with this id, if it is live at now.
func (t *Table) Get(id ID, now time.Time) (Binding, bool) {
	s := t.shardOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.get(id)
	if e == nil || t.clock.at(now).UnixNano() >= e.expires {
		return Binding{}, false
	}
	b := e.binding()
	b.Expires = t.clock.when(e.expires, now)
	return b, true
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

// Users returns how many addresses of record have bindings in memory.
func (t *Table) Users() int { return int(t.users.Load()) }

// Sweep drops what has expired at now. It is meant to be called about once a second: it looks only into shards where
// something can have expired.
func (t *Table) Sweep(now time.Time) {
	at := t.clock.at(now).UnixNano()
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
			return false
		}
		if t.cfg.Lapsed != nil {
			t.cfg.Lapsed(e.flow(), e.aor())
		}
		return true
	})
}

// changed tells the journal, if there is one, that a binding differs from what is on the disk: once until the journal has
// read it. The caller holds the lock of its shard.
func (t *Table) changed(e *entry) {
	if e.bits&bitMarked != 0 {
		return
	}
	if j := t.journal.Load(); j != nil {
		e.bits |= bitMarked
		j.Mark(e.id)
	}
}
