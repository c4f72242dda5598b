package siptest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
)

// places counts the addresses and ports that were given away.
var places struct{ ips, ports atomic.Uint32 }

// OwnIP is a loopback address (127.0.0.0/8) that no other caller of this process gets, and, as it begins with the process
// number, hardly one of another test process. It comes round after 62,500 calls.
func OwnIP() string {
	n := places.ips.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, n/250%250, 1+n%250)
}

// firstPort is far from that of test processes that started shortly before or after: on ::1 they share their ports.
var firstPort = uint32(os.Getpid()) * 2654435761 >> 12

// FreeAddr is an address of ip with a port that is free for UDP and TCP at this moment. The port is below those that Linux
// gives to clients, so that no passing client takes it before it is used.
func FreeAddr(ip string) (addr netip.AddrPort, err error) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return addr, fmt.Errorf("find a free port: %w", err)
	}
	for range 1000 {
		addr = netip.AddrPortFrom(a, uint16(10000+(firstPort+places.ports.Add(1))%20000))
		if err = probe(addr); err == nil {
			return addr, nil
		}
	}
	return addr, fmt.Errorf("find a free port of %s: %w", ip, err)
}

// probe opens and closes both sockets. No process is started meanwhile: until it runs its program it holds all that is open here.
func probe(addr netip.AddrPort) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		return err
	}
	defer l.Close()
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return err
	}
	return u.Close()
}
