package sip

// Nearly every message spells the fields that Parse decodes in the same few ways. Those are decoded here in one pass, which
// finds the end of the line, too. What is here is no second opinion: whatever is not exactly of that form is left, untouched, to
// the parser of the whole grammar (TestUsual holds one against the other).

// usual decodes the field line at b[i], if it is one that Parse looks into and is spelled as nearly always. It returns its id, the
// index of its value, and that of the CRLF, which is 0 if it has done nothing.
func (m *Message) usual(i int) (id FieldID, v, end int) {
	if id, v = usualName(m.Raw, i); id == FieldOther {
		return 0, 0, 0
	}
	k := len(m.Fields)
	if m.first[id] != 0 && fieldInfo[id].single || m.Raw[v] <= ' ' {
		return 0, 0, 0
	}
	switch id {
	case FieldVia:
		end = m.usualVia(v, k)
	case FieldFrom:
		end = m.usualParty(v, &m.From, &m.FromTag, hotFrom)
	case FieldTo:
		end = m.usualParty(v, &m.To, &m.ToTag, hotTo)
	case FieldCallID:
		end = m.usualCallID(v)
	case FieldCSeq:
		end = m.usualCSeq(v)
	case FieldMaxForwards:
		end = m.usualMaxForwards(v)
	case FieldContact:
		end = m.usualContact(v)
	case FieldContentLength:
		end = m.usualLength(v)
	default:
		var a Address
		var tag Span
		end = usualAddress(m.Raw, v, &a, &tag)
	}
	if end > 0 && m.first[id] == 0 {
		m.first[id] = uint16(k + 1)
	}
	return id, v, end
}

// usualName returns the field whose name, colon and SP stand at b[i], and the index of what follows.
func usualName(b []byte, i int) (FieldID, int) {
	if i+16 >= len(b) {
		return FieldOther, 0
	}
	w := b[i : i+16]
	switch w[0] {
	case 'V':
		if string(w[:5]) == "Via: " {
			return FieldVia, i + 5
		}
	case 'F':
		if string(w[:6]) == "From: " {
			return FieldFrom, i + 6
		}
	case 'T':
		if string(w[:4]) == "To: " {
			return FieldTo, i + 4
		}
	case 'C':
		switch {
		case string(w[:6]) == "CSeq: ":
			return FieldCSeq, i + 6
		case string(w[:9]) == "Call-ID: ":
			return FieldCallID, i + 9
		case string(w[:9]) == "Contact: ":
			return FieldContact, i + 9
		case string(w) == "Content-Length: ":
			return FieldContentLength, i + 16
		}
	case 'M':
		if string(w[:14]) == "Max-Forwards: " {
			return FieldMaxForwards, i + 14
		}
	case 'R':
		switch {
		case string(w[:7]) == "Route: ":
			return FieldRoute, i + 7
		case string(w[:14]) == "Record-Route: ":
			return FieldRecordRoute, i + 14
		}
	}
	return FieldOther, 0
}

// lineEnds reports whether a line that is not folded ends at b[i], and is not the last.
func lineEnds(b []byte, i int) bool {
	return i+3 <= len(b) && b[i] == '\r' && b[i+1] == '\n' && !isBlank(b[i+2])
}

// usualVia decodes SIP/2.0/xxx host:port with the parameters branch, rport and received.
func (m *Message) usualVia(i, k int) int {
	b := m.Raw
	const protocol = "SIP/2.0/"
	h := i + len(protocol) + len("UDP ")
	if h >= len(b) || string(b[i:i+len(protocol)]) != protocol || b[h-1] != ' ' || !all(b[h-4:h-1], cToken) || m.p.vias == mostVias {
		return 0
	}
	v := Via{Field: k, Transport: span(h-4, h-1)}
	j := parseHost(b, h, len(b))
	if j < 0 || j == len(b) {
		return 0
	}
	v.Host = span(h, j)
	if b[j] == ':' {
		if v.Port, j = parsePort(b, j+1, len(b)); j < 0 {
			return 0
		}
		v.HasPort = true
	}
	v.SentBy = span(h, j)
	if j = v.usualParams(b, j); j < 0 || j-i > MaxValue || !lineEnds(b, j) {
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
	for i+9 < len(b) && b[i] == ';' {
		i++
		from := i
		switch w := b[i : i+len("received=")]; {
		case string(w[:7]) == "branch=" && !v.Branch.Present():
			from += len("branch=")
			i = skipLong(b, from, len(b), cToken)
			v.Branch = span(from, i)
			if i-from <= len(cookie) {
				return -1
			}
		case string(w[:5]) == "rport" && !v.HasRPort:
			i += len("rport")
			if b[i] == '=' {
				if _, i = parsePort(b, i+1, len(b)); i < 0 {
					return -1
				}
				v.RPort = span(from+len("rport="), i)
			}
			v.HasRPort, v.RPortAt = true, span(from, i)
		case string(w) == "received=" && !v.Received.Present():
			from += len("received=")
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
	if b[j] == '"' {
		for j++; j < len(b) && (is(b[j], cToken) || b[j] == ' '); {
			j++
		}
		if j+2 >= len(b) || b[j] != '"' || b[j+1] != ' ' {
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
	if from := j + len(param); from < len(b) && string(b[j:from]) == param {
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
	if i+5 >= len(b) || b[i] != '<' {
		return -1
	}
	i++
	if n := uri.Len(); n > 0 && i+n < len(b) && b[i+n] == '>' && string(b[i:i+n]) == string(uri.Of(b)) {
		*uri = span(i, i+n)
		return i + n + 1
	}
	const scheme = "sip:"
	user := i + len(scheme)
	j := skipLong(b, user, len(b), cUser)
	if string(b[i:user]) != scheme || j == user || j == len(b) || b[j] != '@' {
		return -1
	}
	if j = parseHost(b, j+1, len(b)); j > 0 && j < len(b) && b[j] == ':' {
		_, j = parsePort(b, j+1, len(b))
	}
	if j > 0 && j < len(b) && b[j] == ';' {
		var e Error
		if j, e = uriParams(b, j, len(b)); e != errNone {
			return -1
		}
	}
	if j < 0 || j >= len(b) || b[j] != '>' || j-i > MaxURI {
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

// usualNumber reads up to most digits at b[i] and returns the index after them.
func usualNumber(b []byte, i, most int) (n, next int) {
	for most = min(len(b), i+most); i < most && b[i]-'0' <= 9; i++ {
		n = n*10 + int(b[i]-'0')
	}
	return n, i
}
