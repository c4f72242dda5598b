package transport

import (
	"net/netip"

	"github.com/ringwall/ringwall/edge"
)

// An Out sends, for one goroutine: it has that goroutine's arena and send batches and needs no lock.
type Out struct{}

// Buffer returns an empty slice at the free end of the arena, with room for MaxMessage plus 8 KiB. Append one message and
// give it to Send. It may flush first; slices of earlier calls that were not sent are void then, and after Flush.
func (o *Out) Buffer() []byte { panic("unbuilt") }

// Send queues b towards to; a b from Buffer is not copied, any other is. It may be sent again, to another flow, before the
// next Buffer or Flush. A stream flow with Conn 0 uses an open connection of ours to to.Remote or dials one in the
// background. Errors: ErrGone, ErrFull, ErrTooLarge. What fails later is told to a Lane by Undelivered, from another goroutine.
func (o *Out) Send(b []byte, to edge.Flow) error { panic("unbuilt") }

// Flush sends what is queued, with one system call per socket. Readers flush after each batch; who else has an Out flushes
// it itself.
func (o *Out) Flush() { panic("unbuilt") }

// Route returns the flow for a new request to remote: the listener of that side, transport and address family whose address
// fits remote best. On Inside UDP it is this worker's spread socket, so that replies come back to this worker. False: no
// listener can reach remote.
func (o *Out) Route(side edge.Side, t edge.Transport, remote netip.AddrPort) (edge.Flow, bool) {
	panic("unbuilt")
}
