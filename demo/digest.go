package demo

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// nonceState says how a nonce in credentials is to be taken.
type nonceState uint8

const (
	nonceForeign nonceState = iota
	nonceStale
	nonceFresh
)

// newNonce returns a nonce that needs no table: the time and a keyed hash of it (RFC 7616 §3.3).
func (p *Platform) newNonce(now time.Time) string {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(now.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(at[:], p.nonceMAC(at[:])...))
}

func (p *Platform) nonceMAC(at []byte) []byte {
	h := hmac.New(sha256.New, p.nonceKey[:])
	h.Write(at)
	return h.Sum(nil)[:16]
}

func (p *Platform) checkNonce(nonce []byte, now time.Time) nonceState {
	b, err := base64.RawURLEncoding.DecodeString(string(nonce))
	if err != nil || len(b) != 24 || !hmac.Equal(b[8:], p.nonceMAC(b[:8])) {
		return nonceForeign
	}
	age := now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(b))))
	if age > p.cfg.timing.nonce || age < -p.cfg.timing.nonce {
		return nonceStale
	}
	return nonceFresh
}

// admit returns the account that st's request proves to come from, which must be the one that who (From, or To of a
// REGISTER) names. Otherwise it answers with one challenge (RFC 3261 §22; RFC 8760 for SHA-256) and returns nil. A wrong
// password and a user that does not exist get the same answer.
func (p *Platform) admit(st *serverTx, id sip.FieldID, who sip.Address) *Account {
	r := st.req
	user := ""
	if uri, err := sip.ParseURI(r.Raw, who.URI); err == nil {
		user = string(uri.User.Of(r.Raw))
	}
	a := p.account(user)
	d, found := p.credentials(&r.Message, id)
	state := nonceForeign
	if found {
		state = p.checkNonce(d.Nonce.Of(r.Raw), time.Now())
	}
	right := found && a != nil && string(d.Username.Of(r.Raw)) == user && a.verify(&r.Message, &d)
	if right && state == nonceFresh {
		return a
	}
	if found {
		p.cfg.Log.Info("demo: credentials refused", "user", user, "from", r.from.addr, "right", right, "stale", state == nonceStale)
	}
	algorithm := "MD5"
	if a != nil {
		algorithm = a.Algorithm
	}
	p.challenge(st, id, algorithm, right && state == nonceStale)
	return nil
}

func (p *Platform) challenge(st *serverTx, id sip.FieldID, algorithm string, stale bool) {
	status, name := 401, sip.FieldWWWAuthenticate
	if id == sip.FieldProxyAuthorization {
		status, name = 407, sip.FieldProxyAuthenticate
	}
	v := fmt.Appendf(nil, `Digest realm="%s", nonce="%s", algorithm=%s, qop="auth"`, p.cfg.Realm, p.newNonce(time.Now()), algorithm)
	if stale {
		v = append(v, ", stale=true"...)
	}
	st.respond(status, sip.Header{Name: name.String(), Value: v})
}

// credentials finds the credentials for the platform's realm among those of m.
func (p *Platform) credentials(m *sip.Message, id sip.FieldID) (sip.Digest, bool) {
	for i := m.Find(id); i >= 0; i = m.Next(id, i) {
		d, ok, err := sip.ParseDigest(m.Raw, m.Fields[i].Value)
		if err == nil && ok && string(d.Realm.Of(m.Raw)) == p.cfg.Realm {
			return d, true
		}
	}
	return sip.Digest{}, false
}

// verify computes the response that d should carry (RFC 7616 §3.4.1) and compares. The digest's uri must repeat the
// Request-URI, as RFC 7616 §3.4.6 allows a server to demand: an edge that rewrites it would be noticed here.
func (a *Account) verify(m *sip.Message, d *sip.Digest) bool {
	of := func(s sip.Span) string { return string(s.Of(m.Raw)) }
	algorithm := of(d.Algorithm)
	if algorithm == "" {
		algorithm = "MD5"
	}
	if algorithm != a.Algorithm || of(d.URI) != of(m.RequestURI) {
		return false
	}
	h := md5.New
	if algorithm == "SHA-256" {
		h = sha256.New
	}
	ha1 := hexHash(h, a.User+":"+of(d.Realm)+":"+a.Password)
	ha2 := hexHash(h, of(m.MethodName)+":"+of(d.URI))
	want := ""
	switch of(d.QOP) {
	case "":
		want = hexHash(h, ha1+":"+of(d.Nonce)+":"+ha2)
	case "auth":
		want = hexHash(h, ha1+":"+of(d.Nonce)+":"+of(d.NC)+":"+of(d.CNonce)+":auth:"+ha2)
	default:
		return false
	}
	return subtle.ConstantTimeCompare([]byte(want), d.Response.Of(m.Raw)) == 1
}

func hexHash(newHash func() hash.Hash, s string) string {
	h := newHash()
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil))
}
