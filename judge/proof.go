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
	flow  uint64
	at    int64
	other bool // it went to another flow, too
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
	if nonce := d.Nonce.Of(m.Raw); len(nonce) >= leastNonce {
		h := j.key.Bytes(nonce)
		if one, fresh := j.issued.Enter(h, 0, x.At); one != nil {
			one.other = !fresh && (one.other || one.flow != x.Asked.Port)
			one.flow, one.at = x.Asked.Port, x.At.UnixNano()
			j.issued.Leave(h)
		}
	}
	return sip.EqualFold(d.Stale.Of(m.Raw), []byte("true"))
}

// leastNonce is how many bytes a nonce has that nobody guesses.
const leastNonce = 12

// answers reports whether a nonce went to flow, and whether that proves the flow's return path.
func (j *Judge) answers(nonce, flow uint64, at time.Time) (fresh, proof bool) {
	one := j.issued.Find(nonce, at)
	if one == nil {
		return false, false
	}
	defer j.issued.Leave(nonce)
	age := at.UnixNano() - one.at
	if age < 0 || age > int64(proofLife) {
		return false, false
	}
	return one.flow == flow || one.other, one.flow == flow && !one.other
}
