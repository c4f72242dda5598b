package sip

// parseHost returns the index after the host that begins at raw[i] (RFC 3261 §25.1: hostname, IPv4address or
// IPv6reference), or -1. A host whose last label begins with a digit must be an IPv4 address.
func parseHost(raw []byte, i, end int) int {
	if i < end && raw[i] == '[' {
		j := i + 1
		for j < end && (is(raw[j], cHex) || raw[j] == ':' || raw[j] == '.') {
			j++
		}
		if j == end || raw[j] != ']' || !isIPv6(raw[i+1:j]) {
			return -1
		}
		return j + 1
	}
	j := skip(raw, i, end, cHost)
	if j == i || !isHostname(raw[i:j]) {
		return -1
	}
	return j
}

// isHostname checks the labels of b, which consists of cHost bytes.
func isHostname(b []byte) bool {
	label := 0 // start of the current label
	for i, c := range b {
		if c != '.' {
			continue
		}
		if !isLabel(b[label:i]) {
			return false
		}
		if i+1 == len(b) { // "example.com." is allowed, "192.0.2.1." is not
			return !is(b[label], cDigit)
		}
		label = i + 1
	}
	if !isLabel(b[label:]) {
		return false
	}
	return !is(b[label], cDigit) || isIPv4(b)
}

func isLabel(b []byte) bool { return len(b) > 0 && b[0] != '-' && b[len(b)-1] != '-' }

// isIPv4 reports whether b is four decimal numbers up to 255 without leading zeros.
func isIPv4(b []byte) bool {
	dots, n, length := 0, 0, 0
	for _, c := range b {
		switch {
		case c == '.':
			if length == 0 || dots == 3 {
				return false
			}
			dots, n, length = dots+1, 0, 0
		case !is(c, cDigit) || length > 0 && n == 0:
			return false
		default:
			n, length = n*10+int(c-'0'), length+1
			if n > 255 {
				return false
			}
		}
	}
	return dots == 3 && length > 0
}

// isIPv6 reports whether b is an IPv6 address (RFC 4291 §2.2) without zone.
func isIPv6(b []byte) bool {
	groups, gap := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = true, b[2:]
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && is(b[n], cHex) {
			n++
		}
		switch {
		case n < len(b) && b[n] == '.':
			return isIPv4(b) && (groups == 6 || gap && groups < 6)
		case n == 0 || n > 4 || groups == 8:
			return false
		}
		groups++
		if b = b[n:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b = b[1:]; b[0] == ':' {
			if gap {
				return false
			}
			gap, b = true, b[1:]
		}
	}
	return groups == 8 || gap && groups < 8
}

// parsePort returns the port of 1 to 65535 that begins at raw[i] and the index after it, or -1.
func parsePort(raw []byte, i, end int) (port uint16, next int) {
	n := 0
	j := i
	for ; j < end && is(raw[j], cDigit); j++ {
		if n = n*10 + int(raw[j]-'0'); n > 65535 {
			return 0, -1
		}
	}
	if n == 0 {
		return 0, -1
	}
	return uint16(n), j
}
