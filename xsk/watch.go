package xsk

import (
	"errors"
	"maps"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
)

// A partner is made and unmade by the watch, twice a second: nobody waits for it. Who is asked for often enough becomes one where the kernel knows a way
// over an interface of ours, and the neighbour on it. While the kernel itself is not sure of the neighbour, everything takes the sockets, which has the
// kernel look for him; so partners never live on an entry that nobody checks.
const (
	watchEvery = 500 * time.Millisecond
	// enough is for how many samples in one turn a far end becomes a partner: 64 datagrams.
	enough = 4
	// patience is after how many turns without a datagram he is none any more.
	patience = 20
	// candidates bounds whom one turn counts.
	candidates = 1024
)

// A kernel says how it would send. It is netlink, or a test's.
type kernel interface {
	// again says that a turn begins: what was found out in an earlier one is old.
	again()
	// route is the interface, next hop and MTU (0: the interface's) for what goes from local to remote; no interface: it can't be sent, or not over one hop.
	route(local, remote netip.Addr) (ifindex int, hop netip.Addr, mtu int)
	// neighbour is the link address of hop, if the kernel is sure of it.
	neighbour(ifindex int, hop netip.Addr) (mac [6]byte, sure bool)
	// there reports whether an interface exists.
	there(ifindex int) bool
	// device is the own link address and MTU of an interface that is up.
	device(ifindex int) (mac [6]byte, mtu int, up bool)
}

// watch is the goroutine that makes and unmakes partners.
func (s *Set) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	counted := map[ask]int{}
	for {
		select {
		case <-s.end:
			return
		case a := <-s.asked:
			if counted[a] > 0 || len(counted) < candidates {
				counted[a]++
			}
		case <-tick.C:
			s.turn(counted)
			clear(counted)
		}
	}
}

// turn looks at all partners and candidates once.
func (s *Set) turn(counted map[ask]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kernel.again()
	s.bury()
	total := 0
	for _, l := range s.locals {
		total += len(*l.paths.Load())
	}
	for _, l := range s.locals {
		old := *l.paths.Load()
		paths := make(map[netip.Addr]*path, len(old))
		for remote, p := range old {
			if p = s.still(l, remote, p); p != nil {
				paths[remote] = p
			}
		}
		total += len(paths) - len(old)
		for a, n := range counted {
			if a.local == l && n >= s.enough && paths[a.remote] == nil && total < maxPartners {
				if p := s.find(l.addr.Addr(), a.remote); p != nil {
					paths[a.remote] = p
					total++
				}
			}
		}
		if !maps.Equal(old, paths) {
			s.publish(l, old, paths)
		}
	}
}

// bury closes the ports of interfaces that are gone, of which no reader is told by the kernel.
func (s *Set) bury() {
	for _, p := range s.ports {
		if !p.lost.Load() && !s.kernel.there(p.ifindex) {
			s.log.Warn("an interface of af_xdp is gone: what went over it takes the sockets until ringwall is started again", "interface", p.name)
			p.close()
		}
	}
}

// still is the path of a partner who may stay one, as the kernel sees it now.
func (s *Set) still(l *Local, remote netip.Addr, p *path) *path {
	if p.idle++; p.busy.Swap(false) {
		p.idle = 0
	}
	if p.idle > patience {
		return nil
	}
	now := s.find(l.addr.Addr(), remote)
	if now == nil || now.port == p.port && now.link == p.link && now.mtu == p.mtu {
		if now == nil {
			return nil
		}
		return p
	}
	return now
}

// publish puts paths in force for l: first who is no partner any more ends in the program's table, so that nobody is received from who would be answered otherwise.
func (s *Set) publish(l *Local, old, paths map[netip.Addr]*path) {
	for remote := range old {
		if paths[remote] == nil {
			k := partnerKey(remote, l.addr)
			if err := s.partners.Delete(&k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				s.log.Warn("a partner of AF_XDP can't be removed", "address", remote, "error", err)
			}
		}
	}
	for remote, p := range paths {
		k, ifindex := partnerKey(remote, l.addr), uint32(p.port.ifindex)
		if err := s.partners.Update(&k, &ifindex, ebpf.UpdateAny); err != nil {
			s.log.Warn("a partner of AF_XDP can't be added", "address", remote, "error", err)
			delete(paths, remote)
		}
	}
	l.paths.Store(&paths)
}

// find is the path from local to remote over one of our ports, nil if there is none that is sure.
func (s *Set) find(local, remote netip.Addr) *path {
	ifindex, hop, mtu := s.kernel.route(local, remote)
	p := s.portOf(ifindex)
	if p == nil || p.lost.Load() {
		return nil
	}
	own, most, up := s.kernel.device(ifindex)
	far, sure := s.kernel.neighbour(ifindex, hop)
	if !up || !sure {
		return nil
	}
	if mtu == 0 || mtu > most {
		mtu = most
	}
	way := &path{port: p, mtu: min(mtu, maxMTU)}
	copy(way.link[:6], far[:])
	copy(way.link[6:], own[:])
	return way
}

// portOf is the port that sends over an interface: that of its first queue.
func (s *Set) portOf(ifindex int) *Port {
	for _, p := range s.ports {
		if p.ifindex == ifindex {
			return p
		}
	}
	return nil
}
