package media

import (
	"fmt"
	"net/netip"
	"time"
)

// Stats is what has come from one end and gone to it. Packets that other machines sent to our port count as Refused, never as anything else.
type Stats struct {
	Packets, Bytes uint64           // accepted from the end, RTCP not counted; bytes of UDP payload
	RTCP           uint64           // RTCP packets accepted from it
	Sent           uint64           // packets sent to it, RTCP included
	Waited         uint64           // packets meant for it that were dropped because it was not known where it is, or it is on hold
	Failed         uint64           // packets that the kernel did not take
	Refused        [Refusals]uint64 // packets that came to its ports and were not accepted
	Moves          uint64           // how often another source took over

	Lost   uint64        // RTP packets that never came by their sequence numbers (RFC 3550 §A.3); reordering and copies even out
	Jitter time.Duration // RFC 3550 §A.8, by Remote.Clock
	SSRC   uint32        // of the RTP source now

	First, Last time.Time      // when the first and the last packet were accepted; zero if none was
	Source      netip.AddrPort // the one source whose RTP is accepted; invalid: none yet
	Sending     netip.AddrPort // where RTP is sent; invalid: nowhere
}

// String tells what came from the end.
func (s *Stats) String() string {
	refused := uint64(0)
	for _, n := range s.Refused {
		refused += n
	}
	return fmt.Sprintf("packets=%d bytes=%d lost=%d jitter=%.1fms refused=%d", s.Packets, s.Bytes, s.Lost, float64(s.Jitter.Microseconds())/1000, refused)
}

// counts are the live counters of an end, guarded by its stream.
type counts struct {
	packets, bytes, rtcp, sent, waited, failed, moves uint64
	refused                                           [Refusals]uint64
	first, last                                       time.Time
}

// Stats returns the figures of e so far.
func (s *Stream) Stats(e End) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := &s.ends[e]
	c := &end.count
	return Stats{
		Packets: c.packets, Bytes: c.bytes, RTCP: c.rtcp, Sent: c.sent, Waited: c.waited, Failed: c.failed, Refused: c.refused, Moves: c.moves,
		Lost: end.flow.lost(), Jitter: end.flow.jitterTime(end.remote.Clock), SSRC: end.flow.ssrc,
		First: c.first, Last: c.last, Source: end.rtp.source, Sending: end.rtp.far,
	}
}

// A flow is what RFC 3550 §A.1, A.3 and A.8 keep of one RTP source.
type flow struct {
	started    bool
	ssrc       uint32
	base, last uint16
	cycles     uint64 // of sequence numbers, counted in 65536
	got        uint64
	before     uint64 // lost by sources before this one

	transit uint32
	jitter  float64 // in ticks
}

// misorder is how far behind a packet may be to be late rather than a new beginning.
const misorder = 100

// add counts the RTP packet b, which arrived at, ticks of the flow's clock.
func (f *flow) add(b []byte, at uint32) {
	seq, ssrc := sequenceOf(b), ssrcOf(b)
	ahead := seq - f.last
	switch {
	case !f.started || ssrc != f.ssrc || ahead >= 3000 && -ahead > misorder: // another source, or the same one begun anew
		*f = flow{started: true, ssrc: ssrc, base: seq, last: seq, before: f.lost(), transit: at - timestampOf(b)}
	case ahead < 3000:
		if seq < f.last {
			f.cycles += 1 << 16
		}
		f.last = seq
	}
	f.got++
	transit := at - timestampOf(b)
	d := int32(transit - f.transit)
	f.transit = transit
	f.jitter += (float64(max(d, -d)) - f.jitter) / 16
}

// lost is how many packets never came.
func (f *flow) lost() uint64 {
	if !f.started {
		return f.before
	}
	expected := f.cycles + uint64(f.last) - uint64(f.base) + 1
	if expected <= f.got {
		return f.before
	}
	return f.before + expected - f.got
}

func (f *flow) jitterTime(clock uint32) time.Duration {
	if clock == 0 {
		return 0
	}
	return time.Duration(f.jitter / float64(clock) * float64(time.Second))
}

// A Silence is one direction of a stream from which nothing has been accepted for a while.
type Silence struct {
	Stream *Stream
	From   End
	Since  time.Time // the last packet accepted, or when the end was first expected if none ever was
}

// Silent appends to dst every direction of every stream from which nothing has been accepted since now-after, and returns it. Only ends that
// signalling has described and that are not on hold by address count; whether one is meant to send (a=recvonly, inactive) its caller knows.
func (r *Relay) Silent(dst []Silence, now time.Time, after time.Duration) []Silence {
	for _, s := range r.snapshot() {
		dst = s.silent(dst, now.Add(-after))
	}
	return dst
}

// Panics is how many packets cost a panic, which is survived and never to be.
func (r *Relay) Panics() (n uint64) {
	for _, l := range r.loops {
		n += l.panics.Load()
	}
	return n
}

func (r *Relay) snapshot() []*Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Stream, 0, len(r.streams))
	for s := range r.streams {
		all = append(all, s)
	}
	return all
}

func (s *Stream) silent(dst []Silence, limit time.Time) []Silence {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ends {
		e := &s.ends[i]
		since := e.count.last
		if since.IsZero() {
			since = e.since
		}
		if e.expected && !e.held() && since.Before(limit) {
			dst = append(dst, Silence{Stream: s, From: End(i), Since: since})
		}
	}
	return dst
}
