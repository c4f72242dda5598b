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

// Inspect implements edge.Check. It looks at the Request-URI, at names, users and parameters of From, To, Contact, Refer-To and Referred-By, at
// credentials, the Subject and the User-Agent.
func (Check) Inspect(x *edge.Exchange) *edge.Verdict {
	m := x.Msg
	if hostile(m.RequestURI.Of(m.Raw), inURI) || said(m.From.Display.Of(m.Raw)) || said(m.To.Display.Of(m.Raw)) ||
		hostile(m.Value(sip.FieldFrom), inURI) || hostile(m.Value(sip.FieldTo), inURI) { // there is one of each
		return x.Say(found())
	}
	for k := range looked {
		one := &looked[k]
		for i := m.Find(one.id); i >= 0; i = m.Next(one.id, i) {
			if one.how.finds(m.Fields[i].Value.Of(m.Raw)) {
				return x.Say(found())
			}
		}
	}
	return nil
}

// A look is how the value of a field is looked at: as a text of a kind, or in a way of its own.
type look uint8

const (
	asName        look = 1 << 7
	asCredentials look = 1 << 6
)

// looked are the fields that are looked at besides From and To.
var looked = [...]struct {
	id  sip.FieldID
	how look
}{
	{sip.FieldContact, inURI}, {sip.FieldUserAgent, inAgent}, {sip.FieldAuthorization, asCredentials}, {sip.FieldProxyAuthorization, asCredentials},
	{sip.FieldReferTo, inURI}, {sip.FieldReferredBy, inURI}, {sip.FieldSubject, asName},
}

// finds reports whether value is hostile.
func (how look) finds(value []byte) bool {
	switch how {
	case asName:
		return said(value)
	case asCredentials:
		return credentials(value)
	}
	return hostile(value, uint8(how))
}

// credentials reports whether anything that stands in quotes in credentials is hostile, under whatever name. In those of the user and the realm
// blanks may stand, so what needs no sign is looked for there, too.
func credentials(value []byte) bool {
	signed := !clean(value, anywhere)
	for {
		i := bytes.IndexByte(value, '"')
		if i < 0 {
			return false
		}
		text := quoted(value[i+1:], signed)
		if signed && Hostile(text) {
			return true
		}
		if !plain(text) && names(value[:i]) && suspicious(text) {
			return true
		}
		value = value[min(i+len(text)+2, len(value)):]
	}
}

// names reports whether b ends with the name of a parameter that holds a user's name or a realm, and the equals sign after it.
func names(b []byte) bool {
	for len(b) > 0 && (b[len(b)-1] == '=' || b[len(b)-1] <= ' ') {
		b = b[:len(b)-1]
	}
	return ends(b, "username") || ends(b, "realm")
}

// ends reports whether b ends with the lower-case text s, in any case.
func ends(b []byte, s string) bool { return len(b) >= len(s) && hasPrefixFold(b[len(b)-len(s):], s) }

// plain reports whether name is of letters, digits and what else stands in the names of most users: none of the rules finds anything in that.
func plain(name []byte) bool {
	for _, c := range name {
		if signs[c]&inLogin != 0 {
			return false
		}
	}
	return true
}

// said reports whether a display name is hostile. Blanks and brackets may stand in one, so that a text needs no signs.
func said(name []byte) bool {
	held := uint8(0)
	for _, c := range name {
		held |= signs[c]
	}
	if held&inName == 0 && (held&inWord == 0 || !worded(name)) {
		return false
	}
	return suspicious(name)
}

// worded reports whether name holds one of the words, in any case, with which a text begins that needs nothing but letters and blanks.
func worded(name []byte) bool {
	for i, c := range name {
		switch c | 0x20 {
		case 'u', 'w', 'o':
			if rest := name[i:]; hasPrefixFold(rest, "union") || hasPrefixFold(rest, "waitfor") || hasPrefixFold(rest, "outfile") {
				return true
			}
		}
	}
	return false
}

// quoted is what follows a quote, up to the next one that no backslash stands before; escaped tells that there may be any.
func quoted(rest []byte, escaped bool) []byte {
	if !escaped {
		text, _, _ := bytes.Cut(rest, []byte{'"'})
		return text
	}
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
func Hostile(text []byte) bool { return hostile(text, anywhere) }

// hostile is Hostile for a text of a kind, which tells what else is a sign in it.
func hostile(text []byte, kind uint8) bool {
	if clean(text, kind) {
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

// clean reports whether text holds none of the signs of its kind. It looks at eight bytes at a time: this is what every message pays.
func clean(text []byte, kind uint8) bool {
	for ; len(text) >= 8; text = text[8:] {
		if (signs[text[0]]|signs[text[1]]|signs[text[2]]|signs[text[3]]|signs[text[4]]|signs[text[5]]|signs[text[6]]|signs[text[7]])&kind != 0 {
			return false
		}
	}
	for _, c := range text {
		if signs[c]&kind != 0 {
			return false
		}
	}
	return true
}

// Kinds of text, by what is a sign in them.
const (
	inURI    = 1 << iota // and in what stands around one
	inAgent              // a User-Agent
	inName               // a display name
	inLogin              // what stands in quotes in credentials, and is no name of most users
	inWord               // no sign, but the first letter of a word that worded looks for
	inOther              // anything else
	anywhere = inOther
)

// signs are the bytes without which no text of a kind is looked at closely: what rules begin with, as far as it is seldom there. Double quotes and
// angle brackets stand around every name and URI, round ones in User-Agents.
var signs = func() (table [256]uint8) {
	mark := func(bytes string, kinds uint8) {
		for _, c := range []byte(bytes) {
			table[c] |= kinds
		}
	}
	mark("'`%$|{\\", inURI|inAgent|inName|inOther)
	mark("(*/_", inURI|inName)
	mark("<", inAgent|inName)
	mark(";=", inName)
	mark("uwoUWO", inWord)
	for c := range len(table) {
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; !letter && (c < '-' || c > '9' || c == '/') && c != '@' && c != '+' {
			table[c] |= inLogin
		}
	}
	for c := range ' ' {
		if c != '\t' && c != '\r' && c != '\n' {
			table[c] = inURI | inAgent | inName | inOther
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
