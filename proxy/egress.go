package proxy

import (
	"hash/maphash"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// toPeer finds the way of a request from inside whose next Route, else Request-URI, names a peer: by the host of the peer's
// URI, or by an address of its targets. The egress guard has no say: the operator named these addresses, not the message.
// False: it names none.
func (l *lane) toPeer(x *edge.Exchange, from edge.Flow) (hop, edge.Verdict, bool) {
	if len(l.cfg.peers) == 0 {
		return hop{}, edge.Verdict{}, false
	}
	uri, ok := l.nextURI(x)
	if !ok {
		return hop{}, edge.Verdict{}, false
	}
	p := l.cfg.peerNamed(l.p.seed, x.Msg, &uri)
	if p == nil {
		return hop{}, edge.Verdict{}, false
	}
	down := refusal(x, edge.Reply, reasonPeer, 503, "")
	i := p.choose(l.p.seed, x.Msg.CallID.Of(x.Msg.Raw), 0)
	if i < 0 {
		return hop{}, down, true
	}
	flow, ok := l.out.Route(edge.Outside, p.servers[i].Transport, p.servers[i].Addr)
	if !ok {
		return hop{}, down, true
	}
	return hop{flow: flow, inside: from, pool: &p.pool, server: i, peer: p}, edge.Verdict{}, true
}

// peerNamed returns the peer that uri, of a request m, names: of several with one host the one to be asked now. nil: none.
func (d *directory) peerNamed(seed maphash.Seed, m *sip.Message, uri *sip.URI) *peer {
	var best *peer
	bestScore := 0.0
	for i, p := range d.peers {
		if uri.HasPort && uri.Port != p.Port || !sip.Spells(bare(uri.Host.Of(m.Raw)), p.Host) || !mayCarry(&m.URI, p.Transport) {
			continue
		}
		score := weigh(seed, m.CallID.Of(m.Raw), i, float64(max(1, p.Weight)))
		if best == nil || p.before(best) || !best.before(p) && score > bestScore {
			best, bestScore = p, score
		}
	}
	if best != nil {
		return best
	}
	addr, isAddr := hostPort(m.Raw, uri)
	for t := edge.UDP; isAddr && t <= edge.TLS; t++ {
		if p := d.places[place{addr, t}]; p != nil {
			return p
		}
	}
	return nil
}

// bare is a host without the brackets of an IPv6 address.
func bare(host []byte) []byte {
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		return host[1 : n-1]
	}
	return host
}

// againToPeer follows a route token to a peer: where the next Route or the Request-URI is an address of the same peer, or a name that leads to
// one, there (RFC 3261 §16.6; carriers have several machines), else to where the dialog began. A connection that is gone is replaced: unlike
// a phone a peer can be called.
func (l *lane) againToPeer(x *edge.Exchange, p *peer, flow, from edge.Flow) (hop, edge.Verdict) {
	if uri, ok := l.nextURI(x); ok {
		if !sip.Spells(bare(uri.Host.Of(x.Msg.Raw)), p.Host) {
			if to, v, named := l.byName(x, &uri, from); named && v.Action == edge.Pass && (to.peer == p || to.seek.Host != "") {
				return to, v
			}
		}
		addr, isAddr := hostPort(x.Msg.Raw, &uri)
		transport, ok := transportOf(x.Msg.Raw, &uri)
		there := edge.Flow{Remote: addr, Transport: transport, Side: edge.Outside}
		if isAddr && ok && l.cfg.peerAt(there) == p {
			if named, ok := l.out.Route(edge.Outside, transport, addr); ok {
				return hop{flow: named, inside: from, peer: p}, edge.Verdict{}
			}
		}
	}
	if l.p.serves(flow) && l.p.srv.Alive(flow) {
		return hop{flow: flow, inside: from, peer: p}, edge.Verdict{}
	}
	next := Upstream{Addr: flow.Remote, Transport: flow.Transport}
	if flow.Transport.Stream() && flow.Conn != 0 { // it had called us, from a port where nobody listens
		i := p.nearest(flow.Remote.Addr())
		if i < 0 {
			return hop{}, refusal(x, edge.Reply, reasonPeer, 503, "")
		}
		next = p.servers[i].Upstream
	}
	again, ok := l.out.Route(edge.Outside, next.Transport, next.Addr)
	if !ok {
		return hop{}, refusal(x, edge.Reply, reasonPeer, 503, "")
	}
	return hop{flow: again, inside: from, peer: p}, edge.Verdict{}
}
