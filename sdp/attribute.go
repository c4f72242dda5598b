package sdp

import (
	"bytes"
	"net/netip"
	"unicode/utf8"
)

// An attribute is what a= lines of one name mean to us.
type attribute uint8

const (
	attrUnknown    attribute = iota // passes if it names no address
	attrPlain                       // known to name no address: passes
	attrText                        // holds words of its writer: passes if it names no address
	attrGone                        // names addresses, people or other descriptions: never passes
	attrICE                         // belongs to ICE: never passes
	attrLite                        // a=ice-lite
	attrUfrag                       // a=ice-ufrag
	attrPwd                         // a=ice-pwd
	attrCandidate                   // a=candidate
	attrDirection                   // sendrecv and its like
	attrRTCP                        // a=rtcp
	attrMux                         // a=rtcp-mux
	attrMuxOnly                     // a=rtcp-mux-only
	attrMid                         // a=mid
	attrSetup                       // a=setup
	attrGroup                       // a=group
	attrBundleOnly                  // a=bundle-only
	attrSecure                      // a=crypto, a=fingerprint
	attrCapability                  // a=acap: another attribute in it
)

// attributeOf looks up a name in lower case.
func attributeOf(name string) attribute {
	switch name {
	case "rtpmap", "fmtp", "ptime", "maxptime", "rtcp-fb", "rtcp-rsize", "rtcp-xr", "extmap", "extmap-allow-mixed", "ssrc-group",
		"msid-semantic", "rid", "simulcast", "imageattr", "framerate", "quality", "orient", "content", "lang", "sdplang", "charset",
		"silencesupp", "key-mgmt", "zrtp-hash", "tls-id", "identity", "curr", "des", "conf", "connection", "floorctrl", "confid",
		"floorid", "sctp-port", "sctpmap", "max-message-size", "dcmap", "dcsa", "csup", "creq", "tcap", "pcfg", "acfg", "bfcpver",
		"record", "recordpref", "rtcp-idms", "mediaclk", "type":
		return attrPlain
	case "ssrc", "msid", "label", "userid", "cat", "keywds", "tool-version":
		return attrText
	case "alt", "source-filter", "path", "rtcp-unicast", "nortpproxy", "ccap", "tool", "x-candidate-info", "x-nat", "ts-refclk", "direction-address":
		return attrGone
	case "remote-candidates", "end-of-candidates", "ice-options", "ice-mismatch", "ice-pacing":
		return attrICE
	case "sendrecv", "sendonly", "recvonly", "inactive":
		return attrDirection
	case "candidate":
		return attrCandidate
	case "ice-ufrag":
		return attrUfrag
	case "ice-pwd":
		return attrPwd
	case "ice-lite":
		return attrLite
	case "rtcp":
		return attrRTCP
	case "rtcp-mux":
		return attrMux
	case "rtcp-mux-only":
		return attrMuxOnly
	case "mid":
		return attrMid
	case "setup":
		return attrSetup
	case "group":
		return attrGroup
	case "bundle-only":
		return attrBundleOnly
	case "crypto", "fingerprint":
		return attrSecure
	case "acap":
		return attrCapability
	}
	return attrUnknown
}

// maxName is longer than the name of any attribute that attributeOf knows.
const maxName = 32

// lookUp finds an attribute in any case: names are case-sensitive (RFC 8866 §5.13), but not every reader knows that. odd: it is
// a known one that is not in lower case.
func lookUp(name []byte) (a attribute, odd bool) {
	if a = attributeOf(string(name)); a != attrUnknown || len(name) > maxName {
		return a, false
	}
	var room [maxName]byte
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		room[i] = c
	}
	a = attributeOf(string(room[:len(name)]))
	return a, a != attrUnknown
}

// A keepKind is when a line is written.
type keepKind uint8

const (
	keepPlain     keepKind = 1 << iota // an attribute of a line in use
	keepBandwidth                      // the same of b=, which stands before the attributes
	keepMid                            // an attribute that stays where the media line is refused
	keepBundle                         // an attribute written with Plan.Bundle
	keepDirection                      // the direction of a line in use
)

// A kept is a line that may be written: the bytes of Raw behind "a=" or "b=".
type kept struct {
	from, end uint32
	kind      keepKind
	odd       uint8 // how many bytes of it, its name, must be put into lower case
}

// keep notes the line that was read last for Rewrite; value is all of it behind the "=". Text that some readers would cut into
// lines is not kept.
func (s *Session) keep(at *Media, value []byte, kind keepKind) {
	if s.scan.high && !plainText(value) {
		return
	}
	from := s.scan.at + 2
	s.kept = append(s.kept, kept{from: uint32(from), end: uint32(from + len(value)), kind: kind})
	at.end = len(s.kept)
}

// plainText reports whether b is UTF-8 without what Unicode takes for control characters or line ends.
func plainText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
		b = b[n:]
	}
	return true
}

// attribute reads an a= line (RFC 8866 §5.13) of the session or of a media line.
func (s *Session) attribute(at *Media, line []byte) Error {
	name, value, valued := bytes.Cut(line, []byte{':'})
	if len(name) == 0 {
		return ErrAttribute
	}
	a, odd := lookUp(name)
	before := len(s.kept)
	e := s.known(at, a, line, name, value, valued)
	if odd && e == errNone && len(s.kept) > before {
		s.kept[before].odd = uint8(len(name))
	}
	return e
}

// known does what attribute a asks for.
func (s *Session) known(at *Media, a attribute, line, name, value []byte, valued bool) Error {
	switch a {
	case attrUnknown, attrText:
		if all(name, cToken) && !namesAddress(value) {
			s.keep(at, line, keepPlain)
		}
	case attrPlain:
		s.keep(at, line, keepPlain)
	case attrSecure:
		at.Secure = true
		s.keep(at, line, keepPlain)
	case attrDirection, attrMux, attrMuxOnly, attrBundleOnly, attrLite:
		if valued {
			return ErrAttribute
		}
		return s.flag(at, a, name)
	case attrRTCP:
		return s.rtcp(at, value)
	case attrUfrag:
		return at.credential(&at.Ufrag, value, 4, seenUfrag)
	case attrPwd:
		return at.credential(&at.Pwd, value, 22, seenPwd)
	case attrCandidate:
		s.candidate(at, value)
	case attrMid:
		return s.mid(at, line, value)
	case attrSetup:
		s.keep(at, line, keepPlain)
		return at.once(seenSetup)
	case attrGroup:
		return s.grouping(at, line, value)
	case attrCapability:
		s.capability(at, line, value)
	}
	return errNone
}

// flag reads an attribute without a value. The same one again is left out; another direction at the same level is refused.
func (s *Session) flag(at *Media, a attribute, name []byte) Error {
	bit := uint32(0)
	kind := keepPlain
	switch a {
	case attrDirection:
		d := directionOf(name)
		if at.seen&seenDirection != 0 && at.Direction != d {
			return ErrDuplicate
		}
		bit, kind, at.Direction = seenDirection, keepDirection, d
	case attrLite:
		s.Lite = s.Lite || at == &s.top
		return errNone
	case attrBundleOnly:
		at.BundleOnly, kind = true, keepBundle
	case attrMux:
		bit, at.Mux = seenMux, true
	case attrMuxOnly:
		bit = seenMuxOnly
	}
	if at.seen&bit != 0 || at == &s.top && a != attrDirection {
		return errNone
	}
	at.seen |= bit
	s.keep(at, name, kind)
	return errNone
}

// directionOf reads a direction, which name is, in any case.
func directionOf(name []byte) Direction {
	for d := range Inactive {
		if is(name, directionNames[d]) {
			return d
		}
	}
	return Inactive
}

// rtcp reads a=rtcp (RFC 3605): a port, and maybe an address.
func (s *Session) rtcp(at *Media, value []byte) Error {
	number, rest := word(value)
	p, ok := port(number)
	if !ok {
		return ErrRTCP
	}
	var a netip.Addr
	if len(number) < len(value) {
		kind, rest := word(rest)
		family, where := word(rest)
		if string(kind) != "IN" {
			return ErrRTCP
		}
		if a, ok = address(family, where); !ok {
			return ErrAddress
		}
	}
	if at.seen&seenRTCP != 0 && (at.rtcpPort != p || at.rtcpAddr != a) {
		return ErrDuplicate
	}
	at.seen |= seenRTCP
	at.rtcpPort, at.rtcpAddr = p, a
	return errNone
}

// mid reads a=mid (RFC 5888 §4).
func (s *Session) mid(at *Media, line, value []byte) Error {
	if !all(value, cToken) {
		return ErrAttribute
	}
	if at == &s.top {
		return errNone
	}
	at.Mid = value
	s.keep(at, line, keepMid)
	return at.once(seenMid)
}

// grouping reads a=group (RFC 5888 §5). Of several BUNDLE groups the first counts; with more than one none is written.
func (s *Session) grouping(at *Media, line, value []byte) Error {
	semantics, mids := word(value)
	switch {
	case at != &s.top:
	case !is(semantics, "BUNDLE"):
		s.keep(at, line, keepPlain)
	case at.seen&seenGroup != 0:
		return ErrDuplicate
	default:
		at.seen |= seenGroup
		s.group = mids
		s.keep(at, line, keepBundle)
	}
	return errNone
}

// capability reads a=acap (RFC 5939 §3.4.1), which offers another attribute. Readers ignore a configuration that asks for one
// that is not there.
func (s *Session) capability(at *Media, line, value []byte) {
	_, inner := word(value)
	name, value, _ := bytes.Cut(inner, []byte{':'})
	switch a, _ := lookUp(name); a {
	case attrPlain, attrDirection, attrMux, attrSetup, attrSecure:
		s.keep(at, line, keepPlain)
	case attrUnknown, attrText:
		if all(name, cToken) && !namesAddress(value) {
			s.keep(at, line, keepPlain)
		}
	}
}

// namesAddress reports whether an IP address stands in b.
func namesAddress(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if class[b[i]]&cAddress == 0 {
			continue
		}
		from := i
		for i < len(b) && class[b[i]]&cAddress != 0 {
			i++
		}
		if isAddress(b[from:i]) {
			return true
		}
	}
	return false
}

// isAddress reports whether run, which is made of what addresses are made of, is one, or one with a port behind it.
func isAddress(run []byte) bool {
	run = bytes.TrimRight(bytes.TrimLeft(run, "."), ".")
	if bytes.Count(run, []byte{'.'}) < 3 && bytes.Count(run, []byte{':'}) < 2 {
		return false
	}
	if _, ok := literal(run); ok && len(run) > 2 {
		return true
	}
	for head := run; ; { // 10.0.0.1:5060, or text:10.0.0.1
		i := bytes.LastIndexByte(head, ':')
		if i < 0 {
			return false
		}
		if _, ok := literal(head[i+1:]); ok {
			return true
		}
		head = head[:i]
		if _, ok := literal(head); ok && len(head) > 2 {
			return true
		}
	}
}
