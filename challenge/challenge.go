// Package challenge makes challenges: the edge's own, by which a source proves that it reads what is sent there, and those that look like the
// platform's. Its nonces carry all there is to know of them, so a challenge that nobody answers leaves nothing behind.
//
// Everything is pure: time is an argument, nothing is sent, and nothing allocates once the platform has shown what its challenges look like.
package challenge

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

// Life is how long a nonce of the edge's own proves the return path of who answers with it.
const Life = 5 * time.Minute

const (
	grace = 30 * time.Second // longer for a fixed nonce: one that is sent at the end of its time can be answered
	ahead = 5 * time.Second  // that the clock of who made a nonce may be ahead
	day   = 24 * time.Hour

	ordinary = 1 // kinds of nonces
	fixed    = 2
	daily    = 3
	plainLen = 1 + 4 + 8 // kind, second, what it is bound to
)

var nonceLen, nonceUse = seal.TokenLen(plainLen), []byte("nonce")

// Nonces makes and knows the nonces of the edge's own challenges. Each is a sealed token of the second in which it was made and of the far end
// that it went to: over UDP its address and port, over a stream its address. Nothing is kept, and a restart changes nothing.
type Nonces struct {
	keys *seal.Keys
	key  meter.Key
}

// NewNonces makes nonces with keys.
func NewNonces(keys *seal.Keys) *Nonces {
	return &Nonces{keys: keys, key: meter.NewKey(keys.ID("challenge", nil, nil, nil))}
}

// Append appends the nonce of a challenge to m, a request that came from there at that time: another one each second.
func (n *Nonces) Append(dst []byte, from edge.Flow, at time.Time) []byte {
	return n.seal(dst, ordinary, uint32(at.Unix()), n.bound(from))
}

// AppendFixed is Append with a nonce that is the same for five minutes for this far end and the user that m is about: equal guesses at his
// password get equal answers. RFC 3261 §22.4 asks for another one each time; docs/adr/0011-own-challenges.md says why not here.
func (n *Nonces) AppendFixed(dst []byte, m *sip.Message, from edge.Flow, at time.Time) []byte {
	return n.steady(dst, fixed, Life, n.about(m, n.bound(from)), at)
}

// AppendDaily is AppendFixed with a nonce that is the same for a day for the address, whatever the port: guesses can be told apart however slowly they
// come. It proves nothing of who answers it.
func (n *Nonces) AppendDaily(dst []byte, m *sip.Message, from edge.Flow, at time.Time) []byte {
	return n.steady(dst, daily, day, n.about(m, n.home(from)), at)
}

// steady appends a nonce that is the same for a period, which does not begin for everybody at the same moment.
func (n *Nonces) steady(dst []byte, kind byte, length time.Duration, about uint64, at time.Time) []byte {
	period := uint64(length / time.Second)
	offset := about % period
	begin := (uint64(at.Unix())+offset)/period*period - offset
	return n.seal(dst, kind, uint32(begin), about)
}

func (n *Nonces) seal(dst []byte, kind byte, second uint32, to uint64) []byte {
	var plain [plainLen]byte
	plain[0] = kind
	binary.BigEndian.PutUint32(plain[1:], second)
	binary.BigEndian.PutUint64(plain[5:], to)
	return n.keys.Seal(dst, plain[:], nonceUse, nil)
}

// Open says what a nonce that came with m from there is worth.
func (n *Nonces) Open(nonce []byte, m *sip.Message, from edge.Flow, at time.Time) edge.Answer {
	if len(nonce) != nonceLen {
		return edge.AnswerNone
	}
	var room [plainLen + seal.OpenRoom]byte
	plain, err := n.keys.Open(room[:0], nonce, nonceUse, nil)
	if err != nil || len(plain) != plainLen {
		return edge.AnswerNone
	}
	age := at.Sub(time.Unix(int64(binary.BigEndian.Uint32(plain[1:])), 0))
	to, answer, bound, life := binary.BigEndian.Uint64(plain[5:]), edge.AnswerFresh, uint64(0), Life
	switch plain[0] {
	case fixed:
		answer, bound, life = edge.AnswerFixed, n.about(m, n.bound(from)), Life+grace
	case daily:
		answer, bound, life = edge.AnswerDay, n.about(m, n.home(from)), day+grace
	default:
		bound = n.bound(from)
	}
	if age < -ahead || age >= life+time.Second || to != bound { // the second in which it was made is over by then
		return edge.AnswerVoid
	}
	return answer
}

// bound is the hash of what a nonce is bound to.
func (n *Nonces) bound(from edge.Flow) uint64 {
	if from.Transport.Stream() { // a handshake has proven the address, and a new connection has another port
		return n.key.Words(1, n.key.Addr(from.Remote.Addr()))
	}
	return n.key.Words(0, n.key.AddrPort(from.Remote))
}

// home is the hash of the address alone.
func (n *Nonces) home(from edge.Flow) uint64 { return n.key.Words(2, n.key.Addr(from.Remote.Addr())) }

// about is a hash of whom a nonce is bound to, together with the user that m is about: REGISTER the To, else the From.
func (n *Nonces) about(m *sip.Message, bound uint64) uint64 {
	who := m.From.URI
	if m.Method == sip.REGISTER {
		who = m.To.URI
	}
	return n.key.Words(bound, n.key.Bytes(who.Of(m.Raw)))
}

// Answers reads the credentials of m, a request that came from there: what they answer as far as the edge's own challenges go (of several
// the best), and which of the first 64 header fields they are in.
func (n *Nonces) Answers(m *sip.Message, from edge.Flow, at time.Time) (best edge.Answer, fields uint64) {
	for _, id := range [...]sip.FieldID{sip.FieldAuthorization, sip.FieldProxyAuthorization} {
		for i := m.Find(id); i >= 0 && i < 64; i = m.Next(id, i) {
			nonce := Nonce(m, i)
			if len(nonce) != nonceLen {
				continue
			}
			if a := n.Open(nonce, m, from, at); a != edge.AnswerNone {
				best, fields = max(best, a), fields|1<<i
			}
		}
	}
	return best, fields
}

var nonceParam = []byte(` nonce="`)

// Nonce is that of the challenge or credentials in field i of m, nil if it can't be read. It lies in m.
func Nonce(m *sip.Message, i int) []byte {
	value := m.Fields[i].Value.Of(m.Raw)
	if at := bytes.Index(value, nonceParam); at >= 0 { // as nearly everybody writes it
		rest := value[at+len(nonceParam):]
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			return rest[:end]
		}
	}
	d, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
	if !ok || err != nil {
		return nil
	}
	return d.Nonce.Of(m.Raw)
}
