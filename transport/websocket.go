package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/ringwall/ringwall/sip"
)

// The server's half of RFC 6455 as RFC 7118 needs it: no extensions, no client. It works in the buffers that a connection has
// anyway, and answers each violation with the close code that the RFC gives it (docs/adr/0003-own-websocket-frames.md).

// Opcodes (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Close codes (RFC 6455 §7.4.1).
const (
	closeNormal   = 1000
	closeProtocol = 1002
	closeNotUTF8  = 1007
	closeTooBig   = 1009
)

// maxControl is the largest payload of a control frame (RFC 6455 §5.5).
const maxControl = 125

// A frameError is a violation of RFC 6455, with the close code that answers it.
type frameError struct {
	code int
	why  string
}

// Error says what was wrong with the frame, and the code to close with.
func (e frameError) Error() string { return fmt.Sprintf("WebSocket: %s (%d)", e.why, e.code) }

// errClosedByPeer: the far end has sent a close frame.
var errClosedByPeer = errors.New("the far end closed the WebSocket connection")

// closeCode is what a connection that ends by err is closed with.
func closeCode(err error) int {
	if e, ok := errors.AsType[frameError](err); ok {
		return e.code
	}
	if err == sip.ErrTooLarge {
		return closeTooBig
	}
	return closeProtocol
}

// A webSocket is the framing of one connection. Frames are unmasked and put together in place: of the bytes that next is
// given the first `have` are the message so far, those from `at` on have not been looked at.
type webSocket struct {
	max    int  // largest message, bytes
	open   bool // a message has begun
	text   bool // it is text
	final  bool // the frame at hand is the last of its message
	have   int  // bytes of the message that are there
	at     int  // where the bytes begin that are not decoded
	left   int  // bytes of the frame's payload that have not come yet
	mask   [4]byte
	masked int    // bytes of the payload unmasked so far
	ping   []byte // payload of the last ping that has no pong yet
	pinged bool
}

// A frameHeader is a decoded one.
type frameHeader struct {
	op    byte
	final bool
	size  int
	mask  [4]byte
	bytes int // its own length
}

// next implements framer.
func (ws *webSocket) next(b []byte) (kind sip.Frame, size, n int, err error) {
	for {
		ws.unmask(b)
		if ws.open && ws.left == 0 && ws.final {
			return ws.message(b)
		}
		if ws.left > 0 {
			return sip.FrameMore, 0, 0, nil
		}
		h, ok, err := readHeader(b[ws.at:])
		if err != nil || !ok {
			return sip.FrameMore, 0, 0, err
		}
		if h.op >= opClose {
			if ok, err = ws.controlFrame(b[ws.at:], h); err != nil || !ok {
				return sip.FrameMore, 0, 0, err
			}
			continue
		}
		if err := ws.begin(h); err != nil {
			return sip.FrameMore, 0, 0, err
		}
	}
}

// begin takes the header of a data frame.
func (ws *webSocket) begin(h frameHeader) error {
	switch {
	case ws.open != (h.op == opContinuation):
		return frameError{closeProtocol, "a message begins within another, or goes on without a beginning"}
	case h.size > ws.max-ws.have:
		return frameError{closeTooBig, "the message is larger than allowed"}
	}
	if h.op != opContinuation {
		ws.open, ws.text = true, h.op == opText
	}
	ws.final, ws.left, ws.mask, ws.masked = h.final, h.size, h.mask, 0
	ws.at += h.bytes
	return nil
}

// unmask decodes what has come of the frame's payload and puts it behind the message so far.
func (ws *webSocket) unmask(b []byte) {
	k := min(ws.left, len(b)-ws.at)
	for i := range k {
		b[ws.have+i] = b[ws.at+i] ^ ws.mask[(ws.masked+i)&3]
	}
	ws.have, ws.at, ws.left, ws.masked = ws.have+k, ws.at+k, ws.left-k, ws.masked+k
}

// message returns the message that is complete. One WebSocket message is one SIP message (RFC 7118 §4.1) or a keep-alive (§6):
// a Content-Length may be absent, but one that is there must fit.
func (ws *webSocket) message(b []byte) (kind sip.Frame, size, n int, err error) {
	m, n, text := b[:ws.have], ws.at, ws.text
	*ws = webSocket{max: ws.max, ping: ws.ping, pinged: ws.pinged}
	switch {
	case text && !utf8.Valid(m):
		return sip.FrameMore, len(m), 0, frameError{closeNotUTF8, "a text message that is not UTF-8"}
	case string(m) == "\r\n\r\n":
		return sip.FramePing, len(m), n, nil
	case len(m) == 0, string(m) == "\r\n":
		return sip.FrameCRLF, len(m), n, nil
	}
	framed := sip.Framer{Max: ws.max}
	kind, size, err = framed.Next(m)
	switch {
	case err == sip.ErrContentLengthMissing:
	case err != nil:
		return sip.FrameMore, len(m), 0, err
	case kind != sip.FrameMessage || size != len(m):
		return sip.FrameMore, len(m), 0, sip.ErrContentLength
	}
	return sip.FrameMessage, len(m), n, nil
}

// readHeader decodes the header of a frame; false if it has not come whole.
func readHeader(b []byte) (h frameHeader, ok bool, err error) {
	if len(b) < 2 {
		return h, false, nil
	}
	h.final, h.op = b[0]&0x80 != 0, b[0]&0xF
	switch {
	case b[0]&0x70 != 0:
		return h, false, frameError{closeProtocol, "reserved bits are set"}
	case h.op > opBinary && h.op < opClose || h.op > opPong:
		return h, false, frameError{closeProtocol, "an unknown opcode"}
	case b[1]&0x80 == 0:
		return h, false, frameError{closeProtocol, "a frame without mask"}
	}
	h.size, h.bytes = int(b[1]&0x7F), 2
	if h.op >= opClose && (!h.final || h.size > maxControl) {
		return h, false, frameError{closeProtocol, "a control frame in parts, or too long"}
	}
	if extra := map[int]int{126: 2, 127: 8}[h.size]; extra > 0 {
		if len(b) < 2+extra {
			return h, false, nil
		}
		var wide [8]byte
		copy(wide[8-extra:], b[2:2+extra])
		size := binary.BigEndian.Uint64(wide[:])
		if size > 1<<31 {
			return h, false, frameError{closeTooBig, "the frame is larger than allowed"}
		}
		h.size, h.bytes = int(size), 2+extra
	}
	if len(b) < h.bytes+4 {
		return h, false, nil
	}
	copy(h.mask[:], b[h.bytes:])
	h.bytes += 4
	return h, true, nil
}

// controlFrame takes the control frame at the beginning of b, if it has come whole.
func (ws *webSocket) controlFrame(b []byte, h frameHeader) (whole bool, err error) {
	if len(b) < h.bytes+h.size {
		return false, nil
	}
	ws.at += h.bytes + h.size
	switch h.op {
	case opClose:
		return false, errClosedByPeer
	case opPing: // of several the last is answered (RFC 6455 §5.5.3)
		ws.ping, ws.pinged = ws.ping[:0], true
		for i, c := range b[h.bytes : h.bytes+h.size] {
			ws.ping = append(ws.ping, c^h.mask[i&3])
		}
	}
	return true, nil
}

// pack implements framer: what has not been looked at moves up to the message so far.
func (ws *webSocket) pack(b []byte) int {
	n := copy(b[ws.have:], b[ws.at:])
	ws.at = ws.have
	return ws.have + n
}

// answer implements framer: the pong.
func (ws *webSocket) answer(dst []byte) []byte {
	if !ws.pinged {
		return dst
	}
	ws.pinged = false
	return append(append(dst, 0x80|opPong, byte(len(ws.ping))), ws.ping...)
}

// appendMessageHeader appends the header of a frame that holds the message m: text if it can be.
func appendMessageHeader(dst, m []byte) []byte {
	op := byte(opText)
	if !utf8.Valid(m) {
		op = opBinary
	}
	dst = append(dst, 0x80|op)
	switch n := len(m); {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}

// payload is the message in what was queued for it, empty for a control frame.
func (c *conn) payload(queued []byte) []byte {
	switch {
	case !c.flow.Transport.WebSocket():
		return queued
	case queued[0]&0xF >= opClose:
		return nil
	}
	switch queued[1] {
	case 126:
		return queued[4:]
	case 127:
		return queued[10:]
	}
	return queued[2:]
}

// control queues a frame of the framing itself.
func (c *conn) control(frame []byte) {
	if len(frame) == 0 {
		return
	}
	_, none := c.server.share(c, len(frame))
	c.mu.Lock()
	full := none || len(c.pending.ends) >= queueMessages || len(c.pending.bytes)+c.flying+len(frame) > c.limit
	if c.state == open && !full {
		c.server.queued.Add(int64(len(frame)))
		c.pending.bytes = append(c.pending.bytes, frame...)
		c.pending.ends = append(c.pending.ends, len(c.pending.bytes))
	}
	c.mu.Unlock()
	c.kick()
}

// goodbye sends the close frame of a WebSocket connection, which has been drained.
func (c *conn) goodbye(code int) {
	if !c.flow.Transport.WebSocket() {
		return
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	_, _ = c.nc.Write(binary.BigEndian.AppendUint16([]byte{0x80 | opClose, 2}, uint16(code)))
}
