package sip

// Error says why a message is refused. It is a value, not an allocation.
type Error uint8

// Defects are oddities of a message that parses: what checks feed on.
type Defects uint32

// Error describes e for an operator.
func (e Error) Error() string { panic("unbuilt") }

// ID is the stable reason id, "malformed.content_length".
func (e Error) ID() string { panic("unbuilt") }

// Status is the reply that suits e where a reply is allowed: 400, or 413, 416, 505 …
func (e Error) Status() int { panic("unbuilt") }

// Framing reports whether e leaves the end of the message in doubt, so that a stream must be closed.
func (e Error) Framing() bool { panic("unbuilt") }
