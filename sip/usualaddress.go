package sip

import "encoding/binary"

func (m *Message) usualFrom(b []byte, i int) int {
	u := m.likely
	end := usualAddress(b, i, &m.From, &m.FromTag, &u)
	if end == 0 {
		m.From, m.FromTag = Address{}, Span{}
		return 0
	}
	m.p.good |= hotFrom
	m.named(&u)
	return end
}

func (m *Message) usualTo(b []byte, i int) int {
	m.ToURI = m.likely
	end := usualAddress(b, i, &m.To, &m.ToTag, &m.ToURI)
	if end == 0 {
		m.To, m.ToTag, m.ToURI = Address{}, Span{}, URI{}
		return 0
	}
	m.p.good |= hotTo
	m.named(&m.ToURI)
	return end
}

func (m *Message) usualContact(b []byte, i int) int {
	if m.p.contacts == MaxContacts || m.p.star {
		return 0
	}
	c := &m.only
	if m.p.contacts > 0 {
		c = &Contact{}
	}
	var tag Span
	c.Decoded.Host = m.Via.Host
	end := usualAddress(b, i, &c.Address, &tag, &c.Decoded)
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

// usualRoute decodes a value of Route or Record-Route. The topmost one is that of this proxy, like the Request-URI or the topmost Via.
func (m *Message) usualRoute(b []byte, i int) int {
	var a Address
	var tag Span
	u := URI{Host: m.Via.Host}
	if m.Status == 0 {
		u.Host = m.URI.Host
	}
	return usualAddress(b, i, &a, &tag, &u)
}

// usualAddress decodes "display" <sip:…>;tag=… or ;expires=… and less, and nothing else on the line. u is as for usualURI.
func usualAddress(b []byte, i int, a *Address, tag *Span, u *URI) int {
	j := i
	if at(b, j) == '"' {
		j = skipLong(b, j+1, len(b), cName)
		if at(b, j) != '"' || at(b, j+1) != ' ' {
			return 0
		}
		a.Display = span(i, j+1)
		j += 2
	}
	if j = usualURI(b, j, u); j < 0 {
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
	if i < 0 || i > len(b)-8 {
		return -1
	}
	switch p := (*[8]byte)(b[i : i+8]); {
	case string(p[:4]) == "tag=":
		from := i + len("tag=")
		if i = skipLong(b, from, len(b), cToken); i > from {
			*tag = span(from, i)
			return i
		}
	case string(p[:]) == "expires=":
		from := i + len(p)
		if _, i = usualNumber(b, from, 8); i > from {
			return i
		}
	}
	return -1
}

// usualURI decodes <sip:user@host:port;…> at b[i] into u and returns the index after it, or -1. What u holds before is a guess, well formed
// bytes of b that may stand here again and are not looked at twice then: Whole, with the rest of u decoded, or Host alone.
func usualURI(b []byte, i int, u *URI) int {
	if i < 0 || i > len(b)-5 || string(b[i:i+4]) != "<sip" || b[i+4] != ':' {
		return -1
	}
	user := i + len("<sip:")
	i++
	if n := u.Whole.Len(); n > 0 && at(b, i+n) == '>' && same(b, i, int(u.Whole.Start), n) {
		u.move(i)
		return i + n + 1
	}
	host := u.Host
	*u = URI{Scheme: SIP}
	j := skipLong(b, user, len(b), cUser)
	if j == user || at(b, j) != '@' {
		return -1
	}
	u.User = span(user, j)
	if j = u.usualPlace(b, j+1, host); at(b, j) != '>' || j-i > MaxURI {
		return -1
	}
	u.Whole = span(i, j)
	return j + 1
}

// usualPlace decodes host:port;… at b[i] into u and returns the index after it, or -1. guess is a host that may stand here again.
func (u *URI) usualPlace(b []byte, i int, guess Span) int {
	j := sameHost(b, i, guess)
	if j < 0 {
		if j = parseHost(b, i, len(b)); j < 0 {
			return -1
		}
	}
	u.Host = span(i, j)
	if at(b, j) == ':' {
		if u.Port, j = usualPort(b, j+1); j < 0 {
			return -1
		}
		u.HasPort = true
	}
	if at(b, j) != ';' {
		return j
	}
	from := j + 1
	if j >= 0 && j <= len(b)-4 && string(b[j:j+4]) == ";lr>" { // most routes
		j += len(";lr")
	} else {
		var e Error
		if j, e = uriParams(b, j, len(b)); e != errNone {
			return -1
		}
	}
	u.Params = span(from, j)
	return j
}

// sameHost returns the index after the host at b[i], if that is the same as host, which is well formed; else -1.
func sameHost(b []byte, i int, host Span) int {
	n := host.Len()
	if n == 0 || n >= len(b)-i || is(at(b, i+n), cHost) || !same(b, i, int(host.Start), n) {
		return -1
	}
	return i + n
}

// same reports whether the n bytes at b[i] and at b[j], which are there, are the same; it is quick up to 16 bytes that are not the last.
func same(b []byte, i, j, n int) bool {
	if n > 16 || i < 0 || i > len(b)-16 || j < 0 || j > len(b)-16 {
		return string(b[i:i+n]) == string(b[j:j+n])
	}
	x := binary.LittleEndian.Uint64(b[i:]) ^ binary.LittleEndian.Uint64(b[j:])
	if n <= 8 {
		return x<<(64-8*uint(n)) == 0
	}
	y := binary.LittleEndian.Uint64(b[i+8:]) ^ binary.LittleEndian.Uint64(b[j+8:])
	return x|y<<(128-8*uint(n)) == 0
}

// move makes u the same URI at i.
func (u *URI) move(i int) {
	by := uint32(i) - u.Whole.Start
	u.Whole.move(by)
	u.User.move(by)
	u.Password.move(by)
	u.Host.move(by)
	u.Params.move(by)
	u.Headers.move(by)
}

// move moves s, if it is present, by a number of bytes, which wraps around to go back.
func (s *Span) move(by uint32) {
	if s.Present() {
		s.Start, s.End = s.Start+by, s.End+by
	}
}
