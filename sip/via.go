package sip

// A Via is one via-parm (RFC 3261 §20.42), spans into the buffer it was parsed from.
type Via struct {
	Field     int  // index in Message.Fields of the line it stands in
	Whole     Span // the via-parm without the commas around it
	Transport Span // "UDP"
	Host      Span // sent-by host, IPv6 with brackets
	SentBy    Span // host and port as written
	Branch    Span // absent if none
	Received  Span
	RPort     Span // value of rport, absent if none or empty
	MAddr     Span
	Port      uint16
	HasPort   bool
	HasRPort  bool // rport is there, with or without a value (RFC 3581)
	RPortAt   Span // the bytes "rport" or "rport=…" to be replaced when it is filled in
}

// Cookie reports whether the branch starts with the magic cookie z9hG4bK (RFC 3261 §8.1.1.7).
func (v *Via) Cookie(raw []byte) bool { panic("unbuilt") }

// NextVia decodes the via-parm at the start of rest, which lies in raw, and returns what follows its comma
// (absent after the last).
func NextVia(raw []byte, rest Span) (v Via, after Span, err error) { panic("unbuilt") }
