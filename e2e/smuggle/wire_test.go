package smuggle

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringwall/ringwall/siptest"
)

// A wire carries raw bytes to the edge and back: a UDP socket, or a connection.
type wire struct {
	net.Conn
	way   string
	ws    bool
	in    []byte // read, not yet taken apart
	frame []byte // of a WebSocket message
}

// roots trusts the authority of this test run.
var roots = siptest.Roots()

// dial opens a wire from ip to the edge.
func dial(way, ip string, to netip.AddrPort) (*wire, error) {
	local, network := net.Addr(&net.TCPAddr{IP: net.ParseIP(ip)}), "tcp"
	if way == "udp" {
		local, network = &net.UDPAddr{IP: net.ParseIP(ip)}, "udp"
	}
	conn, err := (&net.Dialer{LocalAddr: local, Timeout: siptest.Deadline}).Dial(network, to.String())
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, way: way, ws: kind(way) == "websocket"}
	if way == "tls" || way == "wss" {
		w.Conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: to.Addr().String(), ClientSessionCache: sessions})
	}
	if w.ws {
		err = w.upgrade(to.String())
	}
	return w, err
}

// sessions spare handshakes.
var sessions = tls.NewLRUClientSessionCache(64)

// upgrade asks for a WebSocket (RFC 6455 §4.1, RFC 7118 §4.1).
func (w *wire) upgrade(host string) error {
	fmt.Fprintf(w, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n", host)
	_ = w.SetReadDeadline(time.Now().Add(siptest.Deadline))
	for !bytes.Contains(w.in, []byte("\r\n\r\n")) {
		if err := w.more(); err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
	}
	head, rest, _ := bytes.Cut(w.in, []byte("\r\n\r\n"))
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return fmt.Errorf("upgrade: %.40q", head)
	}
	w.in = rest
	return nil
}

// send writes one message: a datagram, bytes of a stream, or a WebSocket message in one frame.
func (w *wire) send(raw string) error {
	if w.ws {
		op := byte(1)
		if !utf8.ValidString(raw) {
			op = 2
		}
		raw = siptest.Frame(0x80|op, raw)
	}
	_, err := io.WriteString(w, raw)
	return err
}

// more reads what has come.
func (w *wire) more() error {
	var b [1 << 16]byte
	n, err := w.Read(b[:])
	w.in = append(w.in, b[:n]...)
	return err
}

// next returns the next message from the edge, or the error that ended the wire or the wait.
func (w *wire) next(d time.Duration) (string, error) {
	_ = w.SetReadDeadline(time.Now().Add(d))
	for {
		if m, ok, err := w.take(); ok || err != nil {
			return m, err
		}
		if err := w.more(); err != nil {
			return "", err
		}
	}
}

var errGoodbye = errors.New("closed by a WebSocket close frame")

// take takes one message off what was read.
func (w *wire) take() (string, bool, error) {
	switch {
	case len(w.in) == 0:
		return "", false, nil
	case w.way == "udp":
		m := string(w.in)
		w.in = nil
		return m, true, nil
	case w.ws:
		return w.takeFrame()
	}
	for bytes.HasPrefix(w.in, []byte("\r\n")) { // a pong
		w.in = w.in[2:]
	}
	head, _, ok := bytes.Cut(w.in, []byte("\r\n\r\n"))
	if !ok {
		return "", false, nil
	}
	var n int
	if _, length, ok := strings.Cut(string(head), "\r\nContent-Length: "); !ok {
		return "", false, fmt.Errorf("the edge sent a message without Content-Length: %q", head)
	} else if _, err := fmt.Sscan(length, &n); err != nil {
		return "", false, err
	}
	if n += len(head) + 4; len(w.in) < n {
		return "", false, nil
	}
	m := string(w.in[:n])
	w.in = w.in[n:]
	return m, true, nil
}

// takeFrame takes one frame of the edge's, which masks nothing and sends whole messages.
func (w *wire) takeFrame() (string, bool, error) {
	b := w.in
	if len(b) < 2 {
		return "", false, nil
	}
	n, at := int(b[1]), 2
	switch n {
	case 126:
		if len(b) < 4 {
			return "", false, nil
		}
		n, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		return "", false, errors.New("a frame of 64 KiB from the edge")
	}
	if len(b) < at+n {
		return "", false, nil
	}
	w.in = b[at+n:]
	if b[0] == 0x88 {
		w.frame = b[at : at+n]
		return "", false, errGoodbye
	}
	return string(b[at : at+n]), true, nil
}
