package sip

// parseHost returns the index after the host that begins at raw[i] (RFC 3261 §25.1: hostname, IPv4address or
// IPv6reference), or -1. A host whose last label begins with a digit must be an IPv4 address.
func parseHost(raw []byte, i, end int) int {
	b := raw[:end]
	switch c := at(b, i); {
	case i == end:
		return -1
	case c == '[':
		return parseIPv6(raw, i, end)
	case c-'0' <= 9:
		if j := parseIPv4(raw, i, end); j > 0 && !is(at(b, j), cHost) {
			return j
		}
	}
	return parseHostname(raw, i, end)
}

// parseHostname returns the index after the hostname at raw[i], or -1.
func parseHostname(raw []byte, i, end int) int {
	b := raw[:end]
	label, last := i, i // starts of the current label and of the last one that is not empty
	j := i
	for {
		j = skipLong(b, j, len(b), cLabel)
		c := at(b, j)
		if c != '.' && c != '-' {
			break
		}
		if j == label || c == '.' && at(b, j-1) == '-' {
			return -1
		}
		if j++; c == '.' {
			last, label = label, j
		}
	}
	if label < j {
		last = label
	}
	if j == i || at(b, j-1) == '-' || at(b, last)-'0' <= 9 {
		return -1
	}
	return j
}

// parseIPv6 returns the index after the IPv6reference at raw[i], or -1.
func parseIPv6(raw []byte, i, end int) int {
	j := i + 1
	for j < end && (is(raw[j], cHex) || raw[j] == ':' || raw[j] == '.') {
		j++
	}
	if j == end || raw[j] != ']' || !isIPv6(raw[i+1:j]) {
		return -1
	}
	return j + 1
}

// parseIPv4 returns the index after four decimal numbers up to 255 without leading zeros at raw[i], or -1.
func parseIPv4(raw []byte, i, end int) int {
	b := raw[:end]
	n := 0
	if i >= 0 && i <= len(b)-16 {
		n = ipv4Length((*[16]byte)(b[i : i+16]))
	} else {
		var last [16]byte
		copy(last[:], b[i:])
		n = ipv4Length(&last)
	}
	if n < 0 {
		return -1
	}
	return i + n
}

// ipv4Length returns the length of the IPv4 address that p begins with, which has 15 bytes at most, or -1.
func ipv4Length(p *[16]byte) int {
	k := uint(0)
	for dots := 0; k <= 12; dots++ {
		x, y, z := p[k]-'0', p[k+1]-'0', p[k+2]-'0'
		switch {
		case x > 9:
			return -1
		case y > 9:
			k++
		case x == 0:
			return -1
		case z > 9:
			k += 2
		case p[k+3]-'0' <= 9 || uint(x)*100+uint(y)*10+uint(z) > 255:
			return -1
		default:
			k += 3
		}
		if dots == 3 {
			return int(k)
		}
		if p[k] != '.' {
			return -1
		}
		k++
	}
	return -1
}

func isIPv4(b []byte) bool { return parseIPv4(b, 0, len(b)) == len(b) }

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
