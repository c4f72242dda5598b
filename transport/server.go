package transport

import (
	"net/netip"

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

// A Server owns the sockets.
type Server struct{}

// Expand turns a wildcard address into one Listen per local address of that family, link-local IPv6 left out. Other
// addresses come back alone. Port 0 stays 0.
func Expand(l Listen) ([]Listen, error) { panic("unbuilt") }

// Open binds every address of cfg, or none: the error is a *ListenError when a bind failed.
func Open(cfg Config) (*Server, error) { panic("unbuilt") }

// Listeners returns what is bound: first those of Config.Listen in their order, then the spread sockets.
func (s *Server) Listeners() []Listener { panic("unbuilt") }

// Serve starts all readers and returns. newLane is called from this goroutine once per reader before any of them starts.
func (s *Server) Serve(newLane func(*Out) Lane) { panic("unbuilt") }

// NewOut returns an Out for a goroutine that does not read, as timers do; it uses worker 0's sockets.
func (s *Server) NewOut() *Out { panic("unbuilt") }

// Close closes all sockets and connections and returns when every goroutine of s has ended.
func (s *Server) Close() error { panic("unbuilt") }

// Alive reports whether f can still be sent to: for UDP and for a stream flow with Conn 0 whether the listener exists, for
// other stream flows whether that connection is open.
func (s *Server) Alive(f edge.Flow) bool { panic("unbuilt") }

// Counters returns what has been counted since Open.
func (s *Server) Counters() Counters { panic("unbuilt") }

// Guard is the egress guard: it refuses, with a GuardError, an address that only a message named and that nobody outside can
// have. listener is the outside listener the message would leave by. The source a message came from, and bindings and
// tokens made from it, need no guard.
func (s *Server) Guard(to netip.AddrPort, listener uint16) error { panic("unbuilt") }
