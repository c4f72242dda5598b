package topo

import (
	"bytes"
	"html"

	"github.com/ringwall/ringwall/sip"
)

// A bodyKind is how a body is treated.
type bodyKind uint8

const (
	bodyOther   bodyKind = iota // leaves if the operator allows its type and it is free of marks
	bodyMedia                   // as it is: a session description belongs to media
	bodyText                    // marks in it are replaced
	bodyXML                     // so are hosts of URIs; targets and Call-IDs become tokens
	bodyFrag                    // a part of a SIP message (RFC 3420)
	bodySummary                 // lines with URIs (RFC 3842)
	bodyMulti                   // each part by its type
)

// bodyTypes are the types that leave, in lower case.
var bodyTypes = map[string]bodyKind{
	"application/sdp":                    bodyMedia,
	"application/dialog-info+xml":        bodyXML, // RFC 4235
	"application/reginfo+xml":            bodyXML, // RFC 3680
	"application/pidf+xml":               bodyXML, // RFC 3863
	"application/pidf-diff+xml":          bodyXML, // RFC 5262
	"application/xpidf+xml":              bodyXML,
	"application/cpim-pidf+xml":          bodyXML,
	"application/watcherinfo+xml":        bodyXML, // RFC 3858
	"application/conference-info+xml":    bodyXML, // RFC 4575
	"application/rlmi+xml":               bodyXML, // RFC 4662
	"application/resource-lists+xml":     bodyXML, // RFC 4826
	"message/sipfrag":                    bodyFrag,
	"message/sip":                        bodyFrag,
	"application/simple-message-summary": bodySummary,
	"message/cpim":                       bodySummary, // RFC 3862
	"application/dtmf":                   bodyText,
	"application/dtmf-relay":             bodyText,
	"application/media_control+xml":      bodyText, // RFC 5168
	"application/im-iscomposing+xml":     bodyText, // RFC 3994
	"application/kpml-request+xml":       bodyText, // RFC 4730
	"application/kpml-response+xml":      bodyText,
	"message/imdn+xml":                   bodyText, // RFC 5438
	"text/plain":                         bodyText,
	"text/html":                          bodyText,
	"multipart/mixed":                    bodyMulti,
	"multipart/alternative":              bodyMulti,
	"multipart/related":                  bodyMulti,
}

// maxParts bounds the parts of a multipart body; one with more of them, or with another multipart in it, does not leave.
const maxParts = 16

// kindOf is the treatment of a body with that Content-Type, and whether the operator allows it where it is bodyOther.
func (v *Veil) kindOf(contentType []byte) (kind bodyKind, allowed bool) {
	if string(contentType) == "application/sdp" { // nearly always
		return bodyMedia, true
	}
	var room [64]byte
	name, _, _ := bytes.Cut(contentType, []byte{';'})
	name = bytes.TrimSpace(name)
	if len(name) > len(room) {
		return bodyOther, false
	}
	low := sip.AppendLower(room[:0], name)
	kind = bodyTypes[string(low)]
	return kind, kind != bodyOther || v.bodies[string(low)]
}

// BodyOut adds to e what the body of m needs to leave for outside: known types are rewritten, and what may not leave is taken out
// with the fields that speak of it. It reports false if that was so. leg is that of Outward.
func (k *Mask) BodyOut(e *sip.Edit, m *sip.Message, leg *Leg) bool {
	if m.Body.Len() == 0 {
		return true
	}
	contentType := m.Value(sip.FieldContentType)
	kind, allowed := k.kindOf(contentType)
	if kind == bodyMedia && m.Find(sip.FieldContentEncoding) < 0 {
		return true
	}
	k.edit, k.msg, k.leg, k.in = e, m, leg, false
	body := m.Body.Of(m.Raw)
	ok := allowed && m.Find(sip.FieldContentEncoding) < 0
	if ok && kind == bodyMulti {
		ok = k.partsOut(body, contentType)
	} else if ok {
		k.body, ok = k.appendBody(k.body[:0], body, kind)
	}
	switch {
	case !ok:
		DropBody(e, m)
	case !bytes.Equal(k.body, body):
		e.SetBody(k.body)
	}
	return ok
}

// BodyIn adds to e what puts the tokens of ours in the body of m right, which goes from outside to inside.
func (k *Mask) BodyIn(e *sip.Edit, m *sip.Message, leg *Leg) {
	if m.Body.Len() == 0 || m.Find(sip.FieldContentEncoding) >= 0 {
		return
	}
	contentType := m.Value(sip.FieldContentType)
	kind, _ := k.kindOf(contentType)
	k.edit, k.msg, k.leg, k.in = e, m, leg, true
	body, ok := m.Body.Of(m.Raw), true
	switch {
	case kind == bodyMulti:
		k.body = k.appendPartsIn(k.body[:0], body, contentType)
	case kind.named():
		k.body, ok = k.appendBody(k.body[:0], body, kind)
	default:
		return
	}
	if ok && !bytes.Equal(k.body, body) {
		e.SetBody(k.body)
	}
}

// named reports whether bodies of that kind name dialogs or targets.
func (kind bodyKind) named() bool { return kind == bodyXML || kind == bodyFrag || kind == bodySummary }

// DropBody adds to e what takes the body out of m, with every field that speaks of it.
func DropBody(e *sip.Edit, m *sip.Message) {
	e.SetBody(nil)
	for i := range m.Fields {
		name := m.Fields[i].Name.Of(m.Raw)
		switch id := m.Fields[i].ID; {
		case id == sip.FieldContentLength:
		case id == sip.FieldContentType, id == sip.FieldContentEncoding, id == sip.FieldContentDisposition,
			len(name) > len("Content-") && sip.EqualFold(name[:len("Content-")], []byte("Content-")),
			sip.EqualFold(name, []byte("MIME-Version")):
			e.Remove(i)
		}
	}
}

// appendBody appends body, which is no multipart, as it may pass; false: it may not.
func (k *Mask) appendBody(dst, body []byte, kind bodyKind) ([]byte, bool) {
	switch kind {
	case bodyMedia:
		return append(dst, body...), true
	case bodyOther:
		return append(dst, body...), !k.marked(body)
	}
	if bytes.IndexByte(body, 0) >= 0 { // no text, or one of another encoding, in which nothing is found
		return dst, false
	}
	switch kind {
	case bodyXML:
		out := k.appendXML(dst, body)
		return out, k.in || !k.markedInNumbers(out[len(dst):])
	case bodyFrag:
		return k.appendFrag(dst, body), true
	case bodySummary:
		return k.appendURIs(dst, body, false), true
	}
	out := k.appendClean(dst, body)
	return out, k.in || !k.marked(out[len(dst):]) // what stood on both sides of a mark may make one with the domain
}

// marked reports whether b names the inside.
func (k *Mask) marked(b []byte) bool {
	if k.cfg.Marks == nil {
		return false
	}
	_, end := k.cfg.Marks.Find(b, 0)
	return end > 0
}

// markedInNumbers reports whether an XML document names the inside in characters that it writes as numbers (XML 1.0 §4.1), among which no mark is found.
func (k *Mask) markedInNumbers(text []byte) bool {
	return bytes.Contains(text, []byte("&#")) && k.marked([]byte(html.UnescapeString(string(text))))
}

// Clean appends text, which leaves with the message that Outward was given last, with the domain in the place of every mark.
func (k *Mask) Clean(dst, text []byte) []byte {
	k.in = false
	return k.appendClean(dst, text)
}

// appendClean appends text that stays as it is; on its way out the domain stands in the place of every mark and of the port behind it.
func (k *Mask) appendClean(dst, text []byte) []byte {
	if k.in || k.cfg.Marks == nil {
		return append(dst, text...)
	}
	for from := 0; ; {
		at, end := k.cfg.Marks.Find(text, from)
		if end == 0 {
			return append(dst, text[from:]...)
		}
		if at > from && text[at-1] == '[' && end < len(text) && text[end] == ']' {
			at, end = at-1, end+1
		}
		dst = append(append(dst, text[from:at]...), k.domain()...)
		from = afterPort(text, end)
	}
}

// afterPort returns the index after the ":port" at b[i], or i.
func afterPort(b []byte, i int) int {
	if i == len(b) || b[i] != ':' {
		return i
	}
	end := i + 1
	for end < len(b) && '0' <= b[end] && b[end] <= '9' {
		end++
	}
	if end == i+1 {
		return i
	}
	return end
}
