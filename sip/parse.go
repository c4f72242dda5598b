package sip

import "bytes"

// progress is what Parse must remember between fields.
type progress struct {
	err      Error
	good     uint8 // hot fields decoded without fault, bits below
	bad      uint8 // hot fields with a fault
	vias     uint8
	contacts uint8
	star     bool   // a Contact was "*"
	start    uint32 // offset of the start line
	header   uint32 // offset of the first field
}

// Bits of progress.good and progress.bad.
const (
	hotVia uint8 = 1 << iota
	hotFrom
	hotTo
	hotCallID
	hotCSeq
	hotAll = 1<<iota - 1
)

// Parse decodes one whole message: a datagram, or what Framer cut out of a stream. b is borrowed until the next Parse.
// datagram: Content-Length may be absent (the body then ends with b) and may be smaller than what follows (the rest is
// cut off); on a stream it must be there and match. The error is of type Error.
//
// After a fault in one field Parse goes on, so that Replyable says whether the request can be answered; the error is that
// of the first fault. What puts the lines themselves in doubt (a bare CR, a control byte, a limit) ends it at once.
func (m *Message) Parse(b []byte, datagram bool) error {
	fields := m.Fields[:0]
	if fields == nil {
		fields = make([]Field, 0, 32)
	}
	*m = Message{}
	m.Raw, m.Fields, m.MaxForwards, m.ContentLength = b, fields, -1, -1
	if e := m.parse(datagram); e != errNone {
		return e
	}
	return nil
}

func (m *Message) parse(datagram bool) Error {
	i := 0
	if datagram {
		i = m.skipCRLF()
	}
	if i == len(m.Raw) {
		return m.fail(ErrEmpty, i)
	}
	i, e := m.startLine(i)
	if e != errNone {
		return e
	}
	m.p.header = uint32(i)
	if i, e = m.fields(i); e != errNone {
		return e
	}
	m.body(i, datagram)
	m.finish()
	return m.p.err
}

// fail records fault e at offset at, if it is the first, and returns the first.
func (m *Message) fail(e Error, at int) Error {
	if m.p.err == errNone {
		m.p.err, m.errAt = e, uint32(at)
	}
	return m.p.err
}

func (m *Message) skipCRLF() int {
	i := 0
	for i+1 < len(m.Raw) && m.Raw[i] == '\r' && m.Raw[i+1] == '\n' {
		i += 2
		m.Defects |= DefectLeadingCRLF
	}
	return i
}

// startLine decodes the line at i and returns the offset of the next one.
func (m *Message) startLine(i int) (int, Error) {
	m.p.start = uint32(i)
	if next := m.usualStart(m.Raw, i); next > 0 {
		return next, errNone
	}
	return m.oddStart(i)
}

// oddStart is startLine for any line.
func (m *Message) oddStart(i int) (int, Error) {
	b := m.Raw
	reply := bytes.HasPrefix(b[i:], []byte("SIP/"))
	end := control(b, i)
	for reply && end < len(b) && b[end] == '\t' { // a reason phrase may hold HTAB
		end = control(b, end+1)
	}
	if e := lineEnd(b, end); e != errNone {
		return 0, m.fail(e, end)
	}
	e := errNone
	if reply {
		e = m.statusLine(i, end)
	} else {
		e = m.requestLine(i, end)
	}
	return end + 2, e
}

// lineEnd says what is wrong with the control byte at b[i], if it is not a CRLF.
func lineEnd(b []byte, i int) Error {
	switch {
	case i == len(b) || i+1 == len(b) && b[i] == '\r':
		return ErrUnfinished
	case b[i] == '\r' && b[i+1] == '\n':
		return errNone
	case b[i] == '\r':
		return ErrBareCR
	case b[i] == '\n':
		return ErrBareLF
	}
	return ErrControl
}

// requestLine decodes Method SP Request-URI SP SIP-Version (RFC 3261 §7.1). Faults after the method are recorded and
// not returned, so that the request can be answered.
func (m *Message) requestLine(i, end int) Error {
	b := m.Raw
	sp := bytes.IndexByte(b[i:end], ' ')
	if sp <= 0 {
		return m.fail(ErrStartLine, i)
	}
	name := b[i : i+sp]
	m.Method, m.MethodName = MethodOf(name), span(i, i+sp)
	if m.Method == MethodOther {
		if !all(name, cToken) {
			return m.fail(ErrStartLine, i)
		}
		if len(name) > MaxMethod {
			return m.fail(ErrMethodLength, i)
		}
		m.Defects |= DefectUnknownMethod
	}
	i += sp + 1
	const version = " SIP/2.0"
	if end-i <= len(version) || string(b[end-len(version):end]) != version {
		m.fail(versionFault(b[i:end]), i)
		return errNone
	}
	end -= len(version)
	m.RequestURI = span(i, end)
	next, e := parseURI(b, i, end, &m.URI)
	if e == errNone && next != end {
		e = ErrURI
	}
	if e != errNone {
		m.fail(e, i)
	} else {
		m.likely = m.URI
	}
	m.requestURIDefects()
	return errNone
}

func (m *Message) requestURIDefects() {
	if m.URI.Scheme == SchemeOther {
		m.Defects |= DefectUnknownScheme
	}
	if m.URI.Headers.Present() {
		m.Defects |= DefectURIHeaders
	}
	if m.URI.Password.Present() {
		m.Defects |= DefectPassword
	}
}

// versionFault tells another version of SIP from a request line that is not well formed; rest follows the method.
func versionFault(rest []byte) Error {
	sp := bytes.IndexByte(rest, ' ')
	if sp > 0 && isVersion(rest[sp+1:]) {
		return ErrVersion
	}
	return ErrRequestLine
}

// isVersion reports whether b is SIP-Version with any numbers.
func isVersion(b []byte) bool {
	v, ok := bytes.CutPrefix(b, []byte("SIP/"))
	major, minor, dot := bytes.Cut(v, []byte("."))
	return ok && dot && all(major, cDigit) && all(minor, cDigit) && string(v) != "2.0"
}

// statusLine decodes SIP-Version SP Status-Code SP Reason-Phrase (RFC 3261 §7.2).
func (m *Message) statusLine(i, end int) Error {
	line := m.Raw[i:end]
	m.Status = -1
	if !bytes.HasPrefix(line, []byte("SIP/2.0 ")) {
		if version, _, ok := bytes.Cut(line, []byte(" ")); ok && isVersion(version) {
			return m.fail(ErrVersion, i)
		}
		return m.fail(ErrStartLine, i)
	}
	const code = len("SIP/2.0 ")
	digits := bytes.IndexByte(line[code:], ' ')
	if digits < 0 {
		return m.fail(ErrStartLine, i+code)
	}
	n, ok := number(line[code:code+digits], 699)
	if !ok || digits != 3 || n < 100 || n > 699 {
		return m.fail(ErrStatusCode, i+code)
	}
	m.Status = int(n)
	m.Reason = span(i+code+4, end)
	return errNone
}

// body finds the body that begins at i and holds it against Content-Length (RFC 3261 §18.3).
func (m *Message) body(i int, datagram bool) {
	have := len(m.Raw) - i
	n := int(m.ContentLength)
	switch {
	case n < 0 && !datagram:
		m.fail(ErrContentLengthMissing, i)
	case n < 0 && have > MaxBody:
		m.fail(ErrTooLarge, i)
	case n < 0:
		m.Defects |= DefectNoContentLength
	case n > have || n < have && !datagram:
		m.fail(ErrBody, i)
	case n < have:
		m.Defects |= DefectTrailing
		have = n
	}
	m.Body = span(i, i+have)
}

// finish holds the message against the fields it must have and decides whether it can be answered.
func (m *Message) finish() {
	if m.p.good|m.p.bad != hotAll {
		m.fail(ErrMissing, int(m.p.header))
	}
	m.reply = m.p.good == hotAll && m.p.bad == 0
	if m.Status == 0 && m.first[FieldMaxForwards] == 0 {
		m.Defects |= DefectNoMaxForwards
	}
	if m.p.good&hotFrom != 0 && !m.FromTag.Present() {
		m.Defects |= DefectNoFromTag
	}
	switch {
	case m.p.good&hotVia == 0:
	case !m.Via.Branch.Present():
		m.Defects |= DefectNoBranch
	case !m.Via.Cookie(m.Raw):
		m.Defects |= DefectNoCookie
	}
}
