package media

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/media/rtpengine"
	"github.com/ringwall/ringwall/sdp"
)

// ErrEngine: no rtpengine takes the call, or none answers.
var ErrEngine = errors.New("media is not relayed now")

// Engines are rtpengine servers as what moves the media of calls. Each has two interfaces, named "outside" and "inside". Calls of such a table
// wait for the servers: Request and Response return when one has answered or the cluster gave up, and other methods about the same
// call may wait for that.
type Engines struct {
	Cluster *rtpengine.Cluster

	// Guard returns an error for an address outside that only a description named and that nothing may be sent to (audit F21): then the
	// source of the message is taken in its place. May be nil.
	Guard func(netip.AddrPort) error
}

// NewCalls makes an empty table of calls whose media e moves.
func (e *Engines) NewCalls(cfg CallsConfig) *Calls {
	c := newCalls(cfg, func() anchor {
		return &engaged{to: e, call: e.Cluster.Call(rand.Text()), numbers: newNumbers()}
	})
	c.waits = true
	return c
}

// engaged is one call at a server: an anchor. What both sides said is kept, so that a refused offer can be taken back and a branch
// of a fork chosen by saying it again: the ports of a call stay.
type engaged struct {
	to      *Engines
	call    *rtpengine.Call
	numbers numbers
	ends    [Ends]voice
	lines   []StreamStatus
	done    *bid   // the last offer that was accepted with its answer
	by      *reply // that media flows by
	active  bool   // a line of the last description was in use

	mu      sync.Mutex // guards the rest, which answers to questions set
	totals  rtpengine.Totals
	packets [Ends]int64     // of each end in totals that were accepted
	last    [Ends]time.Time // when they were more than before
	known   time.Time       // when that was asked for
	asking  bool
}

// A voice is what one end said last.
type voice struct {
	ice          bool
	sends, wants bool
}

// A bid is an offer, and the answers to it.
type bid struct {
	from     End
	before   [Ends]voice // what both ends had said
	text     rtpengine.Text
	result   []byte
	answers  map[uint64]*reply // by dialog
	accepted *reply            // the last one that media flowed by
}

// A reply is an answer as the server made it.
type reply struct {
	bid    *bid
	sum    uint64
	text   rtpengine.Text
	result []byte
}

func (e *engaged) offer(dst []byte, m *described) (staged, []byte, error) {
	before := e.ends
	text, err := e.read(m)
	if err != nil {
		return nil, dst, err
	}
	text.From = tag(m.from, m.dialog)
	if e.done != nil {
		text.To = tag(m.from.Other(), m.dialog)
	}
	b := &bid{from: m.from, before: before, text: text, answers: map[uint64]*reply{}}
	if b.result, err = ask(e.call.Offer, text); err != nil {
		return nil, dst, err
	}
	out, err := e.write(dst, b.result, m)
	return b, out, err
}

func (e *engaged) again(dst []byte, m *described, s staged) ([]byte, error) {
	return e.write(dst, s.(*bid).result, m)
}

func (e *engaged) answer(dst []byte, m *described, s staged) (chosen, []byte, error) {
	b := s.(*bid)
	r := b.answers[m.dialog]
	if sum := sumOf(m.sdp); r == nil || r.sum != sum || m.apply && b.accepted != r {
		text, err := e.read(m)
		if err != nil {
			return nil, dst, err
		}
		text.From, text.To = tag(b.from, m.dialog), tag(m.from, m.dialog)
		r = &reply{bid: b, sum: sum, text: text}
		if r.result, err = ask(e.call.Answer, text); err != nil {
			return nil, dst, err
		}
		b.answers[m.dialog] = r
		if !m.apply && e.by != nil { // the server sends to who answered last
			e.call.Answer(e.by.text, ignore)
		}
	}
	if m.apply {
		b.accepted, e.by = r, r
	}
	out, err := e.write(dst, r.result, m)
	return r, out, err
}

// choose says an answer again. What the server makes of it is known.
func (e *engaged) choose(c chosen) {
	r := c.(*reply)
	r.bid.accepted, e.by = r, r
	e.call.Answer(r.text, ignore)
}

// rollback says again what was agreed before.
func (e *engaged) rollback(s staged) {
	if b, ok := s.(*bid); ok {
		e.ends = b.before
	}
	if e.done != nil && e.done.accepted != nil {
		e.by = e.done.accepted
		e.call.Offer(e.done.text, ignore)
		e.call.Answer(e.by.text, ignore)
	}
}

func ignore([]byte, error) {}

func (e *engaged) settled(s staged) {
	if b, ok := s.(*bid); ok && b.accepted != nil {
		e.done = b
	}
}

func (e *engaged) departed(uint64) {}

func (e *engaged) close() { e.call.Delete() }

func (e *engaged) proven(End) {}

func (e *engaged) admitted() {}

func (e *engaged) empty() bool { return !e.active }

// tag is what the server knows an end by. The callees of a forked INVITE are several.
func tag(end End, dialog uint64) string {
	if end == Caller {
		return "caller"
	}
	return strconv.FormatUint(dialog, 16)
}

// ask asks and waits for the answer, of which the cluster bounds the time.
func ask(do func(rtpengine.Text, func([]byte, error)), text rtpengine.Text) ([]byte, error) {
	type answer struct {
		sdp []byte
		err error
	}
	ch := make(chan answer, 1)
	do(text, func(sdp []byte, err error) { ch <- answer{bytes.Clone(sdp), err} })
	a := <-ch
	if a.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEngine, a.err)
	}
	return a.sdp, nil
}

// read reads a description strictly, notes what it says, and makes what the server is to be told of it.
func (e *engaged) read(m *described) (rtpengine.Text, error) {
	s := readers.Get().(*sdp.Session)
	defer readers.Put(s)
	if err := s.Parse(m.sdp); err != nil {
		return rtpengine.Text{}, err
	}
	from, to := &m.parties[m.from], &m.parties[m.from.Other()]
	v := &e.ends[m.from]
	*v = voice{}
	e.active = false
	source := from.Flow.Remote.Addr()
	t := rtpengine.Text{SDP: bytes.Clone(m.sdp), Source: source, Family: "IP4", ICE: "remove", Flags: []string{"strict-source", "trust-address"}, Between: []string{side(from), side(to)}}
	if to.Flow.Remote.Addr().Is6() {
		t.Family = "IP6"
	}
	for i := range s.Media {
		md := &s.Media[i]
		e.note(i, md, m.from)
		if !md.Usable() {
			continue
		}
		e.active = true
		v.ice = v.ice || md.ICE
		v.sends = v.sends || md.Direction == sdp.SendRecv || md.Direction == sdp.SendOnly
		v.wants = v.wants || !md.Hold && (md.Direction == sdp.SendRecv || md.Direction == sdp.RecvOnly)
		if md.Addr != source && !md.Hold && e.forbidden(from, md) {
			t.Flags[1] = "SIP-source-address"
		}
	}
	e.convert(&t, from, to, e.ends[m.from.Other()].ice)
	return t, nil
}

// convert says what the reader needs: browsers want DTLS-SRTP and ICE, the platform plain RTP when a browser calls, and ICE is for who has it.
func (e *engaged) convert(t *rtpengine.Text, from, to *Party, ice bool) {
	if ice {
		t.ICE = "force"
	}
	switch {
	case to.Flow.Transport.WebSocket():
		t.ICE, t.Protocol = "force", "UDP/TLS/RTP/SAVPF"
	case from.Flow.Transport.WebSocket() && to.Flow.Side == edge.Inside:
		t.Protocol = "RTP/AVP"
	}
}

// forbidden reports whether nothing may be sent to what a line of from names.
func (e *engaged) forbidden(from *Party, md *sdp.Media) bool {
	return from.Flow.Side == edge.Outside && from.Trust != edge.Peer && e.to.Guard != nil && e.to.Guard(netip.AddrPortFrom(md.Addr, md.Port)) != nil
}

// side names the interface of the server that p is at.
func side(p *Party) string {
	if p.Flow.Side == edge.Inside {
		return "inside"
	}
	return "outside"
}

// note keeps what operators want to see of line i.
func (e *engaged) note(i int, md *sdp.Media, from End) {
	if i >= mostLines {
		return
	}
	if i == len(e.lines) {
		e.lines = append(e.lines, StreamStatus{Kind: string(md.Type)})
	}
	e.lines[i].Ends[from].Named = netip.AddrPortFrom(md.Addr, md.Port)
}

// write appends what the server made, as its reader gets it: in our form, and with nothing in it that names the inside.
func (e *engaged) write(dst, result []byte, m *described) ([]byte, error) {
	s := readers.Get().(*sdp.Session)
	defer readers.Put(s)
	if err := s.Parse(result); err != nil {
		return dst, fmt.Errorf("%w: rtpengine's description, line %d: %w", ErrEngine, s.ErrorLine(), err)
	}
	plan := sdp.Plan{Clean: m.clean, Like: m.sdp, Media: make([]sdp.MediaPlan, len(s.Media)), Addr: netip.IPv4Unspecified(), FullICE: true}
	for i := range s.Media {
		md := &s.Media[i]
		plan.Media[i] = sdp.MediaPlan{Addr: md.Addr, Port: md.Port, RTCP: md.RTCP.Port(), Ufrag: string(md.Ufrag), Pwd: string(md.Pwd)}
		if i == 0 && md.Addr.IsValid() {
			plan.Addr = md.Addr
		}
		if i < len(e.lines) {
			e.lines[i].Ends[m.from.Other()].Port = netip.AddrPortFrom(md.Addr, md.Port)
		}
	}
	e.numbers.of(m).Apply(s, &plan)
	return s.Rewrite(dst, &plan)
}

func (e *engaged) expected() (from [Ends]bool) {
	for end := range e.ends {
		from[end] = e.ends[end].sends && e.ends[1-end].wants
	}
	return from
}

// heard asks the server, and tells what it said when it was asked before: of a server that does not answer nothing new is known.
func (e *engaged) heard(now time.Time) (last [Ends]time.Time, known time.Time) {
	e.inquire(now)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last, e.known
}

// endOf is whose tag that is.
func endOf(name string) End {
	if name == tag(Caller, 0) {
		return Caller
	}
	return Callee
}

// inquire asks what flowed until now, if no question is open.
func (e *engaged) inquire(now time.Time) {
	e.mu.Lock()
	open := e.asking
	e.asking = true
	e.mu.Unlock()
	if open {
		return
	}
	e.call.Query(func(t rtpengine.Totals, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.asking = false; err == nil {
			e.hear(t, now)
		}
	})
}

// hear takes note of what had flowed at a time. Of whom more was accepted than before has been heard then (F23): servers have clocks of their own.
func (e *engaged) hear(t rtpengine.Totals, at time.Time) {
	var packets [Ends]int64
	for _, p := range t.Parties {
		packets[endOf(p.Tag)] += p.Accepted()
	}
	for end := range packets {
		if packets[end] != e.packets[end] {
			e.last[end] = at
		}
	}
	e.totals, e.packets, e.known = t, packets, at
}

// streams tells of the lines; what flowed stands at the first one, since the server was asked by party.
func (e *engaged) streams() []StreamStatus {
	e.inquire(time.Now())
	all := append([]StreamStatus(nil), e.lines...)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.totals.Parties {
		if len(all) == 0 {
			break
		}
		s := &all[0].Ends[endOf(p.Tag)].Stats
		s.Packets += uint64(p.Accepted())
		s.Bytes += uint64(max(0, p.Bytes))
		s.Last = p.Last
	}
	return all
}
