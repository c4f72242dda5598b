package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

const (
	// acceptPause is how long accepting rests after an error such as "too many open files".
	acceptPause = 50 * time.Millisecond
	// userTimeout is how long written data may stay unacknowledged before the connection is given up (TCP_USER_TIMEOUT).
	userTimeout = 30 * time.Second
)

// keepAlive finds far ends that are gone without a word within two minutes.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4}

func listenTCP(l Listen) (*net.TCPListener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	lc.SetMultipathTCP(false) // which would let a far end add paths from other addresses
	ln, err := lc.Listen(context.Background(), "tcp"+family(l.Addr.Addr()), l.Addr.String())
	if err != nil {
		return nil, newListenError(l, err)
	}
	return ln.(*net.TCPListener), nil
}

// accept is the goroutine of a stream listener. It ends when the listener is closed, and for nothing else.
func (s *Server) accept(ln *net.TCPListener, listener uint16) {
	for {
		nc, err := ln.AcceptTCP()
		switch {
		case err == nil:
			s.welcome(nc, listener)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.acceptFailed(err)
		}
	}
}

func (s *Server) acceptFailed(err error) {
	s.count.acceptErrors.Add(1)
	if s.acceptLog.allow(time.Now()) {
		s.cfg.Log.Warn("accepting a connection failed", slog.Any("error", err))
	}
	select {
	case <-time.After(acceptPause):
	case <-s.ctx.Done():
	}
}

// welcome takes a connection in, or lets a load balancer say whose it is first.
func (s *Server) welcome(nc *net.TCPConn, listener uint16) {
	at := nc.RemoteAddr().(*net.TCPAddr).AddrPort()
	remote := netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	if !s.balanced(s.listeners[listener].Side, remote.Addr()) {
		s.take(nc, remote, listener)
		return
	}
	if !s.reserve() {
		s.count.refusedTotal.Add(1)
		reset(nc)
		return
	}
	if !s.start(func() { s.introduced(nc, remote, listener) }) {
		s.conns.unreserve()
		nc.Close()
	}
}

// take takes a connection of remote in, or resets it when the limits are reached.
func (s *Server) take(nc *net.TCPConn, remote netip.AddrPort, listener uint16) {
	l := &s.listeners[listener]
	from := edge.Flow{Remote: remote, Listener: listener, Transport: l.Transport, Side: l.Side}
	if s.refuses(from, time.Now()) {
		reset(nc)
		return
	}
	switch s.admit(remote.Addr()) {
	case refusedTotal:
		s.count.refusedTotal.Add(1)
		reset(nc)
		return
	case refusedSource:
		s.count.refusedSource.Add(1)
		reset(nc)
		return
	}
	c := s.newConn(listener, remote, false)
	s.conns.put(c)
	s.conns.enter(c)
	s.count.accepted.Add(1)
	if s.refuses(from, time.Now()) { // since it was asked first, and CloseFrom may have missed c
		reset(nc)
		c.close(errClosed)
		return
	}
	if !s.start(c.guarded(func() { c.begin(nc) })) {
		nc.Close()
		c.close(errClosed)
	}
}

// admit counts a connection from a, if need be in the place of another.
func (s *Server) admit(a netip.Addr) refusal {
	why := s.conns.admit(a, false, strangersShare(s.cfg.Connections, s.Pressure()))
	exempt := why != taken && s.exempt(a) // asked only when it matters
	if exempt {
		why = s.conns.admit(a, true, s.cfg.Connections)
	}
	if why == refusedTotal && s.evict() {
		why = s.conns.admit(a, exempt, s.cfg.Connections)
	}
	return why
}

// reserve counts a connection that nobody is counted for yet, if need be in the place of another.
func (s *Server) reserve() bool {
	return s.conns.reserve(strangersShare(s.cfg.Connections, s.Pressure())) || s.evict() && s.conns.reserve(s.cfg.Connections)
}

// refuses asks Config.Refuse about a flow outside.
func (s *Server) refuses(f edge.Flow, at time.Time) bool {
	return s.cfg.Refuse != nil && f.Side == edge.Outside && s.cfg.Refuse(f, at)
}

// CloseFrom closes at once the outside connections from p that match says, whatever they are doing, and returns how many. What they
// have queued is not sent.
func (s *Server) CloseFrom(p netip.Prefix, match func(edge.Flow) bool) (n int) {
	if !s.conns.mayHold(p) {
		return 0
	}
	for _, c := range s.conns.all() {
		if c.flow.Side != edge.Outside || !p.Contains(c.flow.Remote.Addr()) || !match(c.flow) {
			continue
		}
		c.mu.Lock()
		tcp := c.tcp
		c.mu.Unlock()
		if tcp != nil {
			_ = tcp.SetLinger(0) // nothing more goes there
		}
		c.close(errClosed)
		n++
	}
	return n
}

// keeps reports whether c does not make room for others: what we dialled, and what comes from an exempt source; where that has more connections than
// any stranger may, those that it is exempt for. One registered phone is not to shut everybody else out from its address.
func (s *Server) keeps(c *conn) bool {
	if c.dialed {
		return true
	}
	a := c.flow.Remote.Addr()
	return s.exempt(a) && (!s.conns.crowded(a) || s.bound(c.flow))
}

// bound asks Config.Bound; should it panic, nothing is.
func (s *Server) bound(f edge.Flow) bool {
	defer s.recovered(time.Now())
	return s.cfg.Bound(f)
}

// exempt asks Config.Exempt; should it panic, nobody is.
func (s *Server) exempt(a netip.Addr) bool {
	defer s.recovered(time.Now())
	return s.cfg.Exempt(a)
}

// reset closes nc without leaving anything behind in the kernel.
func reset(nc *net.TCPConn) {
	_ = nc.SetLinger(0)
	nc.Close()
}

// setUserTimeout bounds how long a dead far end goes unnoticed; without it the kernel tries for a quarter of an hour.
func setUserTimeout(nc *net.TCPConn) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return // closed already; the first read will say so
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
}
