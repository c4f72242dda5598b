package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
)

// weakHost is the rule against Linux' weak host model: what arrives for an inside address by an interface that carries an
// outside listen address and no inside one did not come from inside. The loopback interface never counts as an outside one.
type weakHost struct {
	outside, inside map[netip.Addr]bool
	interfaces      func() (map[int]hostInterface, error)

	mu    sync.Mutex                   // one look-up of the interfaces at a time
	known atomic.Pointer[map[int]bool] // by interface index: may inside datagrams come by it?
}

// A hostInterface is what the rule wants to know of a network interface.
type hostInterface struct {
	loopback bool
	addrs    []netip.Addr
}

func newWeakHost(listen []Listen) *weakHost {
	w := &weakHost{outside: map[netip.Addr]bool{}, inside: map[netip.Addr]bool{}, interfaces: hostInterfaces}
	for _, l := range listen {
		if l.Side == edge.Inside {
			w.inside[l.Addr.Addr()] = true
		} else {
			w.outside[l.Addr.Addr()] = true
		}
	}
	w.known.Store(&map[int]bool{})
	return w
}

// admits reports whether an inside datagram may come by interface index. An interface that was not there before is looked
// up; one that is not there any more is refused.
func (w *weakHost) admits(index int) bool {
	if ok, known := (*w.known.Load())[index]; known {
		return ok
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok, known := (*w.known.Load())[index]; known {
		return ok
	}
	found, err := w.interfaces()
	if err != nil {
		return false
	}
	known := map[int]bool{index: false}
	for i, f := range found {
		known[i] = w.rule(f)
	}
	w.known.Store(&known)
	return known[index]
}

func (w *weakHost) rule(f hostInterface) bool {
	outside := false
	for _, a := range f.addrs {
		if w.inside[a] {
			return true
		}
		outside = outside || w.outside[a]
	}
	return f.loopback || !outside
}

func hostInterfaces() (map[int]hostInterface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	found := map[int]hostInterface{}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue // gone since it was listed
		}
		f := hostInterface{loopback: i.Flags&net.FlagLoopback != 0}
		for _, a := range addrs {
			if p, ok := prefixOf(a); ok {
				f.addrs = append(f.addrs, p.Addr())
			}
		}
		found[i.Index] = f
	}
	return found, nil
}

// interfaceIndex reads the index from the packet info that is the only control message of a datagram: struct in_pktinfo
// begins with it, struct in6_pktinfo has it after the address. Zero: there is none.
func interfaceIndex(control []byte) int {
	const header = unix.SizeofCmsghdr
	if len(control) < header+4 {
		return 0
	}
	level, kind := binary.NativeEndian.Uint32(control[header-8:]), binary.NativeEndian.Uint32(control[header-4:])
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO:
		return int(binary.NativeEndian.Uint32(control[header:]))
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(control) >= header+20:
		return int(binary.NativeEndian.Uint32(control[header+16:]))
	}
	return 0
}
