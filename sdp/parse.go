package sdp

import (
	"bytes"
	"net/netip"
)

// Bits of Media.seen: lines and attributes that may stand once at their level.
const (
	seenV uint32 = 1 << iota
	seenO
	seenS
	seenI
	seenU
	seenC
	seenK
	seenDirection
	seenRTCP
	seenMux
	seenMuxOnly
	seenUfrag
	seenPwd
	seenMid
	seenSetup
	seenGroup
	seenSecure
)

// Parse reads body, which is borrowed until the next Parse. The error is of type Error, and the Session then holds nothing.
//
// Missing s= and t= lines, and lines of one level in another order, are accepted: they can be read in one way only, and
// Rewrite puts them right.
func (s *Session) Parse(body []byte) error {
	if s.Media == nil {
		s.Media, s.kept = make([]Media, 0, 4), make([]kept, 0, 32)
	}
	*s = Session{
		Raw: body, Media: s.Media[:0], kept: s.kept[:0], candidates: s.candidates[:0],
		scan: scanner{rest: body, size: len(body)}, top: Media{Bundle: -1},
	}
	e := s.lines()
	if e == errNone {
		e = s.finish()
	}
	if e != errNone {
		s.Media, s.kept, s.Origin = s.Media[:0], s.kept[:0], Origin{}
		return e
	}
	return nil
}

// lines reads line after line.
func (s *Session) lines() Error {
	if len(s.Raw) > MaxBody {
		return ErrTooLarge
	}
	at := &s.top
	for {
		line, e := s.scan.next()
		if e != errNone {
			return e
		}
		if line == nil {
			return errNone
		}
		if s.scan.line > MaxLines {
			return ErrTooLarge
		}
		if len(line) < 2 || line[1] != '=' {
			return ErrLine
		}
		if s.scan.line == 1 && line[0] != 'v' {
			return ErrOrder
		}
		value := line[2:]
		switch line[0] {
		case 'a':
			e = s.attribute(at, value)
		case 'm':
			at, e = s.media(value)
		case 'c':
			e = at.connection(value)
		case 'b':
			e = s.bandwidth(at, value)
		default:
			e = s.other(at, line[0], value)
		}
		if e != errNone {
			return e
		}
	}
}

// once notes what may stand once at its level.
func (m *Media) once(bit uint32) Error {
	if m.seen&bit != 0 {
		return ErrDuplicate
	}
	m.seen |= bit
	return errNone
}

// other reads a line that is not written as it came.
func (s *Session) other(at *Media, letter byte, value []byte) Error {
	switch letter {
	case 'i':
		return at.once(seenI)
	case 'k':
		return at.once(seenK)
	case 'v', 'o', 's', 'u', 'e', 'p', 't', 'r', 'z':
	default:
		return ErrLine
	}
	if at != &s.top {
		return ErrOrder
	}
	switch letter {
	case 'v':
		if s.scan.line > 1 {
			return ErrDuplicate
		}
		if string(value) != "0" {
			return ErrVersion
		}
	case 'o':
		return s.origin(value)
	case 's':
		return at.once(seenS)
	case 'u':
		return at.once(seenU)
	case 't':
		start, stop := word(value)
		if !all(start, cDigit) || !all(stop, cDigit) {
			return ErrTime
		}
	}
	return errNone
}

// origin reads an o= line (RFC 8866 §5.2).
func (s *Session) origin(value []byte) Error {
	var kind, family, where []byte
	o := &s.Origin
	o.Username, value = word(value)
	o.ID, value = word(value)
	o.Version, value = word(value)
	kind, value = word(value)
	family, where = word(value)
	if len(o.Username) == 0 || !all(o.ID, cDigit) || !all(o.Version, cDigit) || string(kind) != "IN" ||
		string(family) != "IP4" && string(family) != "IP6" || len(where) == 0 || bytes.IndexByte(where, ' ') >= 0 {
		return ErrOrigin
	}
	return s.top.once(seenO)
}

// connection reads a c= line (RFC 8866 §5.7).
func (m *Media) connection(value []byte) Error {
	kind, rest := word(value)
	family, where := word(rest)
	if string(kind) != "IN" || len(where) == 0 {
		return ErrConnection
	}
	var ok bool
	if m.Addr, ok = address(family, where); !ok {
		return ErrAddress
	}
	return m.once(seenC)
}

// bandwidth reads a b= line (RFC 8866 §5.8) and keeps those whose types are known (RFC 3556, RFC 3890).
func (s *Session) bandwidth(at *Media, value []byte) Error {
	kind, amount, found := bytes.Cut(value, []byte{':'})
	if !found || !all(kind, cToken) || !all(amount, cDigit) {
		return ErrBandwidth
	}
	switch string(kind) {
	case "AS", "CT", "TIAS", "RS", "RR":
		s.keep(at, value, keepBandwidth)
	}
	return errNone
}

// media reads an m= line (RFC 8866 §5.14).
func (s *Session) media(value []byte) (*Media, Error) {
	if len(s.Media) == MaxMedia {
		return nil, ErrMediaCount
	}
	s.Media = append(s.Media, Media{Bundle: -1, Ports: 1, from: len(s.kept), end: len(s.kept), first: len(s.candidates), last: len(s.candidates)})
	m := &s.Media[len(s.Media)-1]
	var ports []byte
	m.Type, value = word(value)
	ports, m.tail = word(value)
	m.Proto, m.Formats = word(m.tail)
	if !all(m.Type, cToken) {
		return nil, ErrMedia
	}
	if e := m.ports(ports); e != errNone {
		return nil, e
	}
	if !m.transport() || !m.formats() {
		return nil, ErrMedia
	}
	return m, errNone
}

// ports reads "port" or "port/count".
func (m *Media) ports(text []byte) Error {
	var ok bool
	first, count, several := bytes.Cut(text, []byte{'/'})
	if m.Port, ok = port(first); !ok {
		return ErrPort
	}
	if several {
		if m.Ports, ok = port(count); !ok || m.Ports == 0 {
			return ErrPort
		}
	}
	return errNone
}

// transport decodes the protocol of an m= line; false: it is not well formed.
func (m *Media) transport() bool {
	switch string(m.Proto) {
	case "RTP/AVP", "RTP/AVPF":
		m.RTP = true
		return true
	}
	rest := m.Proto
	for first, more := true, true; more; first = false {
		var part []byte
		part, rest, more = bytes.Cut(rest, []byte{'/'})
		if !all(part, cToken) {
			return false
		}
		switch {
		case is(part, "TCP"), first && (is(part, "SCTP") || is(part, "DCCP") || is(part, "TLS")):
			m.Stream = true
		case is(part, "RTP"):
			m.RTP = true
		case is(part, "SAVP"), is(part, "SAVPF"), is(part, "TLS"), is(part, "DTLS"):
			m.Secure = true
		}
	}
	return true
}

// is compares a token without regard to case: "udptl" and "UDPTL" are both in use.
func is(token []byte, name string) bool {
	return len(token) == len(name) && bytes.EqualFold(token, []byte(name))
}

// formats checks the formats of an m= line: payload types for RTP, else tokens, in any case one at least.
func (m *Media) formats() bool {
	for rest := m.Formats; ; {
		var format []byte
		more := bytes.IndexByte(rest, ' ') >= 0
		format, rest = word(rest)
		if m.RTP {
			if _, ok := number(format, 127); !ok {
				return false
			}
		} else if !all(format, cToken) {
			return false
		}
		if !more {
			return true
		}
	}
}

// finish brings together what stands at both levels.
func (s *Session) finish() Error {
	if s.top.seen&seenO == 0 {
		return ErrOrigin
	}
	if e := s.top.credentials(&s.top); e != errNone {
		return e
	}
	for i := range s.Media {
		m := &s.Media[i]
		if e := m.inherit(&s.top); e != errNone {
			return e
		}
		m.Candidates = s.candidates[m.first:m.last:m.last]
	}
	s.bundle()
	return errNone
}

// inherit completes m by what stands at session level.
func (m *Media) inherit(top *Media) Error {
	if m.seen&seenC == 0 {
		m.Addr = top.Addr
	}
	if m.seen&seenDirection == 0 {
		m.Direction = top.Direction
	}
	m.Secure = m.Secure || top.Secure
	if e := m.credentials(top); e != errNone {
		return e
	}
	if !m.Addr.IsValid() {
		if m.Usable() {
			return ErrConnection
		}
		return errNone
	}
	m.Hold = m.Addr.IsUnspecified() && !m.ICE
	m.control()
	return errNone
}

// credentials takes the ICE credentials of m, or those of the session (RFC 8839 §5.4).
func (m *Media) credentials(top *Media) Error {
	if m.seen&(seenUfrag|seenPwd) == 0 {
		m.Ufrag, m.Pwd = top.Ufrag, top.Pwd
	}
	if (m.Ufrag == nil) != (m.Pwd == nil) {
		return ErrICE
	}
	m.ICE = m.Ufrag != nil
	return errNone
}

// control works out where RTCP goes (RFC 3605, RFC 5761).
func (m *Media) control() {
	switch {
	case !m.RTP || m.Port == 0 || m.seen&seenMuxOnly != 0:
	case m.seen&seenRTCP == 0:
		if m.Port < 65535 {
			m.RTCP = netip.AddrPortFrom(m.Addr, m.Port+1)
		}
	case m.rtcpPort != 0 && m.rtcpAddr.IsValid():
		m.RTCP = netip.AddrPortFrom(m.rtcpAddr, m.rtcpPort)
	case m.rtcpPort != 0:
		m.RTCP = netip.AddrPortFrom(m.Addr, m.rtcpPort)
	}
}

// bundle notes for each media line in the BUNDLE group which one leads it: the first that the group names (RFC 9143 §7).
func (s *Session) bundle() {
	lead := -1
	rest := s.group
	for n := 0; len(rest) > 0 && n < MaxMedia; n++ {
		var mid []byte
		mid, rest = word(rest)
		for i := range s.Media {
			if m := &s.Media[i]; m.Mid != nil && bytes.Equal(m.Mid, mid) {
				if lead < 0 {
					lead = i
				}
				m.Bundle = lead
			}
		}
	}
}
