package sip

// A Header is a field to add to a message that is built here.
type Header struct {
	Name  string
	Value []byte
}

// AppendReply appends a response of our own to request m (RFC 3261 §8.2.6): all Vias, From, To (with toTag if m has none
// and toTag is not empty), Call-ID, CSeq, extra, Content-Length: 0. vias, if not nil, is written instead of m's own Via lines
// (whole lines with CRLF). reason "" means the phrase of RFC 3261 §21 for status.
func AppendReply(dst []byte, m *Message, vias []byte, status int, reason string, toTag []byte, extra ...Header) []byte {
	panic("unbuilt")
}

// AppendACK appends the ACK for a final response of 300 and more to INVITE (RFC 3261 §17.1.1.3): sent is the INVITE as we
// sent it, to is the To value of the response.
func AppendACK(dst []byte, sent *Message, to []byte) []byte { panic("unbuilt") }

// AppendCANCEL appends the CANCEL of a request as we sent it (RFC 3261 §9.1).
func AppendCANCEL(dst []byte, sent *Message) []byte { panic("unbuilt") }

// StatusText is the reason phrase of RFC 3261 §21 for status, "" if it has none.
func StatusText(status int) string { panic("unbuilt") }
