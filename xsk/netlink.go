package xsk

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netlinkKernel asks the kernel: for each route, but once in a turn for the neighbours of an interface, and what it is itself.
type netlinkKernel struct {
	neighbours map[family]map[netip.Addr][6]byte
	devices    map[int]*net.Interface
}

// A family is those neighbours of an interface that have IPv4 or IPv6 addresses.
type family struct {
	ifindex int
	v4      bool
}

func (k *netlinkKernel) again() {
	k.neighbours, k.devices = map[family]map[netip.Addr][6]byte{}, map[int]*net.Interface{}
}

func (*netlinkKernel) route(local, remote netip.Addr) (int, netip.Addr, int) {
	routes, err := netlink.RouteGetWithOptions(remote.AsSlice(), &netlink.RouteGetOptions{SrcAddr: local.AsSlice()})
	if err != nil || len(routes) != 1 || routes[0].Type != unix.RTN_UNICAST || len(routes[0].MultiPath) > 0 || routes[0].Encap != nil {
		return 0, netip.Addr{}, 0
	}
	hop := remote
	if gw, ok := netip.AddrFromSlice(routes[0].Gw); ok {
		hop = gw.Unmap()
	} else if routes[0].Via != nil {
		return 0, netip.Addr{}, 0
	}
	return routes[0].LinkIndex, hop, routes[0].MTU
}

func (k *netlinkKernel) neighbour(ifindex int, hop netip.Addr) (mac [6]byte, sure bool) {
	f := family{ifindex, hop.Is4()}
	known, looked := k.neighbours[f]
	if !looked {
		known = sureNeighbours(f)
		k.neighbours[f] = known
	}
	mac, sure = known[hop]
	return mac, sure
}

// sureNeighbours lists those of whom the kernel is sure, or is about to make sure.
func sureNeighbours(f family) map[netip.Addr][6]byte {
	kind := netlink.FAMILY_V6
	if f.v4 {
		kind = netlink.FAMILY_V4
	}
	const sure = netlink.NUD_REACHABLE | netlink.NUD_PERMANENT | netlink.NUD_DELAY | netlink.NUD_NOARP
	found := map[netip.Addr][6]byte{}
	all, _ := netlink.NeighList(f.ifindex, kind) // an error: nobody is, and the sockets serve
	for _, n := range all {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && n.State&sure != 0 && len(n.HardwareAddr) == 6 {
			found[ip.Unmap()] = [6]byte(n.HardwareAddr)
		}
	}
	return found
}

func (k *netlinkKernel) there(ifindex int) bool { return k.look(ifindex) != nil }

// look returns an interface as it is in this turn; nil: there is none.
func (k *netlinkKernel) look(ifindex int) *net.Interface {
	dev, looked := k.devices[ifindex]
	if !looked {
		dev, _ = net.InterfaceByIndex(ifindex)
		k.devices[ifindex] = dev
	}
	return dev
}

func (k *netlinkKernel) device(ifindex int) (mac [6]byte, mtu int, up bool) {
	dev := k.look(ifindex)
	if dev == nil || len(dev.HardwareAddr) != 6 || dev.Flags&net.FlagUp == 0 {
		return mac, 0, false
	}
	return [6]byte(dev.HardwareAddr), dev.MTU, true
}
