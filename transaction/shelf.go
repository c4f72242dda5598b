package transaction

import (
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

// A record is a transaction on the shelf.
type record struct {
	key      uint64
	expireAt int64 // since the table's start
	client   packedFlow
	target   packedFlow
	slot     uint32
	credit   int32
	block    uint32 // its bytes
	at       uint32 // in the block
	back     uint32 // how many there are of Tx.back, and so on, one after the other
	request  uint32
	last     uint32
	split    uint32
	third    uint32
	salt     uint32
	method   sip.Method
	state    State
	metered  bool
	trusted  bool
	left     uint8
}

// size is the number of bytes that r has in its block.
func (r *record) size() int { return int(r.back + r.request + r.last) }

// recordSize is what a record costs besides its bytes.
const recordSize = 144

// get returns the record with that number.
func (s *shelf) get(number uint32) *record { return &s.records[number&uint32(len(s.records)-1)] }

// add makes room for a record with n bytes, at the end of the queue. The bytes are for the caller to append to the last block.
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

// bytes returns the parts of r's bytes. They are valid until r is dropped.
func (s *shelf) bytes(r *record) (back, request, last []byte) {
	b := s.blocks[r.block-s.base][r.at:][:r.size()]
	return b[:r.back:r.back], b[r.back:][:r.request:r.request], b[r.back+r.request:]
}

// A packedFlow is an edge.Flow without pointers, for a memory that the garbage collector need not read.
type packedFlow struct {
	addr      [16]byte
	conn      uint64
	port      uint16
	listener  uint16
	transport edge.Transport
	inside    bool
	four      bool
}

func packFlow(f *edge.Flow) packedFlow {
	a := f.Remote.Addr()
	return packedFlow{addr: a.As16(), conn: f.Conn, port: f.Remote.Port(), listener: f.Listener, transport: f.Transport,
		inside: f.Side == edge.Inside, four: a.Is4()}
}

func (p *packedFlow) flow() edge.Flow {
	a := netip.AddrFrom16(p.addr)
	if p.four {
		a = a.Unmap()
	}
	f := edge.Flow{Remote: netip.AddrPortFrom(a, p.port), Conn: p.conn, Listener: p.listener, Transport: p.transport}
	if p.inside {
		f.Side = edge.Inside
	}
	return f
}
