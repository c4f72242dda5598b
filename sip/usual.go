package sip

import "encoding/binary"

// Nearly every message spells the fields that Parse decodes in the same few ways. Those are decoded here in one pass, which
// finds the end of the line, too. What is here is no second opinion: whatever is not exactly of that form is left, untouched, to
// the parser of the whole grammar (TestUsual holds one against the other).

// usual decodes the field line at i, if it is one that Parse looks into and is spelled as nearly always, and returns the index of the next
// line, or 0 if it has done nothing.
func (m *Message) usual(i int) int {
	if i+16 >= len(m.Raw) {
		return 0
	}
	switch b := m.Raw[i : i+16]; {
	case string(b[:5]) == "Via: ":
		return m.line(FieldVia, i, i+5, m.usualVia(i+5))
	case string(b[:6]) == "From: " && m.first[FieldFrom] == 0:
		return m.line(FieldFrom, i, i+6, m.usualParty(i+6, &m.From, &m.FromTag, hotFrom))
	case string(b[:4]) == "To: " && m.first[FieldTo] == 0:
		return m.line(FieldTo, i, i+4, m.usualParty(i+4, &m.To, &m.ToTag, hotTo))
	case string(b[:9]) == "Call-ID: " && m.first[FieldCallID] == 0:
		return m.line(FieldCallID, i, i+9, m.usualCallID(i+9))
	case string(b[:6]) == "CSeq: " && m.first[FieldCSeq] == 0:
		return m.line(FieldCSeq, i, i+6, m.usualCSeq(i+6))
	case string(b[:14]) == "Max-Forwards: " && m.first[FieldMaxForwards] == 0:
		return m.line(FieldMaxForwards, i, i+14, m.usualMaxForwards(i+14))
	case string(b[:9]) == "Contact: ":
		return m.line(FieldContact, i, i+9, m.usualContact(i+9))
	case string(b) == "Content-Length: " && m.first[FieldContentLength] == 0:
		return m.line(FieldContentLength, i, i+16, m.usualLength(i+16))
	case string(b[:7]) == "Route: ":
		return m.line(FieldRoute, i, i+7, m.usualRoute(i+7))
	case string(b[:14]) == "Record-Route: ":
		return m.line(FieldRecordRoute, i, i+14, m.usualRoute(i+14))
	}
	return 0
}

// line keeps the line at i of field id, whose value lies between v and end, and returns the index of the next one. It does nothing if end is 0.
func (m *Message) line(id FieldID, i, v, end int) int {
	if end == 0 {
		return 0
	}
	m.grow().set(id, i, v, end)
	if m.first[id] == 0 {
		m.first[id] = uint16(len(m.Fields))
	}
	return end + 2
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

// usualVia decodes SIP/2.0/xxx host:port with the parameters branch, rport and received.
func (m *Message) usualVia(i int) int {
	b := m.Raw
	from := i + len("SIP/2.0/UDP ")
	if from > len(b) || m.p.vias == mostVias {
		return 0
	}
	p := b[i:from]
	if string(p[:8]) != "SIP/2.0/" || class[p[8]]&class[p[9]]&class[p[10]]&cToken == 0 || p[11] != ' ' {
		return 0
	}
	v := Via{Field: len(m.Fields), Transport: span(from-4, from-1)}
	j := parseHost(b, from, len(b))
	v.Host = span(from, j)
	if at(b, j) == ':' {
		if v.Port, j = usualPort(b, j+1); j < 0 {
			return 0
		}
		v.HasPort = true
	}
	v.SentBy = span(from, j)
	if j = v.usualParams(b, j); j-i > MaxValue || !lineEnds(b, j) {
		return 0
	}
	v.Whole = span(i, j)
	if m.p.vias++; m.p.vias == 1 {
		m.Via = v
	}
	m.p.good |= hotVia
	return j
}

// usualParams decodes the parameters at b[i] and returns the index after them, or -1.
func (v *Via) usualParams(b []byte, i int) int {
	for at(b, i) == ';' {
		if i+10 > len(b) {
			return -1
		}
		switch w := b[i : i+10]; {
		case string(w[:8]) == ";branch=" && !v.Branch.Present():
			from := i + 8
			i = skipLong(b, from, len(b), cToken)
			v.Branch = span(from, i)
			if i-from <= len(cookie) {
				return -1
			}
		case string(w[:6]) == ";rport" && !v.HasRPort:
			from := i + 1
			if i += 6; w[6] == '=' {
				from := i + 1
				if _, i = usualPort(b, from); i < 0 {
					return -1
				}
				v.RPort = span(from, i)
			}
			v.HasRPort, v.RPortAt = true, span(from, i)
		case string(w) == ";received=" && !v.Received.Present():
			from := i + 10
			if i = parseIPv4(b, from, len(b)); i < 0 {
				return -1
			}
			v.Received = span(from, i)
		default:
			return -1
		}
	}
	return i
}

// usualAddress decodes "display" <sip:…>;tag=… and less, and nothing else on the line.
func usualAddress(b []byte, i int, a *Address, tag *Span) int {
	j := i
	if at(b, j) == '"' {
		j = skipLong(b, j+1, len(b), cName)
		if at(b, j) != '"' || at(b, j+1) != ' ' {
			return 0
		}
		a.Display = span(i, j+1)
		j += 2
	}
	if j = usualURI(b, j, &a.URI); j < 0 {
		return 0
	}
	a.Angle = true
	const param = ";tag="
	if j+len(param) < len(b) && string(b[j:j+len(param)]) == param {
		from := j + len(param)
		if j = skipLong(b, from, len(b), cToken); j == from {
			return 0
		}
		*tag, a.Params = span(from, j), span(from-len(param)+1, j)
	}
	if !lineEnds(b, j) || j-i > MaxValue {
		return 0
	}
	a.Whole = span(i, j)
	return j
}

// usualURI decodes <sip:user@host:port;…> at b[i] and returns the index after it, or -1. uri may be the one that is expected.
func usualURI(b []byte, i int, uri *Span) int {
	const scheme = "<sip:"
	if i+len(scheme) > len(b) || string(b[i:i+len(scheme)]) != scheme {
		return -1
	}
	user := i + len(scheme)
	i++
	if n := uri.Len(); n > 0 && at(b, i+n) == '>' && string(b[i:i+n]) == string(uri.Of(b)) {
		*uri = span(i, i+n)
		return i + n + 1
	}
	j := skipLong(b, user, len(b), cUser)
	if j == user || at(b, j) != '@' {
		return -1
	}
	j = parseHost(b, j+1, len(b))
	if at(b, j) == ':' {
		_, j = usualPort(b, j+1)
	}
	if at(b, j) == ';' {
		var e Error
		if j, e = uriParams(b, j, len(b)); e != errNone {
			return -1
		}
	}
	if at(b, j) != '>' || j-i > MaxURI {
		return -1
	}
	*uri = span(i, j)
	return j + 1
}

// usualParty decodes From and To.
func (m *Message) usualParty(i int, a *Address, tag *Span, bit uint8) int {
	a.URI = m.p.uri
	end := usualAddress(m.Raw, i, a, tag)
	if end == 0 {
		*a, *tag = Address{}, Span{}
		return 0
	}
	m.p.good |= bit
	if m.Method == REGISTER {
		m.p.uri = a.URI
	}
	return end
}

func (m *Message) usualContact(i int) int {
	if m.p.contacts == MaxContacts || m.p.star {
		return 0
	}
	var a Address
	var tag Span
	end := usualAddress(m.Raw, i, &a, &tag)
	if end > 0 {
		m.p.contacts++
	}
	return end
}

// usualRoute decodes a value of Route or Record-Route.
func (m *Message) usualRoute(i int) int {
	var a Address
	var tag Span
	return usualAddress(m.Raw, i, &a, &tag)
}

func (m *Message) usualCallID(i int) int {
	b := m.Raw
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
func (m *Message) usualCSeq(i int) int {
	b := m.Raw
	n, j := usualNumber(b, i, 9)
	if j == i || j == len(b) || b[j] != ' ' {
		return 0
	}
	j++
	end := skip(b, j, len(b), cToken)
	name := b[j:end]
	method := m.Method
	if m.Status != 0 {
		method = MethodOf(name)
	} else if string(name) != string(m.MethodName.Of(b)) {
		return 0
	}
	if end == j || !lineEnds(b, end) || end-i > MaxValue {
		return 0
	}
	m.CSeq = CSeq{Number: uint32(n), Method: method, MethodName: span(j, end)}
	m.p.good |= hotCSeq
	return end
}

func (m *Message) usualMaxForwards(i int) int {
	n, j := usualNumber(m.Raw, i, 3)
	if j == i || n > 255 || !lineEnds(m.Raw, j) {
		return 0
	}
	m.MaxForwards = int32(n)
	return j
}

func (m *Message) usualLength(i int) int {
	n, j := usualNumber(m.Raw, i, 5)
	if j == i || n > MaxBody || m.Raw[i] == '0' && j > i+1 || !lineEnds(m.Raw, j) {
		return 0
	}
	m.ContentLength = int32(n)
	return j
}

// usualPort reads the port of up to five digits at b[i] and returns the index after it, or -1.
func usualPort(b []byte, i int) (port uint16, next int) {
	n, next := usualNumber(b, i, 5)
	if n == 0 || n > 65535 {
		return 0, -1
	}
	return uint16(n), next
}

// usualNumber reads up to most digits at b[i] and returns the index after them, or i if there are none, or more.
func usualNumber(b []byte, i, most int) (n, next int) {
	k := uint(i)
	for k < uint(len(b)) && b[k]-'0' <= 9 {
		n = n*10 + int(b[k]-'0')
		k++
	}
	if int(k) > i+most {
		return 0, i
	}
	return n, int(k)
}
