// Package config turns a strict YAML file into a typed Config. Every mistake of a file is found in one run and told with
// file, line, column, the line itself, a caret and a hint. Keys of rooms that are not built yet are known: their off
// value is accepted, any other is refused as "not in this version".
//
// Rooms do not know this package: each has its own Config; cmd/ringwall translates.
package config

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// DefaultInsidePort is the port inside listeners get when inside.listen is left out. It is fixed, so that Contacts
// stored by the platform survive a restart.
const DefaultInsidePort = 5070

// Config is a whole configuration. Every field has its default if the file does not set it. It is plain data: whoever
// holds it may copy what they need; nothing changes it after Load, Parse, Default or Override returned.
type Config struct {
	File          string // name the file was loaded by, "" for Default
	Outside       Outside
	Inside        Inside
	Upstreams     []Upstream // empty: start the demonstration platform
	Peers         []Peer
	Domains       []string // lower case; empty: any
	Registrations Registrations
	TLS           TLS
	Topology      Topology
	Identity      Identity
	Media         Media
	Access        Access
	Headers       Headers
	Trust         Trust
	Checks        Checks
	Bans          Bans
	AFXDP         AFXDP
	Limits        Limits
	Timers        Timers
	State         string // path of the state file
	Admin         Admin
	Log           Log
	Mode          Mode

	sources sources // where values stand
}

// Listen is one place to listen at.
type Listen struct {
	Transport edge.Transport
	// Addr is never 4in6 and has no zone; its port is 1 to 65535. 0.0.0.0 stands for every IPv4 address of the host,
	// [::] for every IPv6 address; "*" in the file gives both, as two entries.
	Addr netip.AddrPort
	Path string // key it comes from, for Config.Where and Config.Fault

	star bool // "*", not yet made two entries
}

// String returns l as it is written in the file, "udp:203.0.113.5:5060".
func (l Listen) String() string {
	name := l.Transport.String() + ":"
	if l.star {
		return name + "*:" + strconv.Itoa(int(l.Addr.Port()))
	}
	return name + l.Addr.String()
}

// Outside is the side of the internet.
type Outside struct {
	Listen    []Listen // never empty
	Advertise string   // host for Via, Contact and Record-Route, IPv6 in brackets; "": the listener's own address
	// ProxyProtocol are load balancers, whose connections begin with a PROXY protocol header; masked, never 4in6.
	ProxyProtocol []netip.Prefix
}

// Inside is the side of the platform.
type Inside struct {
	Listen  []Listen       // empty: udp and tcp on the local address that routes to the first upstream, DefaultInsidePort
	Sources []netip.Prefix // who may use inside listeners besides the upstreams; masked, never 4in6
	Names   bool           // requests for host names that are no peer's are looked up (RFC 3263)
}

// Upstream is one server of the platform.
type Upstream struct {
	URI       string // as written
	Host      string // name in lower case, or address (IPv6 without brackets)
	Port      uint16 // 0: not written, DefaultPort of the transport
	Transport edge.Transport
	Named     bool      // the transport is written; else a name's NAPTR and SRV records may say another one
	Weight    int       // share of the calls among the upstreams of its priority, 1 to 100
	Priority  int       // upstreams of the smallest priority that are up get the calls, 1 to 100
	Large     bool      // requests over 1,300 bytes go over TCP instead of UDP (RFC 3261 §18.1.1)
	CA        Reference // authorities of its certificate (TLS); none: the system's
	Own       KeyPair   // what we show it (TLS); none: the first of Config.TLS
	Path      string    // key it comes from, for Config.Where and Config.Fault
}

// TLS holds the certificates of tls and wss listeners.
type TLS struct {
	Certificates       []KeyPair          // the first is for clients that name no server or an unknown one
	ClientCertificates ClientCertificates // what listeners ask of far ends
	ClientCA           Reference          // authorities (PEM) of far ends' certificates
}

// KeyPair is a certificate (PEM, with its chain) and its private key.
type KeyPair struct{ Certificate, Key Reference }

// ClientCertificates is what a TLS listener wants of far ends.
type ClientCertificates string

// Choices of tls.client_certificates.
const (
	Off     ClientCertificates = "off"
	Ask     ClientCertificates = "ask"
	Require ClientCertificates = "require"
)

// DefaultPort is the port of t where none is written (RFC 3261 §19.1.2).
func DefaultPort(t edge.Transport) uint16 {
	if t.Secure() {
		return 5061
	}
	return 5060
}

// Registrations says how registrations are kept (RFC 3261 §10).
type Registrations struct {
	Path      bool          // use RFC 3327 Path instead of an own Contact
	Keepalive time.Duration // between CRLFCRLF to UDP bindings behind NAT; 0: none
}

// Topology says what is hidden of the platform, and where the keys of tokens and binding ids are.
type Topology struct {
	Hide       bool   // outside sees nothing of the inside
	MaskCallID bool   // nor the Call-IDs that it chose; without Hide of no effect
	KeyFile    string // default: topology.key beside Config.State
	Guard      Guard
	Bodies     []string // types of bodies that leave besides the known ones, in lower case
}

// Guard is what becomes of messages to outside that name the inside all the same.
type Guard string

// Choices of topology.guard.
const (
	GuardOff   Guard = "off"
	GuardLog   Guard = "log"
	GuardBlock Guard = "block"
)

// Identity is what the edge says of itself and in the platform's name.
type Identity struct {
	Server string // Server and User-Agent towards outside; "": neither
}

// Methods is what a trust class may start.
type Methods struct {
	Any  bool         // every method, extension methods too
	List []sip.Method // as written, without repetitions; empty if Any
}

// Allows reports whether m may start something.
func (m Methods) Allows(method sip.Method) bool {
	if m.Any {
		return true
	}
	for _, have := range m.List {
		if have == method {
			return true
		}
	}
	return false
}

// Access is what each trust class may start; ACK, CANCEL and in-dialog requests follow their call.
type Access struct {
	Unknown, Known, Peer Methods
	Unify                CheckMode // strangers can't tell by answers which users there are
	NotUnified           []string  // domains where they may
	OpenInbound          []string  // domains that accept calls of strangers
}

// Headers is the policy for header fields.
type Headers struct {
	Source string // name of the field that carries the real source to the platform; "": none ("none" in the file)

	// Fields from outside, as written: Remove goes whoever sends it, Allow stays where its kind (identity, charging, P-, X-) would be
	// removed because its sender is no peer.
	Remove, Allow []string
	ToOutside     []string // fields of the platform that leave besides those of the built-in list, where it is hidden
}

// Trust says who is trusted in what.
type Trust struct {
	NeverBan  []netip.Prefix // masked, never 4in6; an IPv6 address stands for its /64
	Realm     string         // of challenges until the platform's have been seen; "": the host that is asked for
	Challenge CheckMode      // of greylisted sources
}

// Bans says how long bans last.
type Bans struct {
	First, Longest time.Duration // of a first ban, and at most
}

// Limits bound what may be used.
type Limits struct {
	Memory               int64 // bytes; 0: auto, a quarter of RAM, at least 512 MiB
	Message              int   // bytes of one message, at most 65536
	Headers              int   // header fields of a message from outside
	Header               int   // bytes of a field value
	URI                  int   // bytes of a URI
	Vias                 int   // via-parms of a message
	Parameters           int   // parameters of a URI, a via-parm or an address
	Calls                int
	Connections          int // at once; 0: auto, as many as memory and descriptors allow
	ConnectionsPerSource int // connections of one source without a live binding
}

// AFXDP says over which interfaces UDP of busy far ends goes past the kernel's socket path.
type AFXDP struct {
	Interfaces []string // none: everything by sockets
	Mode       AFXDPMode
}

// AFXDPMode is how the program is attached to interfaces.
type AFXDPMode string

// Choices of af_xdp.mode.
const (
	AFXDPAuto    AFXDPMode = "auto"    // by the driver if it can, else generic
	AFXDPGeneric AFXDPMode = "generic" // by the kernel, in front of its own path
)

// Timers are those of RFC 3261 §17 and our own.
type Timers struct {
	T1, T2, T4 time.Duration
	C          time.Duration // RFC 3261 §16.6 step 11
	Linger     time.Duration // how long a finished transaction absorbs retransmissions; default 64*T1
	Drain      time.Duration // how long TERM waits for pending transactions
}

// Admin says where the admin port and the control socket are.
type Admin struct {
	HTTP   netip.AddrPort // loopback only; the zero value: no admin port ("off" in the file); port 0: any free one
	Socket string         // path of the control socket
}

// Log says how to log.
type Log struct {
	Format LogFormat
	Level  slog.Level
}

// LogFormat is the form of a log line.
type LogFormat string

// Log formats.
const (
	Text LogFormat = "text"
	JSON LogFormat = "json"
)

// Mode says whether opinions are acted on.
type Mode string

// Modes.
const (
	Enforce Mode = "enforce"
	Monitor Mode = "monitor"
)

// Default returns the configuration of an empty file.
func Default() *Config {
	c := defaults()
	c.complete()
	return c
}

// defaults returns what every key is before a file is read, but those that depend on others.
func defaults() *Config {
	return &Config{
		Outside:       Outside{Listen: []Listen{anywhere(edge.UDP, 5060), anywhere(edge.TCP, 5060)}},
		Inside:        Inside{Names: true},
		Registrations: Registrations{Keepalive: 25 * time.Second},
		Access: Access{
			Unknown: Methods{List: []sip.Method{sip.REGISTER, sip.INVITE, sip.OPTIONS}},
			Known:   Methods{Any: true},
			Peer:    Methods{Any: true},
			Unify:   CheckOff,
		},
		Trust:    Trust{Challenge: CheckEnforce},
		TLS:      TLS{ClientCertificates: Off},
		Topology: Topology{Hide: true, MaskCallID: true},
		Media: Media{Relay: RelayBuiltIn, Ports: Ports{30000, 39999}, Latch: Latches{LatchStrict, LatchStrict, LatchStrict},
			Silence: Silence{After: time.Minute}, Journal: true, Packets: 5000, Threads: 1},
		Headers: Headers{Source: "X-Source"},
		Checks:  defaultChecks(),
		Bans:    Bans{First: 10 * time.Minute, Longest: 7 * 24 * time.Hour},
		Limits: Limits{Message: maxMessage, Headers: sip.MaxFields, Header: sip.MaxValue, URI: sip.MaxURI, Vias: sip.MaxVias,
			Parameters: sip.MaxParams, Calls: 10_000, ConnectionsPerSource: 64},
		AFXDP: AFXDP{Mode: AFXDPAuto},
		Timers: Timers{T1: 500 * time.Millisecond, T2: 4 * time.Second, T4: 5 * time.Second, C: 185 * time.Second,
			Drain: 5 * time.Second},
		State: "/var/lib/ringwall/state.db",
		Admin: Admin{HTTP: netip.AddrPortFrom(loopback, 7060), Socket: "/run/ringwall/ringwall.sock"},
		Log:   Log{Format: Text, Level: slog.LevelInfo},
		Mode:  Enforce,
	}
}

// loopback is where the admin port is.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// anywhere is "*" at port.
func anywhere(t edge.Transport, port uint16) Listen {
	return Listen{Transport: t, Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), port), star: true}
}

// complete fills in what depends on other keys and makes "*" two listeners.
func (c *Config) complete() {
	if c.Topology.KeyFile == "" {
		c.Topology.KeyFile = filepath.Join(filepath.Dir(c.State), keyName)
	}
	if c.Topology.Guard == "" {
		if c.Topology.Guard = GuardOff; c.Topology.Hide {
			c.Topology.Guard = GuardLog
		}
	}
	if c.Timers.Linger == 0 {
		c.Timers.Linger = 64 * c.Timers.T1
	}
	c.Outside.Listen = expand(c.Outside.Listen)
	c.Inside.Listen = expand(c.Inside.Listen)
}

// expand replaces each "*" by every IPv4 and every IPv6 address.
func expand(from []Listen) []Listen {
	var out []Listen
	for _, l := range from {
		if !l.star {
			out = append(out, l)
			continue
		}
		l.star = false
		four := l
		four.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), l.Addr.Port())
		out = append(out, four, l)
	}
	return out
}
