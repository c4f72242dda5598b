package scrub

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// trim cuts field i to what is harmless: Retry-After to its seconds, Reason to registered protocols and causes (RFC 3326), of Alert-Info the URN of a
// ringing pattern (RFC 7462) alone, option tags, event packages and media types to those that are no maker's own, challenges and what follows them to
// what a digest is computed over, and P-Charging-Vector to the names of networks.
func trim(e *sip.Edit, m *sip.Message, i int) {
	f := &m.Fields[i]
	value := f.Value.Of(m.Raw)
	switch f.ID {
	case sip.FieldRetryAfter:
		trimSeconds(e, i, value)
	case sip.FieldSupported, sip.FieldAllowEvents, sip.FieldAccept:
		if plain(value) {
			return
		}
		trimList(e, i, nil, value, ", ", general)
	case sip.FieldWWWAuthenticate, sip.FieldProxyAuthenticate:
		trimChallenge(e, i, value)
	case sip.FieldAuthenticationInfo:
		trimList(e, i, nil, value, ", ", digested)
	default:
		trimOther(e, i, f.Name.Of(m.Raw), value)
	}
}

// trimOther is trim for fields that sip does not know by name.
func trimOther(e *sip.Edit, i int, name, value []byte) {
	switch len(name) {
	case len("Alert-Info"):
		if !bytes.HasPrefix(value, []byte("<urn:alert:")) || bytes.IndexByte(value, '>') != len(value)-1 {
			e.Remove(i)
		}
	case len("Reason"):
		trimReason(e, i, value)
	case len("P-Charging-Vector"):
		trimList(e, i, nil, value, ";", charging)
	default: // Proxy-Authentication-Info
		trimList(e, i, nil, value, ", ", digested)
	}
}

func trimSeconds(e *sip.Edit, i int, value []byte) {
	n := 0
	for n < len(value) && '0' <= value[n] && value[n] <= '9' {
		n++
	}
	switch n {
	case len(value):
	case 0:
		e.Remove(i)
	default:
		e.Replace(i, value[:n])
	}
}

// trimChallenge leaves of a challenge what those of Digest and Bearer consist of: what makers' schemes add names servers. One of a scheme that is
// registered nowhere goes.
func trimChallenge(e *sip.Edit, i int, value []byte) {
	n := bytes.IndexAny(value, " \t")
	switch {
	case n < 0 && !schemes(value), n >= 0 && !schemes(value[:n]):
		e.Remove(i)
	case n >= 0:
		trimList(e, i, value[:n+1], value[n+1:], ", ", asked)
	}
}

// schemes are those of the registry of RFC 7235 §5.1 that telephones may meet, and the one of an older platform.
var schemes = oneOf("digest", "bearer", "basic", "ntlm", "negotiate", "kerberos", "tls-dsk")

// trimList leaves before and those parts of the list after it that keep says yes to, and joins them. A list that loses nothing stays as it
// is; one that loses all goes.
func trimList(e *sip.Edit, i int, before, list []byte, joint string, keep func(part []byte) bool) {
	for rest := list; len(rest) > 0; {
		var part []byte
		if part, rest = cutPart(rest, joint[0]); !keep(bytes.TrimSpace(part)) {
			cutList(e, i, before, list, joint, keep)
			return
		}
	}
}

// plain reports whether list is one of words without dots, slashes and quotes, none of which begins with an x: general says yes to all of them. So it
// is nearly always.
func plain(list []byte) bool {
	within := false // a word
	for _, c := range list {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'w', '0' <= c && c <= '9':
			within = true
		case c == ',' && within:
			within = false
		case c == ' ', within && (c == '-' || c|0x20 <= 'z' && c|0x20 >= 'x'):
		default:
			return false
		}
	}
	return within
}

// cutList is trimList for a list that loses something.
func cutList(e *sip.Edit, i int, before, list []byte, joint string, keep func(part []byte) bool) {
	var room [512]byte
	out := append(room[:0], before...)
	for rest := list; len(rest) > 0; {
		var part []byte
		part, rest = cutPart(rest, joint[0])
		if part = bytes.TrimSpace(part); !keep(part) {
			continue
		}
		if len(out) > len(before) {
			out = append(out, joint...)
		}
		out = append(out, part...)
	}
	if len(out) == len(before) {
		e.Remove(i)
		return
	}
	e.Replace(i, out)
}

// general reports whether an option tag, event package or media type is not one that a maker gave itself: with "x-", in the tree of vendors (RFC 6838
// §3.2), where bodies for standards have theirs, too, or under his domain.
func general(tag []byte) bool {
	kind, subtype, media := bytes.Cut(tag, []byte{'/'})
	if !media {
		name, template, _ := bytes.Cut(kind, []byte{'.'}) // RFC 6665 §7.2
		return len(name) > 0 && !begins(name, "x-") && (len(template) == 0 || begins(template, "winfo"))
	}
	vendor := begins(subtype, "vnd.") && !begins(subtype, "vnd.3gpp.") && !begins(subtype, "vnd.etsi.") && !begins(subtype, "vnd.oma.")
	return len(subtype) > 0 && !vendor && !begins(subtype, "x-") && !begins(subtype, "prs.")
}

// begins reports whether b begins with prefix, in whatever case.
func begins(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && sip.EqualFold(b[:len(prefix)], []byte(prefix))
}

// asked, digested and charging report whether a parameter is one of a challenge (RFC 7616 §3.3, RFC 8898 §4), of what follows the answer to it (§3.5), of
// P-Charging-Vector the names of networks (RFC 7315 §5.6): its other parameters hold addresses of servers.
func asked(param []byte) bool {
	return named(param, "realm", "nonce", "opaque", "stale", "algorithm", "qop", "charset", "userhash", "authz_server", "scope", "error")
}

func digested(param []byte) bool { return named(param, "nextnonce", "qop", "rspauth", "cnonce", "nc") }

func charging(param []byte) bool {
	return named(param, "orig-ioi", "term-ioi") ||
		named(param, "icid-value") && bytes.IndexByte(param, '@') < 0 && bytes.IndexByte(param, '.') < 0
}

// named reports whether the name of a parameter is one of names.
func named(param []byte, names ...string) bool {
	name, _, _ := bytes.Cut(param, []byte{'='})
	name = bytes.TrimSpace(name)
	for _, n := range names {
		if len(n) == len(name) && sip.EqualFold(name, []byte(n)) {
			return true
		}
	}
	return false
}

func trimReason(e *sip.Edit, i int, value []byte) {
	var room [128]byte
	out := room[:0]
	for len(value) > 0 {
		var one []byte
		one, value = cutPart(value, ',')
		protocol, params, _ := bytes.Cut(one, []byte{';'})
		if protocol = bytes.TrimSpace(protocol); !named(protocol, "SIP", "Q.850", "Preemption", "STIR", "RELEASE_CAUSE", "FAILURE_CAUSE") {
			continue
		}
		if len(out) > 0 {
			out = append(out, ", "...)
		}
		out = append(out, protocol...)
		for param := range bytes.SplitSeq(params, []byte{';'}) {
			if param = bytes.TrimSpace(param); len(param) < 16 && len(param) > 6 && sip.EqualFold(param[:6], []byte("cause=")) && number(param[6:]) {
				out = append(append(out, ';'), param...)
			}
		}
		if len(out) > 96 {
			break
		}
	}
	if len(out) == 0 {
		e.Remove(i)
		return
	}
	e.Replace(i, out)
}

// cutPart cuts the first part of a list off, whose quoted strings may hold separators.
func cutPart(list []byte, separator byte) (one, rest []byte) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, nil
}

func number(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
