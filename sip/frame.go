package sip

import (
	"bytes"
	"cmp"
)

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
//
// A lone CRLF at the end of b is FrameMore until the next bytes tell whether it is the first half of a ping.
type Framer struct {
	Max int // largest message, bytes; 0 means MaxBody

	seen   int // bytes looked at
	line   int // where the line that is being looked at begins
	length int // Content-Length + 1, 0 if none yet
	total  int // size of the message, once its header is complete
	inCL   bool
}

// Next looks at the unconsumed bytes b of the stream, always from the start of a frame, and returns the kind and length of
// the frame there. An error (type Error) means the framing is in doubt: close the connection. After consuming the frame,
// call Next with what follows. After an error b may still be given to Message.Parse, to answer the request before closing.
func (f *Framer) Next(b []byte) (kind Frame, n int, err error) {
	if f.seen == 0 && len(b) > 0 && b[0] == '\r' {
		return crlf(b)
	}
	if f.total == 0 {
		if e := f.header(b); e != errNone {
			return FrameMore, 0, e
		}
	}
	if f.total == 0 || len(b) < f.total {
		return FrameMore, 0, nil
	}
	n = f.total
	*f = Framer{Max: f.Max}
	return FrameMessage, n, nil
}

// crlf tells a ping from a single CRLF.
func crlf(b []byte) (Frame, int, error) {
	const ping = "\r\n\r\n"
	k := min(len(b), len(ping))
	switch {
	case string(b[:k]) == ping:
		return FramePing, len(ping), nil
	case string(b[:k]) == ping[:k]:
		return FrameMore, 0, nil
	case k >= 2 && b[1] == '\n':
		return FrameCRLF, 2, nil
	}
	return FrameMore, 0, ErrBareCR
}

// header looks for the end of the header among the bytes not yet seen and sets total when it is there.
func (f *Framer) header(b []byte) Error {
	for f.total == 0 {
		k := bytes.IndexByte(b[f.seen:], '\n')
		if k < 0 {
			if f.line == 0 && !startsLikeSIP(b) {
				return ErrStartLine
			}
			f.seen = len(b)
			break
		}
		f.seen += k + 1
		if e := f.endLine(b[f.line:f.seen], f.line == 0); e != errNone {
			return e
		}
		f.line = f.seen
	}
	if limit := cmp.Or(f.Max, MaxBody); f.seen > limit || f.total > limit {
		return ErrTooLarge
	}
	return errNone
}

// endLine looks at one line with its LF.
func (f *Framer) endLine(line []byte, first bool) Error {
	n := len(line)
	if n < 2 || line[n-2] != '\r' {
		return ErrBareLF
	}
	line = line[:n-2]
	switch {
	case first && !isStartLine(line):
		return ErrStartLine
	case first:
		return errNone
	case len(line) == 0:
		return f.endHeader()
	case isBlank(line[0]):
		if f.inCL { // a folded Content-Length could be read in two ways
			return ErrContentLength
		}
		return errNone
	}
	return f.contentLength(line)
}

// endHeader knows the size of the message, or that it cannot be known.
func (f *Framer) endHeader() Error {
	if f.length == 0 {
		return ErrContentLengthMissing
	}
	f.total = f.seen + f.length - 1
	return errNone
}

// contentLength decodes line if it is a Content-Length.
func (f *Framer) contentLength(line []byte) Error {
	f.inCL = false
	if first := line[0] | 0x20; first != 'c' && first != 'l' {
		return errNone
	}
	c := bytes.IndexByte(line, ':')
	if c < 0 || FieldOf(bytes.TrimRight(line[:c], " \t")) != FieldContentLength {
		return errNone // Parse refuses a line without a colon
	}
	f.inCL = true
	n, e := contentLength(bytes.Trim(line[c+1:], " \t"))
	switch {
	case e != errNone:
		return e
	case f.length != 0 && f.length != int(n)+1:
		return ErrContentLengthDiffers
	}
	f.length = int(n) + 1
	return errNone
}

// isStartLine reports whether line could be a request line or status line of any version of SIP.
func isStartLine(line []byte) bool {
	if bytes.HasPrefix(line, []byte("SIP/")) {
		return true
	}
	return startsLikeSIP(line) && bytes.Contains(line, []byte(" SIP/"))
}

// startsLikeSIP reports whether b can be the beginning of a message: "SIP/", or a method and SP.
func startsLikeSIP(b []byte) bool {
	const reply = "SIP/"
	if k := min(len(b), len(reply)); string(b[:k]) == reply[:k] {
		return true
	}
	k := skip(b, 0, min(len(b), MaxMethod+1), cToken)
	return k <= MaxMethod && (k == len(b) || k > 0 && b[k] == ' ')
}
