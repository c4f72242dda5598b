package sip

import "strconv"

// appendValue appends value with each fold, or other run of white space that holds CR or LF, as one SP. What comes out
// holds no line end, whoever made value.
func appendValue(dst, value []byte) []byte {
	if !belowSpace(value) {
		return append(dst, value...)
	}
	for {
		i := control(value, 0)
		for i < len(value) && value[i] != '\r' && value[i] != '\n' {
			i = control(value, i+1)
		}
		if i == len(value) {
			return append(dst, value...)
		}
		from, to := i, i
		for from > 0 && is(value[from-1], cSpace) {
			from--
		}
		for to < len(value) && is(value[to], cSpace) {
			to++
		}
		dst = append(append(dst, value[:from]...), ' ')
		value = value[to:]
	}
}

// appendLine appends a whole line from a name and a value.
func appendLine(dst []byte, name string, value []byte) []byte {
	dst = append(append(dst, name...), ':')
	if len(value) > 0 {
		dst = append(dst, ' ')
	}
	return append(appendValue(dst, value), '\r', '\n')
}

// appendFieldName appends the name under which f is written, the long one or that of an unknown field as spelled, the
// colon and, unless the value is empty, SP.
func (m *Message) appendFieldName(dst []byte, f *Field, empty bool) []byte {
	if f.ID == FieldOther {
		dst = append(dst, f.Name.Of(m.Raw)...)
	} else {
		dst = append(dst, fieldInfo[f.ID].name...)
	}
	dst = append(dst, ':')
	if !empty {
		dst = append(dst, ' ')
	}
	return dst
}

// appendField appends f as the writer writes it.
func (m *Message) appendField(dst []byte, f *Field) []byte {
	if f.Canonical {
		return append(dst, f.Line.Of(m.Raw)...)
	}
	dst = m.appendFieldName(dst, f, f.Value.Len() == 0)
	if f.Folded {
		dst = appendValue(dst, f.Value.Of(m.Raw))
	} else {
		dst = append(dst, f.Value.Of(m.Raw)...)
	}
	return append(dst, '\r', '\n')
}

// appendAll appends all fields with id.
func (m *Message) appendAll(dst []byte, id FieldID) []byte {
	for i := m.Find(id); i >= 0; i = m.Next(id, i) {
		dst = m.appendField(dst, &m.Fields[i])
	}
	return dst
}

func appendContentLength(dst []byte, n int) []byte {
	dst = append(dst, "Content-Length: "...)
	return append(strconv.AppendInt(dst, int64(n), 10), '\r', '\n')
}
