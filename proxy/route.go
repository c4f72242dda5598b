package proxy

import (
	"net/netip"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// route finds to, the next hop of an admitted request (RFC 3261 §16.5, design section 4), which is zero yet. A verdict other than Pass says why
// there is none.
func (l *lane) route(x *edge.Exchange, to *hop) (v edge.Verdict) {
	switch {
	case !l.loose(x):
		return refusal(x, edge.Reply, reasonStrict, 400, "Strict Routing Not Supported")
	case x.From.Side == edge.Outside:
		return l.routeIn(x, to)
	}
	*to, v = l.routeOut(x)
	return v
}

// loose reports whether the Route that comes next, if there is one, is of a loose router (RFC 3261 §16.6 step 6): the strict routing
// of RFC 2543 is refused, because it moves the Request-URI that everything here depends on.
func (l *lane) loose(x *edge.Exchange) bool {
	own := &l.own
	if !own.tokened || own.ownRoute && !own.rest.Present() && x.Msg.Next(sip.FieldRoute, own.field) < 0 {
		return true
	}
	uri, ok := l.nextURI(x)
	if !ok || uri.Whole == x.Msg.URI.Whole {
		return ok
	}
	_, lr := uri.Param(x.Msg.Raw, "lr")
	return lr
}

// routeIn finds the way to the platform: a server of the pool, or in a dialog the server that the Request-URI or the next
// Route names, if it is one of the platform's, else the one the dialog is with.
func (l *lane) routeIn(x *edge.Exchange, to *hop) edge.Verdict {
	chosen, own := -1, &l.own
	uri, next, revealed := l.revealed()
	target := &next
	switch {
	case revealed:
	case own.tokened:
		var named bool
		if next, named = l.nextInside(x); !named {
			next.Addr, next.Transport = own.route.Inside.Remote, own.route.Inside.Transport
		}
	default:
		if own.home.Remote.IsValid() {
			if there, ok := l.toContact(); ok {
				*to = there
				return edge.Verdict{}
			}
		}
		chosen = l.cfg.choose(l.p.seed, x.Msg.CallID.Of(x.Msg.Raw), 0)
		target, to.pool = &l.cfg.servers[chosen].Upstream, &l.cfg.pool
	}
	var ok bool
	if to.flow, ok = l.out.Route(edge.Inside, target.Transport, target.Addr); !ok {
		return refusal(x, edge.Reply, reasonUpstream, 503, "")
	}
	if to.inside, to.server, to.uri = to.flow, chosen, uri; uri == nil {
		to.uri = own.marked
	}
	return edge.Verdict{}
}

// nextInside is the server of the pool that the next Route, else the Request-URI, names: the platform may move a dialog from one
// of its servers to another. Any other address inside is none of the caller's business.
func (l *lane) nextInside(x *edge.Exchange) (Upstream, bool) {
	uri, ok := l.nextURI(x)
	if !ok {
		return Upstream{}, false
	}
	addr, isAddr := hostPort(x.Msg.Raw, &uri)
	transport, ok := transportOf(x.Msg.Raw, &uri)
	if !isAddr || !ok {
		return Upstream{}, false
	}
	server := l.cfg.serverAt(edge.Flow{Remote: addr, Transport: transport, Side: edge.Inside})
	if server == nil {
		return Upstream{}, false
	}
	return server.Upstream, true
}

// nextURI is the URI that a request with a token of ours is to follow: the next Route, else the Request-URI.
func (l *lane) nextURI(x *edge.Exchange) (sip.URI, bool) {
	m := x.Msg
	rest := l.own.rest
	if !rest.Present() {
		i := -1
		if l.own.ownRoute {
			i = m.Next(sip.FieldRoute, l.own.field)
		} else {
			i = m.Find(sip.FieldRoute)
		}
		if i < 0 {
			return m.URI, true
		}
		rest = m.Fields[i].Value
	}
	next, _, err := sip.NextAddress(m.Raw, rest)
	if err != nil {
		return sip.URI{}, false
	}
	uri, err := sip.ParseURI(m.Raw, next.URI)
	return uri, err == nil
}

// own reports whether a is one of our inside listeners.
func (p *Proxy) own(a netip.AddrPort) bool {
	for i := range p.faces {
		if p.faces[i].Side == edge.Inside && p.faces[i].Addr == a {
			return true
		}
	}
	return false
}

// routeOut finds the way to a phone: by a binding id in the Request-URI, by a route token, to a peer, or where the next Route or the Request-URI
// is a name, or an address that the egress guard lets pass.
func (l *lane) routeOut(x *edge.Exchange) (hop, edge.Verdict) {
	from := l.insideSource(x)
	if l.own.tokened {
		return l.toPhone(x, l.own.route.Binding, l.own.route.Outside, from)
	}
	if id, ok := l.bindingID(x); ok {
		b, ok := l.p.bindings.Get(id, x.At)
		if !ok {
			return hop{}, refusal(x, edge.Reply, reasonNoTarget, 404, "")
		}
		to, v := l.alive(x, hop{flow: b.Flow, binding: id, inside: from})
		to.uri = append(l.uri[:0], b.Contact...)
		l.uri = to.uri
		return to, v
	}
	if to, v, ok := l.toPeer(x, from); ok {
		return to, v
	}
	uri, ok := l.nextURI(x)
	if !ok {
		return hop{}, refusal(x, edge.Reply, reasonNoTarget, 404, "")
	}
	if to, v, ok := l.byName(x, &uri, from); ok {
		return to, v
	}
	return l.literal(x, &uri, from)
}

// toPhone follows a route token: the binding's present flow wins over that of the time the token was made, so that a
// dialog survives a new port or connection.
func (l *lane) toPhone(x *edge.Exchange, id binding.ID, flow, from edge.Flow) (hop, edge.Verdict) {
	if id != (binding.ID{}) {
		if b, ok := l.p.bindings.Get(id, x.At); ok {
			flow = b.Flow
		}
	} else if p := l.cfg.peerAt(flow); p != nil {
		return l.againToPeer(x, p, flow, from)
	} else if to, v, ok := l.onward(x, flow, from); ok {
		return to, v
	}
	if !l.p.serves(flow) { // the token is of an earlier configuration, which numbered other listeners
		again, ok := l.out.Route(edge.Outside, flow.Transport, flow.Remote)
		if !ok {
			return hop{}, refusal(x, edge.Reply, reasonDeadFlow, 430, "Flow Failed")
		}
		flow.Listener = again.Listener
	}
	return l.alive(x, hop{flow: flow, binding: id, inside: from})
}

// onward follows a dialog that the platform began with somebody who is neither a registered phone nor a peer, to where the next Route or the
// Request-URI says that it goes on (RFC 3261 §16.6): by name, or by an address that the egress guard lets pass. False: to where it began.
func (l *lane) onward(x *edge.Exchange, began, from edge.Flow) (hop, edge.Verdict, bool) {
	uri, ok := l.nextURI(x)
	if !ok || !l.own.inner {
		return hop{}, edge.Verdict{}, false
	}
	to, v, ok := l.byName(x, &uri, from)
	if !ok {
		if addr, isAddr := hostPort(x.Msg.Raw, &uri); !isAddr || addr.Addr() == began.Remote.Addr() {
			return hop{}, edge.Verdict{}, false
		}
		to, v = l.literal(x, &uri, from)
	}
	return to, v, v.Action == edge.Pass
}

// serves reports whether the listener that flow names can be the one that it came by.
func (p *Proxy) serves(flow edge.Flow) bool {
	if int(flow.Listener) >= len(p.faces) {
		return false
	}
	f := &p.faces[flow.Listener]
	return f.Side == flow.Side && f.Transport == flow.Transport && f.Addr.Addr().Is4() == flow.Remote.Addr().Is4()
}

// alive refuses a hop whose connection is gone (RFC 5626 §5.3: 430).
func (l *lane) alive(x *edge.Exchange, to hop) (hop, edge.Verdict) {
	if to.flow.Transport.Stream() && !l.p.srv.Alive(to.flow) {
		return to, refusal(x, edge.Reply, reasonDeadFlow, 430, "Flow Failed")
	}
	return to, edge.Verdict{}
}

// bindingID reads the user part of a Request-URI that names our inside address.
func (l *lane) bindingID(x *edge.Exchange) (id binding.ID, ok bool) {
	m := x.Msg
	user := m.URI.User.Of(m.Raw)
	if len(user) != len(id) || !l.named(x) {
		return id, false
	}
	copy(id[:], user)
	return id, true
}

// literal sends to the address of uri, which only the message names (RFC 3263 §4.2 with a numeric host).
func (l *lane) literal(x *edge.Exchange, uri *sip.URI, from edge.Flow) (hop, edge.Verdict) {
	addr, isAddr := hostPort(x.Msg.Raw, uri)
	transport, ok := transportOf(x.Msg.Raw, uri)
	if !isAddr || !ok {
		return hop{}, refusal(x, edge.Reply, reasonNoTarget, 404, "")
	}
	flow, ok := l.out.Route(edge.Outside, transport, addr)
	if !ok {
		return hop{}, refusal(x, edge.Reply, reasonNoTarget, 404, "")
	}
	p := l.cfg.peerFrom(flow)
	if err := l.p.srv.Guard(addr, flow.Listener); err != nil && p == nil {
		return hop{}, refusal(x, edge.Reply, reasonGuard, 403, "")
	}
	return hop{flow: flow, inside: from, peer: p}, edge.Verdict{}
}

// insideSource is where in-dialog requests for the sender of x go: what its topmost Record-Route, else its Contact, names. Where that
// is no address of the platform it is over UDP its source, on streams, whose source port is no listening port, its address
// with the port of its Via.
func (l *lane) insideSource(x *edge.Exchange) edge.Flow {
	l.meets(x)
	if named, ok := l.serverNamed(x.Msg, firstURI(x.Msg, sip.FieldRecordRoute)); ok {
		return named
	}
	flow := x.From
	flow.Conn = 0
	if flow.Transport.Stream() {
		port := x.Msg.Via.Port
		if port == 0 {
			port = 5060
		}
		flow.Remote = netip.AddrPortFrom(flow.Remote.Addr(), port)
	}
	return flow
}
