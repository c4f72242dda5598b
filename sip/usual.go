package sip

import "encoding/binary"

// Nearly every message spells the fields that Parse decodes in the same few ways. Those are decoded here in one pass, which
// finds the end of the line, too. What is here is no second opinion: whatever is not exactly of that form is left, untouched, to
// the parser of the whole grammar (TestUsual holds one against the other).

// usual decodes the field line at i, if it is one that Parse looks into and is spelled as nearly always, and returns the index of the next
// line, or 0 if it has done nothing.
func (m *Message) usual(i int) int {
	b := m.Raw
	if i+16 >= len(b) {
		return 0
	}
	id, v, end := FieldOther, 0, 0
	switch name := (*[16]byte)(b[i:]); string(name[:4]) {
	case "Via:":
		if id, v = FieldVia, i+5; name[4] == ' ' {
			end = m.usualVia(v)
		}
	case "From":
		if id, v = FieldFrom, i+6; string(name[4:6]) == ": " && m.first[id] == 0 {
			end = m.usualFrom(v)
		}
	case "To: ":
		if id, v = FieldTo, i+4; m.first[id] == 0 {
			end = m.usualTo(v)
		}
	case "Call":
		if id, v = FieldCallID, i+9; string(name[4:9]) == "-ID: " && m.first[id] == 0 {
			end = m.usualCallID(v)
		}
	case "CSeq":
		if id, v = FieldCSeq, i+6; string(name[4:6]) == ": " && m.first[id] == 0 {
			end = m.usualCSeq(v)
		}
	case "Max-":
		if id, v = FieldMaxForwards, i+14; string(name[4:14]) == "Forwards: " && m.first[id] == 0 {
			end = m.usualMaxForwards(v)
		}
	case "Cont":
		if id, v = FieldContact, i+9; string(name[4:9]) == "act: " {
			end = m.usualContact(v)
		} else if id, v = FieldContentLength, i+16; string(name[4:]) == "ent-Length: " && m.first[id] == 0 {
			end = m.usualLength(v)
		}
	case "Rout":
		if id, v = FieldRoute, i+7; string(name[4:7]) == "e: " {
			end = m.usualRoute(v)
		}
	case "Reco":
		if id, v = FieldRecordRoute, i+14; string(name[4:14]) == "rd-Route: " {
			end = m.usualRoute(v)
		}
	}
	if end == 0 {
		return 0
	}
	m.grow().set(id, i, v, end)
	if m.first[id] == 0 {
		m.first[id] = uint16(len(m.Fields))
	} else {
		m.again |= 1 << id
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

// usualAddress decodes "display" <sip:…>;tag=… or ;expires=… and less, and nothing else on the line. u and host are as for usualURI.
func usualAddress(b []byte, i int, host Span, a *Address, tag *Span, u *URI) int {
	j := i
	if at(b, j) == '"' {
		j = skipLong(b, j+1, len(b), cName)
		if at(b, j) != '"' || at(b, j+1) != ' ' {
			return 0
		}
		a.Display = span(i, j+1)
		j += 2
	}
	if j = usualURI(b, j, host, u); j < 0 {
		return 0
	}
	a.URI, a.Angle = u.Whole, true
	if at(b, j) == ';' {
		from := j + 1
		if j = usualParam(b, from, tag); j < 0 {
			return 0
		}
		a.Params = span(from, j)
	}
	if !lineEnds(b, j) || j-i > MaxValue {
		return 0
	}
	a.Whole = span(i, j)
	return j
}

// usualParam decodes tag=… or expires=… at b[i] and returns the index after it, or -1.
func usualParam(b []byte, i int, tag *Span) int {
	if i+8 > len(b) {
		return -1
	}
	switch w := b[i : i+8]; {
	case string(w[:4]) == "tag=":
		from := i + 4
		if i = skipLong(b, from, len(b), cToken); i > from {
			*tag = span(from, i)
			return i
		}
	case string(w) == "expires=":
		from := i + 8
		if _, i = usualNumber(b, from, 8); i > from {
			return i
		}
	}
	return -1
}

// usualURI decodes <sip:user@host:port;…> at b[i] into u and returns the index after it, or -1. u may be the URI that is expected, decoded, and
// host a host that is: what is well formed is not looked at twice.
func usualURI(b []byte, i int, host Span, u *URI) int {
	const scheme, length = '<' | 's'<<8 | 'i'<<16 | 'p'<<24 | ':'<<32, 5
	if i < 0 || i > len(b)-8 || binary.LittleEndian.Uint64(b[i:])&(1<<(8*length)-1) != scheme {
		return -1
	}
	user := i + length
	i++
	if n := u.Whole.Len(); n > 0 && at(b, i+n) == '>' && string(b[i:i+n]) == string(u.Whole.Of(b)) {
		u.move(i)
		return i + n + 1
	}
	*u = URI{Scheme: SIP}
	j := skipLong(b, user, len(b), cUser)
	if j == user || at(b, j) != '@' {
		return -1
	}
	u.User = span(user, j)
	from := j + 1
	if j = sameHost(b, from, host); j < 0 {
		j = parseHost(b, from, len(b))
	}
	u.Host = span(from, j)
	if at(b, j) == ':' {
		u.Port, j = usualPort(b, j+1)
		u.HasPort = true
	}
	if at(b, j) == ';' {
		from := j + 1
		var e Error
		if j, e = uriParams(b, j, len(b)); e != errNone {
			return -1
		}
		u.Params = span(from, j)
	}
	if at(b, j) != '>' || j-i > MaxURI {
		return -1
	}
	u.Whole = span(i, j)
	return j + 1
}

// sameHost returns the index after the host at b[i], if that is the same as host, which is well formed; else -1.
func sameHost(b []byte, i int, host Span) int {
	j := i + host.Len()
	if j == i || j >= len(b) || is(b[j], cHost) || string(b[i:j]) != string(host.Of(b)) {
		return -1
	}
	return j
}

// move makes u the same URI at i.
func (u *URI) move(i int) {
	by := uint32(i) - u.Whole.Start
	for _, s := range [...]*Span{&u.Whole, &u.User, &u.Password, &u.Host, &u.Params, &u.Headers} {
		if s.Present() {
			s.Start, s.End = s.Start+by, s.End+by
		}
	}
}

func (m *Message) usualFrom(i int) int {
	u := m.likely
	end := usualAddress(m.Raw, i, u.Host, &m.From, &m.FromTag, &u)
	if end == 0 {
		m.From, m.FromTag = Address{}, Span{}
		return 0
	}
	m.p.good |= hotFrom
	m.named(&u)
	return end
}

func (m *Message) usualTo(i int) int {
	m.ToURI = m.likely
	end := usualAddress(m.Raw, i, m.ToURI.Host, &m.To, &m.ToTag, &m.ToURI)
	if end == 0 {
		m.To, m.ToTag, m.ToURI = Address{}, Span{}, URI{}
		return 0
	}
	m.p.good |= hotTo
	m.named(&m.ToURI)
	return end
}

func (m *Message) usualContact(i int) int {
	if m.p.contacts == MaxContacts || m.p.star {
		return 0
	}
	c := &m.only
	if m.p.contacts > 0 {
		c = &Contact{}
	}
	var tag Span
	end := usualAddress(m.Raw, i, m.Via.Host, &c.Address, &tag, &c.Decoded)
	if end == 0 {
		*c = Contact{}
		return 0
	}
	c.Field = len(m.Fields)
	if c.Params.Present() && !tag.Present() {
		c.Expires = Span{c.Params.Start + uint32(len("expires=")), c.Params.End}
	}
	m.p.contacts++
	return end
}

// usualRoute decodes a value of Route or Record-Route.
func (m *Message) usualRoute(i int) int {
	var a Address
	var tag Span
	var u URI
	return usualAddress(m.Raw, i, Span{}, &a, &tag, &u)
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
