package proxy

import (
	"time"

	"github.com/ringwall/ringwall/challenge"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
)

// How the responses to a request are to look, as its transaction notes it.
const (
	evenOn    uint8 = 1 << iota // strangers can't tell by them which users there are
	evenTell                    // the same, but it is only told
	evenStale                   // a challenge says that the nonce was the trouble: credentials for one of ours were taken off
	evenMoved                   // a shown dialog does not go where its token leads, so that its Contacts carry marks
)

// An evening is what became of a response that looks like others.
type evening struct {
	made   bool // in place of the platform's
	second bool // to credentials
	wait   time.Duration
}

// evens is the note for x, which is about to be relayed.
func (l *lane) evens(x *edge.Exchange) (note uint8) {
	if x.Answers != 0 || x.Excess != 0 && x.Asked.Secret == 0 {
		note = evenStale
	}
	m := x.Msg
	if l.cfg.Unify == judge.Off || x.From.Side != edge.Outside || x.Match != edge.MatchNew || x.Trust != edge.Unknown || x.Asked.Good {
		return note
	}
	host := hostIn(m)
	if among(l.cfg.NotUnified, host) || m.Method == sip.INVITE && among(l.cfg.OpenInbound, host) {
		return note
	}
	if l.cfg.Unify == judge.Monitor || l.cfg.Monitor {
		return note | evenTell
	}
	return note | evenOn
}

// denies reports whether status says that the platform does not have a user, or does not want him.
func denies(status int) bool {
	switch status {
	case 403, 404, 410, 480, 484, 604:
		return true
	}
	return false
}

// excuse gives the challenges in m, which is being edited, a stale=true where the client of tx has answered ours: no phone is to think that its
// password was refused.
func (l *lane) excuse(m *sip.Message, tx *transaction.Tx) {
	if tx.Even&evenStale == 0 || m.Status != 401 && m.Status != 407 {
		return
	}
	for _, id := range [...]sip.FieldID{sip.FieldWWWAuthenticate, sip.FieldProxyAuthenticate} {
		for i := m.Find(id); i >= 0; i = m.Next(id, i) {
			if value := m.Fields[i].Value; isDigest(m.Raw, value) {
				l.value = challenge.AppendStale(l.value[:0], appendUnfolded(l.small[:0], value.Of(m.Raw)))
				l.edit.Replace(i, l.value)
			}
		}
	}
}

func isDigest(raw []byte, value sip.Span) bool {
	_, ok, err := sip.ParseDigest(raw, value)
	return ok && err == nil
}

// evenOut decides what a stranger gets for the platform's response x: true if it is l.written in place of x. A request without credentials that
// answer a challenge for this very user gets a challenge, whether the platform challenges him or denies that he exists. Credentials that answer a
// challenge which we made up get what wrong passwords get.
func (l *lane) evenOut(x *edge.Exchange, tx *transaction.Tx) bool {
	m, a, status := x.Msg, &tx.Asked, x.Msg.Status
	challenged := status == 401 || status == 407
	if x.From.Side != edge.Inside || !challenged && !denies(status) || tx.State < transaction.Completed {
		return false
	}
	if tx.Client.Side == edge.Outside && a.Trust != edge.Peer && l.cfg.Unify|l.cfg.Challenge != judge.Off {
		l.learnFrom(x, tx, challenged)
	}
	second := a.Secret != 0 && a.Apt
	if tx.Even&evenOn == 0 {
		if tx.Even&evenTell != 0 && denies(status) && !(second && !a.Denied) {
			l.tellUnified(x, tx, second)
		}
		return false
	}
	d := l.cfg.book.For(hostIn(m))
	l.evening.second = second
	form := challenge.Form{Method: tx.Method, Host: hostIn(m), Seed: tx.Key() ^ uint64(x.At.UnixNano()), At: x.At}
	switch {
	case second && a.Denied:
		l.evening.made = true
		if refusal := d.Refusal(tx.Method); refusal != 401 && refusal != 407 {
			l.written.Plain(refusal)
			break
		}
		d.Write(&l.written, form)
	case second && status == 403 && d.Refusal(tx.Method) == 403:
		l.written.Plain(403)
	case second && challenged:
		l.written.Repeat(m, false)
	case second:
		return false
	case challenged:
		l.written.Repeat(m, tx.Even&evenStale != 0 || a.Secret != 0)
	default:
		l.evening.made = true
		form.Stale = tx.Even&evenStale != 0 || a.Secret != 0
		d.Write(&l.written, form)
	}
	l.pace(x, tx, d)
	if l.evening.made {
		l.tellUnified(x, tx, second)
	}
	return true
}

// learnFrom takes note of what the platform's challenges and refusals look like.
func (l *lane) learnFrom(x *edge.Exchange, tx *transaction.Tx, challenged bool) {
	m, a := x.Msg, tx.Asked
	d := l.cfg.book.For(hostIn(m))
	stale := false
	if challenged {
		d.Learn(m, hostIn(m), x.At)
		stale = l.saysStale(m)
	}
	if a.Apt && !a.Denied && !stale && a.Failed(m.Status) {
		d.LearnRefusal(tx.Method, m.Status)
	}
}

// saysStale reports whether a challenge in m says that only the nonce was too old.
func (l *lane) saysStale(m *sip.Message) bool {
	for _, id := range [...]sip.FieldID{sip.FieldWWWAuthenticate, sip.FieldProxyAuthenticate} {
		if i := m.Find(id); i >= 0 {
			d, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
			return ok && err == nil && sip.Spells(d.Stale.Of(m.Raw), "true")
		}
	}
	return false
}

// pace finds out how long the response at hand is to be held back, so that made up ones take as long as others. All wait for the next tick at least:
// those that wait longer leave with one.
func (l *lane) pace(x *edge.Exchange, tx *transaction.Tx, d *challenge.Domain) {
	took, p := time.Duration(x.At.UnixNano()-tx.Began), &d.First
	if l.evening.second {
		p = &d.Second
	}
	l.evening.wait = max(p.Wait(l.evening.made, took, tx.Key()>>7), 1)
}

// tellUnified tells and counts that the platform's response x is, or would be, replaced.
func (l *lane) tellUnified(x *edge.Exchange, tx *transaction.Tx, second bool) {
	v := edge.Verdict{Action: edge.Note, Reason: reasonUnified, Status: x.Msg.Status}
	if second {
		v.Reason = reasonUnifiedPW
	}
	if tx.Even&evenOn == 0 {
		v.Would = edge.Challenge
	}
	l.refuse(&edge.Exchange{Msg: x.Msg, From: tx.Client, At: x.At, Trust: tx.Asked.Trust}, v)
}

// evened makes the response with l.written to the client of tx. Nothing in it but challenges is the platform's, so that it tells no more than that.
func (l *lane) evened(dst []byte, x *edge.Exchange, tx *transaction.Tx) []byte {
	vias, _, _ := tx.Back()
	m := x.Msg
	b := l.appendReply(dst, m, l.viaLines(vias), tx.Client.Side, l.written.Status, "", nil, l.written.Fields...)
	if l.left.Parse(b, true) != nil {
		return nil
	}
	l.edit.Reset(&l.left)
	to := &l.left.To
	l.value = append(l.value[:0], l.left.Raw[to.Whole.Start:to.Whole.End]...)
	if to.Params.Present() {
		l.value = l.value[:to.Params.Start-to.Whole.Start-1]
		l.value = appendParams(l.value, l.left.Raw, to.Params, "tag")
	}
	l.value = append(append(l.value, ";tag="...), l.tag(&l.left, tx.Client)...)
	l.edit.Replace(l.left.Find(sip.FieldTo), l.value)
	l.redone = l.edit.AppendTo(l.redone[:0])
	return l.asKnown(append(b[:0], l.redone...), tx)
}

// holds holds the response at hand back, if that is wanted.
func (l *lane) holds(tx *transaction.Tx, x *edge.Exchange) bool {
	if l.evening.wait == 0 {
		return false
	}
	tx.Hold(x.At.Add(l.evening.wait))
	return true
}

// watchedAs is watched for a response that may have been replaced by b: of credentials the judge sees what their sender sees, so that those for users
// who don't exist count like others.
func (l *lane) watchedAs(x *edge.Exchange, asked *edge.Asked, b []byte) {
	made, second := l.evening.made, l.evening.second
	if !made || !second {
		l.watched(x, asked)
	}
	if !made || l.sent.Parse(b, true) != nil {
		return
	}
	if second {
		l.watched(&edge.Exchange{Msg: &l.sent, From: x.From, At: x.At, Match: edge.MatchReply}, asked)
	}
	for i := range l.sent.Fields {
		if id := l.sent.Fields[i].ID; id == sip.FieldWWWAuthenticate || id == sip.FieldProxyAuthenticate {
			l.cfg.Judge.MadeUp(asked, challenge.Nonce(&l.sent, i), x.At)
		}
	}
}

// statusOf is the status of a response of ours.
func statusOf(b []byte) (status int) {
	if len(b) < len("SIP/2.0 200") {
		return 0
	}
	for _, c := range b[8:11] {
		status = 10*status + int(c-'0')
	}
	return status
}
