package sip

import "bytes"

// Scheme is a URI scheme that ringwall routes by.
type Scheme uint8

// Schemes. SchemeOther is any other well-formed absolute URI: relayed in fields, 416 in a Request-URI.
const (
	SchemeOther Scheme = iota
	SIP
	SIPS
	TEL
)

// A URI is a decoded SIP, SIPS or tel URI (RFC 3261 §19.1, RFC 3966): spans into the buffer it was parsed from.
// Escapes are never decoded. For SchemeOther only Whole is set.
type URI struct {
	Whole    Span
	User     Span // user part (tel: the number); absent if there is none
	Password Span
	Host     Span // name, IPv4 address or IPv6reference with its brackets
	Params   Span // from the first ";" on, without it; absent if none
	Headers  Span // after "?", absent if none
	Port     uint16
	HasPort  bool
	Scheme   Scheme
}

// ParseURI decodes the URI that s covers in raw, all of it or an error (ErrURI, ErrURILength, ErrParam, ErrParamCount).
func ParseURI(raw []byte, s Span) (URI, error) {
	var u URI
	if e := parseURI(raw, int(s.Start), int(s.End), &u); e != errNone {
		return URI{}, e
	}
	return u, nil
}

// Param returns the value of a uri-parameter (name in lower case, compared without case) and whether it is there.
// A parameter without "=" is there with an absent value.
func (u *URI) Param(raw []byte, name string) (Span, bool) { return findParam(raw, u.Params, name) }

// parseURI decodes raw[i:end] into u, which is zero.
func parseURI(raw []byte, i, end int, u *URI) Error {
	if end-i > MaxURI {
		return ErrURILength
	}
	u.Whole = span(i, end)
	if end-i > 4 && raw[i+3] == ':' && named(raw[i:i+3], "sip") {
		u.Scheme = SIP
		return parseSIP(raw, i+4, end, u)
	}
	if end-i > 5 && equalFold(raw[i:i+5], "sips:") {
		u.Scheme = SIPS
		return parseSIP(raw, i+5, end, u)
	}
	if end-i > 4 && equalFold(raw[i:i+4], "tel:") {
		u.Scheme = TEL
		return parseTel(raw, i+4, end, u)
	}
	return parseAbsolute(raw, i, end)
}

// parseSIP decodes what follows "sip:" (RFC 3261 §25.1, SIP-URI).
func parseSIP(raw []byte, i, end int, u *URI) Error {
	if j := userinfo(raw, i, end, u); j > 0 {
		i = j
	}
	j := parseHost(raw, i, end)
	if j < 0 {
		return ErrURI
	}
	u.Host = span(i, j)
	if j < end && raw[j] == ':' {
		if u.Port, j = parsePort(raw, j+1, end); j < 0 {
			return ErrURI
		}
		u.HasPort = true
	}
	return parseURITail(raw, j, end, u)
}

// userinfo decodes user [ ":" password ] "@" at raw[i] and returns the index after it, or -1 if there is none.
func userinfo(raw []byte, i, end int, u *URI) int {
	j := skipEscaped(raw, i, end, cUser)
	if j == end || j == i {
		return -1
	}
	user := span(i, j)
	if raw[j] == ':' {
		k := skipEscaped(raw, j+1, end, cPassword)
		if k == end || raw[k] != '@' {
			return -1
		}
		u.Password = span(j+1, k)
		j = k
	}
	if raw[j] != '@' {
		return -1
	}
	u.User = user
	return j + 1
}

// parseURITail decodes uri-parameters and headers, to the end.
func parseURITail(raw []byte, i, end int, u *URI) Error {
	if i < end && raw[i] == ';' {
		from := i + 1
		next, e := uriParams(raw, i, end)
		if e != errNone {
			return e
		}
		i = next
		u.Params = span(from, i)
	}
	if i < end && raw[i] == '?' && u.Scheme != TEL {
		if !uriHeaders(raw[i+1 : end]) {
			return ErrURI
		}
		u.Headers = span(i+1, end)
		i = end
	}
	if i != end {
		return ErrURI
	}
	return errNone
}

// uriParams walks over *( ";" pname [ "=" pvalue ] ) and returns the index after it.
func uriParams(raw []byte, i, end int) (int, Error) {
	var names nameSet
	from := i + 1
	for i < end && raw[i] == ';' {
		j := skipEscaped(raw, i+1, end, cParam)
		if j == i+1 {
			return 0, ErrParam
		}
		if !names.add(raw, i+1, j) {
			return 0, ErrParamCount
		}
		if i = j; i < end && raw[i] == '=' {
			if i = skipEscaped(raw, j+1, end, cParam); i == j+1 {
				return 0, ErrParam
			}
		}
	}
	if names.suspect && hasDuplicate(raw, span(from, i)) {
		return 0, ErrParam
	}
	return i, errNone
}

// uriHeaders reports whether b is hname "=" hvalue *( "&" hname "=" hvalue ).
func uriHeaders(b []byte) bool {
	for {
		header, rest, more := bytes.Cut(b, []byte("&"))
		name, value, ok := bytes.Cut(header, []byte("="))
		if !ok || len(name) == 0 || skipEscaped(name, 0, len(name), cHeader) != len(name) ||
			skipEscaped(value, 0, len(value), cHeader) != len(value) {
			return false
		}
		if !more {
			return true
		}
		b = rest
	}
}

// parseTel decodes what follows "tel:" (RFC 3966 §3).
func parseTel(raw []byte, i, end int, u *URI) Error {
	from := i
	if i < end && raw[i] == '+' {
		i++
	}
	j := skip(raw, i, end, cPhone)
	if j == i {
		return ErrURI
	}
	u.User = span(from, j)
	return parseURITail(raw, j, end, u)
}

// parseAbsolute checks any other absolute URI: scheme ":" 1*uric (RFC 2396 §3).
func parseAbsolute(raw []byte, i, end int) Error {
	if i == end || !is(raw[i], cAlpha) {
		return ErrURI
	}
	j := skip(raw, i, end, cScheme)
	if j == end || raw[j] != ':' || j+1 == end || skipEscaped(raw, j+1, end, cURIC) != end {
		return ErrURI
	}
	if b := raw[i:j]; equalFold(b, "sip") || equalFold(b, "sips") || equalFold(b, "tel") {
		return ErrURI
	}
	return errNone
}
