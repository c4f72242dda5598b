package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// appendURIs appends text with the hosts of its SIP URIs replaced where they may not be seen; target: a URI is there to be called, and
// becomes a token. Inwards, tokens of ours become what they stand for.
func (k *Mask) appendURIs(dst, text []byte, target bool) []byte {
	from := 0
	for i := 0; i < len(text); {
		n := schemeAt(text, i)
		if n == 0 {
			i++
			continue
		}
		end := uriEnd(text, i+n)
		dst = k.appendOther(k.appendClean(dst, text[from:i]), text[i:end], target)
		from, i = end, end
	}
	return k.appendClean(dst, text[from:])
}

// schemeAt is the length of "sip:", "sips:", or a scheme of RFC 3859 or RFC 3860 at text[i], 0 if a URI of those does not begin there.
func schemeAt(text []byte, i int) int {
	if c := text[i] | 0x20; c != 's' && c != 'p' && c != 'i' || i > 0 && inLabel(text[i-1]) {
		return 0
	}
	for _, scheme := range [...]string{"sip:", "sips:", "pres:", "im:"} {
		if n := len(scheme); len(text)-i > n && sip.Spells(text[i:i+n], scheme) {
			return n
		}
	}
	return 0
}

// uriEnd is the index after the URI that goes on at text[i].
func uriEnd(text []byte, i int) int {
	for i < len(text) && text[i] > ' ' && text[i] < 0x7f && bytes.IndexByte([]byte(`<>",\`), text[i]) < 0 {
		i++
	}
	return i
}

// appendOther appends what stands for the URI text on the other side.
func (k *Mask) appendOther(dst, text []byte, target bool) []byte {
	u, err := sip.ParseURI(text, sip.Span{End: uint32(len(text))})
	if err != nil || u.Scheme != sip.SIP && u.Scheme != sip.SIPS {
		return k.appendUnread(dst, text)
	}
	end := len(text)
	if u.Headers.Present() {
		end = int(u.Headers.Start) - 1
	}
	switch host := u.Host.Of(text); {
	case k.in:
		n := len(dst)
		if target { // elsewhere we write none, and what is put right there would leave again with its user part
			dst, _ = k.Target(dst, u.User.Of(text), k.leg.At)
		}
		if len(dst) == n {
			dst = append(dst, text[:end]...)
		}
	case k.shows(host):
		dst = k.appendClean(dst, text[:end])
	case target:
		dst = k.appendToken(dst, text[:end])
	default:
		dst = append(k.appendClean(dst, text[:u.Host.Start]), k.domain()...)
		k.tags = appendParams(k.tags[:0], text, u.Params, personal[:])
		dst = k.appendClean(dst, k.tags)
	}
	if !u.Headers.Present() {
		return dst
	}
	return k.appendHeaders(dst, u.Headers.Of(text))
}

// appendUnread appends a URI that is none of SIP, or can't be read, with another host if it may not be seen.
func (k *Mask) appendUnread(dst, text []byte) []byte {
	at := bytes.LastIndexByte(text, '@') + 1
	if k.in || at == 0 {
		return k.appendClean(dst, text)
	}
	end := at
	for end < len(text) && (inLabel(text[end]) || text[end] == '.') {
		end++
	}
	if host := text[at:end]; len(host) == 0 || k.shows(host) {
		return k.appendClean(dst, text)
	}
	dst = append(k.appendClean(dst, text[:at]), k.domain()...)
	return k.appendClean(dst, text[afterPort(text, end):])
}

// otherID appends what the other side knows the dialog with that Call-ID by.
func (k *Mask) otherID(dst, callID, tag []byte) []byte {
	if k.in {
		return k.inID(dst, callID, tag)
	}
	return k.outID(dst, callID, tag)
}

// appendXML appends an XML document: its URIs, those of elements that say where to call as targets, and Call-IDs. On the way out elements
// that tell of the ways inside are left out.
func (k *Mask) appendXML(dst, text []byte) []byte {
	var tag []byte // the name of the last element
	from := 0
	for i := 0; i < len(text); {
		at, end := i, i // of a Call-ID
		switch c := text[i]; {
		case c == '<':
			tag = elementAt(text[i+1:])
			if !k.in && isWay(tag) {
				dst = k.appendClean(dst, text[from:i])
				i = elementEnd(text, i)
				from = i
				continue
			}
			at, end = contentAt(text, i, tag)
		case c|0x20 == 'c' && i > 0 && text[i-1] <= ' ':
			at, end = callIDAt(text, i)
		case c == 'i' && i > 0 && text[i-1] <= ' ' && string(tag) == "dialog":
			if at, end = attributeAt(text, i, "id"); !unique(text[at:end]) {
				end = at
			}
		case schemeAt(text, i) > 0:
			end := xmlEnd(text, i)
			dst = k.appendClean(dst, text[from:i])
			k.value = appendUnquoted(k.value[:0], text[i:end])
			n := len(dst)
			dst = appendQuoted(k.appendOther(dst, k.value, isTarget(tag)), n, &k.value)
			from, i = end, end
			continue
		}
		if end <= at {
			i++
			continue
		}
		dst = k.appendClean(dst, text[from:at])
		k.small = appendUnquoted(k.small[:0], text[at:end])
		n := len(dst)
		dst = appendQuoted(k.otherID(dst, k.small, nil), n, &k.small)
		from, i = end, end
	}
	return k.appendClean(dst, text[from:])
}

// unique reports whether id, of a dialog in dialog-info, may be its Call-ID, which some servers write there: a short one is a counter or a number.
func unique(id []byte) bool {
	const short = 15
	return len(id) > short || bytes.IndexByte(id, '@') >= 0
}

// isWay reports whether elements of that name tell of the ways inside: the route set and the session description of RFC 4235 §4.1.
func isWay(tag []byte) bool {
	return string(tag) == "route-set" || string(tag) == "session-description"
}

// elementEnd is the index behind the element whose tag begins at text[i].
func elementEnd(text []byte, i int) int {
	name := text[i+1:]
	name = name[:bytes.IndexAny(name, " \t\r\n/>")+1]
	open := bytes.IndexByte(text[i:], '>')
	if len(name) == 0 || open < 0 {
		return len(text)
	}
	if end := i + open + 1; text[end-2] == '/' {
		return end
	}
	for at := i + open + 1; ; {
		n := bytes.Index(text[at:], []byte("</"))
		if n < 0 {
			return len(text)
		}
		if at += n + 2; !bytes.HasPrefix(text[at:], name[:len(name)-1]) {
			continue
		}
		if n = bytes.IndexByte(text[at:], '>'); n < 0 {
			return len(text)
		}
		return at + n + 1
	}
}

// contentAt is where the Call-ID stands in the element call-id (RFC 4575 §5.9) whose tag begins at text[i]; at is end where there is none.
func contentAt(text []byte, i int, tag []byte) (at, end int) {
	if string(tag) != "call-id" {
		return i, i
	}
	n := bytes.IndexByte(text[i:], '>')
	if n < 0 {
		return i, i
	}
	at = skipBlank(text, i+n+1)
	if n = bytes.IndexByte(text[at:], '<'); n < 0 {
		return i, i
	}
	return at, at + len(bytes.TrimRight(text[at:at+n], " \t\r\n"))
}

// isTarget reports whether URIs of that element are there to be called: dialog-info's target, the contact of pidf and reginfo.
func isTarget(tag []byte) bool {
	return string(tag) == "target" || string(tag) == "contact" || string(tag) == "uri"
}

// elementAt is the name of the element whose tag goes on with text, without its name space prefix; empty for an end tag.
func elementAt(text []byte) []byte {
	end := 0
	for end < len(text) && (inLabel(text[end]) || text[end] == ':' || text[end] == '.') {
		end++
	}
	name := text[:end]
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return name
}

// callIDAt finds the value of the attribute call-id (RFC 4235) or callid (RFC 3680) that begins at text[i]; at is end if it is not there.
func callIDAt(text []byte, i int) (at, end int) {
	if at, end = attributeAt(text, i, "call-id"); at < end {
		return at, end
	}
	return attributeAt(text, i, "callid")
}

// attributeAt finds the value of the attribute with that name that begins at text[i]; at is end if it is not there.
func attributeAt(text []byte, i int, name string) (at, end int) {
	if !bytes.HasPrefix(text[i:], []byte(name)) {
		return i, i
	}
	at = skipBlank(text, i+len(name))
	if at == len(text) || text[at] != '=' {
		return i, i
	}
	at = skipBlank(text, at+1)
	if at == len(text) || text[at] != '"' && text[at] != '\'' {
		return i, i
	}
	n := bytes.IndexByte(text[at+1:], text[at])
	if n <= 0 {
		return i, i
	}
	return at + 1, at + 1 + n
}

func skipBlank(text []byte, i int) int {
	for i < len(text) && text[i] <= ' ' {
		i++
	}
	return i
}

// xmlEnd is the index after the URI at text[i] in an XML document.
func xmlEnd(text []byte, i int) int {
	for i < len(text) && text[i] > ' ' && text[i] != '<' && text[i] != '"' && text[i] != '\'' && text[i] != '>' {
		i++
	}
	return i
}

// The entities that XML knows by itself (XML 1.0 §4.6).
var entities = [...]struct {
	name string
	c    byte
}{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}

// appendUnquoted appends b with its entities replaced by what they stand for.
func appendUnquoted(dst, b []byte) []byte {
next:
	for i := 0; i < len(b); i++ {
		if b[i] == '&' {
			for _, e := range entities {
				if bytes.HasPrefix(b[i:], []byte(e.name)) {
					dst = append(dst, e.c)
					i += len(e.name) - 1
					continue next
				}
			}
		}
		dst = append(dst, b[i])
	}
	return dst
}

// appendQuoted turns round what dst holds from n on. room is for use.
func appendQuoted(dst []byte, n int, room *[]byte) []byte {
	if !bytes.ContainsAny(dst[n:], `&<>"'`) {
		return dst
	}
	*room = append((*room)[:0], dst[n:]...)
	dst = dst[:n]
next:
	for _, c := range *room {
		for _, e := range entities {
			if c == e.c {
				dst = append(dst, e.name...)
				continue next
			}
		}
		dst = append(dst, c)
	}
	return dst
}
