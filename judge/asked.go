package judge

import (
	"bytes"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// read fills in x.Asked.
func (j *Judge) read(x *edge.Exchange) {
	m, a := x.Msg, &x.Asked
	*a = edge.Asked{} // and then its fields: a literal would be built elsewhere and copied
	a.From, a.Trust, a.Match, a.Method, a.Proven = x.From, x.Trust, x.Match, m.Method, x.From.Transport.Stream()
	if x.Match != edge.MatchNew && x.Match != edge.MatchInDialog || x.From.Side == edge.Inside || x.Trust == edge.Peer {
		return
	}
	if x.Match == edge.MatchInDialog && m.Method == sip.ACK { // it is not judged, and nothing answers it
		return
	}
	a.Source, a.Port = j.key.Source(x.From.Remote)
	uri := m.From.URI.Of(m.Raw)
	if m.Method == sip.REGISTER {
		uri = m.To.URI.Of(m.Raw)
	}
	a.User = j.hashURI(uri)
	switch {
	case m.Method == sip.REGISTER:
		a.Target = a.User
	case m.Method == sip.BYE && x.Match == edge.MatchInDialog: // it goes to a Contact, or a token of ours, which nobody looks for
	default:
		j.dials(x)
	}
	j.credentials(x, uri)
	if x.Match == edge.MatchNew {
		j.recall(a, x.At)
		if a.Good && a.Login != 0 {
			j.noteLogin(x)
		}
	}
}

// dials fills in whom x asks for. Of a token that is who it stands for: a phone may redirect calls to any number, and a hidden platform hands a token for that on.
func (j *Judge) dials(x *edge.Exchange) {
	m, a := x.Msg, &x.Asked
	user, host := m.URI.User.Of(m.Raw), m.URI.Host.Of(m.Raw)
	if x.Target != nil {
		user, host = userOf(x.Target), hostOf(x.Target)
	}
	a.Target = j.hashUser(user, host)
	if m.Method == sip.INVITE {
		a.Number = dialled(user)
		a.Literal = a.Number != 0 && x.Target == nil && literal(host)
	}
}

// recall fills in what the judge remembers of who asks.
func (j *Judge) recall(a *edge.Asked, at time.Time) {
	if a.Known = j.known.at(a.Source, at); a.Known > 0 {
		a.Good = j.known.good(j.askedPair(a), a, at)
		a.Lent = !a.Good && a.Login != 0 && a.Method == sip.INVITE && j.known.holds(j.triedPair(a), ownName, at)
		a.Good = a.Good || a.Lent
	}
	if a.Good {
		return
	}
	a.Near = a.Secret != 0 && j.near(a, at)
	if j.wrong.any(at) {
		a.Wrong = j.wrong.of(j.triedPair(a), at)
	}
}

// User returns the user@host that x is about in matters of passwords: of a REGISTER that of To, else that of From; without a host where
// there is none. It works for a response as for its request.
func User(x *edge.Exchange) string {
	a := x.Msg.From
	if x.Msg.CSeq.Method == sip.REGISTER {
		a = x.Msg.To
	}
	uri := a.URI.Of(x.Msg.Raw)
	user, host := userOf(uri), hostOf(uri)
	if len(host) == 0 {
		return string(user)
	}
	return string(user) + "@" + strings.ToLower(string(host))
}

// userOf is the user of a SIP or tel URI that was parsed before, without parameters and password.
func userOf(uri []byte) []byte {
	const usual = "sip:"
	rest := uri
	if len(uri) > len(usual) && string(uri[:len(usual)]) == usual {
		rest = uri[len(usual):]
	} else {
		rest = uri[bytes.IndexByte(uri, ':')+1:]
	}
	end := len(rest)
	for i, c := range rest {
		switch c {
		case ':':
			end = min(end, i)
		case '@':
			return rest[:min(end, i)]
		}
	}
	if len(uri) > 3 && uri[0]|0x20 == 't' {
		user, _, _ := bytes.Cut(rest, []byte{';'})
		return user
	}
	return nil
}

// hostOf is the host of a SIP URI that was parsed before, without port.
func hostOf(uri []byte) []byte {
	_, rest, _ := bytes.Cut(uri, []byte{':'})
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	if i := bytes.IndexAny(rest, ";?"); i >= 0 {
		rest = rest[:i]
	}
	if i := bytes.LastIndexByte(rest, ':'); i >= 0 && bytes.IndexByte(rest[i:], ']') < 0 {
		rest = rest[:i]
	}
	return rest
}

// maxUser is how much of a user is told apart from others.
const maxUser = 128

// hashURI is hashUser for a URI that was parsed before.
func (j *Judge) hashURI(uri []byte) uint64 {
	var host []byte
	if len(j.cfg.Domains) > 1 {
		host = hostOf(uri)
	}
	return j.hashUser(userOf(uri), host)
}

// hashUser is the keyed hash of a user at a host, 0 if there is none. Escapes are decoded, and a host that is no domain of the platform
// does not count: who guesses one user's password does not make him another one by writing him differently. Nor does case, which many platforms
// look past when they look for a user.
func (j *Judge) hashUser(user, host []byte) uint64 {
	if len(user) == 0 {
		return 0
	}
	if len(user) > maxUser {
		user = user[:maxUser]
	}
	h := uint64(0)
	if canonical(user) {
		h = j.key.Bytes(user)
	} else {
		var plain [maxUser]byte
		h = j.key.Bytes(lower(unescape(plain[:0], user)))
	}
	if len(j.cfg.Domains) > 1 {
		h = j.atDomain(h, host)
	}
	return max(1, h)
}

// atDomain is the hash of the user with hash h at a host.
func (j *Judge) atDomain(h uint64, host []byte) uint64 {
	for i, d := range j.cfg.Domains[1:] {
		if len(host) == len(d) && strings.EqualFold(d, string(host)) {
			h = j.key.Words(h, uint64(i+1))
		}
	}
	return h
}

// canonical reports whether user has no escapes and no capitals.
func canonical(user []byte) bool {
	for _, c := range user {
		if c == '%' || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}

// lower puts the letters of b into lower case.
func lower(b []byte) []byte {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return b
}

// unescape appends b with its %XX decoded.
func unescape(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, '%')
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		if hi, lo := hex(b, i+1), hex(b, i+2); hi >= 0 && lo >= 0 {
			dst, b = append(dst, byte(hi<<4|lo)), b[i+3:]
		} else {
			dst, b = append(dst, '%'), b[i+1:]
		}
	}
}

// hex is the value of the hexadecimal digit at i, -1 if there is none.
func hex(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// dialled reads a telephone number, 0 where user is something else.
func dialled(user []byte) edge.Number {
	if bytes.IndexByte(user, '%') >= 0 {
		var plain [maxUser]byte
		user = unescape(plain[:0], user[:min(len(user), maxUser)])
	}
	n, digits := uint64(0), uint64(0)
	for i, c := range user {
		switch {
		case c >= '0' && c <= '9':
			n = dial(n, uint64(c-'0'), digits)
		case c == '*' || c == '#' || c == '+' && i > 0:
			n = dial(n, uint64(10+c%5), digits)
		case c == '-' || c == '.' || c == '(' || c == ')' || c == ' ' || c == '+':
			continue
		case c == ';':
			return number(n, digits)
		default:
			return 0
		}
		digits++
	}
	return number(n, digits)
}

// Numbers have room for so many digits, of which so many stay as they are.
const (
	roomy = 60
	exact = 32
)

// literal reports whether host, that of a URI, is an address: no domain at the top has a digit at its end.
func literal(host []byte) bool {
	if len(host) == 0 {
		return false
	}
	last := host[len(host)-1]
	return last == ']' || last >= '0' && last <= '9'
}

// dial appends a digit to n, which has so many of them. One that finds no room any more is mixed into those that came first.
func dial(n, digit, digits uint64) uint64 {
	n = n<<4 | digit
	if digits >= roomy/4 {
		n ^= (n>>roomy + 1) * 0x9e3779b << exact
	}
	return n & (1<<roomy - 1)
}

func number(n, digits uint64) edge.Number {
	return edge.Number(n | min(digits, 15)<<roomy)
}

// Key is the key that makes the hashes of x.Asked, for checks that make some of their own.
func (j *Judge) Key() meter.Key { return j.key }
