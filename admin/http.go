package admin

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of the admin port.
const (
	maxHTTPConns   = 64
	maxHeaderBytes = 16 << 10
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
)

func (s *Server) httpServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: requestTimeout}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	return &http.Server{
		Handler:           guarded(mux),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	state := s.State()
	status := http.StatusServiceUnavailable
	if state == Ready {
		status = http.StatusOK
	}
	say(w, status, state.String())
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // a client that went away needs no answer
}

// guarded refuses requests that a browser was talked into: those under another name than this machine's (DNS rebinding).
// Nothing that is served may be kept by a cache.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if !loopbackHost(r.Host) {
			say(w, http.StatusMisdirectedRequest, "this port answers to localhost and loopback addresses only")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost reports whether a Host field names this machine by "localhost" or a loopback address, with any port.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// cappedListener closes connections beyond a number at once, so that stuck tools cannot use up descriptors.
type cappedListener struct {
	net.Listener
	free chan struct{} // a token per connection that may still be opened
}

// newSlots returns n tokens.
func newSlots(n int) chan struct{} {
	c := make(chan struct{}, n)
	for range n {
		c <- struct{}{}
	}
	return c
}

// Accept implements net.Listener.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case <-l.free:
			return &cappedConn{Conn: conn, release: sync.OnceFunc(func() { l.free <- struct{}{} })}, nil
		default:
			_ = conn.Close()
		}
	}
}

// cappedConn gives its token back when it is closed.
type cappedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *cappedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
