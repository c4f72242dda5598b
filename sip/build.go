package sip

import "strconv"

// A Header is a field to add to a message that is built here.
type Header struct {
	Name  string
	Value []byte
}

// AppendReply appends a response of our own to request m (RFC 3261 §8.2.6): all Vias, From, To (with toTag if m has none
// and toTag is not empty), Call-ID, CSeq, extra, Content-Length: 0. vias, if not nil, is written instead of m's own Via lines
// (whole lines with CRLF). reason "" means the phrase of RFC 3261 §21 for status. Nothing is appended unless m has them all, valid.
// m may also be a response to the same request, which has the same fields: so a proxy makes its own 100 out of another's.
func AppendReply(dst []byte, m *Message, vias []byte, status int, reason string, toTag []byte, extra ...Header) []byte {
	if !m.reply {
		return dst
	}
	if reason == "" {
		reason = StatusText(status)
	}
	dst = append(dst, "SIP/2.0 "...)
	dst = append(strconv.AppendInt(dst, int64(status), 10), ' ')
	dst = append(append(dst, reason...), '\r', '\n')
	if vias != nil {
		dst = append(dst, vias...)
	} else {
		dst = m.appendAll(dst, FieldVia)
	}
	if m.ToTag.Present() {
		toTag = nil
	}
	if at, ok := m.parties(); ok && len(toTag) == 0 {
		dst = append(dst, at.Of(m.Raw)...)
	} else {
		dst = m.appendParties(dst, toTag)
	}
	for i := range extra {
		dst = appendLine(dst, extra[i].Name, extra[i].Value)
	}
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// appendParties appends From, To with toTag if there is one, Call-ID and CSeq.
func (m *Message) appendParties(dst, toTag []byte) []byte {
	dst = m.appendAll(m.appendAll(dst, FieldFrom), FieldTo)
	if len(toTag) > 0 {
		dst = append(append(dst[:len(dst)-2], ";tag="...), toTag...)
		dst = append(dst, '\r', '\n')
	}
	return m.appendAll(m.appendAll(dst, FieldCallID), FieldCSeq)
}

// parties is where appendParties' lines stand as it writes them, one after the other: there they are as a rule.
func (m *Message) parties() (at Span, ok bool) {
	first := m.Find(FieldFrom)
	if first < 0 || first+4 > len(m.Fields) || m.again&(1<<FieldFrom|1<<FieldTo|1<<FieldCallID|1<<FieldCSeq) != 0 {
		return at, false
	}
	four := m.Fields[first : first+4]
	at = Span{four[0].Line.Start, four[0].Line.Start}
	for i, id := range [...]FieldID{FieldFrom, FieldTo, FieldCallID, FieldCSeq} {
		f := &four[i]
		if f.ID != id || !f.Canonical || f.Line.Start != at.End {
			return at, false
		}
		at.End = f.Line.End
	}
	return at, true
}

// AppendACK appends the ACK for a final response of 300 and more to INVITE (RFC 3261 §17.1.1.3): sent is the INVITE as we
// sent it, to is the To value of the response. The Route set is that of sent.
func AppendACK(dst []byte, sent *Message, to []byte) []byte {
	dst = appendHop(dst, sent, "ACK")
	dst = appendLine(dst, "To", to)
	return appendRest(dst, sent, "ACK")
}

// AppendCANCEL appends the CANCEL of a request as we sent it (RFC 3261 §9.1): its Request-URI, topmost Via, From, To,
// Call-ID, CSeq number and Route set.
func AppendCANCEL(dst []byte, sent *Message) []byte {
	dst = appendHop(dst, sent, "CANCEL")
	dst = sent.appendAll(dst, FieldTo)
	return appendRest(dst, sent, "CANCEL")
}

// appendHop appends the request line, the topmost Via, Max-Forwards, Route and From of a request that follows sent.
func appendHop(dst []byte, sent *Message, method string) []byte {
	dst = append(append(dst, method...), ' ')
	dst = append(append(dst, sent.RequestURI.Of(sent.Raw)...), " SIP/2.0\r\n"...)
	dst = appendLine(dst, "Via", sent.Via.Whole.Of(sent.Raw))
	dst = append(dst, "Max-Forwards: 70\r\n"...)
	dst = sent.appendAll(dst, FieldRoute)
	return sent.appendAll(dst, FieldFrom)
}

// appendRest appends what follows To.
func appendRest(dst []byte, sent *Message, method string) []byte {
	dst = sent.appendAll(dst, FieldCallID)
	dst = append(dst, "CSeq: "...)
	dst = append(strconv.AppendUint(dst, uint64(sent.CSeq.Number), 10), ' ')
	dst = append(append(dst, method...), '\r', '\n')
	return append(dst, "Content-Length: 0\r\n\r\n"...)
}

// StatusText is the reason phrase of RFC 3261 §21, or of the RFC that registered status; "" if it has none.
func StatusText(status int) string {
	if status < 100 || status > 699 {
		return ""
	}
	return statusText[status-100]
}

var statusText = [600]string{
	0:   "Trying",
	80:  "Ringing",
	81:  "Call Is Being Forwarded",
	82:  "Queued",
	83:  "Session Progress",
	99:  "Early Dialog Terminated",
	100: "OK",
	102: "Accepted",
	104: "No Notification",
	200: "Multiple Choices",
	201: "Moved Permanently",
	202: "Moved Temporarily",
	205: "Use Proxy",
	280: "Alternative Service",
	300: "Bad Request",
	301: "Unauthorized",
	302: "Payment Required",
	303: "Forbidden",
	304: "Not Found",
	305: "Method Not Allowed",
	306: "Not Acceptable",
	307: "Proxy Authentication Required",
	308: "Request Timeout",
	310: "Gone",
	312: "Conditional Request Failed",
	313: "Request Entity Too Large",
	314: "Request-URI Too Long",
	315: "Unsupported Media Type",
	316: "Unsupported URI Scheme",
	317: "Unknown Resource-Priority",
	320: "Bad Extension",
	321: "Extension Required",
	322: "Session Interval Too Small",
	323: "Interval Too Brief",
	328: "Use Identity Header",
	329: "Provide Referrer Identity",
	330: "Flow Failed",
	333: "Anonymity Disallowed",
	336: "Bad Identity-Info",
	337: "Unsupported Credential",
	338: "Invalid Identity Header",
	339: "First Hop Lacks Outbound Support",
	340: "Max-Breadth Exceeded",
	369: "Bad Info Package",
	370: "Consent Needed",
	380: "Temporarily Unavailable",
	381: "Call/Transaction Does Not Exist",
	382: "Loop Detected",
	383: "Too Many Hops",
	384: "Address Incomplete",
	385: "Ambiguous",
	386: "Busy Here",
	387: "Request Terminated",
	388: "Not Acceptable Here",
	389: "Bad Event",
	391: "Request Pending",
	393: "Undecipherable",
	394: "Security Agreement Required",
	400: "Server Internal Error",
	401: "Not Implemented",
	402: "Bad Gateway",
	403: "Service Unavailable",
	404: "Server Time-out",
	405: "Version Not Supported",
	413: "Message Too Large",
	480: "Precondition Failure",
	500: "Busy Everywhere",
	503: "Decline",
	504: "Does Not Exist Anywhere",
	506: "Not Acceptable",
	507: "Unwanted",
	508: "Rejected",
}
