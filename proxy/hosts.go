package proxy

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/resolve"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transport"
)

// What the platform sends to a host name that is no peer's goes where RFC 3263 says. A look-up blocks, so no lane makes one: a request whose
// name has no answer yet goes aside, and a few goroutines, each with a lane of its own, look names up and take up what waits for them.
// An answer that has just ended is used while it is looked up again. Nobody but who may use an inside listener causes look-ups.

// Bounds of hosts.
const (
	nameLanes   = 8               // goroutines that look up
	mostNames   = 1024            // answers kept
	mostSeeking = 1024            // requests that wait, in all
	mostOfAName = 64              // requests that wait for one name
	patience    = 5 * time.Second // a look-up may take
	goodFor     = time.Minute     // an answer at most: then a server that failed gets another chance. As long again it is used while that happens
	maxHost     = 253             // bytes of a name
)

// A Lookup finds where requests for a host go (RFC 3263), as resolve.Resolver.Lookup does. It may block, until ctx ends at most.
type Lookup func(ctx context.Context, q resolve.Query) ([]resolve.Target, time.Duration, error)

// A knownHost is what is known of one name. Its fields stay as they are, but for the atomic ones and the health of its servers.
type knownHost struct {
	query resolve.Query
	pool        // where its requests go; empty: err says why
	err   error // of the look-up
	until time.Time
	again atomic.Bool  // it is being looked up again
	used  atomic.Int64 // last, Unix seconds
}

// worn reports whether the time of n was over so long ago that who goes there waits for another answer: at once where n says that there is
// nothing, since that may be mended by now.
func (n *knownHost) worn(at time.Time) bool {
	return !at.Before(n.until) && (len(n.servers) == 0 || at.Sub(n.until) >= goodFor)
}

// upstreams are the servers of n.
func (n *knownHost) upstreams() (all []Upstream) {
	for _, s := range n.servers {
		all = append(all, s.Upstream)
	}
	return all
}

// hosts are the names that the platform sends to.
type hosts struct {
	lookup Lookup
	speaks resolve.Transports
	srv    *transport.Server
	aside  *aside // what waits for an answer, by name

	mu    sync.RWMutex
	known map[resolve.Query]*knownHost
}

// newHosts makes the hosts of a proxy; nil where lookup is nil: none are followed.
func newHosts(lookup Lookup, srv *transport.Server) *hosts {
	if lookup == nil {
		return nil
	}
	n := &hosts{lookup: lookup, srv: srv, aside: newAside(mostSeeking, mostOfAName), known: map[resolve.Query]*knownHost{}}
	for _, l := range srv.Listeners() {
		if l.Side == edge.Outside {
			n.speaks |= resolve.Only(l.Transport)
		}
	}
	return n
}

// find returns what is known of q, nil if nothing is. Its host may be a part of a message.
func (n *hosts) find(q resolve.Query, host []byte) *knownHost {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.known[resolve.Query{Host: string(host), Port: q.Port, Transport: q.Transport, Named: q.Named, Secure: q.Secure, Speaks: q.Speaks}]
}

// seek looks q up unless the answer that there is still holds at this moment.
func (n *hosts) seek(ctx context.Context, q resolve.Query, now time.Time) *knownHost {
	have := n.find(q, []byte(q.Host))
	if have != nil && now.Before(have.until) {
		return have
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	targets, ttl, err := n.lookup(ctx, q)
	found := &knownHost{query: q, err: err, until: now.Add(min(max(ttl, resolve.MinTTL), goodFor))}
	found.used.Store(now.Unix())
	all := n.servers(q, targets)
	if len(all) < len(targets) && n.forget(now) {
		n.dismiss(all)
		all = n.servers(q, targets)
	}
	var kept pool // servers keep their places, which requests under way have noted, and a server that failed gets another chance
	if have != nil {
		kept = have.renewed()
	}
	found.pool = makePool(all, edge.Outside, "", kept)
	if err == nil && len(found.servers) < len(targets) {
		found.err = errors.New("a server of it is known as that of another name")
	}
	n.keep(q, found)
	return found
}

// servers are the targets of q that can be asked. One that is known as another server cannot: one TLS connection is not verified as two.
func (n *hosts) servers(q resolve.Query, targets []resolve.Target) (all []Upstream) {
	for _, t := range resolve.Sorted(targets) {
		if t.Transport != edge.TLS || n.srv.Introduce(transport.Destination{Side: edge.Outside, Addr: t.Addr}, q.Host) {
			all = append(all, Upstream{URI: "sip:" + q.Host, Addr: t.Addr, Transport: t.Transport, Weight: t.Weight, Priority: t.Priority})
		}
	}
	return all
}

// keep puts an answer on record in place of the one before it; where there is no room, of the one that has not been used for longest.
func (n *hosts) keep(q resolve.Query, found *knownHost) {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.known[q]
	if old == nil && len(n.known) >= mostNames {
		var last resolve.Query
		for other, one := range n.known {
			if old == nil || one.used.Load() < old.used.Load() {
				last, old = other, one
			}
		}
		delete(n.known, last)
	}
	n.known[q] = found
	if old != nil {
		n.dismiss(old.upstreams())
	}
}

// forget takes names off the record that nobody has used lately, so that others may have their servers. False: there are none.
func (n *hosts) forget(now time.Time) (some bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for q, one := range n.known {
		if one.worn(now) {
			delete(n.known, q)
			n.dismiss(one.upstreams())
			some = true
		}
	}
	return some
}

// dismiss takes back what servers said of all.
func (n *hosts) dismiss(all []Upstream) {
	for _, u := range all {
		if u.Transport == edge.TLS {
			n.srv.Dismiss(transport.Destination{Side: edge.Outside, Addr: u.Addr})
		}
	}
}

// queryFor is what to look up for uri, of raw, and its host in lower case, appended to dst: the query itself has none. False: the
// URI names no host, or a transport that we can't call anybody over.
func (l *lane) queryFor(dst, raw []byte, uri *sip.URI) (q resolve.Query, host []byte, ok bool) {
	host = uri.Host.Of(raw)
	if _, isAddr := sip.HostAddr(host); isAddr || len(host) == 0 || len(host) > maxHost || l.p.hosts == nil || !l.cfg.Names {
		return q, nil, false
	}
	q = resolve.Query{Port: uri.Port, Secure: uri.Scheme == sip.SIPS, Speaks: l.p.hosts.speaks}
	if _, q.Named = uri.Param(raw, "transport"); q.Named {
		if q.Transport, ok = transportOf(raw, uri); !ok {
			return q, nil, false
		}
	}
	return q, sip.AppendLower(dst, host), true
}

// byName finds the way of a request from inside to uri, its next Route or its Request-URI. A hop with a query says that it is to be looked up first.
// False: uri names no host that can be.
func (l *lane) byName(x *edge.Exchange, uri *sip.URI, from edge.Flow) (hop, edge.Verdict, bool) {
	q, host, ok := l.queryFor(l.small[:0], x.Msg.Raw, uri)
	if !ok {
		return hop{}, edge.Verdict{}, false
	}
	l.small = host
	n := l.answered
	if n == nil || n.query.Host != string(host) {
		n = l.p.hosts.find(q, host)
		if n != nil && n.worn(x.At) {
			n = nil
		}
	}
	if n == nil {
		q.Host = string(host)
		return hop{seek: q}, edge.Verdict{}, true
	}
	l.p.hosts.uses(l, n, x.At)
	to, v := l.toName(x, n, from)
	return to, v, true
}

// toName chooses one of the servers of n. The egress guard has its say about each: a name must not lead where an address must not.
func (l *lane) toName(x *edge.Exchange, n *knownHost, from edge.Flow) (hop, edge.Verdict) {
	guarded := false
	callID := x.Msg.CallID.Of(x.Msg.Raw)
	for tried := uint32(0); ; {
		i := n.choose(l.p.seed, callID, tried)
		if i < 0 {
			break
		}
		s := n.servers[i]
		tried |= 1 << s.place
		flow, ok := l.out.Route(edge.Outside, s.Transport, s.Addr)
		if !ok || !mayCarry(&x.Msg.URI, s.Transport) {
			continue
		}
		if p := l.cfg.peerFrom(flow); p != nil {
			return hop{flow: flow, inside: from, peer: p}, edge.Verdict{}
		}
		if l.p.srv.Guard(s.Addr, flow.Listener) == nil {
			return hop{flow: flow, inside: from, pool: &n.pool, server: i}, edge.Verdict{}
		}
		guarded = true
	}
	switch why, isDNS := errors.AsType[*resolve.Error](n.err); {
	case guarded:
		return hop{}, refusal(x, edge.Reply, reasonGuard, 403, "")
	case n.err == nil || isDNS && why.NotFound:
		return hop{}, refusal(x, edge.Reply, reasonNoTarget, 404, "")
	}
	return hop{}, refusal(x, edge.Reply, reasonName, 503, "")
}

// uses notes that n is used, and has it looked up again when its time is over.
func (n *hosts) uses(l *lane, one *knownHost, at time.Time) {
	if now := at.Unix(); one.used.Load() != now {
		one.used.Store(now)
	}
	if !at.Before(one.until) && one.again.CompareAndSwap(false, true) {
		n.aside.put(maphash.Comparable(l.p.seed, one.query), parked{query: one.query})
	}
}

// seek puts x aside until the name that it goes to has been looked up.
func (l *lane) seek(x *edge.Exchange, q resolve.Query) {
	if l.setAside(x, l.p.hosts.aside, maphash.Comparable(l.p.seed, q), q) {
		return
	}
	v := refusal(x, edge.Reply, reasonNameBusy, 503, "")
	l.refuse(x, v)
	if v.Action == edge.Reply {
		l.answer(x, v)
	}
}

// poolOf is the pool that a request of ours to flow can move on in: that of the platform, of a peer, or of the name that m, which is the
// request as it was sent, goes to. Then named is set.
func (l *lane) poolOf(m *sip.Message, flow edge.Flow) (p *pool, named bool) {
	if p = l.cfg.poolAt(flow); p != nil || flow.Side == edge.Inside {
		return p, false
	}
	uri := m.URI
	if at := firstURI(m, sip.FieldRoute); at.Present() {
		var err error
		if uri, err = sip.ParseURI(m.Raw, at); err != nil {
			return nil, false
		}
	}
	q, host, ok := l.queryFor(l.small[:0], m.Raw, &uri)
	if !ok {
		return nil, false
	}
	l.small = host
	n := l.p.hosts.find(q, host)
	if n == nil {
		return nil, false
	}
	return &n.pool, true
}

// failed notes that the server of p at flow did not take a request: others are asked first until the name is looked up again.
func (p *pool) failed(flow edge.Flow) {
	for _, s := range p.servers {
		if s.Addr == flow.Remote && s.Transport == flow.Transport {
			s.down.Store(true)
		}
	}
}
