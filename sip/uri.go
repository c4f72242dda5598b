package sip

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
	next, e := parseURI(raw, int(s.Start), int(s.End), &u)
	if e == errNone && next != int(s.End) {
		e = ErrURI
	}
	if e != errNone {
		return URI{}, e
	}
	return u, nil
}

// Param returns the value of a uri-parameter (name in lower case, compared without case) and whether it is there.
// A parameter without "=" is there with an absent value.
func (u *URI) Param(raw []byte, name string) (Span, bool) { return findParam(raw, u.Params, name) }

// parseURI decodes the URI at raw[i] into u, which is zero, and returns the index after it, at or before end.
func parseURI(raw []byte, i, end int, u *URI) (next int, e Error) {
	switch b := raw[i:end]; {
	case len(b) > 4 && b[3] == ':' && named(b[:3], "sip"):
		u.Scheme = SIP
		next, e = parseSIP(raw, i+4, end, u)
	case len(b) > 5 && Spells(b[:5], "sips:"):
		u.Scheme = SIPS
		next, e = parseSIP(raw, i+5, end, u)
	case len(b) > 4 && Spells(b[:4], "tel:"):
		u.Scheme = TEL
		next, e = parseTel(raw, i+4, end, u)
	default:
		next, e = parseAbsolute(raw, i, end)
	}
	if next-i > MaxURI {
		return i, ErrURILength
	}
	u.Whole = span(i, next)
	return next, e
}

// parseSIP decodes what follows "sip:" (RFC 3261 §25.1, SIP-URI).
func parseSIP(raw []byte, i, end int, u *URI) (int, Error) {
	j := skipLong(raw, i, end, cUser)
	switch {
	case j == end:
	case raw[j] == '@' && j > i:
		u.User = span(i, j)
		i = j + 1
	case raw[j] == ':' || raw[j] == '%':
		if j = userinfo(raw, i, end, u); j > 0 {
			i = j
		}
	}
	if j = parseHost(raw, i, end); j < 0 {
		return i, ErrURI
	}
	u.Host = span(i, j)
	if j < end && raw[j] == ':' {
		if u.Port, j = parsePort(raw, j+1, end); j < 0 {
			return i, ErrURI
		}
		u.HasPort = true
	}
	if j < end && (raw[j] == ';' || raw[j] == '?') {
		return parseURITail(raw, j, end, u)
	}
	return j, errNone
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

// parseURITail decodes uri-parameters and headers.
func parseURITail(raw []byte, i, end int, u *URI) (int, Error) {
	if raw[i] == ';' {
		next, e := uriParams(raw, i, end)
		if e != errNone {
			return i, e
		}
		u.Params = span(i+1, next)
		i = next
	}
	if i < end && raw[i] == '?' && u.Scheme != TEL {
		next := uriHeaders(raw, i, end)
		if next < 0 {
			return i, ErrURI
		}
		u.Headers = span(i+1, next)
		i = next
	}
	return i, errNone
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

// uriHeaders walks over "?" hname "=" hvalue *( "&" hname "=" hvalue ) and returns the index after it, or -1.
func uriHeaders(raw []byte, i, end int) int {
	for i < end && (raw[i] == '?' || raw[i] == '&') {
		j := skipEscaped(raw, i+1, end, cHeader)
		if j == i+1 || j == end || raw[j] != '=' {
			return -1
		}
		i = skipEscaped(raw, j+1, end, cHeader)
	}
	return i
}

// parseTel decodes what follows "tel:" (RFC 3966 §3).
func parseTel(raw []byte, i, end int, u *URI) (int, Error) {
	from := i
	if i < end && raw[i] == '+' {
		i++
	}
	j := skip(raw, i, end, cPhone)
	if j == i {
		return i, ErrURI
	}
	u.User = span(from, j)
	if j < end && raw[j] == ';' {
		return parseURITail(raw, j, end, u)
	}
	return j, errNone
}

// parseAbsolute checks any other absolute URI: scheme ":" 1*uric (RFC 2396 §3).
func parseAbsolute(raw []byte, i, end int) (int, Error) {
	if i == end || !is(raw[i], cAlpha) {
		return i, ErrURI
	}
	j := skip(raw, i, end, cScheme)
	if j == end || raw[j] != ':' {
		return i, ErrURI
	}
	if b := raw[i:j]; Spells(b, "sip") || Spells(b, "sips") || Spells(b, "tel") {
		return i, ErrURI
	}
	next := skipEscaped(raw, j+1, end, cURIC)
	if next == j+1 {
		return i, ErrURI
	}
	return next, errNone
}
