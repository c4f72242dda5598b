package sip

// fields decodes the header fields that begin at i and returns the offset of the body. An error means that the lines
// themselves are in doubt; faults in values are only recorded.
func (m *Message) fields(i int) (int, Error) {
	b := m.Raw
	if i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		return 0, m.fail(ErrFold, i)
	}
	for {
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2, errNone
		}
		if m.p.lines++; m.p.lines > MaxFields {
			return 0, m.fail(ErrFieldCount, i)
		}
		f := m.grow()
		next, e := m.line(i, f)
		if e != errNone {
			m.Fields = m.Fields[:len(m.Fields)-1]
			return 0, m.fail(e, next)
		}
		f.Line = span(i, next)
		if f.Name.Len() == 0 { // a line without a name, recorded as a fault
			m.Fields = m.Fields[:len(m.Fields)-1]
		} else if f.ID != FieldOther {
			if e := m.known(f); e != errNone {
				return 0, e
			}
		}
		i = next
	}
}

// grow adds an empty field without writing it twice.
func (m *Message) grow() *Field {
	n := len(m.Fields)
	if n == cap(m.Fields) {
		grown := make([]Field, n, max(32, 2*n))
		copy(grown, m.Fields)
		m.Fields = grown
	}
	m.Fields = m.Fields[:n+1]
	m.Fields[n] = Field{}
	return &m.Fields[n]
}

// line decodes the field line at i into f, which is zero, and returns the offset of the next line, or that of the fault.
func (m *Message) line(i int, f *Field) (int, Error) {
	b := m.Raw
	c := colon(b[:min(len(b), i+MaxFieldName+1)], i)
	exact := false
	if c > i && c < len(b) {
		f.ID, exact = lookupName(b[i:c])
	}
	f.Name = span(i, c)
	if !exact {
		var e Error
		if c, e = m.name(i, f); e != errNone {
			return c, e
		}
		if f.Name.Len() == 0 {
			return m.unusual(c, f)
		}
	}
	// The usual line: one SP, then a value without control bytes and without white space at its ends.
	if v := c + 1; v+1 < len(b) && b[v] == ' ' && b[v+1] > ' ' {
		v++
		end := control(b, v)
		if end+2 < len(b) && b[end] == '\r' && b[end+1] == '\n' && b[end-1] != ' ' && !isBlank(b[end+2]) && end-v <= MaxValue {
			f.Value = span(v, end)
			f.Canonical = exact || f.ID == FieldOther && f.Name.End == uint32(c)
			return end + 2, errNone
		}
	}
	return m.unusual(c+1, f)
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
		f.ID, f.Name = FieldOther, span(c, c)
		return c, errNone
	}
	f.Name = span(i, end)
	if c > end {
		m.Defects |= DefectWhitespace
		f.ID, _ = lookupName(b[i:end])
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
	} else if fieldInfo[id].single && id != FieldContentLength {
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
