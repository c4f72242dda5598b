package transport

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Listen is one address to listen on. The address is a concrete one (Expand turns a wildcard into those); port 0 lets the
// kernel choose, and Listener tells what it chose.
type Listen struct {
	Side      edge.Side
	Transport edge.Transport
	Addr      netip.AddrPort
	// Advertise is what Via and Record-Route name instead of Addr: "", "host" or "host:port" (an IPv6 address in brackets).
	Advertise string
}

// Config is what Open needs. A zero number, duration or logger means the default of that field.
type Config struct {
	Listen []Listen
	// Workers is the number of sockets, each with its reading goroutine, per UDP address. Default: GOMAXPROCS.
	Workers int
	// MaxMessage is the largest message taken from the network, bytes. Default: 64 KiB.
	MaxMessage int
	// Connections bounds the open connections, accepted and dialled. An eighth of them (at least one) is kept for exempt
	// sources and for what we dial; where strangers have the rest, a newcomer takes the place of one of them. Default: 16384.
	Connections int
	// ConnectionsPerSource bounds those accepted from one IPv4 address or IPv6 /64. Default: 64.
	ConnectionsPerSource int
	// QueueBytes bounds what waits to be written on all connections together. Default: 32 MiB.
	QueueBytes int
	// Exempt reports sources that ConnectionsPerSource does not bind: those of live bindings, and the platform. It is called
	// for each accepted connection, from several goroutines. Nil: nobody.
	Exempt func(netip.Addr) bool
	// Bound reports whether a connection of an exempt source is what that source is exempt for: that of a live binding itself, or of the platform. Of a
	// source with more than ConnectionsPerSource only these are kept when the table, or room for unfinished messages, is needed for others. It is
	// called then, from several goroutines. Nil: all are.
	Bound func(edge.Flow) bool
	// Refuse reports outside flows of which nothing is to be read now: datagrams are dropped before they are handled, connections (Conn
	// is 0 then) reset when they are accepted. It is called for each of them, from several goroutines, and must be quick. Nil: none.
	Refuse func(edge.Flow, time.Time) bool
	// ProxyProtocol are the load balancers in front of outside stream listeners. A connection from there must begin with a header of the
	// PROXY protocol, version 1 or 2, and is from then on one of the source that it names. From anywhere else a header is no SIP.
	ProxyProtocol []netip.Prefix
	// ReadBytes bounds the bytes that strangers' unfinished messages take beyond the first 4 KiB of each connection. Default: 64 MiB.
	ReadBytes int
	// Pressure says how short memory is; as it rises, strangers get a smaller part of the table of connections. It is called for each
	// connection and by who asks Server.Pressure, from any goroutine. Nil: memory is never short.
	Pressure func() edge.Pressure
	// IdleTimeout closes a connection on which nothing has come or gone. Default: 10 min.
	IdleTimeout time.Duration
	// ReadTimeout is how long one message may take from its first byte to its last, and a connection that is not exempt
	// until its first whole message. Default: 10 s.
	ReadTimeout time.Duration
	// WriteTimeout is how long one write to a connection may block. Default: 10 s.
	WriteTimeout time.Duration
	// DialTimeout is how long a connection may take to be made. Default: 4 s.
	DialTimeout time.Duration
	// HandshakeTimeout is how long a TLS handshake, and for WebSocket the HTTP request after it, may take altogether. Default: 5 s.
	HandshakeTimeout time.Duration
	// TLS holds the certificates of TLS and WSS listeners, and whom we believe when dialling.
	TLS TLS
	// InsideNets are the platform's networks: the egress guard never lets a message name an address in them.
	InsideNets []netip.Prefix
	// InsideAddrs are the platform's own addresses, with the same effect on the whole address, or where it is a loopback
	// address on that address and port.
	InsideAddrs []netip.AddrPort
	// AFXDP are interfaces over which UDP of far ends that much is said to goes past the kernel's socket path (package xsk). Where that can't be had, the
	// sockets serve as ever, and Server.AFXDP says why. None: all by sockets.
	AFXDP []string
	// AFXDPGeneric attaches there without the help of drivers.
	AFXDPGeneric bool
	// Log gets what an operator should know. Default: slog.Default().
	Log *slog.Logger
}

// Default returns a Config with every default filled in and nothing to listen on.
func Default() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	orInt(&c.Workers, runtime.GOMAXPROCS(0))
	orInt(&c.MaxMessage, 64<<10)
	orInt(&c.Connections, 16384)
	orInt(&c.ConnectionsPerSource, 64)
	orInt(&c.QueueBytes, 32<<20)
	orInt(&c.ReadBytes, 64<<20)
	orDuration(&c.IdleTimeout, 10*time.Minute)
	orDuration(&c.ReadTimeout, 10*time.Second)
	orDuration(&c.WriteTimeout, 10*time.Second)
	orDuration(&c.DialTimeout, 4*time.Second)
	orDuration(&c.HandshakeTimeout, 5*time.Second)
	if c.Exempt == nil {
		c.Exempt = func(netip.Addr) bool { return false }
	}
	if c.Bound == nil {
		c.Bound = func(edge.Flow) bool { return true }
	}
	if c.Pressure == nil {
		c.Pressure = func() edge.Pressure { return edge.Calm }
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.InsideAddrs = slices.Clone(c.InsideAddrs)
	for i, a := range c.InsideAddrs {
		c.InsideAddrs[i] = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return c
}

func orInt(p *int, def int) {
	if *p == 0 {
		*p = def
	}
}

func orDuration(p *time.Duration, def time.Duration) {
	if *p == 0 {
		*p = def
	}
}

// Validate reports everything that is wrong with c, zero fields standing for their defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Listen) == 0 {
		bad("no address to listen on")
	}
	if c.Workers < 1 || c.Workers > 1024 {
		bad("%d workers: want 1 to 1024", c.Workers)
	}
	if c.MaxMessage < 1024 || c.MaxMessage > 1<<20 {
		bad("message limit of %d bytes: want 1 KiB to 1 MiB", c.MaxMessage)
	}
	if c.QueueBytes < 1<<20 {
		bad("%d bytes for all queues: want at least 1 MiB", c.QueueBytes)
	}
	if c.Connections < 1 || c.ConnectionsPerSource < 1 {
		bad("limits of %d connections and %d per source: want at least 1", c.Connections, c.ConnectionsPerSource)
	}
	if c.ReadBytes < c.MaxMessage {
		bad("%d bytes for messages that are read: want at least one message of %d", c.ReadBytes, c.MaxMessage)
	}
	for _, d := range []time.Duration{c.IdleTimeout, c.ReadTimeout, c.WriteTimeout, c.DialTimeout, c.HandshakeTimeout} {
		if d < 0 {
			bad("negative timeout %v", d)
		}
	}
	if err := c.TLS.validate(c.Listen); err != nil {
		errs = append(errs, err)
	}
	for i, l := range c.Listen {
		if err := l.validate(); err != nil {
			errs = append(errs, err)
		}
		for _, k := range c.Listen[:i] {
			if l.Addr.Port() != 0 && k.Addr == l.Addr && k.Transport.Stream() == l.Transport.Stream() {
				bad("%v is listed twice", l)
			}
		}
	}
	return errors.Join(errs...)
}
