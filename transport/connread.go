package transport

import (
	"errors"
	"io"
	"time"

	"github.com/ringwall/ringwall/sip"
)

// pong answers a ping (RFC 5626 §3.5.1).
var pong = []byte("\r\n")

// A streamReader cuts what a connection brings into messages. Its buffer grows with what has arrived, never with what a
// Content-Length promises.
type streamReader struct {
	c      *conn
	framer framer
	small  *[]byte   // of firstBuffer bytes
	large  *[]byte   // nil: small will do
	buf    []byte    // one of them
	r, w   int       // buf[r:w] is not handled yet
	began  time.Time // when the connection was made
	since  time.Time // when buf[r] arrived
	proven bool      // one whole message has come, or we dialled, or the source is exempt
	spoken bool      // one whole message has come
}

// A framer cuts the bytes of a connection into messages.
type framer interface {
	// next looks at the bytes b that are not consumed yet and returns what stands at their beginning: a message is b[:size], and the
	// next call gets b[n:]. It may write into b. After an error, b[:size] is what is wrong, all of b if size is 0.
	next(b []byte) (kind sip.Frame, size, n int, err error)
	// pack moves the bytes b that are not consumed together and returns how many they are now.
	pack(b []byte) int
	// answer appends what the bytes looked at since the last call want as an answer of the framing itself.
	answer(dst []byte) []byte
}

// plain is the framing of TCP and TLS: messages by their Content-Length (RFC 3261 §18.3).
type plain struct{ sip.Framer }

func (p *plain) next(b []byte) (kind sip.Frame, size, n int, err error) {
	kind, n, err = p.Next(b)
	return kind, n, n, err
}

func (p *plain) pack(b []byte) int { return len(b) }

func (p *plain) answer(dst []byte) []byte { return dst }

func (c *conn) newFramer() framer {
	if c.flow.Transport.WebSocket() {
		return &webSocket{max: c.server.cfg.MaxMessage}
	}
	return &plain{sip.Framer{Max: c.server.cfg.MaxMessage}}
}

// read reads an open connection, from rest on, and returns when it is closed.
func (c *conn) read(rest []byte) {
	rd := &streamReader{c: c, framer: c.newFramer(), proven: c.dialed}
	rd.small = takeBuffer(firstBuffer)
	rd.buf = *rd.small
	err := rd.run(rest)
	rd.shrink()
	giveBuffer(rd.small)
	if alerted(err) && !rd.spoken {
		c.distrust(err)
	}
	if refusedFrame(err) {
		c.server.count.refusedFrames.Add(1)
		c.drain()
		c.goodbye(closeCode(err))
		c.linger()
	} else if errors.Is(err, io.EOF) || errors.Is(err, errClosedByPeer) || c.server.ctx.Err() != nil {
		c.drain()
		c.goodbye(closeNormal)
		c.farewell()
	}
	c.close(err)
}

// A doubt is an error of a message that was framed and handled, answer and all, but leaves the framing in doubt.
type doubt struct{ error }

// refusedFrame reports whether err says that the frames are in doubt.
func refusedFrame(err error) bool {
	switch err.(type) {
	case sip.Error, frameError, doubt:
		return true
	}
	return false
}

// run reads until an error: io.EOF, a deadline, or one that refusedFrame knows.
func (rd *streamReader) run(rest []byte) error {
	rd.began = time.Now()
	rd.c.active.Store(rd.began.UnixNano())
	if n := copy(rd.buf, rest); n > 0 { // what came with the handshake
		if err := rd.arrived(n, rd.began); err != nil {
			return err
		}
	}
	for {
		if err := rd.setDeadline(); err != nil {
			return err
		}
		n, err := rd.c.nc.Read(rd.buf[rd.w:])
		at := time.Now()
		if n > 0 {
			rd.c.active.Store(at.UnixNano())
			if ferr := rd.arrived(n, at); ferr != nil {
				return ferr
			}
		}
		if err != nil && !(isTimeout(err) && rd.patient(at)) {
			return err
		}
	}
}

// setDeadline gives the next read its time: until ReadTimeout after the first byte of a message that has begun, or of a
// connection that has not said anything yet, else until the connection has been idle for IdleTimeout.
func (rd *streamReader) setDeadline() error {
	cfg := &rd.c.server.cfg
	deadline := time.Unix(0, rd.c.active.Load()).Add(cfg.IdleTimeout)
	switch {
	case !rd.proven:
		deadline = rd.began.Add(cfg.ReadTimeout)
	case rd.w > rd.r:
		deadline = rd.since.Add(cfg.ReadTimeout)
	}
	_ = rd.c.nc.SetReadDeadline(deadline)
	return rd.c.server.ctx.Err() // Close has set a deadline of its own just before
}

// patient reports whether a passed deadline is no reason to close: something was written meanwhile, or the source is exempt
// from having to speak first.
func (rd *streamReader) patient(at time.Time) bool {
	s := rd.c.server
	if s.ctx.Err() != nil {
		return false
	}
	idle := at.Sub(time.Unix(0, rd.c.active.Load()))
	switch {
	case !rd.proven && rd.w == rd.r && s.exempt(rd.c.flow.Remote.Addr()):
		rd.proven = true
		return true
	case !rd.proven || rd.w > rd.r:
		s.count.readTimeouts.Add(1)
		return false
	case idle < s.cfg.IdleTimeout:
		return true
	case rd.spoken && s.exempt(rd.c.flow.Remote.Addr()): // a registered phone is called over the connection that it keeps
		rd.c.active.Store(at.UnixNano())
		return true
	}
	s.count.idleTimeouts.Add(1)
	return false
}

// arrived handles the frames that are complete with the n bytes just read, then makes room for the next.
func (rd *streamReader) arrived(n int, at time.Time) error {
	if rd.w == rd.r {
		rd.since = at
	}
	rd.w += n
	if err := rd.seated(at); err != nil {
		return err
	}
	return rd.makeRoom()
}

// seated handles the frames that are complete. Should it panic, that costs this connection and no seat: all connections share them.
func (rd *streamReader) seated(at time.Time) error {
	seat := <-rd.c.server.seats
	defer func() { rd.c.server.seats <- seat }()
	err := rd.frames(seat, at)
	if _, ok := err.(sip.Error); ok {
		rd.refuse(seat, err, at)
	}
	rd.c.control(rd.framer.answer(nil))
	seat.out.Flush()
	return err
}

// frames hands every complete message to the lane. All pings of one read get one pong.
func (rd *streamReader) frames(seat *seat, at time.Time) error {
	s := rd.c.server
	pinged := false
	for rd.r < rd.w {
		kind, size, n, err := rd.framer.next(rd.buf[rd.r:rd.w])
		if err != nil {
			if size > 0 {
				rd.w = rd.r + size
			}
			return err
		}
		switch kind {
		case sip.FrameMore:
			return rd.pong(seat, pinged)
		case sip.FrameMessage:
			s.count.messagesIn.Add(1)
			rd.proven = true
			if !rd.spoken {
				rd.spoken = true
				rd.c.trusted()
				s.conns.spoke(rd.c)
			}
			if err := s.receive(seat.lane, rd.buf[rd.r:rd.r+size:rd.r+size], rd.c.flow, at); err != nil {
				return doubt{err}
			}
		case sip.FramePing:
			pinged = true
			s.count.keepalives.Add(1)
		case sip.FrameCRLF:
			s.count.keepalives.Add(1)
		}
		rd.r += n
		rd.since = at
	}
	return rd.pong(seat, pinged)
}

func (rd *streamReader) pong(seat *seat, pinged bool) error {
	if pinged {
		_ = seat.out.Send(pong, rd.c.flow) // a connection that is closing gets none
	}
	return nil
}

// refuse lets the lane answer bytes that cannot be framed. Nothing after them is read.
func (rd *streamReader) refuse(seat *seat, err error, at time.Time) {
	defer rd.c.server.recovered(at)
	seat.lane.Refused(rd.buf[rd.r:rd.w:rd.w], rd.c.flow, err, at)
}

// makeRoom moves what is left to the front of the buffer, and makes a full one larger.
func (rd *streamReader) makeRoom() error {
	rd.w = rd.r + rd.framer.pack(rd.buf[rd.r:rd.w])
	if rd.r == rd.w {
		rd.r, rd.w = 0, 0
		rd.shrink()
		return nil
	}
	rd.w = copy(rd.buf, rd.buf[rd.r:rd.w])
	rd.r = 0
	if rd.w < len(rd.buf) {
		return nil
	}
	size := min(2*len(rd.buf), rd.c.server.cfg.MaxMessage+firstBuffer)
	if !rd.c.server.mayHold(rd.c, size) {
		return errReading
	}
	larger := takeBuffer(size)
	copy(*larger, rd.buf)
	if rd.large != nil {
		giveBuffer(rd.large)
	}
	rd.large, rd.buf = larger, *larger
	return nil
}

// shrink goes back to the small buffer.
func (rd *streamReader) shrink() {
	if rd.large == nil {
		return
	}
	giveBuffer(rd.large)
	rd.large, rd.buf = nil, *rd.small
	rd.c.server.conns.hold(rd.c, 0, rd.c.server.cfg.ReadBytes)
}

// farewell tells a far end that knows the difference that this is an end and no break.
func (c *conn) farewell() {
	_ = c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	_ = c.nc.CloseWrite()
}

// linger reads on a little after the last write, so that what was written is not lost to a reset, and gives up soon.
func (c *conn) linger() {
	c.farewell()
	_ = c.tcp.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.tcp, lingerBytes)
}
