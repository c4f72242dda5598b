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

// A span is numbers from first on.
type span struct{ first, count uint32 }

func (s span) at(n uint32) uint32 { return s.first + n%s.count }

// A neighbourhood is what a test process draws its places from. Messages are as long as the places in them, so some tests could hold for
// some process numbers only.
type neighbourhood struct{ own, row, house, ports span }

// here is the usual neighbourhood, or the one that RINGWALL_PLACES asks for: of the longest addresses and highest ports, or of the shortest and lowest.
var here = map[string]neighbourhood{
	"":         {own: span{1, 250}, row: span{0, 250}, house: span{1, 250}, ports: span{10_000, 20_000}},
	"longest":  {own: span{100, 150}, row: span{100, 150}, house: span{100, 150}, ports: span{61_000, 4_500}},
	"shortest": {own: span{2, 8}, row: span{0, 10}, house: span{1, 9}, ports: span{2_000, 8_000}},
}[os.Getenv("RINGWALL_PLACES")]

// OwnIP is a loopback address (127.0.0.0/8) that no other caller of this process gets, and, as it begins with the process
// number, hardly one of another test process. It comes round after 62,500 calls.
func OwnIP() string {
	n := places.ips.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", here.own.at(uint32(os.Getpid())), here.row.at(n/here.house.count), here.house.at(n))
}

// firstPort is far from that of test processes that started shortly before or after: on ::1 they share their ports.
var firstPort = uint32(os.Getpid()) * 2654435761 >> 12

// FreeAddr is an address of ip with a port that is free for UDP and TCP at this moment. The port is outside those that Linux
// gives to clients, so that no passing client takes it before it is used.
func FreeAddr(ip string) (addr netip.AddrPort, err error) {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return addr, fmt.Errorf("find a free port: %w", err)
	}
	for range 1000 {
		addr = netip.AddrPortFrom(a, uint16(here.ports.at(firstPort+places.ports.Add(1))))
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
