package replay

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// Bounds of TCP streams.
const (
	maxStreams  = 1 << 14         // one direction each; beyond that the ones that were silent longest are forgotten
	maxAhead    = 64              // segments of one that wait for an earlier one
	patience    = 3 * time.Second // that they wait
	maxBuffered = 64 << 20        // bytes of all that are no whole message yet
)

// streams put TCP segments in order, and cut them into messages. A stream is forgotten when it ends, or after so many others that were
// heard of since: young and old are two generations.
type streams struct {
	young, old map[way]*stream
	conns      uint64
	buffered   int
	lost       int // holes that were never filled
	foreign    int // streams that are no SIP, TLS for one
	msg        sip.Message
}

// A way is one direction of a connection.
type way struct{ src, dst netip.AddrPort }

// A stream is one direction of a connection.
type stream struct {
	conn   uint64
	next   uint32 // sequence number
	begun  bool   // next is known
	lost   bool   // where a message begins is not known: some of the stream is missing
	dead   bool   // its framing came into doubt, or it is no SIP
	spoke  bool   // SIP
	buf    []byte // in order
	ahead  []early
	framer sip.Framer
}

// An early is a segment that came before an earlier one.
type early struct {
	seq uint32
	at  time.Time
	b   []byte
}

// find returns the stream of w, a new one if there is none.
func (s *streams) find(w way) *stream {
	if one := s.young[w]; one != nil {
		return one
	}
	one := s.old[w]
	if one == nil {
		s.conns++
		one = &stream{conn: s.conns}
	}
	if len(s.young) >= maxStreams/2 || s.young == nil {
		for k, gone := range s.old {
			if k != w {
				s.buffered -= gone.size()
			}
		}
		s.old, s.young = s.young, map[way]*stream{}
	}
	delete(s.old, w)
	s.young[w] = one
	return one
}

// size is how many bytes wait in a stream.
func (o *stream) size() (n int) {
	n = len(o.buf)
	for _, e := range o.ahead {
		n += len(e.b)
	}
	return n
}

// end forgets the stream of w.
func (s *streams) end(w way) {
	for _, all := range [...]map[way]*stream{s.young, s.old} {
		if one := all[w]; one != nil {
			s.buffered -= one.size()
			delete(all, w)
		}
	}
}

// add takes a segment and calls do for each message that is whole now, and once, with the error, where what is no SIP begins.
func (s *streams) add(seg segment, at time.Time, do func(conn uint64, b []byte, err error)) {
	w := way{seg.src, seg.dst}
	one := s.find(w)
	if seg.syn {
		s.buffered -= one.size()
		*one = stream{conn: one.conn, next: seg.seq + 1, begun: true}
		seg.seq++
	}
	before := one.size()
	if !one.begun {
		one.next, one.begun, one.lost, one.buf, one.framer = seg.seq, true, true, one.buf[:0], sip.Framer{}
	}
	if len(seg.b) > 0 && !one.dead {
		s.order(one, seg, at)
		s.frame(one, do)
	}
	if one.dead {
		one.buf, one.ahead = nil, nil
	}
	s.buffered += one.size() - before
	if seg.rst || seg.fin && len(one.ahead) == 0 {
		s.end(w)
	}
}

// order puts the bytes of a segment in their place.
func (s *streams) order(one *stream, seg segment, at time.Time) {
	if int32(seg.seq-one.next) > 0 {
		one.ahead = append(one.ahead, early{seg.seq, at, bytes.Clone(seg.b)})
		if len(one.ahead) < maxAhead && at.Sub(one.ahead[0].at) < patience && s.buffered < maxBuffered {
			return
		}
		s.skip(one)
	} else {
		one.append(seg.seq, seg.b)
	}
	for i := 0; i < len(one.ahead); i++ {
		if e := one.ahead[i]; int32(e.seq-one.next) <= 0 {
			one.ahead = slices.Delete(one.ahead, i, i+1)
			one.append(e.seq, e.b)
			i = -1 // one that was too early may not be any more
		}
	}
	if s.buffered+len(one.buf) > maxBuffered {
		s.skip(one)
	}
	if seg.short {
		one.begun = false // there is no telling where the next one belongs
	}
}

// skip gives up what is missing: the stream goes on with the first segment that waits.
func (s *streams) skip(one *stream) {
	s.lost++
	one.lost, one.buf, one.framer = true, one.buf[:0], sip.Framer{}
	if len(one.ahead) == 0 {
		return
	}
	first := slices.MinFunc(one.ahead, func(a, b early) int { return int(int32(a.seq - b.seq)) })
	one.next = first.seq
}

// append adds what is new of a segment that begins at or before next.
func (o *stream) append(seq uint32, b []byte) {
	if had := int(int32(o.next - seq)); had < len(b) {
		o.buf = append(o.buf, b[had:]...)
		o.next += uint32(len(b) - had)
	}
}

// frame cuts messages off the front.
func (s *streams) frame(one *stream, do func(conn uint64, b []byte, err error)) {
	used := 0
	for used < len(one.buf) {
		kind, n, err := one.framer.Next(one.buf[used:])
		if err != nil {
			s.doubt(one, one.buf[used:], err, do)
			used = len(one.buf)
			break
		}
		if kind == sip.FrameMore {
			break
		}
		if b := one.buf[used : used+n]; kind == sip.FrameMessage && (!one.lost || s.msg.Parse(b, false) == nil) {
			one.lost, one.spoke = false, true
			do(one.conn, b, nil)
		}
		used += n
	}
	one.buf = one.buf[:copy(one.buf, one.buf[used:])]
}

// doubt deals with bytes that are no message. Where some of the stream is missing that says nothing: the next segment may begin with one.
func (s *streams) doubt(one *stream, b []byte, err error, do func(conn uint64, b []byte, err error)) {
	one.framer = sip.Framer{}
	if one.lost {
		return
	}
	one.dead = true
	if !one.spoke {
		s.foreign++
	}
	do(one.conn, b, err)
}
