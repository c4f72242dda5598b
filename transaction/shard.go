package transaction

import (
	"sync"

	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

const wheelSlots = 4096 // at 10 ms a tick longer than the usual 32 s until a time-out

// none ends the lists of the wheel.
const none = ^uint32(0)

// A shard is one part of the table: its transactions, their timers and the memory they use again. A transaction has a slot, by which its
// ID names it, for as long as it is on record. While it works it has a Tx too; then it goes on the shelf.
type shard struct {
	mu      sync.Mutex
	table   *Table
	index   uint32
	byKey   meter.Index
	slots   []place
	free    []uint32 // slots
	working []*Tx
	idle    []*Tx // of working, those without a transaction
	shelf   shelf
	taken   Tx // what is handed out for a transaction on the shelf; its lock makes it one at a time
	bufs    buffers
	bytes   [2]int // that transactions hold: those of unknown sources, those of others
	cfg     *Config
	room    [2]int // bytes that it may hold: of unknown sources, of all

	// The wheel: slot n holds the working transactions that are to be looked at in a tick equal to n modulo wheelSlots, linked.
	wheel  [wheelSlots]uint32
	ticked int64 // ticks up to this one are done
}

// A place is where the transaction of a slot is.
type place struct {
	generation uint32 // of that transaction, or of the next one
	at         uint32 // index into working, or shelved and the number of a record, or vacant
}

const (
	shelved = 1 << 31
	vacant  = 1<<31 - 1 // more than a shard has slots
)

func (s *shard) init(t *Table, index uint32, cfg *Config) {
	s.table, s.index = t, index
	s.configure(cfg)
	s.byKey = meter.NewIndex()
	for i := range s.wheel {
		s.wheel[i] = none
	}
}

// configure puts cfg, which nobody writes to, in force. s is locked, or nobody else's yet.
func (s *shard) configure(cfg *Config) { s.cfg, s.room = cfg, cfg.room() }

// find returns the slot of the transaction with key.
func (s *shard) find(key uint64) (slot uint32, ok bool) {
	slot, next, ok := s.byKey.Find(key)
	for ok && s.keyOf(slot) != key {
		slot, next, ok = s.byKey.Next(key, next)
	}
	return slot, ok
}

func (s *shard) keyOf(slot uint32) uint64 {
	at := s.slots[slot].at
	if at&shelved != 0 {
		return s.shelf.get(at &^ shelved).key
	}
	return s.working[at].key
}

// tx returns the transaction of slot: its Tx, or taken as it stands on the shelf.
func (s *shard) tx(slot uint32) *Tx {
	at := s.slots[slot].at
	if at&shelved == 0 {
		return s.working[at]
	}
	r := s.shelf.get(at &^ shelved)
	tx := &s.taken
	*tx = Tx{}
	tx.shard, tx.key, tx.slot, tx.generation, tx.shelved = s, r.key, slot, s.slots[slot].generation, true
	tx.Method, tx.State, tx.Salt = r.method, r.state, r.salt
	s.shelf.show(r, tx)
	tx.expireAt, tx.credit, tx.metered, tx.trusted, tx.left = r.expireAt, int(r.credit), r.metered, r.trusted, r.left
	return tx
}

// take returns a Tx with a slot, nil if the shard's slots are used up.
func (s *shard) take() *Tx {
	slot, ok := s.newSlot()
	if !ok {
		return nil
	}
	if len(s.idle) == 0 {
		tx := &Tx{shard: s, home: uint32(len(s.working))}
		s.working, s.idle = append(s.working, tx), append(s.idle, tx)
	}
	tx := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	home := tx.home
	*tx = Tx{} // in place: a literal with the rest in it would be made elsewhere and copied
	tx.shard, tx.home, tx.slot, tx.generation = s, home, slot, s.slots[slot].generation
	s.slots[slot].at = home
	return tx
}

// newSlot returns an unused slot.
func (s *shard) newSlot() (slot uint32, ok bool) {
	if n := len(s.free); n > 0 {
		slot = s.free[n-1]
		s.free = s.free[:n-1]
		return slot, true
	}
	if len(s.slots) >= 1<<slotBits {
		return 0, false
	}
	s.slots = append(s.slots, place{generation: 1})
	return uint32(len(s.slots) - 1), true
}

// renew gives slot its next generation, which is never 0.
func (s *shard) renew(slot uint32) uint32 {
	p := &s.slots[slot]
	p.generation = max(p.generation+1, 1)
	return p.generation
}

// drop takes tx off the record and keeps its memory for the next.
func (s *shard) drop(tx *Tx) {
	s.byKey.Remove(tx.key, tx.slot)
	if tx.shelved { // only after a panic: its record goes when its time comes
		return
	}
	s.leave(tx.slot, tx.trusted)
	s.vacate(tx)
}

// leave takes a slot whose transaction is over.
func (s *shard) leave(slot uint32, trusted bool) {
	s.table.leave(trusted)
	s.renew(slot)
	s.slots[slot].at = vacant
	s.free = append(s.free, slot)
}

// vacate frees the Tx of a transaction that is over or on the shelf.
func (s *shard) vacate(tx *Tx) {
	s.disarm(tx)
	tx.done()
	s.charge(tx, 0)
	s.bufs.put(tx.request)
	s.bufs.put(tx.last)
	s.bufs.put(tx.back)
	tx.request, tx.last, tx.back = nil, nil, nil
	s.idle = append(s.idle, tx)
}

// shelve puts tx, which is over, on the shelf. Only an INVITE may still have responses to bring back: those of further forks.
func (s *shard) shelve(tx *Tx) {
	if tx.Method != sip.INVITE {
		s.bufs.put(tx.back)
		tx.back, tx.split, tx.third = nil, 0, 0
	}
	number, r := s.shelf.add(2*maxFlow + maxLengths + len(tx.back) + len(tx.request) + len(tx.last))
	r.key, r.slot, r.expireAt, r.salt, r.method, r.state = tx.key, tx.slot, tx.expireAt, tx.Salt, tx.Method, tx.State
	r.credit, r.metered, r.trusted, r.left = int32(min(tx.credit, 1<<30)), tx.metered, tx.trusted, tx.left
	s.shelf.fill(r, tx)
	s.bytes[whose(tx.trusted)] += recordSize + int(r.size)
	s.slots[tx.slot].at = shelved | number
	s.vacate(tx)
}

// expire takes transactions off the shelf whose time is over at at.
func (s *shard) expire(at int64) {
	for r := s.shelf.oldest(); r != nil && r.expireAt <= at; r = s.shelf.oldest() {
		s.byKey.Remove(r.key, r.slot)
		s.bytes[whose(r.trusted)] -= recordSize + int(r.size)
		s.leave(r.slot, r.trusted)
		s.shelf.drop()
	}
}

// whose is the index of bytes.
func whose(trusted bool) int {
	if trusted {
		return 1
	}
	return 0
}

// charge notes that tx holds size bytes of messages now.
func (s *shard) charge(tx *Tx, size int) {
	s.bytes[whose(tx.trusted)] += size - tx.size
	tx.size = size
}

// arm puts tx on the wheel for deadline. A place for an earlier tick serves as well: tx is looked at then, and armed again.
// So a transaction that goes through its states in milliseconds is put there once, and neighbours are hardly touched.
func (s *shard) arm(tx *Tx, deadline int64) {
	every := int64(s.table.tick)
	if tx.tick != 0 && (tx.tick-1)*every <= deadline { // as nearly always
		return
	}
	tick := max(deadline/every+1, s.ticked+1)
	if tx.tick != 0 {
		if tx.tick <= tick {
			return
		}
		s.disarm(tx)
	}
	tx.tick = tick
	head := &s.wheel[tick%wheelSlots]
	tx.next, *head = *head, tx.home
}

// disarm takes tx off the wheel, if it is there. Lists are short, and only the end of tx, or a deadline that moves forward, ends up
// here, so one link does, and arming touches nobody else's memory.
func (s *shard) disarm(tx *Tx) {
	if tx.tick == 0 {
		return
	}
	at := &s.wheel[tx.tick%wheelSlots]
	for *at != tx.home {
		at = &s.working[*at].next
	}
	*at, tx.tick = tx.next, 0
}

// due takes the next transaction off the wheel whose tick has come by at, or returns nil.
func (s *shard) due(at int64) *Tx {
	now := at / int64(s.table.tick)
	s.ticked = max(s.ticked, now-wheelSlots)
	for ; s.ticked < now; s.ticked++ {
		for i := s.wheel[(s.ticked+1)%wheelSlots]; i != none; {
			tx := s.working[i]
			if tx.tick <= now {
				s.disarm(tx)
				return tx
			}
			i = tx.next
		}
	}
	return nil
}
