package transport

import (
	"net/netip"
	"runtime"
	"unsafe"

	"github.com/ringwall/ringwall/edge"
)

const (
	// headroom is what a message may grow by between in and out: Via, Record-Route, source fields.
	headroom = 8 << 10
	// arenaSize is enough for a batch of usual messages without a flush in between; unused pages cost nothing.
	arenaSize = 256 << 10
	cacheLine = 64
)

// An Out sends, for one goroutine: it has that goroutine's arena and send batches and needs no lock.
type Out struct {
	server *Server
	worker int
	arena  []byte
	used   int          // bytes of the arena that hold queued messages
	queues []*sendQueue // by listener; made at first use
	busy   []*sendQueue // those that hold something
	dirty  []*conn      // connections that got something since the last Flush
	kin    kinship      // of what is sent now
	routed routed
}

func newOut(s *Server, worker int) *Out {
	size := max(arenaSize, 2*(s.cfg.MaxMessage+headroom))
	return &Out{server: s, worker: worker % s.cfg.Workers, arena: make([]byte, size), queues: make([]*sendQueue, len(s.ports)), kin: everyKin}
}

// room is the largest message that can be sent, bytes.
func (o *Out) room() int { return o.server.cfg.MaxMessage + headroom }

// Buffer returns an empty slice at the free end of the arena, with room for MaxMessage plus 8 KiB. Append one message and
// give it to Send before anything else of this Out is called: the next Buffer, Send of other bytes or Flush may use the same
// room. Buffer may flush what is queued, which is I/O.
func (o *Out) Buffer() []byte {
	if len(o.arena)-o.used < o.room() {
		o.Flush()
	}
	return o.arena[o.used:o.used:len(o.arena)]
}

// Send queues b towards to; a b from Buffer is not copied, any other is. It may be sent again, to another flow, before the
// next Buffer or Flush. A stream flow with Conn 0 uses an open connection of ours to to.Remote or dials one in the
// background. Errors: ErrGone, ErrFull, ErrTooLarge. What fails later is told to a Lane by Undelivered, from another goroutine.
func (o *Out) Send(b []byte, to edge.Flow) error {
	if len(b) == 0 || len(b) > o.room() {
		return ErrTooLarge
	}
	if int(to.Listener) >= len(o.server.ports) || o.server.listeners[to.Listener].Transport != to.Transport {
		return ErrGone
	}
	if to.Transport.Stream() {
		return o.sendStream(b, to)
	}
	q := o.queue(to.Listener)
	if q.v4 {
		to.Remote = netip.AddrPortFrom(to.Remote.Addr().Unmap(), to.Remote.Port())
	}
	if !to.Remote.IsValid() || to.Remote.Addr().Is4() != q.v4 {
		return ErrGone
	}
	b = o.claim(b)
	if q.n == batch {
		q.flush()
	}
	if q.n == 0 {
		o.busy = append(o.busy, q)
	}
	q.add(b, to.Remote, o.kin)
	return nil
}

// About says that what is sent from now on belongs to the call with this Call-ID, as either side knows it; nil: to any. Messages of
// one call leave in the order in which they are sent, and others of the same batch may overtake them.
func (o *Out) About(callID []byte) { o.kin = kinOf(callID) }

// claim makes b's bytes stay until the next flush: those in the arena are marked as used, others are copied there.
func (o *Out) claim(b []byte) []byte {
	off := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(o.arena)))
	if off >= uintptr(len(o.arena)) {
		b = append(o.Buffer(), b...)
		off = uintptr(o.used)
	}
	end := (int(off) + len(b) + cacheLine - 1) &^ (cacheLine - 1)
	o.used = max(o.used, min(end, len(o.arena)))
	return b
}

// queue returns the batch for the socket that this Out uses of a listener.
func (o *Out) queue(listener uint16) *sendQueue {
	if q := o.queues[listener]; q != nil {
		return q
	}
	sockets := o.server.ports[listener].udp
	q := newSendQueue(sockets[o.worker%len(sockets)])
	o.queues[listener] = q
	return q
}

// Flush sends what is queued, with one system call per socket. Readers flush after each batch; who else has an Out flushes
// it itself.
func (o *Out) Flush() {
	for i, q := range o.busy {
		q.flush()
		o.busy[i] = nil
	}
	behind := false
	for i, c := range o.dirty {
		behind = c.kick() || behind
		o.dirty[i] = nil
	}
	o.busy, o.dirty, o.used = o.busy[:0], o.dirty[:0], 0
	if behind {
		runtime.Gosched() // a writer may be waiting for the processor that this goroutine would go on filling its queue with
	}
}

// sendStream queues b on a connection. One of ours that just broke is replaced, once.
func (o *Out) sendStream(b []byte, to edge.Flow) error {
	for try := 0; ; try++ {
		c, fresh, err := o.server.connection(to)
		if err != nil {
			return err
		}
		err = c.enqueue(b)
		if fresh {
			o.server.startDial(c) // after enqueue, so that a dial that fails at once reports b
		}
		if err == ErrGone && to.Conn == 0 && try == 0 {
			o.server.conns.forget(c)
			continue
		}
		if err != nil {
			return err
		}
		o.touched(c)
		return nil
	}
}

// touched has the next Flush start c's writer.
func (o *Out) touched(c *conn) {
	if n := len(o.dirty); n == 0 || o.dirty[n-1] != c {
		o.dirty = append(o.dirty, c)
	}
}

// Offer queues b on the open connection that to names, if there is room, and reports whether it did. Unlike Send it makes no connection, closes
// none and reports nothing: it only touches memory, so it may be called with a lock held, and what it queues leaves before what others
// queue after that lock. Over UDP it does nothing.
func (o *Out) Offer(b []byte, to edge.Flow) bool {
	if !to.Transport.Stream() || len(b) > o.room() {
		return false
	}
	c := o.server.conns.find(to)
	if c == nil || !c.offer(b) {
		return false
	}
	o.touched(c)
	return true
}
