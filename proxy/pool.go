package proxy

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/challenge"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/scrub"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/topo"
)

// How a server of the platform is judged. Only a pool of several is asked with OPTIONS: a platform of one gets all there is
// anyway, and what it sends and fails to send tells how it is.
const (
	pingEvery = 5 * time.Second  // between OPTIONS to one server
	pingWait  = 2 * time.Second  // an OPTIONS not answered by then counts as a failure
	downAfter = 2                // failures in a row
	upAfter   = 2                // answers in a row
	steady    = 30 * time.Second // a server that went down stays so at least this long: a flapping one does not oscillate
	maxTried  = 32               // servers of one pool
)

// settings are what one message meets: the operator's configuration and the servers it names.
type settings struct {
	Config
	pool // the platform's servers, as Config.Upstreams
	directory
	headers headerPolicy
	limits  Limits // capped
	source  string // SourceHeader in lower case
	veil    *topo.Veil
	scrub   *scrub.Policy
	book    *challenge.Book
}

// newSettings keeps what is known of the servers that stay.
func newSettings(cfg Config, keys *seal.Keys, old *settings) *settings {
	if cfg.Judge == nil {
		cfg.Challenge, cfg.Unify = judge.Off, judge.Off
	}
	var kept pool
	if old != nil {
		kept = old.pool
	}
	return &settings{Config: cfg, pool: makePool(cfg.Upstreams, edge.Inside, "", kept), directory: newDirectory(cfg.Peers, old),
		headers: newHeaderPolicy(&cfg), limits: cfg.Limits.capped(), source: strings.ToLower(cfg.SourceHeader), veil: topo.New(keys, cfg.Topology), scrub: scrub.New(cfg.Scrub),
		book: newBook(&cfg, keys, old)}
}

// A pool is servers of which any would do as well: the platform's, or those of one peer.
type pool struct {
	servers []*server
}

// makePool makes the pool of the platform, or of the peer with that name. kept is what it was until now.
func makePool(all []Upstream, side edge.Side, peer string, kept pool) pool {
	var p pool
	places := kept.taken(all)
	for _, u := range all {
		s := kept.of(u)
		if s == nil || s.Upstream != u {
			next := &server{Upstream: u, side: side, peer: peer, text: u.Addr.AppendTo(nil), health: &health{}}
			if s != nil {
				next.health, next.place = s.health, s.place // another share or priority does not make it well or ill
			} else {
				next.place = uint8(bits.TrailingZeros32(^places))
				places |= 1 << next.place
			}
			s = next
		}
		s.alone.Store(len(all) == 1)
		p.servers = append(p.servers, s)
	}
	return p
}

// renewed is p with nothing known of how its servers are, but for their places.
func (p *pool) renewed() (anew pool) {
	for _, s := range p.servers {
		anew.servers = append(anew.servers, &server{Upstream: s.Upstream, side: s.side, peer: s.peer, place: s.place, text: s.text, health: &health{}})
	}
	return anew
}

// taken are the places of the servers of p that stay among all.
func (p *pool) taken(all []Upstream) (places uint32) {
	for _, u := range all {
		if s := p.of(u); s != nil {
			places |= 1 << s.place
		}
	}
	return places
}

// of returns the server that u is, nil if it is new here.
func (p *pool) of(u Upstream) *server {
	for _, have := range p.servers {
		if have.URI == u.URI && have.Addr == u.Addr && have.Transport == u.Transport {
			return have
		}
	}
	return nil
}

// up reports whether any server of p is up, as far as known.
func (p *pool) up() bool {
	return slices.ContainsFunc(p.servers, func(s *server) bool { return !s.down.Load() })
}

// nearest is the index of the server at a, else of one that is up, else of any; -1 if there is none.
func (p *pool) nearest(a netip.Addr) int {
	best := -1
	for i, s := range p.servers {
		if s.Addr.Addr() == a {
			return i
		}
		if best < 0 || s.before(p.servers[best]) {
			best = i
		}
	}
	return best
}

// A server is one server of the platform or of a peer, and what is known of its health.
type server struct {
	Upstream
	side  edge.Side
	peer  string      // name of the peer, "": it is the platform's
	place uint8       // below maxTried; no other server of the pool has it, and it is the same whoever comes or goes
	alone atomic.Bool // the pool has no other
	text  []byte      // "address:port": how a URI that names it ends
	*health
}

// health is what is known of a server; it outlasts changes of the configuration.
type health struct {
	down  atomic.Bool  // what routing reads
	known atomic.Bool  // it has answered something
	last  atomic.Int64 // when it did so last, Unix seconds

	mu       sync.Mutex // guards what follows
	why      string     // it is down
	changed  time.Time  // when it went down
	failures int        // in a row
	answers  int        // in a row
	pingAt   time.Time  // next OPTIONS
	waiting  time.Time  // since when one is unanswered; zero: none is
}

// poolAt returns the pool that flow leads into, or nil.
func (s *settings) poolAt(flow edge.Flow) *pool {
	if flow.Side == edge.Inside {
		return &s.pool
	}
	if len(s.peers) == 0 {
		return nil
	}
	if p := s.places[place{flow.Remote, flow.Transport}]; p != nil {
		return &p.pool
	}
	return nil
}

// serverAt returns the server that flow leads to, or nil.
func (s *settings) serverAt(flow edge.Flow) *server {
	p := s.poolAt(flow)
	if p == nil {
		return nil
	}
	for _, one := range p.servers {
		if one.Addr == flow.Remote && (one.Transport == flow.Transport || one.Large && flow.Transport == edge.TCP) {
			return one
		}
	}
	return nil
}

// choose returns the index of the server for what key names (a Call-ID: so a call that is challenged comes back to the server
// that challenged it), without those whose places are in the bit set tried: the best priority among those that are up, spread by weight
// (highest random weight of a keyed hash). If none is up, the others are tried all the same. -1: none is left.
func (p *pool) choose(seed maphash.Seed, key []byte, tried uint32) int {
	if len(p.servers) == 1 && tried == 0 {
		return 0
	}
	best, bestScore := -1, 0.0
	for i, one := range p.servers {
		if tried>>one.place&1 == 1 {
			continue
		}
		score := weigh(seed, key, int(one.place), one.weight())
		if best < 0 || one.before(p.servers[best]) || !p.servers[best].before(one) && score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// before reports whether s is to be asked before o whatever their weights: up before down, then by priority.
func (s *server) before(o *server) bool {
	if down := s.down.Load(); down != o.down.Load() {
		return !down
	}
	return s.Priority < o.Priority
}

func (s *server) weight() float64 { return float64(max(1, s.Weight)) }

// weigh is the score of the server with number i for key: each server wins a share of keys in proportion to its weight, and a server that
// comes or goes moves only the keys that it wins.
func weigh(seed maphash.Seed, key []byte, i int, weight float64) float64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteByte(byte(i))
	h.Write(key)
	unit := (float64(h.Sum64()>>11) + 0.5) / (1 << 53) // in (0, 1)
	return -weight / math.Log(unit)
}

// heard notes an answer. In a pool a server that is down comes back after several, and not before it was quiet for a while.
func (s *server) heard(l *lane, at time.Time) {
	if now := at.Unix(); s.last.Load() != now {
		s.last.Store(now)
	}
	if s.known.Load() && !s.down.Load() && s.alone.Load() {
		return // the usual case costs nothing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Store(true)
	s.failures, s.answers = 0, s.answers+1
	if !s.down.Load() || !s.alone.Load() && (s.answers < upAfter || at.Sub(s.changed) < steady) {
		return
	}
	s.down.Store(false)
	l.p.ring.Add(edge.Event{At: at, Name: s.kind(), Message: s.called() + " answers again"})
}

// failed notes that a message did not reach the server or was not answered. certain: the network says so (ICMP, a refused connection),
// which needs no second failure.
func (s *server) failed(l *lane, why string, certain bool, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers, s.failures = 0, s.failures+1
	if s.down.Load() || !certain && s.failures < downAfter && !s.alone.Load() {
		return
	}
	s.down.Store(true)
	s.why, s.changed = why, at
	l.p.ring.Add(edge.Event{At: at, Name: s.kind(), Reason: unreachable(s.side),
		Source: edge.Flow{Remote: s.Addr, Transport: s.Transport, Side: s.side}, Message: s.called() + " is down: " + why})
}

// kind is the name of events about s.
func (s *server) kind() string {
	if s.peer != "" {
		return event.Peer
	}
	return event.Upstream
}

// called names s in a sentence.
func (s *server) called() string {
	if s.peer != "" {
		return "peer " + s.peer + " (" + s.Addr.String() + ")"
	}
	return "upstream " + s.String()
}

// unreachable is the reason that a server on that side can't be reached for.
func unreachable(side edge.Side) edge.Reason {
	if side == edge.Outside {
		return reasonPeer
	}
	return reasonUpstream
}

// String names the server as the configuration does, and where that is by a name, its address, too.
func (s *server) String() string {
	addr := s.Addr.String()
	switch {
	case s.URI == "":
		return addr
	case strings.Contains(s.URI, s.Addr.Addr().String()):
		return s.URI
	}
	return s.URI + " (" + addr + ")"
}

// state says in words how the server is.
func (s *server) state() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.down.Load():
		return fmt.Sprintf("down since %s: %s", s.changed.UTC().Format(time.RFC3339), s.why)
	case !s.known.Load():
		return "not heard of yet"
	}
	return "up"
}

// summary is the state of all servers, in one line.
func (p *pool) summary() string {
	if len(p.servers) == 1 {
		return p.servers[0].state()
	}
	var parts []string
	for _, one := range p.servers {
		parts = append(parts, one.String()+" "+one.state())
	}
	return strings.Join(slices.Compact(parts), "; ")
}

// pings sends the OPTIONS that are due and gives up those that were not answered.
func (l *lane) pings(now time.Time) {
	l.pingPool(0, &l.cfg.pool, now)
	for i, p := range l.cfg.peers {
		l.pingPool(i+1, &p.pool, now)
	}
}

// pingPool does it for one pool: number 0 is the platform's, then come those of peers.
func (l *lane) pingPool(number int, p *pool, now time.Time) {
	if len(p.servers) < 2 {
		return
	}
	for _, s := range p.servers {
		switch s.ping(now) {
		case pingLate:
			s.failed(l, "no answer to OPTIONS", false, now)
		case pingDue:
			l.ping(number*maxTried+int(s.place), s)
		}
	}
}

type pingState uint8

const (
	pingNot pingState = iota
	pingDue
	pingLate
)

// ping says what is to be done about s, and takes it as done.
func (s *server) ping(now time.Time) pingState {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.waiting.IsZero() && now.Sub(s.waiting) >= pingWait:
		s.waiting, s.pingAt = time.Time{}, now // ask again at once: the second failure tells
		return pingLate
	case now.Before(s.pingAt):
		return pingNot
	}
	s.pingAt, s.waiting = now.Add(pingEvery), now
	return pingDue
}

// suspect asks the server how it is without waiting for the next turn. That a request went unanswered does not count by itself: a
// stranger may know one that a healthy server leaves unanswered, and must not be able to take servers away with it.
func (s *server) suspect(now time.Time) {
	s.mu.Lock()
	if s.waiting.IsZero() { // or else many suspicions would put off the end of the wait for ever
		s.pingAt = now
	}
	s.mu.Unlock()
}

func (s *server) pong() {
	s.mu.Lock()
	s.waiting = time.Time{}
	s.mu.Unlock()
}
