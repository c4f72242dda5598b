package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// appendParts appends the parts of a multipart body that may pass, each by its type (RFC 2046 §5.1); false: none may, or it cannot be read
// as one reader only would.
func (k *Mask) appendParts(dst, body, contentType []byte) ([]byte, bool) {
	boundary := boundaryOf(contentType)
	if len(boundary) == 0 || len(boundary) > 70 || k.marked(boundary) {
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
		dst = append(append(append(dst, "--"...), boundary...), "\r\n"...)
		var ok bool
		if dst, ok = k.appendPart(dst, part); !ok {
			dst = dst[:was]
			continue
		}
		kept++
	}
	dst = append(append(append(dst, "\r\n--"...), boundary...), "--\r\n"...)
	return dst, kept > 0
}

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
		case len(name) <= len("Content-") || !sip.EqualFold(name[:len("Content-")], []byte("Content-")), sip.EqualFold(name, []byte("Content-Length")):
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
	boundary := boundaryOf(contentType)
	k.delimiter = append(append(k.delimiter[:0], "\r\n--"...), boundary...)
	at := 0
	if !bytes.HasPrefix(body, k.delimiter[2:]) {
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

// boundaryOf is the boundary parameter of a Content-Type.
func boundaryOf(contentType []byte) []byte {
	_, params, _ := bytes.Cut(contentType, []byte{';'})
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		name, value, _ := bytes.Cut(param, []byte{'='})
		if sip.EqualFold(bytes.TrimSpace(name), []byte("boundary")) {
			value = bytes.TrimSpace(value)
			if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
				value = value[1 : n-1]
			}
			return value
		}
	}
	return nil
}
