package media

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sdp"
)

const (
	// mostLines bounds the media lines of one call that are relayed; further ones are refused by port 0.
	mostLines = 8
	// mostOpen bounds what a call has open at once, where dialogs have ports of their own.
	mostOpen = 4 * mostLines
)

// A BuiltIn is the relay of this package as what moves the media of calls.
type BuiltIn struct {
	Relay    *Relay
	Near     func(edge.Flow) netip.Addr // our address that signalling of that far end uses; media uses the same, if the relay has it
	Announce map[netip.Addr]netip.Addr  // what descriptions name in the place of own addresses, behind a NAT; others name themselves

	accepted atomic.Pointer[Acceptance]
}

// Acceptance is whose media is accepted, and how much. The zero value is the strictest, for any number of packets.
type Acceptance struct {
	Latch [edge.Peer + 1]Latch // by trust class of who is outside
	Rate  int                  // packets a second of an end outside that is no peer, in one media line; 0: any number
}

// Accept puts a in force for what is described from now on, of calls that go on, too. It may be called at any time.
func (b *BuiltIn) Accept(a Acceptance) { b.accepted.Store(&a) }

// acceptance is what was put in force last.
func (b *BuiltIn) acceptance() Acceptance {
	if a := b.accepted.Load(); a != nil {
		return *a
	}
	return Acceptance{}
}

// NewCalls makes an empty table of calls whose media b moves.
func (b *BuiltIn) NewCalls(cfg CallsConfig) *Calls {
	return newCalls(cfg, func() anchor { return &lines{to: b, numbers: newNumbers()} })
}

// lines are the media lines of one call: an anchor of streams. Both ends of a line keep their ports however often it is described anew. All
// dialogs of a forked INVITE share them, unless it had no offer; media flows by the one that answered last, and for good by the one that was accepted.
type lines struct {
	to      *BuiltIn
	all     []line
	by      *fork            // that they flow by
	apart   map[uint64]*fork // dialogs of an INVITE without an offer, which have ports of their own
	open    []*Stream
	pending []*offer
	first   *offer // of the INVITE that begins the call
	known   bool   // the platform took the call
	numbers numbers
}

// A line is one media line.
type line struct {
	stream *Stream // nil: it is refused
	kind   string
	ends   [Ends]description
}

// A description is what one end said of a line last.
type description struct {
	remote    Remote
	direction sdp.Direction
	said      bool
	ufrag     string // of its ICE agent
}

// sends reports whether media is to come from that end if the other one wants it.
func (d *description) sends() bool {
	return d.said && (d.direction == sdp.SendRecv || d.direction == sdp.SendOnly)
}

// wants reports whether that end wants media.
func (d *description) wants() bool {
	return d.said && (d.direction == sdp.SendRecv || d.direction == sdp.RecvOnly) && !d.remote.RTP.Addr().IsUnspecified()
}

// An offer is what lines keep of one until it is answered or refused.
type offer struct {
	from   End
	ice    bool
	asked  bool      // who gets it does ICE
	apart  uint64    // the dialog that it begins with ports of its own; 0: it does not
	base   []line    // what it changes
	lines  []line    // as they are if it is accepted
	opened []*Stream // for it
	before []line    // as they were, once it was answered
	by     *fork     // that they flowed by then
	forks  []*fork   // that answered it
}

// descriptions that were read are reused.
var readers = sync.Pool{New: func() any { return new(sdp.Session) }}

func (l *lines) offer(dst []byte, m *described) (staged, []byte, error) {
	s := readers.Get().(*sdp.Session)
	defer readers.Put(s)
	if err := s.Parse(m.sdp); err != nil {
		return nil, dst, err
	}
	o := &offer{from: m.from, base: l.base(m)}
	o.asked = slices.ContainsFunc(o.base, func(ln line) bool { return ln.ends[m.from.Other()].remote.ICE })
	if m.forks {
		o.apart = m.dialog
	}
	for i := range s.Media[:min(len(s.Media), mostLines)] {
		if err := l.take(o, s, i, m); err != nil {
			closeAll(o.opened)
			return nil, dst, err
		}
	}
	l.open = append(l.open, o.opened...)
	out, err := l.write(dst, s, m, o.lines, o.ice || o.asked)
	if err != nil {
		l.free(o.opened)
		return nil, dst, err
	}
	l.pending = append(l.pending, o)
	if m.dialog == 0 {
		l.first = o
	}
	return o, out, nil
}

// take adds line i of an offer to o.
func (l *lines) take(o *offer, s *sdp.Session, i int, m *described) (err error) {
	var ln line
	md := &s.Media[i]
	if i < len(o.base) {
		ln = o.base[i]
	}
	ln.kind = string(md.Type)
	places := l.places(&ln, md, m)
	e := &ln.ends[m.from]
	was := e.ufrag
	*e = l.said(s, md, m)
	o.ice = o.ice || e.remote.ICE
	switch {
	case !md.Usable():
		ln.stream = nil
	case ln.stream == nil || ln.stream.Spec().Opaque == md.RTP || places != ln.stream.Spec().Ends:
		ln.ends[m.from.Other()] = description{}
		if len(l.open)+len(o.opened) >= mostOpen {
			return ErrLimit
		}
		if ln.stream, err = l.openLine(places, md, m); err != nil {
			return err
		}
		o.opened = append(o.opened, ln.stream)
		ln.stream.Expect(m.from, e.remote)
	case was != "" && e.ufrag != "" && was != e.ufrag: // a restart is answered by one (RFC 8839 §4.4.1.1.1)
		ln.stream.OfferICE(m.from, true)
	}
	o.lines = append(o.lines, ln)
	return nil
}

// said is what m.from says of a line.
func (l *lines) said(s *sdp.Session, md *sdp.Media, m *described) description {
	return description{l.remote(s, md, m), md.Direction, true, string(md.Ufrag)}
}

// remote says what a line of m.from tells the relay of that end. Two agents that are ICE-lite have nothing to check.
func (l *lines) remote(s *sdp.Session, md *sdp.Media, m *described) Remote {
	p := &m.parties[m.from]
	trusted := p.Flow.Side == edge.Inside || p.Trust == edge.Peer
	accept := l.to.acceptance()
	if trusted {
		accept.Rate = 0
	}
	return Remote{RTP: netip.AddrPortFrom(md.Addr, md.Port), RTCP: md.RTCP, Mux: md.Mux, Signalling: p.Flow.Remote.Addr(), Proven: p.Proven,
		Trusted: trusted, Rate: accept.Rate, Latch: accept.Latch[p.Trust], ICE: md.ICE && !s.Lite}
}

// write appends s as the other end of m.from gets it, with our addresses on its side. ice: it may have credentials of ours.
func (l *lines) write(dst []byte, s *sdp.Session, m *described, all []line, ice bool) ([]byte, error) {
	to := m.from.Other()
	plan := sdp.Plan{Clean: m.clean, Media: make([]sdp.MediaPlan, len(all))}
	for i := range all {
		if all[i].stream == nil {
			continue
		}
		at := all[i].stream.Port(to)
		p := &plan.Media[i]
		p.Addr, p.Port, p.RTCP = l.announced(at.Addr()), at.Port(), at.Port()+1
		if ice {
			p.Ufrag, p.Pwd = all[i].stream.OfferICE(to, false)
		}
		if !plan.Addr.IsValid() {
			plan.Addr = p.Addr
		}
	}
	if !plan.Addr.IsValid() {
		plan.Addr = l.announced(l.address(&m.parties[to]))
	}
	l.numbers.of(m).Apply(s, &plan)
	return s.Rewrite(dst, &plan)
}

func (l *lines) again(dst []byte, m *described, st staged) ([]byte, error) {
	s := readers.Get().(*sdp.Session)
	defer readers.Put(s)
	if err := s.Parse(m.sdp); err != nil {
		return dst, err
	}
	o := st.(*offer)
	return l.write(dst, s, m, o.lines, o.ice || o.asked)
}

func (l *lines) answer(dst []byte, m *described, st staged) (chosen, []byte, error) {
	s := readers.Get().(*sdp.Session)
	defer readers.Put(s)
	if err := s.Parse(m.sdp); err != nil {
		return nil, dst, err
	}
	o := st.(*offer)
	all := append([]line(nil), o.lines...)
	for i := range all {
		ln := &all[i]
		if i >= len(s.Media) || !s.Media[i].Usable() {
			ln.stream = nil
			continue
		}
		md := &s.Media[i]
		ln.ends[m.from] = l.said(s, md, m)
		ln.agree()
	}
	out, err := l.write(dst, s, m, all, o.ice)
	if err != nil {
		return nil, dst, err
	}
	f := o.fork(m.dialog)
	f.lines = all
	if o.apart != 0 && l.apart[o.apart] == nil {
		l.setApart(o.apart, f)
	}
	if m.apply {
		if o.before == nil {
			o.before, o.by = append([]line{}, l.all...), l.by
		}
		l.choose(f)
	} else if l.by != nil && o == l.first {
		l.bar()
	}
	return f, out, nil
}

// agree holds what both ends must want: RTCP on the port of RTP, and ICE.
func (ln *line) agree() {
	a, b := &ln.ends[Caller].remote, &ln.ends[Callee].remote
	mux := a.Mux && b.Mux
	a.Mux, b.Mux = mux, mux
}

// follow lets media flow as all says.
func (l *lines) follow(all []line) {
	l.all = append(l.all[:0], all...)
	for i := range l.all {
		ln := &l.all[i]
		for e := range ln.ends {
			if ln.stream != nil && ln.ends[e].said {
				ln.stream.Expect(End(e), ln.ends[e].remote)
			}
		}
	}
}

func (l *lines) rollback(st staged) {
	o := st.(*offer)
	l.forget(o)
	if o.before != nil {
		if l.by = o.by; l.by != nil {
			l.renew(l.by)
		}
		l.follow(o.before)
	}
	l.free(o.opened)
}

func (l *lines) settled(st staged) {
	if o, ok := st.(*offer); ok {
		l.forget(o)
	}
	l.freeUnused()
}

// freeUnused closes what nothing has a use for.
func (l *lines) freeUnused() {
	var unused []*Stream
	for _, s := range l.open {
		if !l.uses(s) {
			unused = append(unused, s)
		}
	}
	l.free(unused)
}

// uses reports whether a line has s, that of a dialog with ports of its own included, or an offer that waits for its answer.
func (l *lines) uses(s *Stream) bool {
	has := func(all []line) bool { return slices.ContainsFunc(all, func(ln line) bool { return ln.stream == s }) }
	for _, f := range l.apart {
		if has(f.lines) {
			return true
		}
	}
	return has(l.all) || slices.ContainsFunc(l.pending, func(o *offer) bool { return has(o.lines) })
}

// forget takes o off the offers that wait for an answer.
func (l *lines) forget(o *offer) {
	l.pending = slices.DeleteFunc(l.pending, func(p *offer) bool { return p == o })
}

// free closes streams that are open.
func (l *lines) free(gone []*Stream) {
	l.open = slices.DeleteFunc(l.open, func(s *Stream) bool { return slices.Contains(gone, s) })
	closeAll(gone)
}

func closeAll(streams []*Stream) {
	for _, s := range streams {
		s.Close()
	}
}

func (l *lines) close() {
	closeAll(l.open)
	l.open, l.all, l.pending, l.apart = nil, nil, nil, nil
}

func (l *lines) empty() bool { return len(l.open) == 0 }

func (l *lines) proven(e End) {
	for _, s := range l.open {
		s.Prove(e)
	}
}

func (l *lines) admitted() {
	l.known = true
	for _, s := range l.open {
		s.Admit()
	}
}

func (l *lines) expected() (from [Ends]bool) {
	for i := range l.all {
		for e := range End(Ends) {
			from[e] = from[e] || l.all[i].expects(e)
		}
	}
	return from
}

// expects reports whether media is to come from e.
func (ln *line) expects(e End) bool {
	return ln.stream != nil && ln.ends[e].sends() && ln.ends[e.Other()].wants()
}

func (l *lines) heard(now time.Time) (last [Ends]time.Time, known time.Time) {
	for i := range l.all {
		ln := &l.all[i]
		for e := range End(Ends) {
			if ln.expects(e) {
				last[e] = later(last[e], ln.stream.Stats(e).Last)
			}
		}
	}
	return last, now
}
