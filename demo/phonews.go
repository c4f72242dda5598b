package demo

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// A wsLink is a WebSocket over TLS, as a browser's phone has it (RFC 7118): a message is a WebSocket message.
type wsLink struct {
	net.Conn
	in   *bufio.Reader
	name string // a host that does not exist (RFC 7118 §5): nobody can connect to a browser
}

// Opcodes and bits of RFC 6455 §5.2.
const (
	wsText   = 0x1
	wsBinary = 0x2
	wsPing   = 0x9
	wsPong   = 0xA
	wsFinal  = 0x80
	wsMasked = 0x80
)

// dialWebSocket connects and shakes hands (RFC 6455 §4.1).
func dialWebSocket(ctx context.Context, cfg PhoneConfig) (phoneLink, error) {
	d := tls.Dialer{Config: cfg.TLS}
	conn, err := d.DialContext(ctx, "tcp", cfg.Server.String())
	if err != nil {
		return nil, err
	}
	l := &wsLink{Conn: conn, in: bufio.NewReader(conn), name: strings.ToLower(rand.Text()[:12]) + ".invalid"}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := l.shakeHands(cfg.Domain); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *wsLink) shakeHands(host string) error {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return err
	}
	key := base64.StdEncoding.EncodeToString(nonce[:])
	_, err := fmt.Fprintf(l, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n", host, key)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return fmt.Errorf("read the WebSocket handshake: %w", err)
	}
	_ = resp.Body.Close() // a 101 has none
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Protocol") != "sip" ||
		resp.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("the WebSocket handshake was answered with %s", resp.Status)
	}
	return nil
}

func (l *wsLink) host() string { return l.name }
func (l *wsLink) close() error { return l.Close() }

func (l *wsLink) write(b []byte) error { return l.frame(wsText, b) }

// frame writes one masked frame (RFC 6455 §5.3) at once, so that frames of two goroutines stay whole.
func (l *wsLink) frame(op byte, payload []byte) error {
	b := []byte{wsFinal | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, wsMasked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, wsMasked|126), uint16(n))
	default:
		return errors.New("larger than a message of this phone gets")
	}
	var mask [4]byte
	if _, err := rand.Read(mask[:]); err != nil {
		return err
	}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	_, err := l.Write(b)
	return err
}

// read returns the next message; pings are answered on the way.
func (l *wsLink) read() ([]byte, error) {
	var message []byte
	for {
		var head [2]byte
		if _, err := io.ReadFull(l.in, head[:]); err != nil {
			return nil, err
		}
		payload, err := l.payload(head[1])
		if err != nil {
			return nil, err
		}
		switch op := head[0] & 0xf; {
		case op == wsPing:
			if err := l.frame(wsPong, payload); err != nil {
				return nil, err
			}
		case op == wsPong:
		case op > wsBinary:
			return nil, io.EOF // a close, or no frame that we know
		case len(message)+len(payload) > maxMessage:
			return nil, errors.New("a message is too large")
		default:
			message = append(message, payload...)
			if head[0]&wsFinal != 0 {
				return message, nil
			}
		}
	}
}

// payload reads the rest of a frame of a server, which does not mask; size is the second byte of its header.
func (l *wsLink) payload(size byte) ([]byte, error) {
	n := int(size)
	if size > 126 {
		return nil, errors.New("a frame is masked or too large")
	}
	if size == 126 {
		var long [2]byte
		if _, err := io.ReadFull(l.in, long[:]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(l.in, payload)
	return payload, err
}
