package topo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"

	"github.com/ringwall/ringwall/sip"
)

// partsOut makes k.body of the parts of a multipart body that may pass, and gives their boundary another name: servers make it of what they are called,
// and of clocks and counts.
func (k *Mask) partsOut(body, contentType []byte) (ok bool) {
	at, end := boundaryOf(contentType)
	var room [8]byte
	salted := append(binary.BigEndian.AppendUint32(k.delimiter[:0], k.leg.Salt), contentType[at:end]...)
	k.delimiter = salted
	ours := hex.AppendEncode(room[:0], binary.BigEndian.AppendUint32(nil, k.keys.Salt(salted)))
	if k.body, ok = k.appendParts(k.body[:0], body, contentType[at:end], ours); ok {
		i := k.msg.Find(sip.FieldContentType)
		start := k.msg.Fields[i].Value.Start
		k.edit.ReplaceSpan(i, sip.Span{Start: start + uint32(at), End: start + uint32(end)}, ours)
	}
	return ok
}

// appendParts appends the parts of a multipart body that may pass, each by its type (RFC 2046 §5.1); false: none may, or it cannot be read
// as one reader only would. ours stands between them.
func (k *Mask) appendParts(dst, body, boundary, ours []byte) ([]byte, bool) {
	if len(boundary) == 0 || len(boundary) > 70 {
		return dst, false
	}
	delimiter := append(append(k.delimiter[:0], "\r\n--"...), boundary...)
	k.delimiter = delimiter
	rest, found := bytes.CutPrefix(body, delimiter[2:])
	if !found {
		_, rest, found = bytes.Cut(body, delimiter)
	}
	kept := 0
	for n := 0; found; n++ {
		var part []byte
		if bytes.HasPrefix(rest, []byte("--")) { // what follows the last part is for nobody
			break
		}
		if n == maxParts {
			return dst, false
		}
		rest = bytes.TrimLeft(rest, " \t")
		if rest, found = bytes.CutPrefix(rest, []byte("\r\n")); !found {
			return dst, false
		}
		if part, rest, found = bytes.Cut(rest, delimiter); !found {
			return dst, false
		}
		was := len(dst)
		if kept > 0 {
			dst = append(dst, "\r\n"...)
		}
		dst = append(append(append(dst, "--"...), ours...), "\r\n"...)
		var ok bool
		if dst, ok = k.appendPart(dst, part); !ok {
			dst = dst[:was]
			continue
		}
		kept++
	}
	dst = append(append(append(dst, "\r\n--"...), ours...), "--\r\n"...)
	return dst, kept > 0
}

// partFields are the fields of a part that pass, besides those that say what it is.
var partFields = [...]string{"Content-Disposition", "Content-ID", "Content-Language"}

// appendPart appends one part as it may pass.
func (k *Mask) appendPart(dst, part []byte) ([]byte, bool) {
	head, body, found := bytes.Cut(part, []byte("\r\n\r\n"))
	if rest, none := bytes.CutPrefix(part, []byte("\r\n")); none { // no fields: plain text
		head, body, found = nil, rest, true
	}
	if !found {
		return dst, false
	}
	kind, allowed := bodyText, true
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
		switch {
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t'): // folded: hardly ever, and read in more than one way
			return dst, false
		case sip.EqualFold(name, []byte("Content-Type")):
			kind, allowed = k.kindOf(value)
		case sip.EqualFold(name, []byte("Content-Transfer-Encoding")):
			allowed = allowed && !encoded(value)
		case !listed(name, partFields[:]):
			continue // nobody needs it, or it would be wrong
		}
		dst = append(k.appendClean(append(append(dst, name...), ": "...), value), "\r\n"...)
	}
	if !allowed || kind == bodyMulti {
		return dst, false
	}
	return k.appendBody(append(dst, "\r\n"...), body, kind)
}

// appendPartsIn appends a multipart body that goes inside, with what its parts name put right; all else, and what cannot be read, stays byte for
// byte as it is.
func (k *Mask) appendPartsIn(dst, body, contentType []byte) []byte {
	at, end := boundaryOf(contentType)
	boundary := contentType[at:end]
	k.delimiter = append(append(k.delimiter[:0], "\r\n--"...), boundary...)
	if at = 0; !bytes.HasPrefix(body, k.delimiter[2:]) {
		if at = bytes.Index(body, k.delimiter); at < 0 {
			return append(dst, body...)
		}
	}
	dst = append(dst, body[:at]...)
	for n := 0; n < maxParts && len(boundary) > 0; n++ {
		end := bytes.Index(body[at+2:], k.delimiter)
		if end < 0 {
			break
		}
		dst = k.appendPartIn(dst, body[at:at+2+end])
		at += 2 + end
	}
	return append(dst, body[at:]...)
}

// appendPartIn appends one part, with its delimiter.
func (k *Mask) appendPartIn(dst, part []byte) []byte {
	head, body, found := bytes.Cut(part, []byte("\r\n\r\n"))
	kind := bodyOther
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte{':'})
		switch name = bytes.TrimSpace(name); {
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t'), sip.EqualFold(name, []byte("Content-Transfer-Encoding")) && encoded(value):
			return append(dst, part...)
		case sip.EqualFold(name, []byte("Content-Type")):
			kind, _ = k.kindOf(bytes.TrimSpace(value))
		}
	}
	if found && kind.named() {
		was := len(dst)
		if put, ok := k.appendBody(append(append(dst, head...), "\r\n\r\n"...), body, kind); ok {
			return put
		}
		dst = dst[:was]
	}
	return append(dst, part...)
}

// encoded reports whether a Content-Transfer-Encoding means that a part is not what stands there (RFC 2045 §6.2).
func encoded(how []byte) bool {
	how = bytes.TrimSpace(how)
	return !sip.EqualFold(how, []byte("binary")) && !sip.EqualFold(how, []byte("8bit")) && !sip.EqualFold(how, []byte("7bit"))
}

// boundaryOf is where the value of the boundary parameter stands in a Content-Type; at is end if there is none.
func boundaryOf(contentType []byte) (at, end int) {
	for end = bytes.IndexByte(contentType, ';'); end >= 0 && end < len(contentType); {
		at = end + 1
		if end = at + bytes.IndexByte(contentType[at:], ';'); end < at {
			end = len(contentType)
		}
		name, value, _ := bytes.Cut(contentType[at:end], []byte{'='})
		if !sip.EqualFold(bytes.TrimSpace(name), []byte("boundary")) {
			continue
		}
		at = end - len(bytes.TrimLeft(value, " \t"))
		last := at + len(bytes.TrimRight(contentType[at:end], " \t"))
		if last-at >= 2 && contentType[at] == '"' && contentType[last-1] == '"' {
			return at + 1, last - 1
		}
		return at, last
	}
	return 0, 0
}
