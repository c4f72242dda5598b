// Package replay shows captures to the judge: what it would have said of each message, whom it would have banned and locked, and when.
// It is the judge, the checks and the ban book of the running edge; only what the edge knows from its own tables (what a message belongs
// to, who is registered) is found from what both sides sent. Start reading at Run.
//
// A capture shows what happened without the edge: answers to requests that it would have stopped are not shown to the judge, and what
// follows from them counts as stopped. The capture's clock is the only one.
package replay

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// Config says how to look at a capture.
type Config struct {
	Inside  []netip.Prefix       // the addresses of the platform; Infer finds them
	Checks  []judge.Charge       // made for this run: checks remember
	Judge   judge.Config         // of the judge
	Key     meter.Key            // of all hashes, also those that the checks were made with; the same key gives the same report
	Never   []ban.Exemption      // who is never banned, besides Inside
	Peer    func(edge.Flow) bool // who is a configured peer; nil: nobody
	First   time.Duration        // of bans; 0: the usual
	Longest time.Duration
	Monitor bool // nothing is acted on: bans and locks are those that there would be
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	if len(c.Inside) == 0 {
		return errors.New("replay: no addresses of the platform are given")
	}
	for _, p := range c.Inside {
		if !p.IsValid() {
			return errors.New("replay: a prefix of the platform is not valid")
		}
	}
	return nil
}

// A player shows one capture to one judge.
type player struct {
	cfg      Config
	judge    *judge.Judge
	book     *ban.Book
	tables   *tables
	crowd    crowd
	ports    map[netip.AddrPort]bool // of the platform, on which SIP was seen
	report   *Report
	wire     *wire
	at       time.Time            // of the message at hand
	told     map[edge.Source]bool // of which it is told that they would be banned
	networks []edge.Source        // that were banned for their neighbours just now
	sweep    time.Time            // when the ban book is next told the time
	msg      sip.Message
	x        edge.Exchange
}

// Run judges a capture. A capture that ends in the middle of a packet gives the report of what came before, and a *CutError. The other
// errors are ErrEmpty, ErrNotCapture, a *LinkError, those of r, and what Config.Validate says.
func Run(r io.Reader, cfg Config) (*Report, error) {
	p, err := newPlayer(cfg)
	if err != nil {
		return nil, err
	}
	if p.wire, err = openWire(r); err != nil {
		return nil, err
	}
	err = p.wire.each(p.message)
	if err != nil && !errors.As(err, new(*CutError)) {
		return nil, err
	}
	p.finish()
	return p.report, err
}

func newPlayer(cfg Config) (*player, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &player{cfg: cfg, tables: newTables(cfg.Key), ports: map[netip.AddrPort]bool{}, told: map[edge.Source]bool{}, report: newReport()}
	p.crowd.init()
	var err error
	if p.judge, err = judge.New(cfg.Judge, cfg.Key, cfg.Checks); err != nil {
		return nil, err
	}
	p.book, err = ban.New(ban.Config{First: cfg.First, Longest: cfg.Longest,
		Changed: func(c ban.Change) {
			if c.Kind == ban.Banned && c.Ban.Reason == ban.ReasonNeighbours {
				p.networks = append(p.networks, c.Ban.Source)
			}
		},
		Known:   func(f edge.Flow, at time.Time) bool { return p.crowd.known(f, at) || p.judge.Knows(f, at) },
		KnownIn: func(in netip.Prefix, at time.Time) bool { return p.crowd.knownIn(in, at) || p.judge.KnowsIn(in, at) }})
	if err != nil {
		return nil, err
	}
	never := cfg.Never
	for _, prefix := range cfg.Inside {
		never = append(never, ban.Exemption{Prefix: prefix, Why: "it is the platform"})
	}
	p.book.SetNever(never, time.Time{})
	return p, nil
}

// message takes one message: the one function to read to know what a replay does.
func (p *player) message(m *message) bool {
	to, from := p.inside(m.dst.Addr()), p.inside(m.src.Addr())
	if to == from { // within the platform, or none of its business
		p.report.Elsewhere++
		return true
	}
	if idle(m.b) {
		return true
	}
	p.at = m.at
	if !p.at.Before(p.sweep) {
		p.book.Tick(p.at)
		p.sweep = p.at.Add(time.Second)
	}
	if from {
		p.fromInside(m)
	} else {
		p.fromOutside(m)
	}
	return true
}

func (p *player) inside(a netip.Addr) bool {
	for _, prefix := range p.cfg.Inside {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// idle reports keep-alives: CRLFs (RFC 5626 §3.5.1) and zeros.
func idle(b []byte) bool {
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

const (
	sipPort  = 5060
	maxPorts = 1 << 12
)

// serves reports whether SIP is spoken at an address of the platform: on the usual port, and where SIP was seen before. What comes there
// is judged also where it is none; what comes elsewhere is media, or nothing of ours.
func (p *player) serves(to netip.AddrPort) bool { return to.Port() == sipPort || p.ports[to] }

func (p *player) seen(at netip.AddrPort) {
	if !p.serves(at) && len(p.ports) < maxPorts {
		p.ports[at] = true
	}
}

// fromOutside takes what a client sent.
func (p *player) fromOutside(m *message) {
	err := m.err
	serves := p.serves(m.dst)
	if !serves {
		if err != nil || p.msg.Parse(m.b, m.transport.Delimited()) != nil {
			return
		}
		p.seen(m.dst)
	}
	from := edge.Flow{Remote: m.src, Conn: m.conn, Transport: m.transport}
	f := p.crowd.flow(m.src)
	f.count(p.since())
	p.report.Messages++
	if p.book.Refuses(from, p.at) {
		b, _ := p.book.Lookup(m.src, p.at)
		f.source.banned = f.source.banned || b.Source.Port == 0 // it may be one of a banned network
		p.stop(f, b.Reason)
		return
	}
	if serves {
		if perr := p.msg.Parse(m.b, m.transport.Delimited()); perr != nil && err == nil {
			err = perr
		} else if perr == nil {
			err = nil // of a stream that goes wrong only later
		}
	}
	x := &p.x
	*x = edge.Exchange{Msg: &p.msg, From: from, At: p.at}
	if p.cfg.Peer != nil && p.cfg.Peer(from) {
		x.Trust = edge.Peer
	}
	switch {
	case err != nil:
		p.unreadable(x, f, err)
	case p.msg.IsRequest():
		p.request(x, f)
	default:
		f.pass()
		p.answeredOutside(m.src)
	}
}

// unreadable takes what is no SIP. The edge refuses it whatever the checks say; but what phones keep their NAT open with is no message.
func (p *player) unreadable(x *edge.Exchange, f *flow, err error) {
	var why sip.Error
	if !errors.As(err, &why) {
		return
	}
	v := p.judge.Unreadable(x, why)
	p.heard(x, f, v)
	if v.Action > edge.Note {
		p.stop(f, v.Reason)
	} else if p.msg.RequestURI.Present() || p.msg.Status != 0 {
		p.stop(f, edge.Reason(why.ID()))
	}
}

// request judges a request of a client.
func (p *player) request(x *edge.Exchange, f *flow) {
	key, refused := p.match(x, f)
	if refused != "" {
		p.stop(f, refused)
		return
	}
	if x.Match == edge.MatchNew && x.Trust == edge.Unknown && p.book.Soft(x.From, p.at) {
		refused = p.banned(x.From.Remote)
		p.stop(f, refused)
		p.tables.keep(key, x, refused)
		return
	}
	v := p.judge.Inspect(x)
	p.heard(x, f, v)
	if v.Action > edge.Note && !p.cfg.Monitor {
		p.stop(f, v.Reason)
		p.tables.keep(key, x, v.Reason)
		return
	}
	if x.Msg.Method == sip.OPTIONS && x.Match == edge.MatchNew && x.Trust == edge.Unknown && !x.Msg.ToTag.Present() && !p.cfg.Monitor {
		return // the edge answers by itself: the platform neither gets it nor says anything
	}
	if x.Match == edge.MatchNew && (x.Msg.Method == sip.ACK || x.Msg.Method == sip.CANCEL) {
		return // it belongs to nothing that the edge knows, and stays there; an ACK of a refusal, too, by whatever branch
	}
	switch x.Match {
	case edge.MatchNew, edge.MatchInDialog:
		f.pass()
		if x.Msg.Method != sip.ACK {
			p.tables.keep(key, x, "")
		}
	case edge.MatchCancel:
		f.pass()
	}
}

// match fills in what a request belongs to, and the trust of its source. refused is why it, or what it belongs to, was stopped before.
func (p *player) match(x *edge.Exchange, f *flow) (key uint64, refused edge.Reason) {
	m, t := x.Msg, p.tables
	key = t.transaction(x.From.Remote.Addr(), edge.Outside, m)
	one, ack := t.find(key, x.At), m.Method == sip.ACK
	if one == nil && ack {
		one = t.find(t.call(x.From.Remote.Addr(), m), x.At)
	}
	switch {
	case one == nil:
	case one.refused != "" && (ack || m.Method == sip.CANCEL):
		return key, one.refused
	case one.refused != "": // sent again, judged again
	case ack && one.status/100 != 2:
		x.Match = edge.MatchACK
		return key, ""
	case ack: // of a 2xx: a matter of its dialog
	case m.Method == sip.CANCEL:
		x.Match = edge.MatchCancel
		return key, ""
	default:
		x.Match = edge.MatchRetransmission
		return key, ""
	}
	if d := t.within(m, x.At); d != nil {
		if d.refused != "" {
			return key, d.refused
		}
		x.Match = edge.MatchInDialog
	}
	if x.Trust == edge.Unknown && x.At.UnixNano() < f.bound {
		x.Trust = edge.Known
	}
	return key, ""
}

// banned is the reason of the ban that holds for a message from there.
func (p *player) banned(from netip.AddrPort) edge.Reason {
	b, _ := p.book.Lookup(from, p.at)
	return b.Reason
}

// since is how long after the first packet now is, in seconds.
func (p *player) since() float64 { return p.at.Sub(p.wire.first).Seconds() }

// stop counts a message that does not get through.
func (p *player) stop(f *flow, why edge.Reason) {
	f.stop(why, p.since())
}

// heard takes what a verdict says of the source of x, or of who asked.
func (p *player) heard(x *edge.Exchange, f *flow, v edge.Verdict) {
	if v.Reason != "" {
		f.source.gave(v.Reason)
	}
	if p.cfg.Monitor {
		v = v.Told()
	}
	if v.Lock != edge.LockNone {
		p.report.Locks = listed(p.report.Locks, p.locked(x, v.Lock, v.Reason))
		f.verdict(p.since())
	}
	if v.Locks != edge.LockNone {
		p.report.WouldLock = listed(p.report.WouldLock, p.locked(x, v.Locks, v.Reason))
	}
	if v.Ban != nil && !v.Ban.Forged && x.Asked.From.Side == edge.Outside && x.Asked.Trust != edge.Peer {
		p.ban(f, v.Ban)
	}
}

// locked is the lock of the user of x that begins.
func (p *player) locked(x *edge.Exchange, kind edge.Lock, why edge.Reason) Lock {
	source := "*"
	if kind == edge.LockPair {
		source = edge.SourceOf(x.Asked.From.Remote.Addr()).String()
	}
	return Lock{User: judge.User(x), Source: source, Reason: why, At: round(p.since())}
}

// ban enters a ban in the book, and in the report unless it only goes on; and with it that of the network, if it has become one.
func (p *player) ban(f *flow, asked *edge.Ban) {
	before := f.passed
	if asked.Source.Port == 0 {
		before = f.source.passed
	}
	one, o := Ban{Source: asked.Source, Reason: asked.Reason, At: round(p.since()), Before: before}, ban.Order{Ban: *asked, By: ban.Judge}
	if asked.Told || p.cfg.Monitor {
		sources, err := p.book.Would(o, p.at)
		if err != nil {
			p.spared(asked, err)
		}
		for i, source := range sources {
			if i > 0 { // its network, for so many neighbours
				one = Ban{Source: source, Reason: ban.ReasonNeighbours, At: one.At, Before: p.crowd.passedIn(source.Prefix)}
			}
			if !p.told[source] && len(p.told) < maxListed {
				p.told[source] = true
				p.report.WouldBan = listed(p.report.WouldBan, one)
			}
		}
		return
	}
	_, already, _ := p.book.Get(asked.Source, p.at)
	_, fresh, err := p.book.Add(o, p.at)
	if err != nil {
		p.spared(asked, err)
	}
	if err != nil || !fresh || already {
		return
	}
	f.verdict(p.since())
	f.banned, f.source.banned = true, f.source.banned || asked.Source.Port == 0
	p.report.Bans = listed(p.report.Bans, one)
	for _, network := range p.networks {
		p.report.Bans = listed(p.report.Bans, Ban{Source: network, Reason: ban.ReasonNeighbours, At: one.At, Before: p.crowd.passedIn(network.Prefix)})
	}
	p.networks = p.networks[:0]
}

// spared notes that a ban was asked for in vain.
func (p *player) spared(asked *edge.Ban, err error) {
	p.report.note(fmt.Sprintf("%v was to be banned (%s): %v", asked.Source, asked.Reason, err))
}
