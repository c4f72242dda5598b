package sip

// A nameSet counts parameter names and tells cheaply that no two of them can be equal.
type nameSet struct {
	seen    uint64
	n       int
	suspect bool // two names fell on one bit of seen
}

// add reports whether there is room for one more name, raw[i:j].
func (s *nameSet) add(raw []byte, i, j int) bool {
	bit := uint64(1) << ((uint(raw[i]|0x20) + 5*uint(j-i)) & 63)
	s.suspect = s.suspect || s.seen&bit != 0
	s.seen |= bit
	s.n++
	return s.n <= MaxParams
}

// hasDuplicate reports whether two parameters in list, which is well formed, have the same name in any case
// (RFC 3261 §7.3.1 forbids it). Its time is linear in the length of the list.
func hasDuplicate(raw []byte, list Span) bool {
	var names [MaxParams]Span
	var sums [MaxParams]uint64
	for n := 0; list.Present() && n < MaxParams; n++ {
		name, _, _, after := NextParam(raw, list)
		sum := fold64(name.Of(raw))
		for i := range n {
			if sums[i] == sum && EqualFold(names[i].Of(raw), name.Of(raw)) {
				return true
			}
		}
		names[n], sums[n], list = name, sum, after
	}
	return false
}

// fold64 is FNV-1a of b in lower case.
func fold64(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(lower(c))) * 1099511628211
	}
	return h
}

// genericParam reads token [ EQUAL gen-value ] at raw[i], white space before it allowed (RFC 3261 §25.1). next is -1
// if it is not well formed.
func genericParam(raw []byte, i, end int) (name, value Span, next int) {
	i = skipSpace(raw, i, end)
	j := skip(raw, i, end, cToken)
	if j == i {
		return Span{}, Span{}, -1
	}
	name = span(i, j)
	k := j
	if k < end && is(raw[k], cSpace) {
		k = skipSpace(raw, k, end)
	}
	if k == end || raw[k] != '=' {
		return name, Span{}, j
	}
	k = skipSpace(raw, k+1, end)
	j = genericValue(raw, k, end)
	return name, span(k, max(k, j)), j
}

// genericValue returns the index after the token, quoted-string or IPv6reference at raw[i], or -1.
func genericValue(raw []byte, i, end int) int {
	if i == end {
		return -1
	}
	switch raw[i] {
	case '"':
		return quoted(raw, i, end)
	case '[':
		return parseHost(raw, i, end)
	}
	j := skipLong(raw, i, end, cToken)
	if j == i {
		return -1
	}
	return j
}

// isTokenValue reports whether b, a gen-value that genericValue found, is a token.
func isTokenValue(b []byte) bool { return len(b) > 0 && b[0] != '"' && b[0] != '[' }

// NextParam steps through parameters as they stand in Address.Params, URI.Params: name, value (absent without "="),
// whole (name, "=" and value) and the rest.
func NextParam(raw []byte, rest Span) (name, value, whole, after Span) {
	end := int(rest.End)
	i := skipSpace(raw, int(rest.Start), end)
	j := i
	for j < end && raw[j] != '=' && raw[j] != ';' && !is(raw[j], cSpace) {
		j++
	}
	name = span(i, j)
	last := j
	if k := skipSpace(raw, j, end); k < end && raw[k] == '=' {
		k = skipSpace(raw, k+1, end)
		last = paramValueEnd(raw, k, end)
		value = span(k, last)
	}
	whole = span(i, last)
	if k := skipSpace(raw, last, end); k < end {
		after = span(k+1, end)
	}
	return name, value, whole, after
}

// paramValueEnd returns the index after the value at raw[i], which is well formed.
func paramValueEnd(raw []byte, i, end int) int {
	if i < end && raw[i] == '"' {
		if j := quoted(raw, i, end); j > 0 {
			return j
		}
	}
	for i < end && raw[i] != ';' && !is(raw[i], cSpace) {
		i++
	}
	return i
}

// findParam looks for name, in lower case, in list.
func findParam(raw []byte, list Span, name string) (Span, bool) {
	for list.Present() {
		n, value, _, after := NextParam(raw, list)
		if Spells(n.Of(raw), name) {
			return value, true
		}
		list = after
	}
	return Span{}, false
}
