package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/xsk"
)

// socketBuffer is asked for in both directions of each UDP socket, bytes: a burst of 3,000 messages waits rather than is lost.
const socketBuffer = 4 << 20

// A udpSocket is one bound socket: a worker's member of a group, or a spread socket.
type udpSocket struct {
	server   *Server
	conn     *net.UDPConn
	raw      syscall.RawConn
	listener uint16
	side     edge.Side
	addr     netip.AddrPort
	local    *xsk.Local // nil: everything by the socket

	errMu  sync.Mutex // held while the error queue is read, by the reader or by whoever was told of an error when sending
	errBuf [2048]byte
}

// flow is the flow to remote through u.
func (u *udpSocket) flow(remote netip.AddrPort) edge.Flow {
	return edge.Flow{Remote: remote, Listener: u.listener, Transport: edge.UDP, Side: u.side}
}

// openGroup binds n sockets to one address. The first is bound without SO_REUSEPORT, so that a port somebody else holds is
// noticed even if he set that option; then the option is set on it and the others join.
func openGroup(l Listen, n int) ([]*udpSocket, error) {
	first, err := openUDP(l, false)
	if err != nil {
		return nil, err
	}
	group := []*udpSocket{first}
	if n > 1 {
		if err := setReusePort(first.raw); err != nil {
			first.conn.Close()
			return nil, fmt.Errorf("share %v between workers: %w", l, err)
		}
	}
	l.Addr = first.addr
	for len(group) < n {
		member, err := openUDP(l, true)
		if err != nil {
			for _, u := range group {
				u.conn.Close()
			}
			return nil, err
		}
		group = append(group, member)
	}
	return group, nil
}

func setReusePort(raw syscall.RawConn) (err error) {
	cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if cerr != nil {
		return cerr
	}
	return err
}

func openUDP(l Listen, join bool) (*udpSocket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if cerr := raw.Control(func(fd uintptr) { err = setUDPOptions(int(fd), l, join) }); cerr != nil {
			return cerr
		}
		return err
	}}
	pc, err := lc.ListenPacket(context.Background(), "udp"+family(l.Addr.Addr()), l.Addr.String())
	if err != nil {
		return nil, newListenError(l, err)
	}
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, newListenError(l, err)
	}
	bound := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return &udpSocket{conn: conn, raw: raw, side: l.Side, addr: netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())}, nil
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "4"
	}
	return "6"
}

func setUDPOptions(fd int, l Listen, join bool) error {
	if join {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fmt.Errorf("set SO_REUSEPORT: %w", err)
		}
	}
	// Go permits broadcast on every datagram socket; this one never needs it.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 0); err != nil {
		return fmt.Errorf("clear SO_BROADCAST: %w", err)
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	if l.Addr.Addr().Is4() {
		return setOptions4(fd, l.Side)
	}
	return setOptions6(fd, l.Side)
}

// setBuffer asks for socketBuffer; without the privilege to exceed the system's limit the kernel gives what it allows.
func setBuffer(fd, force, plain int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, socketBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, socketBuffer)
	}
}

func setOptions4(fd int, side edge.Side) error {
	// Not to set DF, and not to believe path MTUs from ICMP that anybody can forge: large messages are fragmented.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT); err != nil {
		return fmt.Errorf("set IP_MTU_DISCOVER: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
		return fmt.Errorf("set IP_RECVERR: %w", err)
	}
	if side == edge.Inside {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
			return fmt.Errorf("set IP_PKTINFO: %w", err)
		}
	}
	return nil
}

func setOptions6(fd int, side edge.Side) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1); err != nil {
		return fmt.Errorf("set IPV6_RECVERR: %w", err)
	}
	if side == edge.Inside {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1); err != nil {
			return fmt.Errorf("set IPV6_RECVPKTINFO: %w", err)
		}
	}
	return nil
}

// kernelDrops sums what the kernel has dropped at the UDP sockets (SO_MEMINFO); those closed by now count as none.
func (s *Server) kernelDrops() (sum uint64) {
	for _, p := range s.ports {
		for _, u := range p.udp {
			_ = u.raw.Control(func(fd uintptr) { sum += uint64(socketDrops(fd)) })
		}
	}
	return sum
}

func socketDrops(fd uintptr) uint32 {
	var info [16]uint32 // SK_MEMINFO_VARS are 9 as yet
	const drops = 8     // SK_MEMINFO_DROPS
	size := uint32(unsafe.Sizeof(info))
	_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[drops]
}
