package sip

import "bytes"

// A Via is one via-parm (RFC 3261 §20.42), spans into the buffer it was parsed from.
type Via struct {
	Field     int  // index in Message.Fields of the line it stands in
	Whole     Span // the via-parm without the commas around it
	Transport Span // "UDP"
	Host      Span // sent-by host, IPv6 with brackets
	SentBy    Span // host and port as written
	Branch    Span // absent if none
	Received  Span
	RPort     Span // value of rport, absent if none or empty
	MAddr     Span
	Port      uint16
	HasPort   bool
	HasRPort  bool // rport is there, with or without a value (RFC 3581)
	Alias     bool // alias is there, a flag (RFC 5923 §6)
	RPortAt   Span // the bytes "rport" or "rport=…" to be replaced when it is filled in
}

const cookie = "z9hG4bK"

// Cookie reports whether the branch starts with the magic cookie z9hG4bK (RFC 3261 §8.1.1.7; in any case, since
// tokens are compared so).
func (v *Via) Cookie(raw []byte) bool {
	b := v.Branch.Of(raw)
	return len(b) >= len(cookie) && (string(b[:len(cookie)]) == cookie || Spells(b[:len(cookie)], "z9hg4bk"))
}

// NextVia decodes the via-parm at the start of rest, which lies in raw, and returns what follows its comma
// (absent after the last). rest is a field value that Parse accepted, or a part of one. Via.Field is left 0.
// The error is of type Error.
func NextVia(raw []byte, rest Span) (v Via, after Span, err error) {
	next, e := parseVia(raw, int(rest.Start), int(rest.End), &v)
	if e != errNone {
		return Via{}, Span{}, e
	}
	if next >= 0 {
		after = Span{uint32(next), rest.End}
	}
	return v, after, nil
}

// parseVia decodes the via-parm at raw[i:end] into v, which is zero. next is the index after the comma that follows,
// or -1 at the end.
func parseVia(raw []byte, i, end int, v *Via) (next int, e Error) {
	i = skipSpace(raw, i, end)
	from := i
	if i = sentProtocol(raw, i, end, v); i < 0 {
		return 0, ErrVia
	}
	if i = sentBy(raw, i, end, v); i < 0 {
		return 0, ErrVia
	}
	last, next, e := viaParams(raw, i, end, v)
	if e != errNone {
		return 0, e
	}
	if v.Branch.Len() == len(cookie) && v.Cookie(raw) {
		return 0, ErrBranch
	}
	v.Whole = span(from, last)
	return next, errNone
}

// sentProtocol decodes "SIP" SLASH "2.0" SLASH transport LWS at raw[i] and returns the index of what follows, or -1.
func sentProtocol(raw []byte, i, end int, v *Via) int {
	const protocol = "SIP/2.0/"
	if end-i > len(protocol) && string(raw[i:i+len(protocol)]) == protocol {
		i += len(protocol)
	} else if i = spacedProtocol(raw, i, end); i < 0 {
		return -1
	}
	i = skipSpace(raw, i, end)
	j := skip(raw, i, end, cToken)
	v.Transport = span(i, j)
	if k := skipSpace(raw, j, end); j > i && k > j {
		return k
	}
	return -1
}

// spacedProtocol decodes "SIP" SLASH "2.0" SLASH in any case and with white space around the slashes.
func spacedProtocol(raw []byte, i, end int) int {
	for _, part := range [...]string{"sip", "2.0"} {
		j := skip(raw, i, end, cToken)
		if !Spells(raw[i:j], part) {
			return -1
		}
		if j = skipSpace(raw, j, end); j == end || raw[j] != '/' {
			return -1
		}
		i = skipSpace(raw, j+1, end)
	}
	return i
}

// sentBy decodes host [ COLON port ] at raw[i] and returns the index after it, or -1.
func sentBy(raw []byte, i, end int, v *Via) int {
	j := parseHost(raw, i, end)
	if j < 0 {
		return -1
	}
	v.Host = span(i, j)
	k := j
	if k < end && is(raw[k], cSpace) {
		k = skipSpace(raw, k, end)
	}
	if k < end && raw[k] == ':' {
		k = skipSpace(raw, k+1, end)
		if v.Port, j = parsePort(raw, k, end); j < 0 {
			return -1
		}
		v.HasPort = true
	}
	v.SentBy = span(i, j)
	return j
}

// viaParams decodes *( SEMI via-params ) at raw[i] up to the comma or the end. It returns the index after the last
// parameter and the index after the comma, or -1.
func viaParams(raw []byte, i, end int, v *Via) (last, next int, e Error) {
	var names nameSet
	last, next = i, -1
	from := 0
	for {
		if i < end && is(raw[i], cSpace) {
			i = skipSpace(raw, i, end)
		}
		if i == end {
			break
		}
		if raw[i] == ',' {
			next = i + 1
			break
		}
		if raw[i] != ';' {
			return 0, 0, ErrVia
		}
		if from == 0 {
			from = i + 1
		}
		name, value, j := viaParam(raw, i+1, end)
		if j < 0 || !v.keep(raw, name, value) {
			return 0, 0, ErrVia
		}
		if !names.add(raw, int(name.Start), int(name.End)) {
			return 0, 0, ErrParamCount
		}
		i, last = j, j
	}
	if names.suspect && hasDuplicate(raw, span(from, last)) {
		return 0, 0, ErrVia
	}
	return last, next, errNone
}

// viaParam reads a generic-param at raw[i], where in addition received may be an IPv6 address without brackets
// (RFC 5118 §4.5) and rport may have an empty value.
func viaParam(raw []byte, i, end int) (name, value Span, next int) {
	name, value, next = genericParam(raw, i, end)
	if next > 0 && !(value.Present() && next < end && raw[next] == ':') || !name.Present() {
		return name, value, next
	}
	switch {
	case Spells(name.Of(raw), "rport") && value.Present() && value.Len() == 0:
		return name, value, int(value.Start)
	case Spells(name.Of(raw), "received"):
		from := int(value.Start)
		next = from
		for next < end && (is(raw[next], cHex) || raw[next] == ':' || raw[next] == '.') {
			next++
		}
		if isIPv6(raw[from:next]) {
			return name, span(from, next), next
		}
	}
	return name, value, -1
}

// keep notes the parameters that v has spans for and reports whether their values are of the right kind.
func (v *Via) keep(raw []byte, name, value Span) bool {
	b := value.Of(raw)
	switch n := name.Of(raw); len(n) {
	case len("branch"):
		if named(n, "branch") {
			v.Branch = value
			return isTokenValue(b)
		}
	case len("rport"):
		if named(n, "rport") {
			return v.keepRPort(raw, name, value)
		}
		if named(n, "maddr") {
			v.MAddr = value
			return parseHost(b, 0, len(b)) == len(b)
		}
		if named(n, "alias") {
			v.Alias = !value.Present()
		}
	case len("received"):
		if named(n, "received") {
			v.Received = value
			return isAddress(b)
		}
	}
	return true
}

func (v *Via) keepRPort(raw []byte, name, value Span) bool {
	v.HasRPort, v.RPortAt = true, name
	if !value.Present() {
		return true
	}
	v.RPortAt.End = value.End
	if value.Len() == 0 {
		return true
	}
	v.RPort = value
	_, next := parsePort(raw, int(value.Start), int(value.End))
	return next == int(value.End)
}

// isAddress reports whether b is an IPv4 or IPv6 address, the latter with or without brackets.
func isAddress(b []byte) bool {
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		b = b[1 : len(b)-1]
	}
	if bytes.IndexByte(b, ':') >= 0 {
		return isIPv6(b)
	}
	return isIPv4(b)
}
