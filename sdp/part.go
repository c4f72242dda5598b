package sdp

import (
	"bytes"
	"strings"
)

// maxParts bounds the parts of a multipart body.
const maxParts = 16

// FindPart finds the session description in a SIP body of that Content-Type: all of it for application/sdp (and what begins so), one part of
// multipart/* (RFC 2046 §5.1, RFC 5621), and none, found false, else. It is body[at:end]; what replaces it is put in its
// place, and all around it stays as it is. A body with a Content-Encoding is none for FindPart: the caller refuses it.
//
// Refused with an Error: what two readers could cut in two ways, several descriptions, one that is encoded, and one in a
// multipart within a multipart.
func FindPart(contentType, body []byte) (at, end int, found bool, err error) {
	switch {
	case isType(contentType, "application/sdp"):
		return 0, len(body), true, nil
	case !isType(contentType, "multipart/"):
		return 0, 0, false, nil
	}
	var b parts
	if e := b.boundary(contentType); e != errNone {
		return 0, 0, false, e
	}
	if e := b.read(body); e != errNone {
		return 0, 0, false, e
	}
	return b.at, b.end, b.found, nil
}

// isType reports whether some reader may take contentType for the type and subtype of name, in lower case: there may be spaces around the slash (RFC 3261
// §25.1), and some look no further than name goes.
func isType(contentType []byte, name string) bool {
	text, _, _ := bytes.Cut(contentType, []byte{';'})
	kind, sub, found := bytes.Cut(text, []byte{'/'})
	wantKind, wantSub, _ := strings.Cut(name, "/")
	sub = bytes.TrimLeft(sub, spaces)
	return found && is(bytes.Trim(kind, spaces), wantKind) && len(sub) >= len(wantSub) && is(sub[:len(wantSub)], wantSub)
}

const spaces = " \t\r\n"

// A parts is a multipart body on its way through FindPart.
type parts struct {
	delimiter [2 + 70]byte // "--" and the boundary
	size      int
	at, end   int
	found     bool
}

// boundary reads the parameter of that name.
func (b *parts) boundary(contentType []byte) Error {
	_, params, _ := bytes.Cut(contentType, []byte{';'})
	for len(params) > 0 {
		name, value, rest, ok := parameter(params)
		if !ok {
			return ErrMultipart
		}
		params = rest
		if !is(name, "boundary") {
			continue
		}
		if b.size > 0 || len(value) == 0 || len(value) > 70 || value[len(value)-1] == ' ' || bytes.ContainsAny(value, "\"\\\r\n") {
			return ErrMultipart
		}
		b.size = 2 + copy(b.delimiter[copy(b.delimiter[:], "--"):], value)
	}
	if b.size == 0 {
		return ErrMultipart
	}
	return errNone
}

// parameter reads the first of several parameters that ";" parts; the value of a quoted one is what stands between the quotes.
func parameter(text []byte) (name, value, rest []byte, ok bool) {
	name, value, found := bytes.Cut(text, []byte{'='})
	name, value = bytes.Trim(name, " \t"), bytes.TrimLeft(value, " \t")
	if !found || bytes.IndexByte(name, ';') >= 0 {
		return nil, nil, nil, false
	}
	if len(value) > 0 && value[0] == '"' {
		if value, rest, found = bytes.Cut(value[1:], []byte{'"'}); !found {
			return nil, nil, nil, false
		}
		rest = bytes.TrimLeft(rest, " \t")
		if len(rest) > 0 && rest[0] != ';' {
			return nil, nil, nil, false
		}
		return name, value, bytes.TrimPrefix(rest, []byte{';'}), true
	}
	value, rest, _ = bytes.Cut(value, []byte{';'})
	return name, bytes.TrimRight(value, " \t"), rest, true
}

// read finds the parts of body. The delimiter must stand at the beginning of lines only, and alone there: some readers look for
// it in other places, or at the beginning of a line only.
func (b *parts) read(body []byte) Error {
	delimiter := b.delimiter[:b.size]
	start := -1 // of the part that is open
	from := 0
	for range maxParts + 1 {
		at := bytes.Index(body[from:], delimiter) + from
		if at < from || at > 0 && !bytes.HasSuffix(body[:at], []byte("\r\n")) {
			return ErrMultipart
		}
		if start >= 0 {
			if e := b.part(body, start, max(start, at-2)); e != errNone {
				return e
			}
		}
		rest, last := bytes.CutPrefix(body[at+b.size:], []byte("--"))
		rest = bytes.TrimLeft(rest, " \t")
		line := bytes.HasPrefix(rest, []byte("\r\n"))
		switch {
		case last && start >= 0 && (line || len(rest) == 0) && !bytes.Contains(rest, delimiter):
			return errNone
		case last || !line:
			return ErrMultipart
		}
		start = len(body) - len(rest) + 2
		from = start
	}
	return ErrMultipart
}

// part looks at one part, body[at:end].
func (b *parts) part(body []byte, at, end int) Error {
	var kind []byte
	encoded, whole := false, false // whole: the empty line behind the fields is there
	for at < end && !whole {
		line, _, _ := bytes.Cut(body[at:end], []byte("\r\n"))
		at = min(end, at+len(line)+2)
		if whole = len(line) == 0; whole {
			continue
		}
		name, value, found := bytes.Cut(line, []byte{':'})
		if !found || !all(name, cToken) || bytes.ContainsAny(line, "\r\n\x00") { // a fold, too: hardly ever, and read in more than one way
			return ErrMultipart
		}
		value = bytes.Trim(value, " \t")
		switch {
		case is(name, "Content-Type"):
			if kind != nil || len(value) == 0 {
				return ErrMultipart
			}
			kind = value
		case is(name, "Content-Encoding"):
			encoded = true
		case is(name, "Content-Transfer-Encoding"):
			encoded = encoded || !is(value, "binary") && !is(value, "8bit") && !is(value, "7bit")
		}
	}
	switch {
	case isType(kind, "multipart/"):
		return ErrMultipart
	case !isType(kind, "application/sdp"):
		return errNone
	case !whole:
		return ErrMultipart
	case encoded:
		return ErrPartEncoding
	case b.found:
		return ErrPartCount
	}
	b.at, b.end, b.found = at, end, true
	return errNone
}
