package sdp

import "bytes"

// staticTypes are the payload types whose codec and clock are known by their number (RFC 3551 §6), as far as phones use them, as a=rtpmap writes them.
var staticTypes = [...]string{"0 PCMU/8000", "3 GSM/8000", "4 G723/8000", "8 PCMA/8000", "9 G722/8000", "13 CN/8000", "15 G728/8000", "18 G729/8000"}

const rtpmap = "rtpmap:"

// needless reports whether the attribute text of s says only what holds without it, and is not said by like, which s was made from.
func (s *Session) needless(text, like []byte) bool {
	if is(text, directionNames[SendRecv]) {
		return s.top.Direction == SendRecv && !says(like, text)
	}
	if !bytes.HasPrefix(text, []byte(rtpmap)) {
		return false
	}
	for _, t := range staticTypes {
		if is(text[len(rtpmap):], t) {
			return !says(like, text[:bytes.IndexByte(text, ' ')+1])
		}
	}
	return false
}

// says reports whether an attribute of description begins with text.
func says(description, text []byte) bool {
	for rest := description; ; {
		i := bytes.Index(rest, text)
		if i < 0 {
			return false
		}
		if bytes.HasSuffix(rest[:i], []byte("a=")) {
			return true
		}
		rest = rest[i+len(text):]
	}
}
