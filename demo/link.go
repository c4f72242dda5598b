package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/sip"
)

const (
	dialTimeout = 5 * time.Second
	idleTimeout = time.Hour // a registered phone may be silent for as long as its registration lasts
)

// A hop is where a message came from or goes to.
type hop struct {
	addr   netip.AddrPort
	stream bool  // TCP
	conn   *conn // the connection to prefer, if it still lives; nil for any
}

// A conn is one TCP connection, accepted or dialled. out is bounded: who does not read what we send is closed.
type conn struct {
	remote netip.AddrPort
	out    chan []byte
	ctx    context.Context
	close  context.CancelFunc
}

// listen opens UDP and TCP on the same port.
func (p *Platform) listen() error {
	var err error
	for range 20 { // a free TCP port may be taken for UDP
		if p.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.cfg.Listen)); err != nil {
			break
		}
		p.addr = unmapped(p.tcp.Addr().(*net.TCPAddr).AddrPort())
		if p.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.addr)); err == nil {
			return nil
		}
		p.tcp.Close()
		if p.cfg.Listen.Port() != 0 {
			break
		}
	}
	return fmt.Errorf("start demonstration platform on %v: %w", p.cfg.Listen, err)
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (p *Platform) readUDP() {
	buf := make([]byte, maxMessage)
	for {
		n, from, err := p.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n <= len("\r\n\r\n") { // an ICMP error, a keep-alive (RFC 5626 §3.5.1)
			continue
		}
		b := append([]byte(nil), buf[:n]...)
		p.post(func() { p.receive(b, hop{addr: unmapped(from)}) })
	}
}

func (p *Platform) acceptTCP() {
	for {
		nc, err := p.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: do not spin
			time.Sleep(10 * time.Millisecond)
			continue
		}
		remote := unmapped(nc.RemoteAddr().(*net.TCPAddr).AddrPort())
		onStop := context.AfterFunc(p.ctx, func() { nc.Close() }) // should run never get to it
		p.post(func() {
			onStop()
			if p.connect(remote, nc) == nil {
				nc.Close()
			}
		})
	}
}

// send writes b to h and returns the connection it went to, if any. It never waits: UDP writes do not, and a connection
// has its own writer. An error is one of this host; what happens on the way is not known here.
func (p *Platform) send(b []byte, h hop) (*conn, error) {
	if !h.stream {
		_, err := p.udp.WriteToUDPAddrPort(b, h.addr)
		return nil, err
	}
	c := h.conn
	if c == nil || c.ctx.Err() != nil {
		c = p.conns[h.addr]
	}
	if c == nil || c.ctx.Err() != nil {
		c = p.connect(h.addr, nil)
	}
	if c == nil {
		return nil, fmt.Errorf("connect to %v: %d connections are open", h.addr, maxConnections)
	}
	select {
	case c.out <- b:
		return c, nil
	default:
		c.close()
		return nil, fmt.Errorf("send to %v: the far end does not read", h.addr)
	}
}

// connect takes the accepted connection nc, or dials if that is nil. It returns nil when there are too many.
func (p *Platform) connect(remote netip.AddrPort, nc net.Conn) *conn {
	if len(p.conns) >= maxConnections {
		return nil
	}
	c := &conn{remote: remote, out: make(chan []byte, 64)}
	c.ctx, c.close = context.WithCancel(p.ctx)
	p.conns[remote] = c
	p.wg.Go(func() {
		p.serve(c, nc)
		c.close()
		p.post(func() { p.disconnected(c) })
	})
	return c
}

func (p *Platform) disconnected(c *conn) {
	if p.conns[c.remote] == c {
		delete(p.conns, c.remote)
	}
	for _, ct := range p.clients {
		if ct.conn == c {
			ct.fail()
		}
	}
}

// serve dials if it must, then reads until the connection ends.
func (p *Platform) serve(c *conn, nc net.Conn) {
	if nc == nil {
		// Bound to the own address: a platform on loopback cannot be made to connect elsewhere.
		d := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: p.addr.Addr().AsSlice()}}
		var err error
		if nc, err = d.DialContext(c.ctx, "tcp", c.remote.String()); err != nil {
			p.cfg.Log.Info("demo: no connection", "to", c.remote, "err", err)
			return
		}
	}
	defer nc.Close()
	defer context.AfterFunc(c.ctx, func() { nc.Close() })()
	p.wg.Go(func() { c.write(nc) })
	p.read(c, nc)
}

func (c *conn) write(nc net.Conn) {
	defer c.close()
	for {
		select {
		case b := <-c.out:
			nc.SetWriteDeadline(time.Now().Add(dialTimeout))
			if _, err := nc.Write(b); err != nil {
				return
			}
		case <-c.ctx.Done():
			return
		}
	}
}

// read cuts the stream into messages (RFC 3261 §18.3) until it ends or can't be framed.
func (p *Platform) read(c *conn, nc net.Conn) {
	framer := sip.Framer{Max: maxMessage}
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		kind, n, err := framer.Next(buf)
		if err != nil {
			return
		}
		switch kind {
		case sip.FrameMore:
			nc.SetReadDeadline(time.Now().Add(idleTimeout))
			got, err := nc.Read(chunk)
			if err != nil {
				return
			}
			buf = append(buf, chunk[:got]...)
			continue
		case sip.FramePing:
			select {
			case c.out <- []byte("\r\n"):
			default:
			}
		case sip.FrameMessage:
			b := append([]byte(nil), buf[:n]...)
			p.post(func() { p.receive(b, hop{addr: c.remote, stream: true, conn: c}) })
		}
		buf = append(buf[:0], buf[n:]...)
	}
}
