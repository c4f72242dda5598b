package transaction

import (
	"encoding/binary"
	"net/netip"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A shelf holds the transactions of a shard that are over and only wait for retransmissions: nearly all there are. All wait equally long,
// so it is a queue: records one after the other, without pointers, and their bytes packed into blocks. What comes and goes is written
// and read in order, and a Tx, which is larger and spread over memory, is needed only while a transaction works.
type shelf struct {
	records []record // a ring; its length is a power of two
	first   uint32   // number of the oldest record, modulo 1<<31
	n       uint32
	blocks  [][]byte // the last is being filled
	base    uint32   // number of blocks[0]
	spare   [][]byte
}

const (
	firstRecords = 64
	blockSize    = 32 << 10
	spareBlocks  = 2
	numbers      = 1<<31 - 1 // mask of record numbers
)

// A record is a transaction on the shelf: what its end needs, and where in the blocks the rest is. Its end looks at nothing else.
type record struct {
	key      uint64
	expireAt int64 // since the table's start
	slot     uint32
	credit   int32
	salt     uint32
	block    uint32 // its bytes
	at       uint32 // in the block
	size     uint32 // of them
	method   sip.Method
	state    State
	metered  bool
	trusted  bool
	left     uint8
}

// recordSize is what a record costs besides its bytes: with its slot and its entry in the index.
const recordSize = 80

// get returns the record with that number.
func (s *shelf) get(number uint32) *record { return &s.records[number&uint32(len(s.records)-1)] }

// add makes room for a record with up to n bytes, at the end of the queue. The bytes are for the caller to append to the last block.
func (s *shelf) add(n int) (number uint32, r *record) {
	if s.n == uint32(len(s.records)) {
		s.grow()
	}
	number = (s.first + s.n) & numbers
	s.n++
	if last := len(s.blocks) - 1; last < 0 || cap(s.blocks[last])-len(s.blocks[last]) < n {
		s.blocks = append(s.blocks, s.newBlock(n))
	}
	last := len(s.blocks) - 1
	r = s.get(number)
	*r = record{block: s.base + uint32(last), at: uint32(len(s.blocks[last]))}
	return number, r
}

func (s *shelf) grow() {
	old := *s
	s.records = make([]record, max(firstRecords, 2*len(old.records)))
	for i := range old.n {
		number := (old.first + i) & numbers
		*s.get(number) = *old.get(number)
	}
}

func (s *shelf) newBlock(n int) []byte {
	if k := len(s.spare); k > 0 && n <= blockSize {
		b := s.spare[k-1]
		s.spare = s.spare[:k-1]
		return b
	}
	return make([]byte, 0, max(n, blockSize))
}

// oldest is the record that expires next, or nil.
func (s *shelf) oldest() *record {
	if s.n == 0 {
		return nil
	}
	return s.get(s.first)
}

// drop takes the oldest record off, and the blocks that it was the last to use.
func (s *shelf) drop() {
	s.first = (s.first + 1) & numbers
	s.n--
	used := s.base + uint32(len(s.blocks)) - 1 // the block being filled stays
	if s.n > 0 {
		used = s.oldest().block
	}
	for s.base != used {
		if cap(s.blocks[0]) == blockSize && len(s.spare) < spareBlocks {
			s.spare = append(s.spare, s.blocks[0][:0])
		}
		n := copy(s.blocks, s.blocks[1:])
		s.blocks[n] = nil
		s.blocks = s.blocks[:n]
		s.base++
	}
	if s.n == 0 {
		s.blocks[0] = s.blocks[0][:0]
	}
}

// A record's bytes are both flows, the lengths of back, of its first and second part and of the request, and then back, the request and the last
// response.
const (
	maxFlow    = 1 + 2 + 2 + 16 + 8
	maxLengths = 4 * binary.MaxVarintLen32
)

// fill puts what tx still needs behind r, the record that was added last.
func (s *shelf) fill(r *record, tx *Tx) {
	at := &s.blocks[len(s.blocks)-1]
	b := appendFlow(appendFlow(*at, &tx.Client), &tx.Target)
	for _, n := range [...]int{len(tx.back), tx.split, tx.third, len(tx.request)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	*at = append(append(append(b, tx.back...), tx.request...), tx.last...)
	r.size = uint32(len(*at)) - r.at
}

// show has tx show what fill put behind r. Its bytes are valid until r is dropped.
func (s *shelf) show(r *record, tx *Tx) {
	b := s.blocks[r.block-s.base][r.at:][:r.size:r.size]
	tx.Client, b = takeFlow(b)
	tx.Target, b = takeFlow(b)
	var lengths [4]int
	for i := range lengths {
		n, k := binary.Uvarint(b)
		lengths[i], b = int(n), b[k:]
	}
	back, request := lengths[0], lengths[0]+lengths[3]
	tx.split, tx.third = lengths[1], lengths[2]
	tx.back, tx.request, tx.last = b[:back:back], b[back:request:request], b[request:]
}

// What stands in the first byte of a flow, above its transport.
const (
	flowInside = 0x80
	flowFour   = 0x40 // its address has four bytes
	flowConn   = 0x20 // the number of its connection follows
)

const _ = uint(flowConn - edge.Transports)

// appendFlow appends f in few bytes, and without pointers, for a memory that the garbage collector need not read.
func appendFlow(b []byte, f *edge.Flow) []byte {
	mark, a := byte(f.Transport), f.Remote.Addr()
	if f.Side == edge.Inside {
		mark |= flowInside
	}
	if f.Conn != 0 {
		mark |= flowConn
	}
	if a.Is4() {
		mark |= flowFour
	}
	port := f.Remote.Port()
	b = append(b, mark, byte(port), byte(port>>8), byte(f.Listener), byte(f.Listener>>8))
	if a.Is4() {
		four := a.As4()
		b = append(b, four[:]...)
	} else {
		six := a.As16()
		b = append(b, six[:]...)
	}
	if f.Conn != 0 {
		b = binary.LittleEndian.AppendUint64(b, f.Conn)
	}
	return b
}

// takeFlow takes a flow off the front of b.
func takeFlow(b []byte) (f edge.Flow, rest []byte) {
	mark, port, a := b[0], binary.LittleEndian.Uint16(b[1:]), netip.Addr{}
	f.Transport, f.Listener = edge.Transport(mark&^(flowInside|flowFour|flowConn)), binary.LittleEndian.Uint16(b[3:])
	if mark&flowInside != 0 {
		f.Side = edge.Inside
	}
	if b = b[5:]; mark&flowFour != 0 {
		a, b = netip.AddrFrom4([4]byte(b)), b[4:]
	} else {
		a, b = netip.AddrFrom16([16]byte(b)), b[16:]
	}
	f.Remote = netip.AddrPortFrom(a, port)
	if mark&flowConn != 0 {
		f.Conn, b = binary.LittleEndian.Uint64(b), b[8:]
	}
	return f, b
}
