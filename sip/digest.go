package sip

// Digest is a decoded challenge or credentials field with the Digest scheme (RFC 3261 §20.7, §20.44, RFC 8760).
// Values are spans without quotes; absent if not there.
type Digest struct {
	Username, Realm, Nonce, URI, Response, Algorithm, CNonce, Opaque, QOP, NC, Domain, Stale Span
}

// ParseDigest decodes the field value s in raw, "Digest name=value, …". A duplicate parameter is an error, and so are an
// open quote and anything between commas that is not name=value (ErrDigest, ErrQuote, ErrParamCount). Backslashes
// in quoted values stay as they are. ok is false for another scheme.
func ParseDigest(raw []byte, s Span) (d Digest, ok bool, err error) {
	end := int(s.End)
	i := skipSpace(raw, int(s.Start), end)
	j := skip(raw, i, end, cToken)
	if !Spells(raw[i:j], "digest") || j < end && !is(raw[j], cSpace) {
		return Digest{}, false, nil
	}
	if e := d.params(raw, j, end); e != errNone {
		return Digest{}, true, e
	}
	return d, true, nil
}

// params decodes the comma list at raw[i] to the end.
func (d *Digest) params(raw []byte, i, end int) Error {
	var names nameSet
	var seen [MaxParams]Span
	for n := 0; ; n++ {
		name, value, next := genericParam(raw, i, end)
		switch {
		case next < 0 && value.Present() && int(value.Start) < end && raw[value.Start] == '"':
			return ErrQuote
		case next < 0 || !value.Present():
			return ErrDigest
		case !names.add(raw, int(name.Start), int(name.End)):
			return ErrParamCount
		case names.suspect && among(raw, name, seen[:n]):
			return ErrDigest
		}
		seen[n] = name
		d.keep(name.Of(raw), unquote(raw, value))
		if i = skipSpace(raw, next, end); i == end {
			return errNone
		}
		if raw[i] != ',' {
			return ErrDigest
		}
		i++
	}
}

// among reports whether name stands among names in any case.
func among(raw []byte, name Span, names []Span) bool {
	for _, n := range names {
		if EqualFold(n.Of(raw), name.Of(raw)) {
			return true
		}
	}
	return false
}

// unquote leaves out the quotes around value.
func unquote(raw []byte, value Span) Span {
	if raw[value.Start] == '"' {
		return Span{value.Start + 1, value.End - 1}
	}
	return value
}

// keep notes the value of a parameter that d has a span for.
func (d *Digest) keep(name []byte, value Span) {
	for _, p := range [...]struct {
		name string
		to   *Span
	}{
		{"username", &d.Username}, {"realm", &d.Realm}, {"nonce", &d.Nonce}, {"uri", &d.URI},
		{"response", &d.Response}, {"algorithm", &d.Algorithm}, {"cnonce", &d.CNonce}, {"opaque", &d.Opaque},
		{"qop", &d.QOP}, {"nc", &d.NC}, {"domain", &d.Domain}, {"stale", &d.Stale},
	} {
		if Spells(name, p.name) {
			*p.to = value
			return
		}
	}
}
