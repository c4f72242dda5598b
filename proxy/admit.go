package proxy

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// admit is the one place where a request is turned away: by the judge, for who sends it or what it looks like, then for what it is.
func (l *lane) admit(x *edge.Exchange) edge.Verdict {
	if x.Match == edge.MatchRetransmission || x.Match == edge.MatchACK || x.Match == edge.MatchCancel {
		return edge.Verdict{}
	}
	if l.own.barred && !l.redeemed(x) {
		return l.appeal(x)
	}
	heard := l.hear(x)
	if heard.Action >= edge.Reply {
		return heard
	}
	v := l.fit(x)
	if v.Action <= edge.Note && l.mayDoubt(x) {
		v = stricter(v, l.doubts(x, heard))
	}
	if heard.Action == edge.Note && (v.Action == edge.Pass || v.Action == edge.Note && heard.Would >= v.Would) {
		return heard
	}
	v.Ban = heard.Ban
	return v
}

// fit is request validation (RFC 3261 §16.3), which nothing suspends, then what the mode can suspend: unknown dialogs and access.
func (l *lane) fit(x *edge.Exchange) edge.Verdict {
	if x.Msg.Method == sip.CANCEL {
		return refusal(x, edge.Reply, reasonNoCancel, 481, "")
	}
	if x.Match == edge.MatchNew && x.From.Side == edge.Inside && l.cfg.formerly(x.From.Remote.Addr()) {
		return edge.Verdict{Action: edge.Drop, Reason: reasonStranger}
	}
	if v := l.validate(x); v.Action != edge.Pass {
		return silenced(x, v)
	}
	if x.Match == edge.MatchNew && l.p.draining.Load() && !l.goesOn(x) {
		return refusal(x, edge.Reply, reasonDrain, 503, "")
	}
	if x.Match == edge.MatchNew {
		if v := l.shed(x); v.Action != edge.Pass {
			return v
		}
	}
	switch l.own.forged {
	case "":
	case reasonForged:
		return refusal(x, edge.Reply, reasonForged, 481, "")
	default:
		return refusal(x, edge.Reply, l.own.forged, 404, "")
	}
	v := l.policy(x)
	if v.Reason != "" && l.cfg.Monitor { // without a reason it is an ACK to ourselves, which ends here
		return v.Told()
	}
	return v
}

// validate is request validation.
func (l *lane) validate(x *edge.Exchange) edge.Verdict {
	m := x.Msg
	if x.From.Side == edge.Outside {
		if v := l.cfg.limits.exceeded(m); v.Action != edge.Pass {
			return v
		}
	}
	if e, full := m.Full(); full {
		return edge.Verdict{Action: edge.Reply, Reason: edge.Reason(e.ID()), Status: e.Status()}
	}
	switch {
	case m.URI.Scheme == sip.SchemeOther:
		return edge.Verdict{Action: edge.Reply, Reason: reasonScheme, Status: 416}
	case !mayCarry(&m.URI, x.From.Transport):
		return edge.Verdict{Action: edge.Reply, Reason: reasonSIPS, Status: 416}
	case x.From.Side == edge.Outside && hidden(m):
		return edge.Verdict{Action: edge.Reply, Reason: reasonHidden, Status: 400}
	case m.MaxForwards == 0 && !l.forUs(x):
		return edge.Verdict{Action: edge.Reply, Reason: reasonMaxForwards, Status: 483}
	case m.Find(sip.FieldProxyRequire) >= 0 && m.Method != sip.ACK:
		return edge.Verdict{Action: edge.Reply, Reason: reasonProxyRequire, Status: 420}
	}
	if v := m.Value(sip.FieldMaxBreadth); len(v) > 0 && len(bytes.Trim(v, "0")) == 0 {
		return edge.Verdict{Action: edge.Reply, Reason: reasonMaxBreadth, Status: 440}
	}
	if m.Method == sip.REGISTER && x.From.Side == edge.Outside {
		if v := l.bindable(x); v.Action != edge.Pass {
			return v
		}
	}
	l.own.loop = l.loopHash(x)
	if l.looped(l.own.loop) {
		return edge.Verdict{Action: edge.Reply, Reason: reasonLoop, Status: 482}
	}
	return edge.Verdict{}
}

// policy is what the operator's configuration allows from outside.
func (l *lane) policy(x *edge.Exchange) edge.Verdict {
	m := x.Msg
	if x.Match == edge.MatchInDialog {
		if l.astray(x) {
			return refusal(x, edge.Reply, reasonAstray, 403, "")
		}
		return edge.Verdict{}
	}
	if x.From.Side == edge.Inside {
		return l.access(x, l.cfg.Peer)
	}
	if l.ownTag(x) {
		l.proves(x)
		return edge.Verdict{Action: edge.Drop}
	}
	if m.ToTag.Present() || m.Method == sip.ACK {
		return refusal(x, edge.Reply, reasonDialog, 481, "")
	}
	if !l.served(x) {
		return edge.Verdict{Action: edge.Reply, Reason: reasonDomain, Status: 404}
	}
	switch x.Trust {
	case edge.Peer:
		return l.access(x, l.cfg.Peer)
	case edge.Known:
		return l.access(x, l.cfg.Known)
	}
	return l.access(x, l.cfg.Unknown)
}

func (l *lane) access(x *edge.Exchange, allowed Methods) edge.Verdict {
	if allowed.Allows(x.Msg.Method) {
		return edge.Verdict{}
	}
	return edge.Verdict{Action: edge.Reply, Reason: reasonMethod, Status: 405}
}

// served reports whether the Request-URI is in one of our domains, or names the edge itself.
func (l *lane) served(x *edge.Exchange) bool {
	return len(l.cfg.Domains) == 0 || l.local(x.From.Side, x.Msg.Raw, &x.Msg.URI)
}

// named reports whether the Request-URI names the edge itself.
func (l *lane) named(x *edge.Exchange) bool {
	uri := &x.Msg.URI
	return l.ours(x.From.Side, uri.Host.Of(x.Msg.Raw), uri.Port)
}

// forUs reports whether the edge answers the request itself (design, section 4): OPTIONS of unknown sources, whoever it is
// for, and OPTIONS to the edge itself. Monitor mode with access for any method relays them to the platform.
func (l *lane) forUs(x *edge.Exchange) bool {
	if x.Msg.Method != sip.OPTIONS || x.Match != edge.MatchNew || x.Msg.ToTag.Present() {
		return false
	}
	if x.From.Side == edge.Inside {
		return !x.Msg.URI.User.Present() && l.named(x)
	}
	if l.cfg.Monitor && l.cfg.Unknown.Any {
		return false
	}
	return x.Trust == edge.Unknown || !x.Msg.URI.User.Present() && l.named(x)
}

// refusal is a verdict about a request that may be forged: an ACK is never answered, and over UDP an unproven source gets
// no answer to a CANCEL either.
func refusal(x *edge.Exchange, a edge.Action, r edge.Reason, status int, text string) edge.Verdict {
	if x.Msg.Method == sip.ACK || x.Msg.Method == sip.CANCEL && x.Trust == edge.Unknown && !x.From.Transport.Stream() {
		a = edge.Drop
	}
	return edge.Verdict{Action: a, Reason: r, Status: status, Text: text}
}

// silenced keeps error answers from sources that may be forged: they get silence and a count (docs/rooms/proxy.md).
func silenced(x *edge.Exchange, v edge.Verdict) edge.Verdict {
	if x.Msg.Method == sip.ACK || x.Trust == edge.Unknown && !x.From.Transport.Stream() {
		v.Action = edge.Drop
	}
	return v
}
