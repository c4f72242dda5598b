package sip

import "iter"

// An Address is one name-addr or addr-spec with its header parameters (RFC 3261 §20.10), spans into its buffer.
type Address struct {
	Whole   Span // display name, URI and parameters
	Display Span // as written, with its quotes; absent if none
	URI     Span // without the angle brackets
	Params  Span // header parameters after the first ";", absent if none
	Angle   bool // the URI stands in angle brackets
	Star    bool // the value is "*" (Contact only)
}

// NextAddress decodes the address at the start of the list rest, which lies in raw, and returns what follows its
// comma (absent after the last). Use it for Contact, Route, Record-Route, Path, From, To … rest is a field value that
// Parse accepted, or a part of one. The error is of type Error.
func NextAddress(raw []byte, rest Span) (a Address, after Span, err error) {
	var tag Span
	next, e := parseAddress(raw, int(rest.Start), int(rest.End), &a, &tag)
	if e != errNone {
		return Address{}, Span{}, e
	}
	if next >= 0 {
		after = Span{uint32(next), rest.End}
	}
	return a, after, nil
}

// Addresses are those of the list value, which lies in raw: a field value that Parse accepted, or a part of one. They end
// before what is no address, which only a field that Parse does not look into can hold.
func Addresses(raw []byte, value Span) iter.Seq[Address] {
	return func(yield func(Address) bool) {
		for rest := value; rest.Present(); {
			a, after, err := NextAddress(raw, rest)
			if err != nil || !yield(a) {
				return
			}
			rest = after
		}
	}
}

// Param returns the value of a header parameter (name in lower case, compared without case; the value keeps its quotes)
// and whether it is there.
func (a *Address) Param(raw []byte, name string) (Span, bool) { return findParam(raw, a.Params, name) }

// parseAddress decodes the address at raw[i:end] into a, which is zero but for a.URI, and its tag parameter into tag.
// next is the index after the comma that follows, or -1 at the end. a.URI may be a URI of raw that is known to be well
// formed and likely to be met again; it is not decoded twice then.
func parseAddress(raw []byte, i, end int, a *Address, tag *Span) (next int, e Error) {
	i = skipSpace(raw, i, end)
	from := i
	if i, e = addressURI(raw, i, end, a); e != errNone {
		return 0, e
	}
	last := i
	next = -1
	if i < end {
		if last, next, e = addressParams(raw, i, end, a, tag); e != errNone {
			return 0, e
		}
	}
	if a.Star && (last != from+1 || next >= 0) {
		return 0, ErrAddress
	}
	a.Whole = span(from, last)
	return next, errNone
}

// addressURI decodes display name and URI at raw[i] and returns the index after them.
func addressURI(raw []byte, i, end int, a *Address) (int, Error) {
	switch {
	case i == end:
		return 0, ErrAddress
	case raw[i] == '<':
		return angleURI(raw, i, end, a)
	case raw[i] == '"':
		j := quoted(raw, i, end)
		if j < 0 {
			return 0, ErrQuote
		}
		a.Display = span(i, j)
		return angleURI(raw, skipSpace(raw, j, end), end, a)
	}
	j := skip(raw, i, end, cToken)
	if j < end && raw[j] == ':' && j > i {
		return bareURI(raw, i, end, a)
	}
	if raw[i] == '*' && j == i+1 && (skipSpace(raw, j, end) == end || raw[j] == ',' || raw[j] == ';') {
		a.Star = true
		return j, errNone
	}
	return tokenDisplay(raw, i, end, a)
}

// tokenDisplay decodes *( token LWS ) before "<" at raw[i].
func tokenDisplay(raw []byte, i, end int, a *Address) (int, Error) {
	from, last := i, i
	for i < end && raw[i] != '<' {
		if last = skip(raw, i, end, cToken); last == i {
			return 0, ErrAddress
		}
		i = skipSpace(raw, last, end)
	}
	a.Display = span(from, last)
	return angleURI(raw, i, end, a)
}

// angleURI decodes "<" URI ">" at raw[i].
func angleURI(raw []byte, i, end int, a *Address) (int, Error) {
	if i >= end || raw[i] != '<' {
		return 0, ErrAddress
	}
	if n, j := a.URI.Len(), i+1; n > 0 && j+n < end && raw[j+n] == '>' && string(raw[j:j+n]) == string(a.URI.Of(raw)) {
		a.URI, a.Angle = span(j, j+n), true // the expected one
		return j + n + 1, errNone
	}
	var u URI
	if next := usualURI(raw[:end], i, &u); next > 0 {
		a.URI, a.Angle = u.Whole, true
		return next, errNone
	}
	i++
	u = URI{}
	j, e := parseURI(raw, i, end, &u)
	if e != errNone {
		return 0, e
	}
	if j == end || raw[j] != '>' {
		return 0, ErrAddress
	}
	a.URI, a.Angle = u.Whole, true
	return j + 1, errNone
}

// bareURI decodes an addr-spec at raw[i], which ends at white space, a comma or a semicolon and has no "?"
// (RFC 3261 §20: what contains one of these must stand in angle brackets).
func bareURI(raw []byte, i, end int, a *Address) (int, Error) {
	j := i
	for j < end && raw[j] != ',' && raw[j] != ';' && !is(raw[j], cSpace) {
		if raw[j] == '?' {
			return 0, ErrAddress
		}
		j++
	}
	var u URI
	a.URI = span(i, j)
	next, e := parseURI(raw, i, j, &u)
	if e == errNone && next != j {
		e = ErrURI
	}
	return j, e
}

// addressParams decodes *( SEMI generic-param ) at raw[i] up to the comma or the end. It returns the index after the last
// parameter and the index after the comma, or -1.
func addressParams(raw []byte, i, end int, a *Address, tag *Span) (last, next int, e Error) {
	var names nameSet
	last, next = i, -1
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
			return 0, 0, ErrAddress
		}
		name, value, j := genericParam(raw, i+1, end)
		if j < 0 {
			return 0, 0, ErrParam
		}
		if !names.add(raw, int(name.Start), int(name.End)) {
			return 0, 0, ErrParamCount
		}
		if !a.Params.Present() {
			a.Params = span(i+1, j)
		}
		if name.Len() == 3 && named(name.Of(raw), "tag") {
			*tag = value
			if !isTokenValue(value.Of(raw)) {
				return 0, 0, ErrParam
			}
		}
		i, last = j, j
		a.Params.End = uint32(j)
	}
	if names.suspect && hasDuplicate(raw, a.Params) {
		return 0, 0, ErrParam
	}
	return last, next, errNone
}
