package transport

import "errors"

// Errors of Out.Send that a caller decides on. All of them mean that the message has not been queued.
var (
	// ErrGone: the connection that the flow names is closed, or the listener does not exist or cannot reach that address.
	ErrGone = errors.New("flow is gone")
	// ErrFull: the connection's queue, or the table of connections, is full.
	ErrFull = errors.New("queue is full")
	// ErrTooLarge: the message is larger than MaxMessage plus 8 KiB.
	ErrTooLarge = errors.New("message is too large to send")
)
