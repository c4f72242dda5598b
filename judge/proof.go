package judge

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// proofLife is how long an answer to a challenge shows that its source reads what we send there.
const proofLife = 5 * time.Minute

// An issue is to whom a nonce went. Some platforms give everybody the nonce of the second: who gets one himself could then answer in
// the name of another source, so a nonce that went to two flows proves nothing.
type issue struct {
	flow   uint64
	about  uint64 // the user and the target of the request
	at     int64
	other  bool   // it went to another flow, too
	again  bool   // it went out more than once: there are shares
	denied bool   // it was made up for a user whom the platform denies
	tested bool   // the request answered the edge's own fixed nonce
	spent  uint64 // the credentials that came with it then; 0: none yet
}

// A share says that a nonce which went out more than once did so to one flow for one user and target: to each of those it is his own, and nobody else gets
// anything from its being well known.
type share struct {
	at             int64
	denied, tested bool
	spent          uint64 // as in issue
}

// sharedNonces is how many shares are remembered.
const sharedNonces = 1 << 15

// shareKey is the hash of a nonce, given by its own, a flow, and what the request was about.
func (j *Judge) shareKey(nonce, flow, about uint64) uint64 {
	return j.key.Words(j.key.Words(nonce, flow), about)
}

// share takes note that the nonce with that hash went out as one says.
func (j *Judge) share(nonce uint64, one *issue, at time.Time) {
	key := j.shareKey(nonce, one.flow, one.about)
	if s, _ := j.shares.Enter(key, 0, at); s != nil {
		*s = share{one.at, one.denied, one.tested, one.spent}
		j.shares.Leave(key)
	}
}

// challenged takes note of the nonce in a challenge to the flow of x.Asked, and reports whether the challenge says that only the nonce was
// too old.
func (j *Judge) challenged(x *edge.Exchange) (stale bool) {
	m := x.Msg
	i := m.Find(sip.FieldWWWAuthenticate)
	if i < 0 {
		if i = m.Find(sip.FieldProxyAuthenticate); i < 0 {
			return false
		}
	}
	d, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
	if !ok || err != nil {
		return false
	}
	j.issue(&x.Asked, d.Nonce.Of(m.Raw), false, x.At)
	return sip.EqualFold(d.Stale.Of(m.Raw), []byte("true"))
}

// MadeUp takes note of a nonce that goes to the flow of a in a challenge which the edge makes up, since the platform denies the user.
func (j *Judge) MadeUp(a *edge.Asked, nonce []byte, at time.Time) { j.issue(a, nonce, true, at) }

// issue takes note of a nonce that goes to the flow of a.
func (j *Judge) issue(a *edge.Asked, nonce []byte, denied bool, at time.Time) {
	h := j.key.Bytes(nonce)
	if given := j.key.Words(h, a.Source); len(nonce) > 0 {
		if one, _ := j.given.Enter(given, 0, at); one != nil {
			j.given.Leave(given)
		}
	}
	if len(nonce) < leastNonce {
		return
	}
	one, fresh := j.issued.Enter(h, 0, at)
	if one == nil {
		return
	}
	before := *one
	*one = issue{flow: a.Port, about: j.aboutOf(a), at: at.UnixNano(), again: !fresh, other: !fresh && (before.other || before.flow != a.Port),
		denied: denied, tested: a.Answer == edge.AnswerFixed || a.Answer == edge.AnswerDay}
	now := *one
	j.issued.Leave(h)
	if !fresh {
		j.share(h, &before, at)
		j.share(h, &now, at)
	}
}

// aboutOf is the hash of the user and the target of a request.
func (j *Judge) aboutOf(a *edge.Asked) uint64 { return j.key.Words(a.User, a.Target) }

// went reports whether the nonce with that hash went to the source, in a challenge to whichever of its flows, as far as that is remembered.
func (j *Judge) went(nonce, source uint64, at time.Time) bool {
	given := j.key.Words(nonce, source)
	if j.given.Find(given, at) == nil {
		return false
	}
	j.given.Leave(given)
	return true
}

// leastNonce is how many bytes a nonce has that nobody guesses.
const leastNonce = 12

// answers notes what credentials for the nonce with that hash and length are worth: whether it went to the flow of a, whether that proves the flow's
// return path, and whether it went there for what a is about.
func (j *Judge) answers(a *edge.Asked, nonce uint64, length int, at time.Time) {
	if length < leastNonce {
		return
	}
	found := j.issued.Find(nonce, at)
	if found == nil {
		return
	}
	one := *found
	j.issued.Leave(nonce)
	if !lives(one.at, at) {
		return
	}
	here, about := one.flow == a.Port, j.aboutOf(a)
	fresh := here || one.other && j.went(nonce, a.Source, at)
	a.Fresh = a.Fresh || fresh
	a.Proven = a.Proven || here && !one.other
	a.Apt, a.Denied, a.Tested = here && one.about == about, fresh && one.denied, fresh && one.tested
	if one.again && !a.Apt {
		a.Denied, a.Tested = false, false
		key := j.shareKey(nonce, a.Port, about)
		if s := j.shares.Find(key, at); s != nil {
			if a.Apt = lives(s.at, at); a.Apt {
				a.Denied, a.Tested = s.denied, s.tested
			}
			j.shares.Leave(key)
		}
	}
}

// tested reports whether a, which comes with credentials for the nonce with that hash, is the one try that an answer to the edge's own fixed nonce goes before.
// Most platforms take a nonce as often as it comes: another password that is tried with it has not been told from others yet. The same request may come
// again.
func (j *Judge) tested(a *edge.Asked, nonce uint64, at time.Time) bool {
	if one := j.issued.Find(nonce, at); one != nil {
		mine := one.flow == a.Port && one.about == j.aboutOf(a)
		if mine {
			defer j.issued.Leave(nonce)
			return spends(&one.spent, a.Secret)
		}
		j.issued.Leave(nonce)
	}
	key := j.shareKey(nonce, a.Port, j.aboutOf(a))
	s := j.shares.Find(key, at)
	if s == nil {
		return true
	}
	defer j.shares.Leave(key)
	return spends(&s.spent, a.Secret)
}

// spends has those credentials be the ones that a nonce is spent on, unless others are, and reports whether they are.
func spends(on *uint64, credentials uint64) bool {
	if *on == 0 {
		*on = credentials
	}
	return *on == credentials
}

// lives reports whether a nonce that went out then proves anything at at.
func lives(then int64, at time.Time) bool {
	age := at.UnixNano() - then
	return age >= 0 && age <= int64(proofLife)
}
