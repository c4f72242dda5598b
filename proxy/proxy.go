// Package proxy is the edge's straight line: a message is received, parsed, matched to what it belongs to, admitted or
// refused, rewritten and sent on (RFC 3261 §16). Start reading at (*lane).handle.
package proxy

import (
	"context"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/challenge"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// A Proxy holds what all lanes share. It is made once and used by any goroutine.
type Proxy struct {
	cfg      atomic.Pointer[settings]
	srv      *transport.Server
	bindings *binding.Table
	bans     *ban.Book
	keys     *seal.Keys
	ring     *event.Ring
	metrics  *event.Metrics

	table    *transaction.Table
	branches brancher
	seed     maphash.Seed
	faces    []face           // by edge.Flow.Listener
	within   []netip.AddrPort // our listeners inside, as route sets name them
	draining atomic.Bool
	traces   event.Roster[*Trace] // who traces
	calls    calls
	media    *media.Calls // nil: media is not relayed
	aside    *aside       // nil: media never keeps who calls it waiting
	hosts    *hosts       // nil: the platform reaches addresses, phones and peers only
	chosen   chosen
	met      met
	proofs   marks // addresses with port that have shown a return path
	relayed  marks // responses to sources that have not
	knocks   marks // OPTIONS to sources that are doubted, and their answers
	held     held  // what waits for these answers
	answers  *meter.Rates
	nonces   *challenge.Nonces
	realm    atomic.Pointer[string] // what the platform's challenges name of the inside; nil: nothing that was noticed
	tag      atomic.Pointer[string] // what its tags name
}

// A face is how one listener is named in what we write.
type face struct {
	transport.Listener
	host   string // host and port of a URI: "10.0.0.1:5070"
	name   string // the host alone, without the brackets of an IPv6 address
	party  string // the host alone, as a URI has it
	port   uint16
	params string // of a URI: "" or ";transport=tcp"
	tail   string // how a Record-Route that names it ends, after the "@"
}

// New makes a proxy of the rooms it brings together. srv must be open, but not serving yet.
func New(cfg Config, srv *transport.Server, bindings *binding.Table, bans *ban.Book, keys *seal.Keys, ring *event.Ring,
	metrics *event.Metrics, now time.Time) (*Proxy, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	table, err := transaction.New(cfg.Transactions, now)
	if err != nil {
		return nil, err
	}
	branches, err := newBrancher()
	if err != nil {
		return nil, err
	}
	p := &Proxy{srv: srv, bindings: bindings, bans: bans, keys: keys, ring: ring, metrics: metrics, table: table,
		branches: branches, seed: maphash.MakeSeed(), answers: meter.NewRates(answerPlaces), nonces: challenge.NewNonces(keys), faces: faces(srv.Listeners()), media: cfg.Media, hosts: newHosts(cfg.Lookup, srv)}
	p.within = insideListeners(p.faces)
	if p.chosen = newChosen(p.seed); cfg.Media != nil && cfg.Media.Waits() {
		p.aside = newAside(mostAside, mostOfACall)
	}
	cfg.Topology.Marks = p.marks(&cfg, nil)
	p.cfg.Store(newSettings(cfg, keys, nil))
	return p, nil
}

// Apply puts other settings in force, from the next message on: each message meets one set of settings from beginning to end. Timers that
// run go on as they were set.
func (p *Proxy) Apply(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := p.table.Configure(cfg.Transactions); err != nil {
		return err
	}
	old := p.cfg.Load()
	p.realm.Store(nil)
	p.tag.Store(nil)
	cfg.Topology.Marks = p.marks(&cfg, old)
	p.cfg.Store(newSettings(cfg, p.keys, old))
	return nil
}

// faces names each listener. A spread socket is named like the listener of its address: its own port is only for the
// responses to what it sent, and is another one after a restart.
func faces(listeners []transport.Listener) []face {
	out := make([]face, len(listeners))
	for i, l := range listeners {
		f := face{Listener: l, host: l.SentBy}
		switch {
		case l.Transport.WebSocket():
			f.params = ";transport=ws" // over TLS, too (RFC 7118 §5.2)
		case l.Transport.Stream():
			f.params = ";transport=" + l.Transport.String()
		}
		if l.Spread {
			for _, base := range listeners {
				if !base.Spread && base.Side == l.Side && base.Transport == l.Transport && base.Addr.Addr() == l.Addr.Addr() {
					f.host = base.SentBy
				}
			}
		}
		f.name, f.port = splitHost(f.host)
		if f.party = f.name; strings.Contains(f.name, ":") {
			f.party = "[" + f.name + "]"
		}
		f.tail = f.host + f.params + ";lr>"
		out[i] = f
	}
	return out
}

// insideListeners are the addresses of the listeners inside, at most 256. A spread socket is none: nobody is told its port.
func insideListeners(faces []face) (all []netip.AddrPort) {
	for i := range faces {
		if f := &faces[i]; f.Side == edge.Inside && !f.Spread && len(all) < 256 {
			all = append(all, f.Addr)
		}
	}
	return all
}

// NewLane makes a lane for one reading goroutine; it is what transport.Server.Serve asks for.
func (p *Proxy) NewLane(out *transport.Out) transport.Lane {
	l := &lane{p: p, out: out, count: p.metrics.Lane(), branches: p.branches, cfg: p.cfg.Load(), knows: p.chosen.find, mask: topo.Mask{Transfer: appendTransfer}}
	l.clean = l.unmarked
	return l
}

// Run does what the clock asks for, timers and keep-alives, and what was put aside, until ctx ends. When it returns nothing of that goes on.
func (p *Proxy) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	if p.aside != nil {
		beside.Go(func() { p.aside.serve(ctx, p, asideLanes) })
	}
	if p.hosts != nil {
		beside.Go(func() { p.hosts.aside.serve(ctx, p, nameLanes) })
	}
	l := p.NewLane(p.srv.NewOut()).(*lane)
	tick := time.NewTicker(p.table.Tick())
	defer tick.Stop()
	slow := time.NewTicker(time.Second)
	defer slow.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if p.table.Len() > 0 {
				p.srv.Guarded(l.timers)
			}
			if p.held.count.Load() > 0 {
				p.srv.Guarded(l.overdue)
			}
		case <-slow.C:
			p.srv.Guarded(l.everySecond)
		}
	}
}

// Drain makes the proxy answer new work with 503 and Retry-After, while what was begun goes on, or ends that.
func (p *Proxy) Drain(on bool) { p.draining.Store(on) }

// Pending is the number of requests that wait: relayed ones for a final response, others until it is known who sent them.
func (p *Proxy) Pending() int { return p.table.Pending() + int(p.held.count.Load()) }

// Status is what `ringwall status` shows of the proxy.
type Status struct {
	Transactions int    // on record, finished ones that linger included
	Untrusted    int    // of these, begun by unknown sources
	Pending      int    // without a final response
	Bindings     int    // registered phones
	Draining     bool   // new work gets 503
	Realm        string // what the platform's challenges name of the inside, as the guard noticed; "": nothing
	Tag          string // what its tags name
	Peers        []PeerStatus
	Upstream     string // "up", "down since …: why", or "not heard of yet"; of several, each with its name
	Up           bool   // at least one of the platform's servers is not known to be down
}

// Status tells the state of the proxy now.
func (p *Proxy) Status() Status {
	text := func(found *string) string {
		if found == nil {
			return ""
		}
		return *found
	}
	return Status{Realm: text(p.realm.Load()), Tag: text(p.tag.Load()), Transactions: p.table.Len(), Untrusted: p.table.Untrusted(), Pending: p.Pending(), Bindings: p.bindings.Len(),
		Draining: p.draining.Load(), Upstream: p.cfg.Load().summary(), Up: p.cfg.Load().up(), Peers: p.cfg.Load().peerStatus()}
}

// ours reports whether host and port of a URI name a listener of side.
func (l *lane) ours(side edge.Side, host []byte, port uint16) bool {
	for i := range l.p.faces {
		f := &l.p.faces[i]
		if f.Side == side && !f.Spread && f.named(host, port) {
			return true
		}
	}
	return side == edge.Outside && l.cfg.Advertise != "" && strings.EqualFold(l.cfg.Advertise, string(host))
}

// named reports whether host and port are this listener's. No port means 5060.
func (f *face) named(host []byte, port uint16) bool {
	if port == 0 {
		port = 5060
	}
	return port == f.port && (string(host) == f.name || strings.EqualFold(f.name, string(host))) ||
		port == f.Addr.Port() && isAddr(host, f.Addr.Addr())
}

// isAddr reports whether host, as it stands in a URI, is the address a.
func isAddr(host []byte, a netip.Addr) bool {
	parsed, ok := sip.HostAddr(host)
	return ok && parsed == a
}
