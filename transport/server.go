package transport

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/ringwall/ringwall/edge"
)

// A Listener is one bound address; its index is the edge.Flow.Listener of what arrives there.
type Listener struct {
	Side      edge.Side
	Transport edge.Transport
	Addr      netip.AddrPort // as bound, never port 0
	Via       string         // "SIP/2.0/UDP 10.0.0.1:5060": what a Via of ours starts with, up to the sent-by
	SentBy    string         // "10.0.0.1:5060": host and port for Via, Contact and Record-Route URIs
	Spread    bool           // a worker's own inside socket, not one the operator listed
}

// A port is what stands behind a Listener: a UDP socket per worker (one, if it is a spread socket) or a stream listener.
type port struct {
	udp    []*udpSocket
	tcp    *net.TCPListener
	spread []int // of an inside UDP listener: by worker, the index of its spread socket
}

// A Server owns the sockets.
type Server struct {
	cfg       Config
	listeners []Listener
	ports     []port // parallel to listeners
	local     *local
	inside    atomic.Pointer[inside]
	balancers atomic.Pointer[[]netip.Prefix] // Config.ProxyProtocol in force
	weak      *weakHost
	conns     *connTable
	keyring   *keyring
	express   express
	budget    budget
	seats     chan *seat
	notices   chan notice
	count     counts
	queued    atomic.Int64 // bytes that wait on all connections
	panicLog  spacer
	acceptLog spacer
	proxyLog  spacer

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.RWMutex // orders start and Close
	closed bool
	wg     sync.WaitGroup
}

// A seat is a Lane with its Out, shared by the goroutines of connections: one at a time holds it, for as long as it handles
// what it has read.
type seat struct {
	out  *Out
	lane Lane
}

// seatsPerWorker bounds how many connections are handled at the same time; the others wait their turn.
const seatsPerWorker = 2

// Open binds every address of cfg, or none: the error is a *ListenError when a bind failed, a *CertificateError when a file of TLS cannot be used.
func Open(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	local, err := newLocal(cfg.Listen)
	if err != nil {
		return nil, err
	}
	keyring, err := openKeyring(cfg.TLS, cfg.Log)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, local: local, weak: newWeakHost(cfg.Listen), conns: newConnTable(cfg.Connections, cfg.ConnectionsPerSource),
		keyring: keyring, budget: newBudget(),
		notices: make(chan notice, noticeQueue), seats: make(chan *seat, seatsPerWorker*cfg.Workers)}
	s.SetInside(cfg.InsideNets, cfg.InsideAddrs)
	s.SetProxyProtocol(cfg.ProxyProtocol)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.bind(); err != nil {
		s.closePorts()
		s.cancel()
		return nil, err
	}
	s.board()
	return s, nil
}

// bind opens the listed addresses, then the spread sockets.
func (s *Server) bind() error {
	for _, l := range s.cfg.Listen {
		if err := s.bindOne(l); err != nil {
			return err
		}
	}
	if s.cfg.Workers == 1 {
		return nil
	}
	for i, l := range s.cfg.Listen {
		if l.Side == edge.Inside && l.Transport == edge.UDP {
			if err := s.bindSpread(i, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) bindOne(l Listen) error {
	if l.Transport.Stream() {
		t, err := listenTCP(l)
		if err != nil {
			return err
		}
		bound := t.Addr().(*net.TCPAddr).AddrPort()
		return s.add(l, netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()), port{tcp: t}, false)
	}
	group, err := openGroup(l, s.cfg.Workers)
	if err != nil {
		return err
	}
	return s.add(l, group[0].addr, port{udp: group}, false)
}

// bindSpread gives each worker a socket of its own beside inside listener i: replies to what it sends come back to it.
func (s *Server) bindSpread(i int, l Listen) error {
	l.Addr = netip.AddrPortFrom(l.Addr.Addr(), 0)
	for range s.cfg.Workers {
		u, err := openUDP(l, false)
		if err != nil {
			return err
		}
		s.ports[i].spread = append(s.ports[i].spread, len(s.ports))
		if err := s.add(l, u.addr, port{udp: []*udpSocket{u}}, true); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) add(l Listen, bound netip.AddrPort, p port, spread bool) error {
	for _, u := range p.udp {
		u.server, u.listener = s, uint16(len(s.ports))
	}
	s.ports = append(s.ports, p)
	listener, err := newListener(l, bound, spread)
	s.listeners = append(s.listeners, listener)
	return err
}

// Listeners returns what is bound: first those of Config.Listen in their order, then the spread sockets.
func (s *Server) Listeners() []Listener { return append([]Listener(nil), s.listeners...) }

// NewOut returns an Out for a goroutine that does not read, as timers do; it uses worker 0's sockets.
func (s *Server) NewOut() *Out { return newOut(s, 0) }

// Serve starts all readers and returns. newLane is called from this goroutine, once per reader (and a few more that
// connections share), before any of them starts. Serve is called once.
func (s *Server) Serve(newLane func(*Out) Lane) {
	var readers []func()
	add := func(worker int, run func(*Out, Lane)) {
		o := newOut(s, worker)
		lane := newLane(o)
		readers = append(readers, func() { run(o, lane) })
	}
	add(0, s.report)
	for i := range cap(s.seats) {
		o := newOut(s, i)
		s.seats <- &seat{o, newLane(o)}
	}
	for i, p := range s.ports {
		for w, u := range p.udp {
			if s.listeners[i].Spread {
				w = s.workerOf(i)
			}
			add(w, func(o *Out, lane Lane) { s.readUDP(u, o, lane) })
		}
		if p.tcp != nil {
			readers = append(readers, func() { s.accept(p.tcp, uint16(i)) })
		}
	}
	for i, p := range s.express.ports() {
		add(i, func(o *Out, lane Lane) { s.readFrames(p, o, lane) })
	}
	readers = append(readers, func() { s.keyring.watch(s.ctx) }, s.relieve)
	for _, r := range readers {
		s.start(s.lasting(r))
	}
}

// workerOf returns the worker whose spread socket listener i is: they were bound in the order of workers.
func (s *Server) workerOf(i int) int { return (i - len(s.cfg.Listen)) % s.cfg.Workers }

// start runs f in a goroutine that Close waits for; false after Close.
func (s *Server) start(f func()) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// Close closes all sockets and connections and returns when every goroutine of s has ended. What connections have queued is
// still written, for a second at most.
func (s *Server) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if !already {
		s.closePorts()
		s.cancel()
		for _, c := range s.conns.all() {
			c.hurry()
		}
	}
	s.wg.Wait()
	s.express.free()
	return nil
}

func (s *Server) closePorts() {
	s.express.close()
	for _, p := range s.ports {
		for _, u := range p.udp {
			u.conn.Close()
		}
		if p.tcp != nil {
			p.tcp.Close()
		}
	}
}

// Alive reports whether f can still be sent to: for UDP and for a stream flow with Conn 0 whether the listener exists, for
// other stream flows whether that connection is open.
func (s *Server) Alive(f edge.Flow) bool {
	if int(f.Listener) >= len(s.listeners) || s.listeners[f.Listener].Transport != f.Transport {
		return false
	}
	return !f.Transport.Stream() || f.Conn == 0 || s.conns.find(f) != nil
}
