package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"

	"github.com/ringwall/ringwall/edge"
)

var errHandshake = errors.New("the handshake took too long")

// begin is the goroutine of a connection: it takes the socket over, does the handshakes of the transport, and reads.
func (c *conn) begin(tcp *net.TCPConn) {
	setUserTimeout(tcp)
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		tcp.Close()
		return
	}
	c.tcp = tcp
	c.mu.Unlock()
	nc, rest, err := c.shake()
	if err != nil {
		c.close(err)
		return
	}
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return
	}
	c.nc, c.state = nc, open
	c.mu.Unlock()
	c.kick()
	c.read(rest)
}

// shake does what comes before the first message: nothing on TCP. It takes HandshakeTimeout at most, waiting for a turn included. rest
// has been read already.
func (c *conn) shake() (nc stream, rest []byte, err error) {
	if c.flow.Transport == edge.TCP {
		return c.tcp, nil, nil
	}
	s := c.server
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.cfg.HandshakeTimeout, errHandshake)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.tcp.Close() })
	nc = c.tcp
	if c.flow.Transport.Secure() {
		nc, err = c.secure(ctx)
	}
	if err == nil && c.flow.Transport.WebSocket() {
		rest, err = upgrade(nc)
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.distrust(err)
		s.count.handshakeErrors.Add(1)
		return nil, nil, err
	}
	s.count.handshakes.Add(1)
	return nc, rest, nil
}

// secure does the TLS handshake.
func (c *conn) secure(ctx context.Context) (stream, error) {
	s := c.server
	turn := &turns{TCPConn: c.tcp, ctx: ctx, budget: &s.budget, known: c.dialed || s.exempt(c.flow.Remote.Addr())}
	defer turn.end()
	var nc *tls.Conn
	if c.dialed {
		to := s.keyring.dial(c.destination())
		c.identity.Store(to)
		nc = tls.Client(turn, to.clientConfig())
	} else {
		cfg := s.keyring.server(c.flow.Transport)
		if from := s.keyring.callerAt(c.flow); from != nil {
			c.identity.Store(from.who)
			cfg = from.config
		}
		nc = tls.Server(turn, cfg)
	}
	return nc, nc.Handshake()
}

// A budget bounds how many handshakes compute at one time, so that a flood of them leaves processors to calls. Strangers have the
// shared part only; known sources and what we dial have both.
type budget struct{ shared, kept chan struct{} }

func newBudget() budget {
	n := max(1, runtime.GOMAXPROCS(0)/2)
	return budget{make(chan struct{}, n), make(chan struct{}, max(1, n/2))}
}

// take waits for a turn and returns where it is to be given back, nil when ctx has ended.
func (b *budget) take(ctx context.Context, known bool) chan struct{} {
	kept := b.kept
	if !known {
		kept = nil // never ready
	}
	select {
	case b.shared <- struct{}{}:
		return b.shared
	case kept <- struct{}{}:
		return kept
	case <-ctx.Done():
		return nil
	}
}

// turns is a socket in a handshake. It holds a turn of the budget from one read to the next, that is while something is computed
// from what came; while it waits for the far end it holds none, so that half handshakes cost nobody else's time.
type turns struct {
	*net.TCPConn
	ctx    context.Context
	budget *budget
	known  bool
	held   chan struct{}
	done   bool // after the handshake this is nothing but the socket
}

// Read gives the turn back, reads, and waits for another turn.
func (t *turns) Read(p []byte) (int, error) {
	if t.done {
		return t.TCPConn.Read(p)
	}
	t.giveBack()
	n, err := t.TCPConn.Read(p)
	if err != nil {
		return n, err
	}
	if t.held = t.budget.take(t.ctx, t.known); t.held == nil {
		return 0, context.Cause(t.ctx)
	}
	return n, nil
}

func (t *turns) giveBack() {
	if t.held != nil {
		<-t.held
		t.held = nil
	}
}

// end lets the socket go on without the budget.
func (t *turns) end() {
	t.giveBack()
	t.done, t.ctx = true, nil
}
