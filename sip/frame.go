package sip

// Frame says what Framer found at the start of a stream's bytes.
type Frame uint8

// Frames.
const (
	FrameMore    Frame = iota // not complete yet
	FrameMessage              // one whole message
	FramePing                 // CRLFCRLF, to be answered with CRLF (RFC 5626 §3.5.1)
	FrameCRLF                 // one CRLF: a pong, or what some phones send between messages
)

// A Framer cuts a byte stream into messages (RFC 3261 §18.3). It remembers how far it has looked, so that a message that
// arrives byte by byte costs linear time, and never allocates.
type Framer struct {
	Max int // largest message, bytes
}

// Next looks at the unconsumed bytes b of the stream, always from the start of a frame, and returns the kind and length of
// the frame there. An error (type Error) means the framing is in doubt: close the connection. After consuming the frame,
// call Next with what follows.
func (f *Framer) Next(b []byte) (kind Frame, n int, err error) { panic("unbuilt") }
