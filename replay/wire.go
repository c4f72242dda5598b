package replay

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A message is what one datagram holds, or what was cut out of a stream. Its bytes are good until the next one comes.
type message struct {
	at        time.Time
	src, dst  netip.AddrPort
	transport edge.Transport
	conn      uint64
	b         []byte
	err       error // of the stream, whose end this is; else nil
}

// A wire is what a capture shows: datagrams and messages, in order, whichever way they went.
type wire struct {
	capture   *capture
	fragments fragments
	streams   streams
	short     int // datagrams of which only the beginning was captured
	clock     time.Time
	first     time.Time
	m         message // at hand
}

// openWire reads the head of a capture.
func openWire(r io.Reader) (*wire, error) {
	c, err := openCapture(r)
	if err != nil {
		return nil, err
	}
	return &wire{capture: c}, nil
}

// each calls do for every message until the capture ends, or do says no. The error is nil at the end of the capture.
func (w *wire) each(do func(*message) bool) error {
	for more := true; more; {
		f, err := w.capture.next()
		if errors.Is(err, io.EOF) && !errors.As(err, new(*CutError)) {
			return nil
		}
		if err != nil {
			return err
		}
		if w.first.IsZero() {
			w.first = f.at
		}
		if f.at.After(w.clock) { // several queues of a network card may be out of step
			w.clock = f.at
		}
		more = w.packet(f, do)
	}
	return nil
}

// packet takes one packet.
func (w *wire) packet(f frame, do func(*message) bool) (more bool) {
	p, part, ok := parseIP(network(f.link, f.b))
	if !ok {
		return true
	}
	if p, ok = w.fragments.add(p, part, w.clock); !ok {
		return true
	}
	switch p.protocol {
	case protoUDP:
		m, whole := &w.m, false
		*m = message{at: w.clock}
		if m.src, m.dst, m.b, whole, ok = parseUDP(&p); !ok {
			return true
		}
		if !whole {
			w.short++
			return true
		}
		return do(m)
	case protoTCP:
		s, ok := parseTCP(&p)
		if !ok {
			return true
		}
		more = true
		w.streams.add(s, w.clock, func(conn uint64, b []byte, err error) {
			w.m = message{at: w.clock, src: s.src, dst: s.dst, transport: edge.TCP, conn: conn, b: b, err: err}
			more = more && do(&w.m)
		})
		return more
	}
	return true
}
