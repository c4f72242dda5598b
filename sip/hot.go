package sip

import "bytes"

// hotBit maps a field to its bit in progress.
var hotBit = [fieldIDs]uint8{FieldVia: hotVia, FieldFrom: hotFrom, FieldTo: hotTo, FieldCallID: hotCallID, FieldCSeq: hotCSeq}

// hot records that a hot field was decoded with result e.
func (m *Message) hot(bit uint8, e Error, at int) {
	if e == errNone {
		m.p.good |= bit
		return
	}
	m.p.bad |= bit
	m.fail(e, at)
}

// via decodes every via-parm of the line, and keeps the first of the message.
func (m *Message) via(f *Field, k int) Error {
	i, end := int(f.Value.Start), int(f.Value.End)
	for i >= 0 {
		if m.p.vias == mostVias {
			return m.fail(ErrViaCount, i)
		}
		m.p.vias++
		var other Via
		v := &other
		if m.p.vias == 1 {
			v = &m.Via
		}
		v.Field = k
		next, e := parseVia(m.Raw, i, end, v)
		m.hot(hotVia, e, i)
		if e != errNone {
			break
		}
		i = next
	}
	return errNone
}

// party decodes From and To (RFC 3261 §20.20, §20.39): exactly one address.
func (m *Message) party(f *Field, a *Address, tag *Span, fault Error) Error {
	a.URI = m.likely.Whole
	next, e := parseAddress(m.Raw, int(f.Value.Start), int(f.Value.End), a, tag)
	switch {
	case e == ErrQuote || e == ErrParamCount || e == ErrURILength:
		return e
	case e != errNone || next >= 0 || a.Star:
		return fault
	}
	var u URI
	parseURI(m.Raw, int(a.URI.Start), int(a.URI.End), &u) // once more, for what is in it
	if f.ID == FieldTo {
		m.ToURI = u
	}
	m.named(&u)
	return errNone
}

// named notes the URI of From or To where the other one may well be the same, or have the same host: that of an INVITE has the Request-URI.
func (m *Message) named(u *URI) {
	if m.Method == REGISTER || !m.likely.Whole.Present() {
		m.likely = *u
	}
}

// callID checks word [ "@" word ] (RFC 3261 §20.8).
func (m *Message) callID(f *Field) Error {
	b := m.Raw
	i, end := int(f.Value.Start), int(f.Value.End)
	m.CallID = f.Value
	j := skipLong(b, i, end, cWord)
	if j > i && j < end && b[j] == '@' {
		i = j + 1
		j = skipLong(b, i, end, cWord)
	}
	if j == i || j != end {
		return ErrCallID
	}
	return errNone
}

// cseq decodes 1*DIGIT LWS Method (RFC 3261 §20.16) and compares the method with that of the request line. The mismatch
// is recorded here: such a request can still be answered.
func (m *Message) cseq(f *Field) Error {
	b := m.Raw
	i, end := int(f.Value.Start), int(f.Value.End)
	n, from := 0, i
	for ; i < end && b[i]-'0' <= 9 && n <= maxCSeq; i++ {
		n = n*10 + int(b[i]-'0')
	}
	k := skipSpace(b, i, end)
	if n > maxCSeq || i == from || k == i || k == end {
		return ErrCSeq
	}
	name := b[k:end]
	m.CSeq = CSeq{Number: uint32(n), Method: m.Method, MethodName: span(k, end)}
	if m.Status == 0 && string(name) == string(m.MethodName.Of(b)) {
		return errNone
	}
	if !all(name, cToken) {
		return ErrCSeq
	}
	m.CSeq.Method = MethodOf(name)
	if m.Status == 0 {
		m.fail(ErrCSeqMethod, k)
	}
	return errNone
}

// contact checks every value of a Contact line (RFC 3261 §20.10). "*" must be the only one.
func (m *Message) contact(f *Field) Error {
	i, end := int(f.Value.Start), int(f.Value.End)
	for i >= 0 {
		if m.p.contacts == MaxContacts {
			return m.fail(ErrContactCount, i)
		}
		m.p.contacts++
		var a Address
		var tag Span
		next, e := parseAddress(m.Raw, i, end, &a, &tag)
		m.p.star = m.p.star || a.Star
		if e != errNone || m.p.star && m.p.contacts > 1 {
			m.fail(ErrContact, i)
			break
		}
		i = next
	}
	return errNone
}

// route checks a list of name-addr, which fields that ringwall routes by hold (RFC 3261 §20.30, §20.34, RFC 3327, RFC 3608).
func (m *Message) route(f *Field) {
	i, end := int(f.Value.Start), int(f.Value.End)
	for i >= 0 {
		var a Address
		var tag Span
		next, e := parseAddress(m.Raw, i, end, &a, &tag)
		if e != errNone || !a.Angle {
			m.fail(ErrRoute, i)
			return
		}
		i = next
	}
}

// maxForwards decodes Max-Forwards, 0 to 255 (RFC 3261 §20.22).
func (m *Message) maxForwards(f *Field) {
	n, ok := number(f.Value.Of(m.Raw), 1<<31-2)
	if !ok || n > 255 {
		m.fail(ErrMaxForwards, int(f.Value.Start))
	}
	if ok {
		m.MaxForwards = int32(n)
	}
}

// length decodes Content-Length, which may be repeated only with an equal value.
func (m *Message) length(f *Field, again bool) {
	value := f.Value.Of(m.Raw)
	n, e := contentLength(value)
	if line := f.Line.Of(m.Raw); !f.Canonical && bytes.IndexByte(line, '\r') != len(line)-2 {
		e = ErrContentLength // folded: could be read in two ways
	}
	f.Canonical = f.Canonical && !again && e == errNone && (value[0] != '0' || len(value) == 1)
	switch {
	case e != errNone:
		m.fail(e, int(f.Value.Start))
	case again && n != m.ContentLength:
		m.fail(ErrContentLengthDiffers, int(f.Value.Start))
	case again:
		m.Defects |= DefectDupContentLength
	default:
		m.ContentLength = n
	}
}

// contentLength decodes the value of Content-Length (RFC 3261 §20.14).
func contentLength(value []byte) (int32, Error) {
	n, ok := number(value, 1<<31-1)
	switch {
	case !ok || n > 1<<31-1:
		return -1, ErrContentLength
	case n > MaxBody:
		return -1, ErrTooLarge
	}
	return int32(n), errNone
}
