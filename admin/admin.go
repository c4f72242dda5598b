// Package admin is how operators and their tools look into a running ringwall: the control socket that `ringwall status`
// speaks to, and the admin HTTP port with /metrics, /healthz and /readyz.
//
// Both are for the machine itself: the HTTP port binds loopback only and answers only to loopback names (a web page
// elsewhere can't reach it by DNS rebinding), the socket is open to its owner and group only. Both are bounded in
// connections, bytes and time, so that a stuck tool costs nothing.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Config says where to listen and what to show.
type Config struct {
	// HTTP is the address of the admin port, on loopback; port 0 takes any free one. The zero value: no admin port.
	HTTP netip.AddrPort
	// Socket is the path of the control socket. "": no socket.
	Socket string
	// Collectors are shown at /metrics, beside those of the process and the Go runtime.
	Collectors []prometheus.Collector
	// Log is told what an operator should know. Nil: slog.Default().
	Log *slog.Logger
}

// Validate refuses an HTTP address that others than this machine could reach.
func (c Config) Validate() error {
	if a := c.HTTP.Addr(); a.IsValid() && !a.Unmap().IsLoopback() {
		return fmt.Errorf("admin.http: %v is not a loopback address; the admin port has no sign-in, so it serves this machine only "+
			"(use 127.0.0.1:7060, and ssh or a proxy with authentication to reach it from elsewhere)", c.HTTP)
	}
	return nil
}

// State is how far the service is; /readyz answers 200 in Ready only.
type State int32

// States in the order in which they come.
const (
	Starting State = iota
	Ready
	Draining
)

// String is the state as /readyz and status show it.
func (s State) String() string {
	switch s {
	case Ready:
		return "ready"
	case Draining:
		return "draining"
	}
	return "starting"
}

// A Handler answers one verb of the control socket. args is what the caller sent, null or absent included; the result is
// sent as JSON, an error as one sentence.
type Handler func(ctx context.Context, args json.RawMessage) (any, error)

// A Server is an open admin port and control socket.
type Server struct {
	log      *slog.Logger
	state    atomic.Int32
	handlers map[string]Handler
	streams  map[string]StreamHandler
	registry *prometheus.Registry

	ctx    context.Context // ends at Close, and with it what handlers do
	cancel context.CancelFunc
	wg     sync.WaitGroup

	socket   *net.UnixListener // nil: none
	slots    chan struct{}     // connections of the control socket
	listener net.Listener      // nil: no HTTP
	http     *http.Server
}

// Open binds the port and the socket; Serve answers on them. The error says in one sentence what is wrong with which of
// the two; it wraps the system's error.
func Open(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{log: cfg.Log, handlers: map[string]Handler{}, streams: map[string]StreamHandler{}, registry: prometheus.NewRegistry(),
		slots: make(chan struct{}, maxSocketConns)}
	if s.log == nil {
		s.log = slog.Default()
	}
	all := append([]prometheus.Collector{collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}, cfg.Collectors...)
	for _, c := range all {
		if err := s.registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	if cfg.Socket != "" {
		var err error
		if s.socket, err = listenUnix(cfg.Socket); err != nil {
			return nil, err
		}
	}
	if cfg.HTTP.IsValid() {
		l, err := net.Listen("tcp", cfg.HTTP.String())
		if err != nil {
			s.closeListeners()
			return nil, fmt.Errorf("admin.http: cannot listen on %v: %w", cfg.HTTP, systemError(err))
		}
		s.listener = &cappedListener{Listener: l, free: newSlots(maxHTTPConns)}
		s.http = s.httpServer()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// systemError is what the system said, without the names of calls and addresses that package net puts around it.
func systemError(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}

// Handle names the Handler of a verb. It may only be called before Serve.
func (s *Server) Handle(verb string, h Handler) { s.handlers[verb] = h }

// Serve starts answering and returns.
func (s *Server) Serve() {
	if s.socket != nil {
		s.wg.Go(s.acceptSocket)
	}
	if s.listener != nil {
		s.wg.Go(func() {
			if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("the admin port stopped", "err", err)
			}
		})
	}
}

// SetState tells /readyz and status how far the service is.
func (s *Server) SetState(state State) { s.state.Store(int32(state)) }

// State returns what SetState was last given.
func (s *Server) State() State { return State(s.state.Load()) }

// HTTPAddr is the bound address of the admin port; the zero value where there is none.
func (s *Server) HTTPAddr() netip.AddrPort {
	if s.listener == nil {
		return netip.AddrPort{}
	}
	return s.listener.Addr().(*net.TCPAddr).AddrPort()
}

// Close stops listening, removes the socket, cuts open connections and returns when their goroutines have ended. It must be called
// once.
func (s *Server) Close() {
	s.cancel()
	if s.http != nil {
		_ = s.http.Close() // closes the listener that Serve was given, and every connection
	}
	s.closeListeners()
	s.wg.Wait()
}

// closeListeners closes what is bound; closing twice is harmless.
func (s *Server) closeListeners() {
	if s.socket != nil {
		_ = s.socket.Close()
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
}
