package transport

import (
	"net/netip"
	"time"
	"unsafe"

	"github.com/ringwall/ringwall/xsk"
)

// An express is the way past the sockets for UDP of far ends that much is said to: Config.AFXDP. The zero express is none.
type express struct {
	set     *xsk.Set
	failed  error
	sockets map[netip.AddrPort]*udpSocket // one of each UDP address of ours
}

// board opens what Config.AFXDP asks for. A failure is told and kept: the sockets serve.
func (s *Server) board() {
	if len(s.cfg.AFXDP) == 0 {
		return
	}
	set, err := xsk.Open(xsk.Config{Interfaces: s.cfg.AFXDP, Generic: s.cfg.AFXDPGeneric, Log: s.cfg.Log})
	if err != nil {
		s.express.failed = err
		s.cfg.Log.Warn("af_xdp can't be had: all datagrams take the sockets", "error", err)
		return
	}
	s.express = express{set: set, sockets: map[netip.AddrPort]*udpSocket{}}
	for _, p := range s.ports {
		if len(p.udp) == 0 {
			continue
		}
		addr := p.udp[0].addr
		s.express.sockets[addr] = p.udp[0]
		local := set.Local(addr)
		for _, u := range p.udp {
			u.local = local
		}
	}
}

// AFXDP says why nothing goes past the sockets although Config.AFXDP asks for it; nil: it does, or is not asked for.
func (s *Server) AFXDP() error { return s.express.failed }

func (e *express) stats() (none xsk.Stats) {
	if e.set == nil {
		return none
	}
	return e.set.Stats()
}

func (e *express) ports() []*xsk.Port {
	if e.set == nil {
		return nil
	}
	return e.set.Ports()
}

func (e *express) close() {
	if e.set != nil {
		e.set.Close()
	}
}

func (e *express) free() {
	if e.set != nil {
		e.set.Free()
	}
}

// readFrames is the goroutine of one queue of an interface: what readUDP is of a socket.
func (s *Server) readFrames(p *xsk.Port, o *Out, lane Lane) {
	var u *udpSocket // the last one, most probably the next
	for {
		n, err := p.Next()
		if err != nil {
			return
		}
		at := time.Now()
		s.count.packetsIn.Add(uint64(n))
		for i := range n {
			b, from, to := p.Datagram(i)
			if u == nil || u.addr != to {
				u = s.express.sockets[to]
			}
			if u != nil && s.takes(u, b, from, p.Interface()) {
				if f := u.flow(from); !s.refuses(f, at) {
					s.receive(lane, b, f, at)
				}
			}
		}
		o.Flush()
	}
}

// expedite sends what can go past the socket, leaves the rest in the queue, in order, and reports whether nothing is left.
func (q *sendQueue) expedite() bool {
	left := 0
	for i := range q.n {
		b := unsafe.Slice(q.list[i].Base, q.list[i].Len)
		if q.fast.Add(b, getSockaddr(&q.names[i])) {
			continue
		}
		q.list[left], q.names[left], q.kin[left] = q.list[i], q.names[i], q.kin[i]
		left++
	}
	q.fast.Flush()
	q.sock.server.count.packetsOut.Add(uint64(q.n - left))
	q.n = left
	return left == 0
}
