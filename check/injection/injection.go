// Package injection finds text that is meant for a database, a shell or a template behind the platform. See README.md.
package injection

import (
	"bytes"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

const reasonText edge.Reason = "injection.text" // SQL, shell or template text in a user, a name or credentials

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonText} }

const points = 5

// A Check has no memory: each message tells by itself.
type Check struct{}

// New makes the check.
func New() Check { return Check{} }

// Inspect implements edge.Check. It looks at the Request-URI, at names and users of From, To and Contact, at credentials and at the User-Agent.
func (Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m := x.Msg
	if Hostile(m.RequestURI.Of(m.Raw)) {
		return x.Say(found())
	}
	for i := range m.Fields {
		f := &m.Fields[i]
		switch f.ID {
		case sip.FieldFrom, sip.FieldTo, sip.FieldContact, sip.FieldUserAgent:
			if Hostile(f.Value.Of(m.Raw)) {
				return x.Say(found())
			}
		case sip.FieldAuthorization, sip.FieldProxyAuthorization:
			if credentials(f.Value.Of(m.Raw)) {
				return x.Say(found())
			}
		}
	}
	return nil
}

// credentials reports whether the names in credentials are hostile. The user stands in quotes, so what needs no sign is looked for there, too.
func credentials(value []byte) bool {
	name := quoted(value, userParam)
	return !plain(name) && (suspicious(name) || Hostile(name)) || Hostile(quoted(value, uriParam)) || Hostile(quoted(value, realmParam))
}

// plain reports whether name is of letters, digits and what else stands in the names of most users: none of the rules finds anything in that.
func plain(name []byte) bool {
	for _, c := range name {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '-' || c > '9' || c == '/') && c != '_' && c != '@' && c != '+' {
			return false
		}
	}
	return true
}

// The parameters of credentials that may hold text of the sender.
var userParam, uriParam, realmParam = []byte(`username="`), []byte(`uri="`), []byte(`realm="`)

// quoted is the value of a parameter of credentials, up to a quote that no backslash stands before. Unlike in URIs, blanks may stand in it.
func quoted(credentials, param []byte) []byte {
	i := bytes.Index(credentials, param)
	if i < 0 {
		return nil
	}
	rest := credentials[i+len(param):]
	for end := 0; end < len(rest); end++ {
		switch rest[end] {
		case '\\':
			end++
		case '"':
			return rest[:end]
		}
	}
	return rest
}

func found() edge.Verdict {
	return edge.Verdict{Action: edge.Reply, Reason: reasonText, Status: 400, Score: points}
}

// most is how much of a field is looked at, decoded.
const most = 1024

// Hostile reports whether text is of that kind, as it stands or with its escapes decoded, once or twice. Most texts hold none of the signs that
// such a text needs, and cost one look at each byte.
func Hostile(text []byte) bool {
	if clean(text) {
		return false
	}
	if suspicious(text) {
		return true
	}
	if bytes.IndexByte(text, '%') < 0 {
		return false
	}
	var room [2][most]byte
	once := unescape(room[0][:0], text[:min(len(text), most)])
	return suspicious(once) || bytes.IndexByte(once, '%') >= 0 && suspicious(unescape(room[1][:0], once))
}

// clean reports whether text holds none of the signs. It looks at eight bytes at a time: this is what every message pays.
func clean(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		if signs[text[0]]|signs[text[1]]|signs[text[2]]|signs[text[3]]|signs[text[4]]|signs[text[5]]|signs[text[6]]|signs[text[7]] != 0 {
			return false
		}
	}
	for _, c := range text {
		if signs[c] != 0 {
			return false
		}
	}
	return true
}

// signs are the bytes without which no field is looked at closely: quotes but for the double one, which stands around every realm, and what else
// rules begin with. What can do without them has no place in a URI.
var signs = func() (table [256]uint8) {
	for _, c := range "'`%$|{\\" {
		table[c] = 1
	}
	for c := range ' ' {
		if c != '\t' && c != '\r' && c != '\n' {
			table[c] = 1
		}
	}
	return table
}()

// unescape appends text with each %XX decoded, in lower case.
func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) {
			if hi, lo := digit(text[i+1]), digit(text[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
