package judge

import (
	"bytes"
	"hash/maphash"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// credentials reads the answers to challenges. Those that answer the edge's own are not for the platform: they say who reads what is sent there. uri is the
// user's, who may have another name in them.
func (j *Judge) credentials(x *edge.Exchange, uri []byte) {
	m, a, first := x.Msg, &x.Asked, -1
	for _, id := range [...]sip.FieldID{sip.FieldAuthorization, sip.FieldProxyAuthorization} {
		for i := m.Find(id); i >= 0; i = m.Next(id, i) {
			if i < 64 && x.Answers&(1<<i) != 0 {
				j.answered(x, i, uri)
				continue
			}
			first = j.tries(x, i, first, uri)
		}
	}
	if a.Secret != 0 && a.Tried() == 0 {
		a.Login = nobody
	}
	if a.Tested {
		nonce, _ := answerIn(m.Raw, m.Fields[first].Value)
		a.Tested = j.tested(a, j.key.Bytes(nonce), x.At)
	}
}

// nobody is the hash of a user whose name stands nowhere, or can't be read: his password is one user's all the same.
const nobody = 1

// Place is the bit of header field i in Exchange.Answers and Exchange.Excess; what stands behind the 63rd has the last one together.
func Place(i int) uint64 { return 1 << min(i, 63) }

// answered reads credentials for a challenge of the edge's own.
func (j *Judge) answered(x *edge.Exchange, i int, uri []byte) {
	m, a, at := x.Msg, &x.Asked, x.Msg.Fields[i].Value
	if a.Login == 0 {
		_, name := answerIn(m.Raw, at)
		a.Login = j.login(name, uri, a.User)
	}
	a.Answer = x.Answer
	a.Fresh = a.Answer >= edge.AnswerFixed
	a.Proven = a.Fresh || a.Proven
	if a.Answer == edge.AnswerFixed || a.Answer == edge.AnswerDay {
		a.Guess = max(1, maphash.Bytes(j.seed, responseOf(m.Raw, at)))
	}
}

// tries reads credentials for the platform, in field i; those in field first are what a is about so far (-1: there are none). Credentials that can't be
// read are some all the same, since the platform may be less strict, and who answers differently writes credentials that differ, so these are hashed as they
// stand. Nobody knows which of several the platform looks at. So what is judged are the first for a nonce that went to the address, and whatever else there is
// in the same name; the others are in excess. It returns the field that a is about now.
func (j *Judge) tries(x *edge.Exchange, i, first int, uri []byte) int {
	m, a, at := x.Msg, &x.Asked, x.Msg.Fields[i].Value
	nonce, name := answerIn(m.Raw, at)
	key, secret := j.key.Bytes(nonce), maphash.Bytes(j.seed, at.Of(m.Raw))
	alien := !a.From.Transport.Stream() && x.Answer < edge.AnswerFixed && !j.went(key, a.Source, x.At)
	login := j.login(name, uri, a.User)
	switch {
	case first < 0:
	case alien && !a.Alien, alien == a.Alien && login != a.Login:
		x.Excess |= Place(i)
		return first
	case alien == a.Alien:
		a.Secret = max(1, a.Secret^secret)
		return first
	default:
		x.Excess |= Place(first)
	}
	a.Secret, a.Login, a.Alien = max(1, secret), login, alien
	j.answers(a, key, len(nonce), x.At)
	return i
}

// responseOf is the response of credentials; all of them where it can't be read.
func responseOf(raw []byte, at sip.Span) []byte {
	d, ok, err := sip.ParseDigest(raw, at)
	if !ok || err != nil || !d.Response.Present() {
		return at.Of(raw)
	}
	return d.Response.Of(raw)
}

var nonceParam, nameParam = []byte(` nonce="`), []byte(` username="`)

// answerIn is the nonce and the user's name in credentials. Nearly everybody writes them so that a glance finds them; else the rules must tell.
func answerIn(raw []byte, at sip.Span) (nonce, name []byte) {
	value := at.Of(raw)
	nonce, one := param(value, nonceParam)
	name, two := param(value, nameParam)
	if one && two && bytes.IndexByte(value, '\\') < 0 {
		return nonce, name
	}
	if d, ok, err := sip.ParseDigest(raw, at); ok && err == nil {
		return d.Nonce.Of(raw), d.Username.Of(raw)
	}
	return nonce, name
}

// param is the value of a parameter of credentials, given with the blank before it and the quote after it. It is not sure that it is if there is
// none, if another one follows, or if it stands in the quotes of another; no quote is to be escaped in value.
func param(value, name []byte) (v []byte, sure bool) {
	i := bytes.Index(value, name)
	if i < 0 {
		return nil, false
	}
	sure = bytes.Count(value[:i], quote)%2 == 0
	rest := value[i+len(name):]
	v, rest, _ = bytes.Cut(rest, quote)
	for {
		i := bytes.Index(rest, name[1:])
		if i < 0 {
			return v, sure
		}
		if i == 0 || rest[i-1]|0x20 < 'a' || rest[i-1]|0x20 > 'z' { // cnonce
			return v, false
		}
		rest = rest[i+1:]
	}
}

var quote = []byte{'"'}

// login is the hash of the user with that name in credentials, 0 if it is the user of uri, whose hash is given. A name without a host is
// one at the host of uri. A backslash before a letter makes no other name of it (RFC 3261 §25.1, quoted-pair).
func (j *Judge) login(name, uri []byte, user uint64) uint64 {
	if len(name) == 0 || bytes.Equal(name, userOf(uri)) {
		return 0
	}
	var plain [2 * maxUser]byte
	if bytes.IndexByte(name, '\\') >= 0 {
		name = unquoted(plain[:0], name[:min(len(name), len(plain))])
	}
	host := hostOf(uri)
	if i := bytes.LastIndexByte(name, '@'); i >= 0 {
		name, host = name[:i], name[i+1:]
	}
	if h := j.hashUser(name, host); h != user {
		return h
	}
	return 0
}

// unquoted appends b without the backslashes of its quoted pairs.
func unquoted(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
		}
		dst = append(dst, b[i])
	}
	return dst
}
