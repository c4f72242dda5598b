package transaction

import "sync"

const wheelSlots = 4096 // at 10 ms a tick longer than the usual 32 s of lingering

// none ends the lists that are linked by slot number.
const none = ^uint32(0)

// A shard is one part of the table: its transactions, their timers and the buffers they use again.
type shard struct {
	mu    sync.Mutex
	table *Table
	index uint32
	byKey index
	slots []*Tx
	free  []uint32
	bufs  buffers
	bytes [2]int // that live transactions hold: those of unknown sources, those of others

	// The wheel: slot n holds the transactions that are to be looked at in a tick equal to n modulo wheelSlots, linked.
	wheel  [wheelSlots]uint32
	ticked int64 // ticks up to this one are done
}

func (s *shard) init(t *Table, index uint32) {
	s.table, s.index = t, index
	s.byKey = newIndex()
	for i := range s.wheel {
		s.wheel[i] = none
	}
}

// take returns an unused Tx, made if there is none; nil if the shard's slots are used up.
func (s *shard) take() *Tx {
	if n := len(s.free); n > 0 {
		tx := s.slots[s.free[n-1]]
		s.free = s.free[:n-1]
		tx.reset()
		return tx
	}
	if len(s.slots) >= 1<<slotBits {
		return nil
	}
	tx := &Tx{shard: s, slot: uint32(len(s.slots))}
	s.slots = append(s.slots, tx)
	tx.reset()
	return tx
}

// drop takes tx off the record and keeps its memory for the next.
func (s *shard) drop(tx *Tx) {
	s.disarm(tx)
	tx.done()
	s.charge(tx, 0)
	s.table.leave(tx.trusted)
	s.byKey.remove(tx.key)
	s.bufs.put(tx.request)
	s.bufs.put(tx.last)
	s.bufs.put(tx.back)
	tx.request, tx.last, tx.back = nil, nil, nil
	tx.live = false
	s.free = append(s.free, tx.slot)
}

// charge notes that tx holds size bytes of messages now.
func (s *shard) charge(tx *Tx, size int) {
	whose := 0
	if tx.trusted {
		whose = 1
	}
	s.bytes[whose] += size - tx.size
	tx.size = size
}

// arm puts tx on the wheel for deadline. A place for an earlier tick serves as well: tx is looked at then, and armed again.
// So a transaction that goes through its states in milliseconds is put there once, and neighbours are hardly touched.
func (s *shard) arm(tx *Tx, deadline int64) {
	tick := max(deadline/int64(s.table.tick)+1, s.ticked+1)
	if tx.tick != 0 {
		if tx.tick <= tick {
			return
		}
		s.disarm(tx)
	}
	tx.tick = tick
	head := &s.wheel[tick%wheelSlots]
	tx.next, *head = *head, tx.slot
}

// disarm takes tx off the wheel, if it is there. Lists are short, and only a deadline that moves forward ends up here, so one
// link does, and arming touches nobody else's memory.
func (s *shard) disarm(tx *Tx) {
	if tx.tick == 0 {
		return
	}
	at := &s.wheel[tx.tick%wheelSlots]
	for *at != tx.slot {
		at = &s.slots[*at].next
	}
	*at, tx.tick = tx.next, 0
}

// due takes the next transaction off the wheel whose tick has come by at, or returns nil.
func (s *shard) due(at int64) *Tx {
	now := at / int64(s.table.tick)
	s.ticked = max(s.ticked, now-wheelSlots)
	for ; s.ticked < now; s.ticked++ {
		for i := s.wheel[(s.ticked+1)%wheelSlots]; i != none; {
			tx := s.slots[i]
			if tx.tick <= now {
				s.disarm(tx)
				return tx
			}
			i = tx.next
		}
	}
	return nil
}

// buffers keeps byte slices of a few sizes for use again, so that steady work allocates nothing.
type buffers struct{ classes [8][][]byte }

const (
	smallest  = 256       // bytes of class 0
	keep      = 128 << 10 // bytes kept per class, or keepLeast slices
	keepLeast = 4
)

func class(n int) int {
	c := 0
	for size := smallest; size < n; size <<= 1 {
		c++
	}
	return c
}

// room returns an empty slice with room for n bytes, out of the free lists if it can.
func (p *buffers) room(n int) []byte {
	c := class(n)
	if c >= len(p.classes) {
		return make([]byte, 0, n)
	}
	if list := p.classes[c]; len(list) > 0 {
		p.classes[c] = list[:len(list)-1]
		return list[len(list)-1]
	}
	return make([]byte, 0, smallest<<c)
}

func (p *buffers) copy(b []byte) []byte { return append(p.room(len(b)), b...) }

func (p *buffers) put(b []byte) {
	c := class(cap(b))
	if cap(b) == 0 || c >= len(p.classes) || cap(b) != smallest<<c || len(p.classes[c]) >= max(keep/cap(b), keepLeast) {
		return
	}
	p.classes[c] = append(p.classes[c], b[:0])
}
