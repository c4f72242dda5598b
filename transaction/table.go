// Package transaction remembers relayed transactions: one Tx is the server transaction towards the client and the client
// transaction towards the target together (RFC 3261 §16.2, §17, RFC 4320, RFC 6026).
//
// The package is pure: it is handed messages' facts and the time, and says what to do. It sends nothing, and reads no clock.
// Tables are sharded by the keyed hash of the server transaction; each shard has a short lock, a timer wheel and its own
// free lists, so that steady work allocates nothing. No function here blocks, and a caller does no I/O between getting a Tx
// and Unlock. Lock order: never two shards at once.
package transaction

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrFull says that no further transaction of this kind of source may be begun.
var ErrFull = errors.New("transaction table is full")

// Config sizes the table and sets the timers of RFC 3261 table 4.
type Config struct {
	Max       int // transactions on record at once, lingering ones included
	Untrusted int // of these, those begun by unknown sources
	Bytes     int // of messages that are kept for them, of which unknown sources get the same share; 0: 2 KiB for each of Max

	T1, T2, T4 time.Duration
	C          time.Duration // Timer C, RFC 3261 §16.6 step 11
	Linger     time.Duration // how long a finished transaction absorbs retransmissions: timers D, H, J, L and M
	Trying     time.Duration // an INVITE that nobody answered gets our 100 after this (RFC 3261 §16.2: within 200 ms)
}

// DefaultConfig returns the timers of RFC 3261 and room for 200,000 transactions, 30 % of them of unknown sources.
func DefaultConfig() Config {
	return Config{Max: 200_000, Untrusted: 60_000,
		T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second,
		C: 185 * time.Second, Linger: 32 * time.Second, Trying: 100 * time.Millisecond}
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Max < shardCount || c.Max > shardCount<<slotBits:
		return fmt.Errorf("transactions: %d is not between %d and %d", c.Max, shardCount, shardCount<<slotBits)
	case c.Untrusted < 1 || c.Untrusted > c.Max:
		return fmt.Errorf("transactions of unknown sources: %d is not between 1 and %d", c.Untrusted, c.Max)
	case c.Bytes < 0:
		return fmt.Errorf("bytes of transactions: %d is negative", c.Bytes)
	case c.T1 < time.Millisecond || c.T2 < c.T1 || c.T4 < c.T1:
		return fmt.Errorf("timers t1 %v, t2 %v, t4 %v: t1 is at least 1ms and the smallest", c.T1, c.T2, c.T4)
	case c.C < 2*c.T1 || c.Linger < c.T1 || c.Trying <= 0:
		return fmt.Errorf("timers c %v, linger %v, trying %v are too short for t1 %v", c.C, c.Linger, c.Trying, c.T1)
	}
	return nil
}

const (
	shardBits  = 4
	shardCount = 1 << shardBits
	slotBits   = 20
)

// An ID names a transaction for as long as it is on record: shard, slot and a generation that is never 0. The branch that
// we put into our Via carries it sealed.
type ID uint64

func (id ID) shard() uint32      { return uint32(id>>(32+slotBits)) % shardCount }
func (id ID) slot() uint32       { return uint32(id>>32) & (1<<slotBits - 1) }
func (id ID) generation() uint32 { return uint32(id) }

func newID(shard, slot, generation uint32) ID {
	return ID(shard)<<(32+slotBits) | ID(slot)<<32 | ID(generation)
}

// NoID returns an ID that is on no record now or later, half of it taken from key: for requests that are relayed without a
// transaction and still need a branch of their own.
func NoID(key uint64) ID { return ID(key &^ (1<<32 - 1)) }

// A Table holds all transactions of the process. Its methods may be called from any goroutine.
type Table struct {
	start     time.Time
	tick      time.Duration
	count     atomic.Int64
	untrusted atomic.Int64
	pending   atomic.Int64
	shards    [shardCount]shard
}

// New makes an empty table whose clock starts at now.
func New(cfg Config, now time.Time) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Table{start: now, tick: max(time.Millisecond, min(10*time.Millisecond, cfg.T1/10))}
	for i := range t.shards {
		t.shards[i].init(t, uint32(i), &cfg)
	}
	return t, nil
}

// Configure puts other sizes and timers in force. Transactions that are on record stay, too many or not; timers that run for them end as they
// were set. Tick stays as it was.
func (t *Table) Configure(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.configure(&cfg)
		s.mu.Unlock()
	}
	return nil
}

// leastRoom is what a shard may hold however small the table is: a few of the largest messages.
const leastRoom = 256 << 10

// room is what one shard may hold, in bytes: of unknown sources, and of all.
func (c *Config) room() [2]int {
	all := c.Bytes
	if all == 0 {
		all = c.Max * 2 << 10
	}
	unknown := int(float64(all) * float64(c.Untrusted) / float64(c.Max))
	return [2]int{max(unknown/shardCount, leastRoom), max(all/shardCount, leastRoom)}
}

// Tick is how often Due wants to be asked.
func (t *Table) Tick() time.Duration { return t.tick }

// Len is the number of transactions on record, finished ones that linger included.
func (t *Table) Len() int { return int(t.count.Load()) }

// Untrusted is the number of transactions on record that unknown sources began.
func (t *Table) Untrusted() int { return int(t.untrusted.Load()) }

// Pending is the number of transactions without a final response.
func (t *Table) Pending() int { return int(t.pending.Load()) }

// Shards is the number of shards, for Due.
func (t *Table) Shards() int { return shardCount }

func (t *Table) shardOf(key uint64) *shard { return &t.shards[key>>(64-shardBits)] }

// since turns a time into the table's own count of nanoseconds, never 0.
func (t *Table) since(now time.Time) int64 { return max(1, int64(now.Sub(t.start))) }

// Has reports whether a server transaction with key is on record. key is a keyed hash that the caller makes of what RFC
// 3261 §17.2.3 compares.
func (t *Table) Has(key uint64) bool {
	s := t.shardOf(key)
	s.mu.Lock()
	_, ok := s.find(key)
	s.mu.Unlock()
	return ok
}

// Find returns the transaction with key, locked, or nil.
func (t *Table) Find(key uint64) *Tx {
	s := t.shardOf(key)
	s.mu.Lock()
	if slot, ok := s.find(key); ok {
		return s.tx(slot)
	}
	s.mu.Unlock()
	return nil
}

// FindID returns the transaction with id, locked, or nil if it is gone.
func (t *Table) FindID(id ID) *Tx {
	s := &t.shards[id.shard()]
	s.mu.Lock()
	if slot := id.slot(); int(slot) < len(s.slots) && s.slots[slot].generation == id.generation() {
		return s.tx(slot)
	}
	s.mu.Unlock()
	return nil
}

// FindLeft returns the transaction that had id until Retarget, which has left the target that id was sent to, locked, or nil.
func (t *Table) FindLeft(id ID) *Tx {
	s := &t.shards[id.shard()]
	s.mu.Lock()
	if slot := id.slot(); int(slot) < len(s.slots) && s.slots[slot].at != vacant {
		tx := s.tx(slot)
		if since := tx.generation - id.generation(); since > 0 && since <= uint32(tx.left) {
			return tx
		}
	}
	s.mu.Unlock()
	return nil
}

// Waiting appends the IDs of the transactions of shard i without a final response for which which reports true. It looks at all that work; which
// does no more than look, since the shard is locked.
func (t *Table) Waiting(dst []ID, i int, which func(*Tx) bool) []ID {
	s := &t.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tx := range s.working {
		if tx.pending && tx.request != nil && which(tx) {
			dst = append(dst, tx.ID())
		}
	}
	return dst
}

// Begin puts a new transaction on record and returns it, locked: the caller fills it, calls Sent, and unlocks. It returns
// an error if key is on record already (found tells) or the share of such sources is used up.
func (t *Table) Begin(key uint64, trusted bool) (tx *Tx, found bool, err error) {
	s := t.shardOf(key)
	s.mu.Lock()
	if _, ok := s.find(key); ok {
		s.mu.Unlock()
		return nil, true, nil
	}
	if err := s.admit(trusted); err != nil {
		s.mu.Unlock()
		return nil, false, err
	}
	tx = s.take()
	if tx == nil {
		t.leave(trusted)
		s.mu.Unlock()
		return nil, false, ErrFull
	}
	tx.key, tx.trusted, tx.pending = key, trusted, true
	s.byKey.Put(key, tx.slot)
	t.pending.Add(1)
	return tx, false, nil
}

// admit counts a new transaction, if there is room for it.
func (s *shard) admit(trusted bool) error {
	t := s.table
	if s.bytes[0]+s.bytes[1] >= s.room[1] || !trusted && s.bytes[0] >= s.room[0] {
		return ErrFull
	}
	if t.count.Add(1) > int64(s.cfg.Max) {
		t.count.Add(-1)
		return ErrFull
	}
	if !trusted && t.untrusted.Add(1) > int64(s.cfg.Untrusted) {
		t.untrusted.Add(-1)
		t.count.Add(-1)
		return ErrFull
	}
	return nil
}

func (t *Table) leave(trusted bool) {
	t.count.Add(-1)
	if !trusted {
		t.untrusted.Add(-1)
	}
}

// Due returns a transaction of shard i with a timer that has fired, locked, and what to do; nil when there is none left.
// The caller does it and unlocks.
func (t *Table) Due(i int, now time.Time) (*Tx, Task) {
	s := &t.shards[i]
	at := t.since(now)
	s.mu.Lock()
	for tx := s.due(at); tx != nil; tx = s.due(at) {
		if task := tx.fire(at); task != Nothing {
			return tx, task
		}
		tx.settle()
	}
	s.expire(at)
	s.mu.Unlock()
	return nil, Nothing
}
