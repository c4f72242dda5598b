package sip

// usualVia decodes SIP/2.0/xxx host:port with the parameters branch, rport and received.
func (m *Message) usualVia(b []byte, i int) int {
	if m.p.vias == 0 {
		m.Via.Field = len(m.Fields)
		end := m.Via.usual(b, i)
		if end == 0 {
			m.Via = Via{}
			return 0
		}
		m.p.vias, m.p.good = 1, m.p.good|hotVia
		return end
	}
	if m.p.vias == mostVias {
		return 0
	}
	var other Via
	end := other.usual(b, i)
	if end != 0 {
		m.p.vias, m.p.good = m.p.vias+1, m.p.good|hotVia
	}
	return end
}

// usual decodes the via-parm at b[i] into v, which is zero, and returns the index of the line end after it, or 0.
func (v *Via) usual(b []byte, i int) int {
	if i < 0 || i > len(b)-16 {
		return 0
	}
	p := (*[16]byte)(b[i : i+16])
	if string(p[:8]) != "SIP/2.0/" || string(p[8:12]) != "UDP " && (class[p[8]]&class[p[9]]&class[p[10]]&cToken == 0 || p[11] != ' ') {
		return 0
	}
	from := i + len("SIP/2.0/UDP ")
	j := parseHost(b, from, len(b))
	if j < 0 {
		return 0
	}
	v.Transport, v.Host = span(from-4, from-1), span(from, j)
	if at(b, j) == ':' {
		if v.Port, j = usualPort(b, j+1); j < 0 {
			return 0
		}
		v.HasPort = true
	}
	v.SentBy = span(from, j)
	if j = v.usualParams(b, j); j < 0 || !lineEnds(b, j) || j-i > MaxValue {
		return 0
	}
	v.Whole = span(i, j)
	return j
}

// usualParams decodes the parameters at b[i] and returns the index after them, or -1.
func (v *Via) usualParams(b []byte, i int) int {
	for at(b, i) == ';' {
		if i < 0 || i > len(b)-10 {
			return -1
		}
		switch p := (*[10]byte)(b[i : i+10]); {
		case string(p[:8]) == ";branch=" && !v.Branch.Present():
			from := i + len(";branch=")
			i = skipLong(b, from, len(b), cToken)
			if i-from <= len(cookie) {
				return -1
			}
			v.Branch = span(from, i)
		case string(p[:6]) == ";rport" && !v.HasRPort:
			if i = v.usualRPort(b, i+1); i < 0 {
				return -1
			}
		case string(p[:8]) == ";receive" && string(p[8:]) == "d=" && !v.Received.Present():
			from := i + len(p)
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

// usualRPort decodes rport or rport=… at b[i] and returns the index after it, or -1.
func (v *Via) usualRPort(b []byte, i int) int {
	j := i + len("rport")
	if at(b, j) == '=' {
		from := j + 1
		if _, j = usualPort(b, from); j < 0 {
			return -1
		}
		v.RPort = span(from, j)
	}
	v.HasRPort, v.RPortAt = true, span(i, j)
	return j
}
