package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/media"
	"github.com/ringwall/ringwall/scrub"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
)

// An Upstream is one server of the platform.
type Upstream struct {
	URI       string // as the operator knows it, "" for its address
	Addr      netip.AddrPort
	Transport edge.Transport
	Weight    int  // share of the calls among those of its priority; 0 is 1
	Priority  int  // smaller ones are asked first
	Large     bool // requests over 1,300 bytes go over TCP instead of UDP (RFC 3261 §18.1.1)
}

// Methods is what a trust class may start something with.
type Methods struct {
	Any bool
	set uint32 // bit per sip.Method
}

// MethodSet returns the Methods that list names.
func MethodSet(list ...sip.Method) (m Methods) {
	for _, one := range list {
		m.set |= 1 << one
	}
	return m
}

// Allows reports whether method may start something. A method that ringwall does not know by name needs Any.
func (m Methods) Allows(method sip.Method) bool {
	return m.Any || method != sip.MethodOther && m.set>>method&1 == 1
}

// Config is what the proxy is told by the operator.
type Config struct {
	Upstreams []Upstream     // the platform: who gets what starts outside, at most 32
	Peers     []Peer         // carriers and other sites outside
	Sources   []netip.Prefix // who may use inside listeners, besides the upstreams
	Former    []netip.Addr   // those of Sources who were upstreams: they begin nothing any more, and get nothing new
	Domains   []string       // lower case; requests from outside for others are refused; empty: any
	Advertise string         // a further name or address by which outside calls us, "" if none

	Unknown, Known, Peer Methods // what each trust class may start

	Limits Limits // of messages from outside

	Monitor       bool        // say what access and unknown dialogs would do, but do not do it
	SourceHeader  string      // field that carries the caller's address towards the platform; "": none
	Remove, Allow []string    // fields from outside: removed whoever sends them; of strangers not removed as their kind would be
	Hide          bool        // the platform is hidden, as Topology and Scrub say
	Topology      topo.Config // Marks are filled in by the proxy
	Guard         Guard       // what becomes of messages to outside that name the inside
	Scrub         scrub.Config
	Path          bool // RFC 3327 Path instead of an own Contact (registrations.path)
	Keepalive     time.Duration
	Media         *media.Calls // the calls whose media is relayed; nil: none are. Apply does not change it

	Names  bool   // the platform may send to hosts that it names and that are no peer's
	Lookup Lookup // finds them; needed for Names. Apply does not change it

	Judge        *judge.Judge // nil: nobody judges requests from outside and who sends them, and the next four are off
	Challenge    judge.Mode   // greylisted and softly banned sources, and those that fail with a user's password, are asked to prove themselves
	Realm        string       // of challenges until the platform's have been seen; "": the host that is asked for
	Unify        judge.Mode   // strangers can't tell by the platform's answers which users it has
	NotUnified   []string     // domains in which they may; lower case
	OpenInbound  []string     // domains that accept calls of strangers, where their calls are not unified
	Transactions transaction.Config
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if len(c.Upstreams) == 0 {
		return errors.New("proxy: there is no upstream")
	}
	if len(c.Upstreams) > maxTried {
		return fmt.Errorf("proxy: %d upstreams are more than %d", len(c.Upstreams), maxTried)
	}
	for _, u := range c.Upstreams {
		if !u.Addr.IsValid() || u.Addr.Port() == 0 || u.Addr.Addr().IsUnspecified() {
			return fmt.Errorf("proxy: upstream address %q can't be sent to", u.Addr)
		}
	}
	for i := range c.Peers {
		if err := c.Peers[i].validate(); err != nil {
			return err
		}
	}
	if strings.ContainsAny(c.SourceHeader, " :\t\r\n") {
		return fmt.Errorf("proxy: headers.source %q is not a header field name", c.SourceHeader)
	}
	return c.Transactions.Validate()
}

// inside reports whether a may speak for the platform.
func (c *Config) inside(a netip.Addr) bool {
	for i := range c.Upstreams {
		if c.Upstreams[i].Addr.Addr() == a {
			return true
		}
	}
	for _, p := range c.Sources {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// formerly reports whether a spoke for the platform.
func (c *Config) formerly(a netip.Addr) bool { return slices.Contains(c.Former, a) }
