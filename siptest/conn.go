package siptest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// A Conn is one connection of a UA: TCP, TLS, or WebSocket on one of them.
type Conn struct {
	net.Conn
	ws     *websocket.Conn // nil if it is none
	Remote netip.AddrPort
	write  sync.Mutex
}

// send writes whole messages one at a time.
func (c *Conn) send(raw string) error {
	c.write.Lock()
	defer c.write.Unlock()
	if c.ws != nil {
		return c.ws.Write(context.Background(), websocket.MessageText, []byte(raw))
	}
	_, err := io.WriteString(c.Conn, raw)
	return err
}

// accept takes connections until the listener is closed.
func (ua *UA) accept() {
	for {
		conn, err := ua.listener.Accept()
		if err != nil {
			return
		}
		ua.adopt(conn, nil)
	}
}

// adopt starts reading a connection and remembers it by its remote address.
func (ua *UA) adopt(conn net.Conn, ws *websocket.Conn) *Conn {
	remote := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	c := &Conn{Conn: conn, ws: ws, Remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	ua.mu.Lock()
	defer ua.mu.Unlock()
	if ua.closed {
		conn.Close()
		return c
	}
	ua.conns[c.Remote], ua.open[c] = c, true
	ua.running.Go(func() {
		if ws != nil {
			ua.readMessages(c)
		} else {
			ua.readStream(c)
		}
		ua.forget(c)
	})
	return c
}

// Dial opens a new connection from the UA's address to addr, over TCP, or what stands on it for a UA whose Transport it is;
// requests to addr go over it from now on.
func (ua *UA) Dial(addr netip.AddrPort) (*Conn, error) {
	local := &net.TCPAddr{IP: ua.Addr.Addr().AsSlice()}
	conn, err := (&net.Dialer{LocalAddr: local, Timeout: Deadline}).Dial("tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("dial %v from %v: %w", addr, local.IP, err)
	}
	if ua.Transport == "tls" || ua.Transport == "wss" {
		if conn, err = ua.secure(conn, addr); err != nil {
			return nil, err
		}
	}
	if ua.Transport == "ws" || ua.Transport == "wss" {
		ws, err := upgrade(conn, addr)
		if err != nil {
			conn.Close()
			return nil, err
		}
		return ua.adopt(conn, ws), nil
	}
	return ua.adopt(conn, nil), nil
}

// secure does the TLS handshake on a connection to addr, whose certificate must be for that address unless TLS says otherwise.
func (ua *UA) secure(conn net.Conn, addr netip.AddrPort) (net.Conn, error) {
	cfg := ua.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = addr.Addr().String()
	}
	over := tls.Client(conn, cfg)
	_ = conn.SetDeadline(time.Now().Add(Deadline))
	if err := over.Handshake(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS to %v: %w", addr, err)
	}
	return over, conn.SetDeadline(time.Time{})
}

// upgrade makes conn, a connection to addr, a WebSocket one (RFC 7118 §4.2).
func upgrade(conn net.Conn, addr netip.AddrPort) (*websocket.Conn, error) {
	over := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+addr.String()+"/", &websocket.DialOptions{Subprotocols: []string{"sip"}, HTTPClient: &http.Client{Transport: over}})
	if err != nil {
		return nil, fmt.Errorf("WebSocket to %v: %w", addr, err)
	}
	ws.SetReadLimit(1 << 20)
	return ws, nil
}

// readMessages queues the messages of a WebSocket connection until it ends: each is one whole SIP message or keep-alive.
func (ua *UA) readMessages(c *Conn) {
	for {
		_, raw, err := c.ws.Read(context.Background())
		if err != nil {
			return
		}
		ua.receive(string(raw), c.Remote, c)
	}
}

// Hangup closes the connections that the UA has, as a phone does that loses its network. Its next request dials anew.
func (ua *UA) Hangup() {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	clear(ua.conns)
	for c := range ua.open {
		c.Close() // its reader forgets it
	}
}

// Connection is the open connection to addr, nil if there is none.
func (ua *UA) Connection(addr netip.AddrPort) *Conn {
	ua.mu.Lock()
	defer ua.mu.Unlock()
	return ua.conns[addr]
}

// readStream queues the messages of a connection until it ends.
func (ua *UA) readStream(c *Conn) {
	r := bufio.NewReader(c.Conn)
	for {
		raw, err := readFrame(r)
		if raw != "" {
			ua.receive(raw, c.Remote, c)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errFrame) && !ua.isClosed() {
			ua.t.Errorf("%s at %v: stream from %v: %v", ua.User, ua.Addr, c.Remote, err)
		}
		break
	}
}

// forget closes a connection and takes it out of those to use.
func (ua *UA) forget(c *Conn) {
	c.Close()
	ua.mu.Lock()
	defer ua.mu.Unlock()
	delete(ua.open, c)
	if ua.conns[c.Remote] == c {
		delete(ua.conns, c.Remote)
	}
}

var errFrame = errors.New("no message frame")

// readFrame reads one CRLF or one message from a stream (RFC 3261 §18.3).
func readFrame(r *bufio.Reader) (string, error) {
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		if canonical(strings.TrimSpace(name)) == "content-length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > 1<<20 {
				return "", fmt.Errorf("%w: Content-Length %q", errFrame, value)
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", err
	}
	return head.String() + string(body), nil
}

// WaitClosed reports whether the far end closed the connection c of the UA within d.
func (ua *UA) WaitClosed(c *Conn, d time.Duration) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		ua.mu.Lock()
		open := ua.open[c]
		ua.mu.Unlock()
		if !open {
			return true
		}
	}
	return false
}
