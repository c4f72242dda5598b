package transport

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/edge"
)

const (
	// queueMessages and queueBytes bound what waits to be written to one connection.
	queueMessages = 1024
	queueBytes    = 256 << 10
	// burstFold and burstTime allow for a moment in which much comes for one far end: it, or our own writer, may have to wait for a processor
	// until all of it has come. So many times the bounds may wait while the last turn of the writer is not longer ago.
	burstFold = 16
	burstTime = time.Second
	// keptBuffer is the largest write buffer that an idle connection keeps, bytes.
	keptBuffer = 4 << 10
	// lingerTime and lingerBytes bound the reading on after a refusal, so that the 400 is not lost to a reset.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
	// closeTime is what Close leaves to connections for what they have queued.
	closeTime = time.Second
)

// Why a connection ends, as Undelivered may be told.
var (
	errOverflow = errors.New("connection closed: the far end does not read")
	errClosed   = errors.New("connection closed")
	errPanicked = errors.New("handling the connection panicked")
)

// A connState is where a connection is in its life; it only rises.
type connState uint8

const (
	dialing  connState = iota // dialling, or in a handshake: messages wait
	open                      // messages are written as they come
	draining                  // no more messages; what waits is written
	closed
)

// A conn is one stream connection. One goroutine makes it (handshakes included) and reads it, and another writes while there
// is something to write.
type conn struct {
	server *Server
	flow   edge.Flow
	dialed bool
	limit  int          // of queued bytes
	active atomic.Int64 // when something last came or went, ns
	// identity is that of the server whom we dialled over TLS, once its handshake has begun.
	identity atomic.Pointer[dialled]
	alias    atomic.Pointer[dialKey] // whom requests over this accepted connection reach, too (RFC 5923)
	strange  atomic.Bool             // its certificate is not the one that an alias needs
	removed  bool                    // the table has forgotten it; guarded by the table
	place    place                   // guarded by the table

	mu      sync.Mutex // never held across I/O
	state   connState
	tcp     *net.TCPConn // the socket, once there is one
	nc      stream       // what messages are read from and written to, once open: the socket, or TLS on it
	writing bool         // a writer is at work
	broken  bool         // it was closed, and what that took is told by Broken
	asked   bool         // requests went over it, though the far end opened it: a phone's
	pending writeBuffer
	spare   writeBuffer   // the other half of the double buffer, while nobody writes it
	flying  int           // bytes handed to the writer
	crowded time.Time     // when the queue grew beyond its bounds; zero: it has not since the writer took it last
	ended   sync.Once     // guards drained
	drained chan struct{} // closed when draining and all is written, or cannot be
}

// A stream is a byte stream whose sending half can be closed alone.
type stream interface {
	net.Conn
	CloseWrite() error
}

// A writeBuffer holds whole messages and where each ends, so that those not written can be told.
type writeBuffer struct {
	bytes []byte
	ends  []int
}

func (w *writeBuffer) reset() {
	if cap(w.bytes) > keptBuffer {
		*w = writeBuffer{}
	}
	w.bytes, w.ends = w.bytes[:0], w.ends[:0]
}

func (s *Server) newConn(listener uint16, remote netip.AddrPort, dialed bool) *conn {
	l := &s.listeners[listener]
	f := edge.Flow{Remote: remote, Conn: s.conns.number(), Listener: listener, Transport: l.Transport, Side: l.Side}
	return &conn{server: s, flow: f, dialed: dialed, limit: max(queueBytes, 2*(s.cfg.MaxMessage+headroom)), drained: make(chan struct{})}
}

// dialKey is where others may find c to share it.
func (c *conn) dialKey() dialKey {
	if key := c.alias.Load(); key != nil {
		return *key
	}
	return dialKey{c.flow.Side, c.flow.Transport, c.flow.Remote}
}

// enqueue copies b to the end of the queue. The writer starts with kick. A queue that is full closes an open connection: its
// far end does not read.
func (c *conn) enqueue(b []byte) error {
	s := c.server
	share, none := s.share(c, len(b))
	c.mu.Lock()
	if c.state >= draining {
		c.mu.Unlock()
		return ErrGone
	}
	queued := len(c.pending.bytes) + c.flying
	full := (len(c.pending.ends) >= queueMessages || queued+len(b) > c.limit) && !c.bursts(queued+len(b))
	if full || none || queued > share {
		overflow := c.state == open && (full || queued > share)
		c.mu.Unlock()
		if !full {
			s.count.queuesCrowded.Add(1)
		}
		if overflow {
			c.close(errOverflow)
		}
		return ErrFull
	}
	c.put(b)
	c.mu.Unlock()
	return nil
}

// replyStart is how no request begins.
var replyStart = []byte("SIP/2.0 ")

// put appends b to the queue. c is locked.
func (c *conn) put(b []byte) {
	before := len(c.pending.bytes)
	if c.flow.Transport.WebSocket() {
		c.pending.bytes = appendMessageHeader(c.pending.bytes, b)
	}
	c.pending.bytes = append(c.pending.bytes, b...)
	c.asked = c.asked || !c.dialed && !bytes.HasPrefix(b, replyStart)
	c.pending.ends = append(c.pending.ends, len(c.pending.bytes))
	c.server.queued.Add(int64(len(c.pending.bytes) - before))
}

// offer is enqueue, if c is open and there is room. If not, nothing happens.
func (c *conn) offer(b []byte) bool {
	if share, none := c.server.share(c, len(b)); none || share != math.MaxInt {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open || len(c.pending.ends) >= queueMessages || len(c.pending.bytes)+c.flying+len(b) > c.limit {
		return false
	}
	c.put(b)
	return true
}

// bursts reports whether the queue of an open connection may be larger than its bounds for now, n bytes. c is locked.
func (c *conn) bursts(n int) bool {
	if c.state != open {
		return false
	}
	now := time.Now()
	if c.crowded.IsZero() {
		c.crowded = now
	}
	return len(c.pending.ends) < burstFold*queueMessages && n <= burstFold*c.limit && now.Sub(c.crowded) < burstTime
}

// share is how much a connection may have queued, bytes, when more are to be queued and much is already on all of them: none says
// that nothing can be. Beyond half of Config.QueueBytes a far end that holds more than an equal part of that half, and reads too
// slowly, loses its connection; the platform and those we dialled never do.
func (s *Server) share(c *conn, more int) (share int, none bool) {
	soft, total := int64(s.cfg.QueueBytes/2), s.queued.Load()+int64(more)
	if total <= soft {
		return math.MaxInt, false
	}
	none = total > int64(s.cfg.QueueBytes)
	if c.dialed || c.flow.Side == edge.Inside {
		return math.MaxInt, none
	}
	return int(soft / int64(max(1, s.conns.open()))), none
}

// guarded is f; a panic in it costs this connection.
func (c *conn) guarded(f func()) func() {
	return func() {
		if !c.server.survived(f) {
			c.close(errPanicked)
		}
	}
}

// kick starts the writer if there is something to write and none is at work. It reports whether the writer is behind.
func (c *conn) kick() (behind bool) {
	c.mu.Lock()
	start := (c.state == open || c.state == draining) && !c.writing && len(c.pending.bytes) > 0
	c.writing = c.writing || start
	behind = !c.crowded.IsZero()
	c.mu.Unlock()
	if start && !c.server.start(c.guarded(c.write)) {
		c.close(errClosed)
	}
	return behind
}

// write is the writer: it writes until nothing is left.
func (c *conn) write() {
	for {
		w, ok := c.take()
		if !ok {
			return
		}
		now := time.Now()
		c.setWriteDeadline(now)
		n, err := c.nc.Write(w.bytes)
		if err != nil {
			c.unwritten(w, n, err)
			return
		}
		c.active.Store(now.UnixNano())
		c.server.count.messagesOut.Add(uint64(len(w.ends)))
		c.giveBack(w)
	}
}

// setWriteDeadline gives the next write its time. The Server's Close may have set a shorter one just before, so that is seen to last.
func (c *conn) setWriteDeadline(now time.Time) {
	_ = c.nc.SetWriteDeadline(now.Add(c.server.cfg.WriteTimeout))
	if c.server.ctx.Err() != nil {
		_ = c.nc.SetWriteDeadline(now.Add(closeTime))
	}
}

// take hands the queue to the writer, or ends it.
func (c *conn) take() (writeBuffer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crowded = time.Time{}
	if len(c.pending.bytes) == 0 || c.state == closed {
		c.writing = false
		if c.state == draining {
			c.release()
		}
		c.pending.reset()
		c.spare.reset()
		return writeBuffer{}, false
	}
	w := c.pending
	c.pending, c.spare, c.flying = c.spare, writeBuffer{}, len(w.bytes)
	return w, true
}

func (c *conn) giveBack(w writeBuffer) {
	c.server.queued.Add(-int64(len(w.bytes)))
	w.bytes, w.ends = w.bytes[:0], w.ends[:0]
	c.mu.Lock()
	c.spare, c.flying = w, 0
	c.mu.Unlock()
}

// unwritten ends the writer after an error: n bytes of w are gone.
func (c *conn) unwritten(w writeBuffer, n int, err error) {
	if !errors.Is(err, net.ErrClosed) {
		c.server.count.writeErrors.Add(1)
	}
	c.server.queued.Add(-int64(len(w.bytes)))
	c.close(err)
	c.mu.Lock()
	told := c.broken
	c.mu.Unlock()
	if !told {
		c.report(w, n, err)
	}
}

// report tells of each message of w that was not written in full.
func (c *conn) report(w writeBuffer, written int, err error) {
	start := 0
	for _, end := range w.ends {
		if end > written {
			if m := c.payload(w.bytes[start:end]); len(m) > 0 {
				c.undelivered(m, err)
			}
		}
		start = end
	}
}

// undelivered tells of m under the flow by which it was sent: that of the connection, or that of its alias, which is not known any more.
// Whoever is told knows by the message which one is meant.
func (c *conn) undelivered(m []byte, err error) {
	c.server.undelivered(m, c.flow, err)
	if key := c.alias.Load(); key != nil {
		c.server.undelivered(m, edge.Flow{Remote: key.remote, Listener: c.flow.Listener, Transport: key.transport, Side: key.side}, err)
	}
}

// drain takes no more messages and waits until what is queued is written, or cannot be.
func (c *conn) drain() {
	c.mu.Lock()
	if c.state != open {
		c.mu.Unlock()
		return
	}
	c.state = draining
	wait := c.writing || len(c.pending.bytes) > 0
	c.mu.Unlock()
	c.server.conns.forget(c)
	if wait {
		c.kick()
		<-c.drained
	}
}

// release lets drain go on.
func (c *conn) release() { c.ended.Do(func() { close(c.drained) }) }

// breaks reports whether err says that the far end, or the network, ended a connection that we had dialled. A far end that does not read is
// another matter: over a new connection it would not do so either.
func (c *conn) breaks(err error) bool {
	return c.dialed && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// close ends c for the reason err: what waits is reported as not delivered. It may be called more than once.
func (c *conn) close(err error) {
	c.mu.Lock()
	was := c.state
	if was == open || was == draining {
		c.broken = c.breaks(err)
	}
	c.state = closed
	waiting, asked := c.pending, c.asked
	c.pending = writeBuffer{}
	tcp := c.tcp
	c.mu.Unlock()
	if was == closed {
		return
	}
	if err == errOverflow {
		c.server.count.queueOverflows.Add(1) // here, so that of several who find the queue full at once one counts
	}
	c.release()
	if tcp != nil {
		tcp.Close() // the socket itself: closing TLS would wait for a far end that does not read
	}
	c.server.conns.remove(c)
	c.server.queued.Add(-int64(len(waiting.bytes)))
	if c.breaks(err) && was != dialing {
		key := c.dialKey()
		c.server.undelivered(nil, edge.Flow{Remote: key.remote, Listener: c.flow.Listener, Transport: key.transport, Side: key.side}, nil)
		return
	}
	c.report(waiting, 0, err)
	if asked && !errors.Is(err, errClosed) {
		c.undelivered(nil, nil)
	}
}

// hurry is what Close of the Server does: idle connections go at once, others when their queue is written.
func (c *conn) hurry() {
	c.mu.Lock()
	tcp, busy := c.tcp, c.state >= open && (c.writing || len(c.pending.bytes) > 0)
	c.mu.Unlock()
	switch {
	case tcp == nil: // its dialling has been cancelled
	case busy:
		_ = tcp.SetReadDeadline(time.Now()) // the reader drains and closes
		_ = tcp.SetWriteDeadline(time.Now().Add(closeTime))
	default:
		c.close(errClosed)
	}
}

// isTimeout reports whether err is a deadline that passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
