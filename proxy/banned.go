package proxy

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"strings"
	"time"

	"github.com/ringwall/ringwall/ban"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// outlawed reports whether a request is dropped because of a soft ban: one that belongs to nothing, of a source that nobody knows.
// What a hard ban refuses never comes here.
func (l *lane) outlawed(x *edge.Exchange) bool {
	return x.From.Side == edge.Outside && x.Match == edge.MatchNew && x.Trust == edge.Unknown && l.p.bans.Soft(x.From, x.At)
}

// punish hands what a verdict says about the source of x to the ban book: the one place where a check's opinion becomes a ban.
func (l *lane) punish(x *edge.Exchange, asked *edge.Ban) {
	if x.From.Side != edge.Outside || x.Trust == edge.Peer {
		return
	}
	if asked.Forged {
		l.suspect(x, asked)
		return
	}
	o := ban.Order{Ban: *asked, By: ban.Judge}
	if asked.Told || l.cfg.Monitor {
		l.foretell(x, &o)
		return
	}
	if len(o.Evidence) == 0 {
		o.Evidence = [][]byte{x.Msg.Raw}
	}
	if _, _, err := l.p.bans.Add(o, x.At); err != nil {
		l.spared(x, asked, err)
	}
}

// foretell tells of a ban that there would be, were it not for mode: monitor.
func (l *lane) foretell(x *edge.Exchange, o *ban.Order) {
	sources, err := l.p.bans.Would(*o, x.At)
	if err != nil {
		l.spared(x, &o.Ban, err)
	}
	for i, source := range sources {
		if i > 0 { // its network, for so many neighbours
			o.Source, o.Reason, o.Parts = source, ban.ReasonNeighbours, []edge.Part{{Reason: ban.ReasonNeighbours}}
		}
		l.foretellOne(x, o)
	}
}

// foretellOne tells of one ban that there would be.
func (l *lane) foretellOne(x *edge.Exchange, o *ban.Order) {
	what := "would ban "
	if !o.Hard {
		what = "would ban, for new requests only, "
	}
	from := x.From
	from.Remote = netip.AddrPortFrom(x.From.Remote.Addr(), o.Source.Port)
	l.p.ring.Add(edge.Event{At: x.At, Name: event.WouldBan, Reason: o.Reason, Source: from, Message: what + o.Source.String(), Detail: "mode: monitor; " + partList(o.Parts)})
}

// partList names what made a score.
func partList(parts []edge.Part) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = string(p.Reason)
	}
	return strings.Join(names, " ")
}

// spared tells that a ban was asked for in vain.
func (l *lane) spared(x *edge.Exchange, asked *edge.Ban, err error) {
	reason := reasonBanRefused
	if errors.As(err, new(*ban.ProtectedError)) {
		reason = reasonProtected
	}
	l.count.Refused(reason)
	l.p.ring.AddOf(edge.Event{At: x.At, Name: event.Noted, Reason: reason, Source: x.From, Message: err.Error(), Detail: string(asked.Reason)}, x.Msg)
}

// suspect tells the operator that packets in the name of a known source may be forged. Nobody is banned for it.
func (l *lane) suspect(x *edge.Exchange, asked *edge.Ban) {
	l.count.Refused(asked.Reason)
	l.p.ring.AddOf(edge.Event{At: x.At, Name: event.Ban, Reason: asked.Reason, Source: x.From, Detail: partList(asked.Parts),
		Message: "spoof suspected: attacks in the name of " + asked.Source.String() + ", where users are known, without proof that they come from there; nobody is banned"}, x.Msg)
}

// shut reports whether nothing is sent to the far end of a transaction any more: it has been banned since.
func (l *lane) shut(to edge.Flow, at time.Time) bool {
	return to.Side == edge.Outside && l.p.bans.Holds(to, at)
}

// conversed tells the ban book of calls that are accepted and of their ends, so that a ban spares those that were there before it, and phones
// with a call may register while new work is refused. The tags name a call, in both directions: that of the party outside and that of
// the one inside, since of a call that passes here twice both parties are outside.
func (l *lane) conversed(x *edge.Exchange, tx *transaction.Tx) {
	m := x.Msg
	began := tx.Method == sip.INVITE && m.Status/100 == 2
	ended := tx.Method == sip.BYE && m.Status >= 200 && m.Status != 401 && m.Status != 407 // RFC 3261 §15.1.1
	if !began && !ended {
		return
	}
	outside, inside := m.FromTag.Of(m.Raw), m.ToTag.Of(m.Raw)
	if tx.Client.Side == edge.Inside {
		outside, inside = inside, outside
	}
	key := 3*maphash.Bytes(l.p.seed, outside) + maphash.Bytes(l.p.seed, inside)
	switch {
	case ended:
		l.p.bans.CallEnded(key, x.At)
	case tx.Client.Side == edge.Outside:
		l.p.bans.CallBegan(key, tx.Client.Remote, x.At)
	case tx.Target.Side == edge.Outside:
		l.p.bans.CallBegan(key, tx.Target.Remote, x.At)
	}
}
