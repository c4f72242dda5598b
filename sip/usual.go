package sip

import "encoding/binary"

// Nearly every message spells the fields that Parse decodes in the same few ways. Those are decoded here in one pass, which
// finds the end of the line, too. What is here is no second opinion: whatever is not exactly of that form is left, untouched, to
// the parser of the whole grammar (TestUsual holds one against the other).

// The first four bytes of the lines that Parse looks into, as a little-endian word.
const (
	wordVia         = 'V' | 'i'<<8 | 'a'<<16 | ':'<<24
	wordFrom        = 'F' | 'r'<<8 | 'o'<<16 | 'm'<<24
	wordTo          = 'T' | 'o'<<8 | ':'<<16 | ' '<<24
	wordCallID      = 'C' | 'a'<<8 | 'l'<<16 | 'l'<<24
	wordCSeq        = 'C' | 'S'<<8 | 'e'<<16 | 'q'<<24
	wordMaxForwards = 'M' | 'a'<<8 | 'x'<<16 | '-'<<24
	wordContact     = 'C' | 'o'<<8 | 'n'<<16 | 't'<<24 // and Content-Length
	wordRoute       = 'R' | 'o'<<8 | 'u'<<16 | 't'<<24
	wordRecordRoute = 'R' | 'e'<<8 | 'c'<<16 | 'o'<<24
)

// usual decodes up to most field lines from i on, as long as they are spelled as nearly always, and returns the index after them.
func (m *Message) usual(i, most int) int {
	b := m.Raw
	for ; most > 0; most-- {
		id, v, end := m.usualLine(b, i)
		if end == 0 {
			break
		}
		m.grow().set(id, i, v, end)
		if first := &m.first[id]; *first == 0 {
			*first = uint16(len(m.Fields))
		} else {
			m.again |= 1 << id
		}
		i = end + 2
	}
	return i
}

// usualLine decodes one line and returns its field and where its value begins and ends. It has done nothing if end is 0.
func (m *Message) usualLine(b []byte, i int) (id FieldID, v, end int) {
	if i < 0 || i > len(b)-16 {
		return 0, 0, 0
	}
	line := (*[16]byte)(b[i : i+16])
	switch binary.LittleEndian.Uint32(line[:]) {
	case wordVia:
		if id, v = FieldVia, i+5; line[4] == ' ' {
			end = m.usualVia(b, v)
		}
	case wordFrom:
		if id, v = FieldFrom, i+6; string(line[4:6]) == ": " && m.first[FieldFrom] == 0 {
			end = m.usualFrom(b, v)
		}
	case wordTo:
		if id, v = FieldTo, i+4; m.first[FieldTo] == 0 {
			end = m.usualTo(b, v)
		}
	case wordCallID:
		if id, v = FieldCallID, i+9; string(line[:8]) == "Call-ID:" && line[8] == ' ' && m.first[FieldCallID] == 0 {
			end = m.usualCallID(b, v)
		}
	case wordCSeq:
		if id, v = FieldCSeq, i+6; string(line[4:6]) == ": " && m.first[FieldCSeq] == 0 {
			end = m.usualCSeq(b, v)
		}
	case wordMaxForwards:
		if id, v = FieldMaxForwards, i+14; string(line[:8]) == "Max-Forw" && string(line[6:14]) == "rwards: " && m.first[FieldMaxForwards] == 0 {
			end = m.usualMaxForwards(b, v)
		}
	case wordContact:
		if string(line[:8]) == "Content-" && string(line[8:]) == "Length: " {
			if id, v = FieldContentLength, i+16; m.first[FieldContentLength] == 0 {
				end = m.usualLength(b, v)
			}
		} else if id, v = FieldContact, i+9; string(line[:8]) == "Contact:" && line[8] == ' ' {
			end = m.usualContact(b, v)
		} else {
			id, v, end = m.opaque(b, i)
		}
	case wordRoute:
		if id, v = FieldRoute, i+7; string(line[4:7]) == "e: " {
			end = m.usualRoute(b, v)
		}
	case wordRecordRoute:
		if id, v = FieldRecordRoute, i+14; string(line[:8]) == "Record-R" && string(line[6:14]) == "-Route: " {
			end = m.usualRoute(b, v)
		}
	default:
		id, v, end = m.opaque(b, i)
	}
	return id, v, end
}

// opaque is usualLine for the fields that Parse knows and does not look into.
func (m *Message) opaque(b []byte, i int) (id FieldID, v, end int) {
	id, c := exactName(b, i)
	if kind := opaqueKind[id]; kind == notOpaque || kind == opaqueOnce && m.first[id] != 0 {
		return 0, 0, 0
	}
	return id, c + 2, usualValue(b, c)
}

// at returns b[i], or 0 if there is no such byte.
func at(b []byte, i int) byte {
	if uint(i) < uint(len(b)) {
		return b[i]
	}
	return 0
}

// lineEnds reports whether a line that is not folded ends at b[i], and is not the last.
func lineEnds(b []byte, i int) bool {
	if i < 0 || i > len(b)-4 {
		return false
	}
	w := binary.LittleEndian.Uint32(b[i:])
	return uint16(w) == '\r'|'\n'<<8 && !isBlank(byte(w>>16))
}

func (m *Message) usualCallID(b []byte, i int) int {
	j := skipLong(b, i, len(b), cWord)
	if j > i && j < len(b) && b[j] == '@' {
		at := j + 1
		if j = skipLong(b, at, len(b), cWord); j == at {
			return 0
		}
	}
	if j == i || !lineEnds(b, j) || j-i > MaxValue {
		return 0
	}
	m.CallID = span(i, j)
	m.p.good |= hotCallID
	return j
}

// usualCSeq decodes a number and the method of the request line.
func (m *Message) usualCSeq(b []byte, i int) int {
	n, j := usualNumber(b, i, 8)
	if j == i || at(b, j) != ' ' {
		return 0
	}
	j++
	method := m.Method
	end := j + m.MethodName.Len()
	if m.Status != 0 {
		end = skip(b, j, len(b), cToken)
		method = MethodOf(b[j:end])
	} else if !lineEnds(b, end) || string(b[j:end]) != string(m.MethodName.Of(b)) {
		return 0
	}
	if end == j || !lineEnds(b, end) || end-i > MaxValue {
		return 0
	}
	m.CSeq = CSeq{Number: uint32(n), Method: method, MethodName: span(j, end)}
	m.p.good |= hotCSeq
	return end
}

func (m *Message) usualMaxForwards(b []byte, i int) int {
	n, j := usualNumber(b, i, 3)
	if j == i || n > 255 || !lineEnds(b, j) {
		return 0
	}
	m.MaxForwards = int32(n)
	return j
}

func (m *Message) usualLength(b []byte, i int) int {
	n, j := usualNumber(b, i, 5)
	if j == i || n > MaxBody || b[i] == '0' && j > i+1 || !lineEnds(b, j) {
		return 0
	}
	m.ContentLength = int32(n)
	return j
}
