// Package transport moves bytes: listeners, UDP in batches, stream connections, reuse, limits per source, and the egress
// guard. It knows frames, not SIP messages: what they mean is proxy's business.
package transport

import (
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Lane is what handles messages: one per reading goroutine, so it may keep scratch space without locks. Everything it
// sends through the Out it was made with leaves when Flush is called, after each batch that was read.
type Lane interface {
	// Receive handles one datagram or one framed message. b is borrowed until it returns. An error says that b, though framed, leaves
	// it in doubt where messages end: on a connection nothing after it is read, and the connection is closed.
	Receive(b []byte, from edge.Flow, at time.Time) error
	// Refused is told of bytes on a stream that can't be framed (err is a sip.Error); the connection is closed after it.
	// b holds what was read so far, bounded, so that a 400 may be sent.
	Refused(b []byte, from edge.Flow, err error, at time.Time)
	// Undelivered is told that sent (a message passed to Out.Send, perhaps cut short, or with those behind it that left at the same time)
	// did not reach to: an ICMP error, a refused or failed connection.
	Undelivered(sent []byte, to edge.Flow, err error, at time.Time)
	// Broken is told that an open connection which we had dialled to to (its Conn is 0) was ended by the far end, or by the network, or that one
	// ended, whatever ended it, which to had opened and requests of ours went over (to.Conn names it). What was sent over it shortly before may
	// not have arrived; of what was written Undelivered tells nothing.
	Broken(to edge.Flow, at time.Time)
}
