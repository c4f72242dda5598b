package proxy

import (
	"slices"

	"github.com/ringwall/ringwall/challenge"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

// wrongMost is how many wrong passwords of a user may come from a source before it is asked with a nonce that stays the same.
const wrongMost = 3

// newBook is what is known of the platform's challenges; nil where nobody needs to know.
func newBook(cfg *Config, keys *seal.Keys, old *settings) *challenge.Book {
	if cfg.Judge == nil { // nobody is challenged, and nothing unified
		return nil
	}
	var before *challenge.Book
	if old != nil {
		before = old.book
	}
	return challenge.NewBook(cfg.Domains, cfg.Realm, meter.NewKey(keys.ID("mimic", nil, nil, nil)), before)
}

// answers reads what the credentials of x, a request from outside, answer of our own challenges.
func (l *lane) answers(x *edge.Exchange) {
	if l.cfg.Challenge == judge.Enforce && x.From.Side == edge.Outside && x.Trust != edge.Peer && x.Match != edge.MatchRetransmission {
		x.Answer, x.Answers = l.p.nonces.Answers(x.Msg, x.From, x.At)
	}
}

// disown sees to it that no password is tried with x that nobody judged. Credentials for a nonce that never went to where x came from prove nothing of who wrote
// them, so they are held against nobody. They are taken off, as if the nonce were too old: the platform asks again, with a nonce that counts. Only who is
// registered, by the phone that he is registered with, may have a nonce that we don't know of.
func (l *lane) disown(x *edge.Exchange) {
	a := &x.Asked
	alien := a.Alien && a.Secret != 0 && !(a.Good && a.Trust == edge.Known)
	if !alien && x.Excess == 0 {
		return
	}
	v := edge.Verdict{Action: edge.Challenge, Reason: reasonNonce}
	if l.cfg.Monitor || !l.cfg.Judge.Acts() {
		x.Excess = 0
		l.refuse(x, v.Told())
		return
	}
	if alien {
		x.Excess, a.Secret = ^uint64(0), 0
	}
	l.refuse(x, edge.Verdict{Action: edge.Note, Reason: reasonNonce})
}

// dropAnswers takes credentials off the request x that is being edited: those for our own challenges, which the platform would take for a wrong password, and
// those that nobody judged.
func (l *lane) dropAnswers(x *edge.Exchange) {
	drop := x.Answers | x.Excess
	if drop == 0 {
		return
	}
	for _, id := range [...]sip.FieldID{sip.FieldAuthorization, sip.FieldProxyAuthorization} {
		for i := x.Msg.Find(id); i >= 0; i = x.Msg.Next(id, i) {
			if drop&judge.Place(i) != 0 {
				l.edit.Remove(i)
			}
		}
	}
}

// challenges reports whether sources are challenged in earnest.
func (l *lane) challenges() bool { return l.cfg.Challenge == judge.Enforce && !l.cfg.Monitor }

// mayProve reports whether x, of a source that is banned without proof, could show that the ban is about somebody else's forgeries. An operator's is
// not.
func (l *lane) mayProve(x *edge.Exchange) bool {
	return l.challenges() && (x.Msg.Method == sip.REGISTER || x.Msg.Method == sip.INVITE) && !x.Msg.ToTag.Present() && !l.p.bans.Meant(x.From.Remote, x.At)
}

// redeemed reports whether x, of a source that is banned without proof, was written by who reads what is sent there: it is judged like any other.
func (l *lane) redeemed(x *edge.Exchange) bool {
	if x.Answer >= edge.AnswerFixed || x.From.Transport.Stream() || l.isHome(x) {
		return true
	}
	if x.Msg.Find(sip.FieldAuthorization) < 0 && x.Msg.Find(sip.FieldProxyAuthorization) < 0 {
		return false
	}
	l.cfg.Judge.Read(x)
	return x.Asked.Proven || x.Asked.Fresh && l.proven(x)
}

// appeal is the verdict on any other request of such a source: what would be relayed is challenged, and nobody keeps count of it.
func (l *lane) appeal(x *edge.Exchange) edge.Verdict {
	if l.fit(x).Action <= edge.Note {
		return l.asks(x, reasonAppeal)
	}
	return edge.Verdict{Action: edge.Drop, Reason: reasonSoft}
}

// mayDoubt reports whether x is of a kind that may have to prove itself.
func (l *lane) mayDoubt(x *edge.Exchange) bool {
	return l.cfg.Challenge != judge.Off && x.From.Side == edge.Outside && x.Match == edge.MatchNew && x.Trust == edge.Unknown && !x.Asked.Good && !l.forUs(x)
}

// doubts says whether x, which is fit to be relayed and mayDoubt, has to prove itself first: a stranger's request from a greylisted source, or for a user
// whose passwords this source got wrong. Who answers our challenge, one of the platform's that went there, or our knock, has done so. A check may doubt
// it, too (heard).
func (l *lane) doubts(x *edge.Exchange, heard edge.Verdict) edge.Verdict {
	a := &x.Asked
	switch {
	case a.Answer == edge.AnswerFixed, a.Answer == edge.AnswerDay, a.Wrong >= wrongMost && a.Apt && a.Tested:
		return edge.Verdict{}
	case heard.Action == edge.Challenge && heard.Steady:
		v := l.asks(x, heard.Reason)
		v.Steady = true
		return v
	case a.Wrong >= wrongMost && l.cfg.Judge.Acts():
		return l.asks(x, reasonTries)
	case a.Wrong >= wrongMost:
		return l.asks(x, reasonTries).Told()
	case a.Fresh:
		return edge.Verdict{}
	}
	grey, told := l.cfg.Judge.Grey(a, x.At), heard.Action == edge.Challenge
	switch {
	case grey == judge.Off && !told || l.isHome(x):
		return edge.Verdict{}
	case told:
		return l.asks(x, heard.Reason)
	case grey == judge.Monitor:
		return l.asks(x, reasonDoubted).Told()
	}
	return l.asks(x, reasonDoubted)
}

// asks is the verdict that x is challenged; in monitor mode it is only told.
func (l *lane) asks(x *edge.Exchange, why edge.Reason) edge.Verdict {
	v := edge.Verdict{Action: edge.Challenge, Reason: why, Status: l.cfg.book.For(hostIn(x.Msg)).Status(x.Msg.Method)}
	if !l.challenges() {
		return v.Told()
	}
	return v
}

// stricter is the one of two verdicts that asks for more.
func stricter(one, other edge.Verdict) edge.Verdict {
	if other.Action > one.Action || other.Action == one.Action && other.Would > one.Would {
		return other
	}
	return one
}

// challenge sends our own challenge to where x came from, unless it knocks there first. It looks like the platform's, but for the nonce, which holds all there is to know: nothing is
// kept. A steady one has the nonce of a day. Where it would be too large an answer to who may be forged, it is as short as can be.
func (l *lane) challenge(x *edge.Exchange, steady bool) {
	if !l.mayAnswer(x) {
		l.count.Refused(reasonOften)
		return
	}
	plain := steady || x.Asked.Wrong >= wrongMost
	if !plain && l.knocks(x) {
		return
	}
	m := x.Msg
	form := challenge.Form{Method: m.Method, Host: hostIn(m), At: x.At, Plain: plain}
	form.Stale = m.Find(sip.FieldAuthorization) >= 0 || m.Find(sip.FieldProxyAuthorization) >= 0
	switch {
	case steady:
		l.small = l.p.nonces.AppendDaily(l.small[:0], m, x.From, x.At)
	case plain:
		l.small = l.p.nonces.AppendFixed(l.small[:0], m, x.From, x.At)
	default:
		l.small = l.p.nonces.Append(l.small[:0], x.From, x.At)
	}
	l.second = append(l.second[:0], l.small...) // tag writes to small
	form.Nonce = l.second
	l.topVia(x)
	b := l.challengeWith(x, &form)
	if tooMuch := func() bool { return !l.proven(x) && 10*len(b) > 13*len(m.Raw) }; tooMuch() {
		form.Brief = true
		if b = l.challengeWith(x, &form); tooMuch() {
			l.count.Refused(reasonOutgrown)
			return
		}
	}
	l.transmit(b, x.From)
	l.count.SentReply(x.From, l.written.Status)
	if x.Asked.Secret == 0 && x.Asked.Source != 0 && l.sent.Parse(b, true) == nil {
		asked := x.Asked
		l.watched(&edge.Exchange{Msg: &l.sent, From: x.From, At: x.At, Match: edge.MatchReply, Ours: true}, &asked)
	}
}

// challengeWith makes the response with the challenge that form asks for.
func (l *lane) challengeWith(x *edge.Exchange, form *challenge.Form) []byte {
	l.cfg.book.For(form.Host).Write(&l.written, *form)
	return l.appendReply(l.out.Buffer(), x.Msg, l.viaLines(l.vias), x.From.Side, l.written.Status, "", l.tag(x.Msg, x.From), l.written.Fields...)
}

// hostIn is the host of the To of m, a request or its response: the domain that somebody is asked for in.
func hostIn(m *sip.Message) []byte { return m.ToURI.Host.Of(m.Raw) }

// among reports whether host is one of domains, which are lower case.
func among(domains []string, host []byte) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return len(d) == len(host) && sip.Spells(host, d) })
}
