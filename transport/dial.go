package transport

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

// connection returns the connection for f: the one it names, or one of ours to f.Remote. fresh: there was none, and startDial
// is the caller's to call once it has queued what it has.
func (s *Server) connection(f edge.Flow) (c *conn, fresh bool, err error) {
	if f.Conn != 0 {
		if c := s.conns.find(f); c != nil {
			return c, false, nil
		}
		return nil, false, ErrGone
	}
	remote := netip.AddrPortFrom(f.Remote.Addr().Unmap(), f.Remote.Port())
	l := &s.listeners[f.Listener]
	if c := s.conns.shared(dialKey{l.Side, l.Transport, remote}); c != nil {
		return c, false, nil
	}
	if s.ctx.Err() != nil || l.Transport.WebSocket() || !remote.IsValid() || remote.Addr().Is4() != l.Addr.Addr().Is4() {
		return nil, false, ErrGone
	}
	return s.newShared(f.Listener, remote)
}

// newShared puts a connection that is to be dialled where others find it, unless somebody else was faster.
func (s *Server) newShared(listener uint16, remote netip.AddrPort) (c *conn, fresh bool, err error) {
	c = s.newConn(listener, remote, true)
	first := s.conns.share(c)
	if first == nil && s.evict() {
		first = s.conns.share(c)
	}
	if first == nil {
		s.count.refusedTotal.Add(1)
		return nil, false, ErrFull
	}
	if first == c {
		s.conns.put(c)
	}
	return first, first == c, nil
}

// startDial dials c in the background.
func (s *Server) startDial(c *conn) {
	if !s.start(c.guarded(c.dial)) {
		c.close(errClosed)
	}
}

// dial is the goroutine of a connection of ours: it makes it, then reads it.
func (c *conn) dial() {
	s := c.server
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.listeners[c.flow.Listener].Addr.Addr(), 0))
	d := net.Dialer{LocalAddr: local, Timeout: s.cfg.DialTimeout, KeepAliveConfig: keepAlive, Control: latePort}
	d.SetMultipathTCP(false)
	nc, err := d.DialContext(s.ctx, "tcp", c.flow.Remote.String())
	if err != nil {
		s.count.dialErrors.Add(1)
		c.close(err)
		return
	}
	s.count.dialed.Add(1)
	c.begin(nc.(*net.TCPConn))
}

// latePort lets the kernel choose the local port when it knows the far end, so that one address has as many connections as
// there are ports to each far end.
func latePort(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
