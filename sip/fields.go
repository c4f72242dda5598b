package sip

import "encoding/binary"

// fields decodes the header fields that begin at i and returns the offset of the body. An error means that the lines
// themselves are in doubt; faults in values are only recorded.
func (m *Message) fields(i int) (int, Error) {
	b := m.Raw
	if i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		return 0, m.fail(ErrFold, i)
	}
	for lines := 0; ; lines++ {
		have := len(m.Fields)
		i = m.usual(i, mostFields-lines)
		lines += len(m.Fields) - have
		if at(b, i) == '\r' && at(b, i+1) == '\n' {
			return i + 2, errNone
		}
		if lines == mostFields {
			return 0, m.fail(ErrFieldCount, i)
		}
		id, c := exactName(b, i)
		end := 0
		if id != FieldOther {
			end = usualValue(b, c)
		}
		f := m.grow()
		if end > 0 {
			f.set(id, i, c+2, end)
			i = end + 2
		} else {
			next, e := m.oddLine(i, f)
			if e != errNone || f.Name.Len() == 0 {
				m.Fields = m.Fields[:len(m.Fields)-1]
			}
			if e != errNone {
				return 0, m.fail(e, next)
			}
			i = next
			if f.Name.Len() == 0 { // recorded as a fault
				continue
			}
			f.Line.End = uint32(next)
		}
		if e := m.known(f); e != errNone {
			return 0, e
		}
		m.odd = m.odd || !f.Canonical
	}
}

// set makes f the canonical line at i, with its value from v to end.
func (f *Field) set(id FieldID, i, v, end int) {
	f.Name.Start, f.Name.End = uint32(i), uint32(v-2)
	f.Value.Start, f.Value.End = uint32(v), uint32(end)
	f.Line.Start, f.Line.End = uint32(i), uint32(end+2)
	f.ID, f.Canonical, f.Folded = id, true, false
}

// usualValue returns the end of the value behind the colon at c, or 0 unless the line is as most are: one SP, a value without control
// bytes and without white space at its ends, CRLF, no fold.
func usualValue(b []byte, c int) int {
	if c < 0 || c > len(b)-6 || b[c+1] != ' ' || b[c+2] <= ' ' {
		return 0
	}
	v := c + 2
	end := control(b, v)
	if end-v > MaxValue || end < 1 || end > len(b)-3 {
		return 0
	}
	w := binary.LittleEndian.Uint32(b[end-1:]) // the last byte, CR, LF, the first byte of the next line
	if w>>8&0xffff != '\r'|'\n'<<8 || byte(w) == ' ' || isBlank(byte(w>>24)) {
		return 0
	}
	return end
}

// grow adds a field, of which every part is to be written. (A composite literal would be built elsewhere and then copied,
// at three times the cost.)
func (m *Message) grow() *Field {
	n := len(m.Fields)
	if n >= cap(m.Fields) {
		m.Fields = append(m.Fields, Field{})
		return &m.Fields[n]
	}
	fields := m.Fields[:n+1]
	m.Fields = fields
	return &fields[n]
}

// oddLine decodes any other field line at i into f, and returns the offset of the next line, or that of the fault.
func (m *Message) oddLine(i int, f *Field) (int, Error) {
	*f = Field{Line: span(i, i)}
	c, e := m.name(i, f)
	if e != errNone {
		return c, e
	}
	if f.Name.Len() > 0 {
		c++
	}
	return m.unusual(c, f)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// name checks the field name at i, if it is not spelled canonically: white space before the colon, unusual case, compact
// form or an unknown name. It returns the offset of the colon. If there is no name and colon it records that, empties
// f.Name and returns the offset of the fault.
func (m *Message) name(i int, f *Field) (int, Error) {
	b := m.Raw
	end := skip(b, i, min(len(b), i+MaxFieldName+1), cToken)
	if end-i > MaxFieldName {
		return i, ErrFieldNameLength
	}
	c := end
	for c < len(b) && isBlank(b[c]) {
		c++
	}
	if end == i || c == len(b) || b[c] != ':' {
		m.fail(ErrFieldName, c)
		f.Name = span(c, c)
		return c, errNone
	}
	f.Name = span(i, end)
	f.ID = FieldOf(b[i:end])
	if c > end {
		m.Defects |= DefectWhitespace
	}
	switch {
	case f.ID == FieldOther:
	case end-i == 1:
		m.Defects |= DefectCompact
	case string(b[i:end]) != fieldInfo[f.ID].name:
		m.Defects |= DefectSpelling
	}
	return c, errNone
}

// unusual decodes the value that begins after the colon, at i: unusual white space, HTAB, folds and quoted control bytes.
// It returns the offset of the next line, or that of the fault.
func (m *Message) unusual(i int, f *Field) (int, Error) {
	b := m.Raw
	from, at := -1, i
	for {
		if from < 0 {
			for at < len(b) && isBlank(b[at]) {
				at++
			}
			from = at
		}
		end := control(b, at)
		switch e := lineEnd(b, end); {
		case e == ErrControl && (b[end] == '\t' || m.quotedPair(f, from, end)):
			at = end + 1
			continue
		case e != errNone:
			return end, e
		}
		if end+2 == len(b) || !isBlank(b[end+2]) {
			return m.value(f, from, end)
		}
		at = end + 2
		for at < len(b) && isBlank(b[at]) {
			at++
		}
		if at == len(b) || b[at] == '\r' || b[at] == '\n' {
			return at, ErrFold
		}
		m.Defects |= DefectFolded
		if from == end { // the fold follows the colon
			from = at
		} else {
			f.Folded = true
		}
	}
}

// value ends a field value at end, the offset of its CRLF, and cuts the white space off.
func (m *Message) value(f *Field, from, end int) (int, Error) {
	next := end + 2
	for end > from && isBlank(m.Raw[end-1]) {
		end--
	}
	if end-from > MaxValue {
		return from, ErrValueLength
	}
	f.Value = span(from, end)
	f.Canonical = m.isCanonical(f, next)
	return next, errNone
}

// isCanonical reports whether the line that ends at next is "Name: value" with the name spelled canonically.
func (m *Message) isCanonical(f *Field, next int) bool {
	b := m.Raw
	colon, from, end := int(f.Name.End), int(f.Value.Start), int(f.Value.End)
	if f.Folded || b[colon] != ':' || next != end+2 || f.ID != FieldOther && string(f.Name.Of(b)) != fieldInfo[f.ID].name {
		return false
	}
	return from == end && from == colon+1 || from < end && from == colon+2 && b[colon+1] == ' '
}

// quotedPair reports whether the control byte at b[at] may be a quoted-pair: only in fields whose quoted strings are
// decoded afterwards, which refuses it anywhere else.
func (m *Message) quotedPair(f *Field, from, at int) bool {
	switch f.ID {
	case FieldFrom, FieldTo, FieldContact, FieldRoute, FieldRecordRoute, FieldPath, FieldServiceRoute:
		m.Defects |= DefectQuotedControl
		return at > from && m.Raw[at-1] == '\\' && m.Raw[at] != '\r' && m.Raw[at] != '\n'
	}
	return false
}

// known decodes a field that ringwall knows by name. Only a limit that is passed ends the parsing.
func (m *Message) known(f *Field) Error {
	k := len(m.Fields) - 1
	id := f.ID
	again := m.first[id] != 0
	if !again {
		m.first[id] = uint16(k + 1)
	} else if m.again |= 1 << id; fieldInfo[id].single && id != FieldContentLength {
		m.p.bad |= hotBit[id]
		m.fail(ErrDuplicate, int(f.Line.Start))
		return errNone
	}
	at := int(f.Value.Start)
	switch id {
	case FieldVia:
		return m.via(f, k)
	case FieldFrom:
		m.hot(hotFrom, m.party(f, &m.From, &m.FromTag, ErrFrom), at)
	case FieldTo:
		m.hot(hotTo, m.party(f, &m.To, &m.ToTag, ErrTo), at)
	case FieldCallID:
		m.hot(hotCallID, m.callID(f), at)
	case FieldCSeq:
		m.hot(hotCSeq, m.cseq(f), at)
	case FieldContact:
		return m.contact(f)
	case FieldRoute, FieldRecordRoute, FieldPath, FieldServiceRoute:
		m.route(f)
	case FieldMaxForwards:
		m.maxForwards(f)
	case FieldContentLength:
		m.length(f, again)
	}
	return errNone
}
