package sip

// Parse decodes one whole message: a datagram, or what Framer cut out of a stream. b is borrowed until the next Parse.
// datagram: Content-Length may be absent (the body then ends with b) and may be smaller than what follows (the rest is
// cut off); on a stream it must be there and match. The error is of type Error.
func (m *Message) Parse(b []byte, datagram bool) error { panic("unbuilt") }
