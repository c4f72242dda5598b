package proxy

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Peer is a carrier or another site: what comes from it may start what Config.Peer allows, and what the platform sends to
// its host goes to its targets.
type Peer struct {
	Name     string
	Host     string         // of its URI, in lower case: what the platform names it by
	Port     uint16         // of its URI, the default one of Transport if none is written
	Match    []netip.Prefix // where its requests come from, by Transport and no other (and TCP where a target is Large)
	Targets  []Upstream     // where requests to it go, at most 32; none: its name has no address
	Weight   int            // share among the peers of one host and Priority; 0 is 1
	Priority int            // of the peers of one host the smallest that is up gets the calls

	Transport edge.Transport
	Calls     int           // most calls at once, both directions; 0: any number
	Every     time.Duration // one new call in this time, both directions, with one second's worth at once; 0: any number
}

// validate reports what is wrong with p.
func (p *Peer) validate() error {
	if p.Name == "" || p.Host == "" {
		return errors.New("proxy: a peer needs a name and a host")
	}
	if len(p.Targets) > maxTried {
		return fmt.Errorf("proxy: peer %s has %d targets, more than %d", p.Name, len(p.Targets), maxTried)
	}
	for _, t := range p.Targets {
		if !t.Addr.IsValid() || t.Addr.Port() == 0 || t.Addr.Addr().IsUnspecified() {
			return fmt.Errorf("proxy: address %q of peer %s can't be sent to", t.Addr, p.Name)
		}
	}
	for _, m := range p.Match {
		if !m.IsValid() || m.Bits() == 0 {
			return fmt.Errorf("proxy: peer %s matches %v", p.Name, m)
		}
	}
	return nil
}

// A peer is a Peer with what is known of it.
type peer struct {
	Peer
	pool  // its targets
	quota *quota
}

// before reports whether p is to be asked before o whatever their weights: one that is up before one that is down, then by
// priority.
func (p *peer) before(o *peer) bool {
	if up := p.up(); up != o.up() {
		return up
	}
	return p.Priority < o.Priority
}

// An origin is what a peer is trusted by: a prefix, as 128 bits (IPv4 as 4in6) of which bits count, and a transport. Numbers without
// gaps: a map hashes them in one go.
type origin struct {
	high, low uint64
	bits      uint32
	transport uint32
}

// newOrigin is the origin of an address as a prefix of that length has it.
func newOrigin(a netip.Addr, bits int, t edge.Transport) origin {
	raw := a.As16()
	o := origin{binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:]), uint32(bits), uint32(t)}
	if a.Is4() {
		bits += 96
	}
	if bits < 64 {
		o.high &= ^uint64(0) << (64 - bits)
	}
	o.low &= ^uint64(0) << min(64, 128-bits)
	return o
}

// A place is one of a peer's targets.
type place struct {
	addr      netip.AddrPort
	transport edge.Transport
}

// A directory finds peers. It is never written after it was made.
type directory struct {
	peers   []*peer
	origins map[origin]*peer
	lengths [2][]int // of the prefixes in origins, longest first: of IPv4, of IPv6
	places  map[place]*peer
}

// newDirectory keeps what is known of the peers and targets that stay.
func newDirectory(all []Peer, old *settings) directory {
	d := directory{origins: map[origin]*peer{}, places: map[place]*peer{}}
	for i := range all {
		p := &peer{Peer: all[i], quota: &quota{}}
		var kept pool
		if old != nil {
			if have := old.peerCalled(p.Name); have != nil {
				p.quota, kept = have.quota, have.pool
			}
		}
		p.pool = makePool(p.Targets, edge.Outside, p.Name, kept)
		d.peers = append(d.peers, p)
		d.know(p)
	}
	for i := range d.lengths {
		slices.SortFunc(d.lengths[i], func(a, b int) int { return cmp.Compare(b, a) })
	}
	return d
}

// know enters a peer into the indexes. What two peers share is the first one's.
func (d *directory) know(p *peer) {
	large := slices.ContainsFunc(p.Targets, func(t Upstream) bool { return t.Large })
	for _, m := range p.Match {
		d.trust(m, p.Transport, p)
		if large {
			d.trust(m, edge.TCP, p)
		}
	}
	for _, t := range p.Targets {
		d.enter(place{t.Addr, t.Transport}, p)
		if t.Large {
			d.enter(place{t.Addr, edge.TCP}, p)
		}
	}
}

func (d *directory) trust(m netip.Prefix, t edge.Transport, p *peer) {
	o := newOrigin(m.Addr(), m.Bits(), t)
	if _, taken := d.origins[o]; taken {
		return
	}
	d.origins[o] = p
	if f := family(m.Addr()); !slices.Contains(d.lengths[f], m.Bits()) {
		d.lengths[f] = append(d.lengths[f], m.Bits())
	}
}

func (d *directory) enter(at place, p *peer) {
	if _, taken := d.places[at]; !taken {
		d.places[at] = p
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// peerFrom returns the peer that a message came from, nil if its source is none's: the longest prefix counts, and the transport
// must be the peer's own (an address on UDP is forged more easily than one on TLS). It does not allocate.
func (d *directory) peerFrom(f edge.Flow) *peer {
	if len(d.peers) == 0 {
		return nil
	}
	addr := f.Remote.Addr()
	for _, bits := range d.lengths[family(addr)] {
		if p := d.origins[newOrigin(addr, bits, f.Transport)]; p != nil {
			return p
		}
	}
	return nil
}

// peerAt returns the peer that a flow outside leads to: by its targets, else by where it sends from.
func (d *directory) peerAt(f edge.Flow) *peer {
	if len(d.peers) == 0 {
		return nil
	}
	if p := d.places[place{f.Remote, f.Transport}]; p != nil {
		return p
	}
	return d.peerFrom(f)
}

// peerCalled returns the peer of that name.
func (d *directory) peerCalled(name string) *peer {
	for _, p := range d.peers {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// PeerStatus is what `ringwall status` shows of a peer.
type PeerStatus struct {
	Name    string
	State   string // "up", "down since …: why", "not heard of yet", "no address"; of several targets each
	Up      bool
	Calls   int    // now, if they are limited
	Limit   int    // of calls, 0: none
	Refused uint64 // new calls over a limit
}

// peerStatus tells of all peers.
func (d *directory) peerStatus() []PeerStatus {
	var all []PeerStatus
	for _, p := range d.peers {
		s := PeerStatus{Name: p.Name, State: "no address", Up: p.up(), Calls: int(p.quota.calls.Load()), Limit: p.Calls,
			Refused: p.quota.refused.Load()}
		if len(p.servers) > 0 {
			s.State = p.summary()
		}
		all = append(all, s)
	}
	return all
}
