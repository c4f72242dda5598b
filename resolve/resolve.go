// Package resolve finds out where SIP requests for a host go: RFC 3263 (NAPTR, SRV, A and AAAA) with a bounded cache that keeps to the
// TTLs of the answers and goes on with the last good ones while the DNS fails. Look-ups block; the packet path never makes any.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Bounds of what is taken from the DNS.
const (
	maxTargets = 32 // of one look-up
	maxRecords = 32 // of one answer
	maxAliases = 8  // CNAMEs on the way to one answer

	// Fastest and slowest that an answer is asked for again, whatever its TTL says.
	MinTTL = 5 * time.Second
	MaxTTL = time.Hour

	maxNegative = 5 * time.Minute  // how long "there is none" holds at most
	negativeTTL = 30 * time.Second // and where the answer does not say
	retryAfter  = 10 * time.Second // a failed look-up is tried again
)

// A Target is one place that a request can be sent to.
type Target struct {
	Addr      netip.AddrPort
	Transport edge.Transport
	Priority  int    // rank among the targets of one look-up, from 0: equal ones share the load by Weight
	Weight    int    // of the SRV record (RFC 2782), 0 where there is none; all addresses of Host together have it
	Host      string // whose address it is: the SRV record's target, or the host looked up
}

// A Query says what is looked up. It is comparable.
type Query struct {
	Host      string         // name, or address without brackets
	Port      uint16         // 0: none given
	Transport edge.Transport // what the URI says, or else (Named false) unused
	Named     bool           // the URI names a transport
	Secure    bool           // sips: only TLS will do
	Speaks    Transports     // the caller's transports; records of others are passed over. 0: udp, tcp and tls

	// AddressOnly asks for A and AAAA of Host alone, whatever the rest says; the targets have Port, which may be 0.
	AddressOnly bool
}

// Transports is a set of transports.
type Transports uint8

// Only is the set of those of list that can be looked up: WebSocket cannot.
func Only(list ...edge.Transport) (set Transports) {
	for _, t := range list {
		if !t.WebSocket() {
			set |= 1 << t
		}
	}
	return set
}

// has reports whether t is in the set; 0 is all.
func (set Transports) has(t edge.Transport) bool { return set == 0 || set>>t&1 == 1 }

// Config is what a Resolver is told. The zero Config is that of the system.
type Config struct {
	Servers    []string         // address or address:port of DNS servers; empty: those of ResolvConf
	ResolvConf string           // "": /etc/resolv.conf. It is read again when it changes
	Hosts      string           // "": /etc/hosts, likewise
	Timeout    time.Duration    // for one try at one server; 0: 2 s
	MaxEntries int              // answers kept; 0: 4,096
	Now        func() time.Time // nil: time.Now. TTLs are measured with it
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.Timeout < 0 || c.MaxEntries < 0 {
		return errors.New("resolve: timeout and number of entries can't be negative")
	}
	for _, s := range c.Servers {
		if _, err := serverAddr(s); err != nil {
			return err
		}
	}
	return nil
}

// An Error says why a name could not be looked up, in one sentence.
type Error struct {
	Name     string
	NotFound bool // the DNS answered, and has nothing; else it did not answer
	why      string
}

// Error returns the sentence, which names the name.
func (e *Error) Error() string { return e.why }

func missing(name, format string, args ...any) error {
	return &Error{Name: name, NotFound: true, why: fmt.Sprintf(format, args...)}
}

func failure(name, format string, args ...any) error {
	return &Error{Name: name, why: fmt.Sprintf(format, args...)}
}

// A Resolver looks names up and remembers answers. It is safe for use by many goroutines.
type Resolver struct {
	cfg    Config
	system system
	good   atomic.Pointer[string] // the server that answered last

	mu    sync.Mutex
	cache map[question]*entry
	busy  map[question]chan struct{} // closed when the look-up under way has ended
}

// New returns a Resolver; it reads nothing yet.
func New(cfg Config) (*Resolver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	def := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	def(&cfg.ResolvConf, "/etc/resolv.conf")
	def(&cfg.Hosts, "/etc/hosts")
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.MaxEntries == 0 {
		cfg.MaxEntries = 4096
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Resolver{cfg: cfg, cache: map[question]*entry{}, busy: map[question]chan struct{}{}}
	r.system.resolv.path, r.system.hosts.path = cfg.ResolvConf, cfg.Hosts
	return r, nil
}

// Lookup finds where requests for q go, by RFC 3263 §4.1 and §4.2, in the order in which to try them: by priority, and among
// equals drawn by weight as RFC 2782 says. There are at most 32. ttl is when it is worth asking again. It may block for some
// seconds; ctx bounds that.
//
// Targets may come with an error: then they are, as far as the DNS fails, those of its last good answers, which stay in force.
// Without targets there is an error, in nearly every case an *Error.
func (r *Resolver) Lookup(ctx context.Context, q Query) (targets []Target, ttl time.Duration, err error) {
	w := walk{r: r, ctx: ctx, ttl: MaxTTL}
	if targets, err = w.locate(q); err == nil {
		err = w.failed
	}
	if len(targets) > maxTargets {
		targets = targets[:maxTargets]
	}
	return targets, w.ttl, err
}

// Addrs finds the addresses of host: what it is itself, else what the hosts file says, else A and AAAA. Global IPv6 addresses
// stand first, then IPv4, then others (RFC 6724 in short); addresses that nothing can be sent to are left out. As with Lookup there may be
// addresses and an error.
func (r *Resolver) Addrs(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	w := walk{r: r, ctx: ctx, ttl: MaxTTL}
	all, err := w.addrs(host)
	if err == nil {
		err = w.failed
	}
	return all, w.ttl, err
}
