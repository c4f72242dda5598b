package proxy

import (
	"fmt"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/transaction"
)

// pingMark stands in our branch where requests have their loop hash: a response with it answers an OPTIONS of our own.
const pingMark = 0x70696e67

// ping sends an OPTIONS of our own to s (RFC 3261 §11). number is maxTried times that of its pool and its place there.
func (l *lane) ping(number int, s *server) {
	flow, ok := l.out.Route(s.side, s.Transport, s.Addr)
	if !ok {
		return
	}
	f := &l.p.faces[flow.Listener]
	branch := l.branches.append(nil, transaction.NoID(uint64(number)<<32), pingMark)
	b := fmt.Appendf(l.out.Buffer(), "OPTIONS sip:%v%s SIP/2.0\r\nVia: %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=%s\r\nTo: <sip:%v>\r\n"+
		"Call-ID: %s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		s.Addr, f.params, f.Via, branch, f.host, branch[len(cookie):len(cookie)+8], s.Addr, branch[len(cookie):])
	l.transmit(b, flow)
}

// pinged takes the response to an OPTIONS of our own; false if x is none. Any answer but 503 says that the server works.
func (l *lane) pinged(x *edge.Exchange, id transaction.ID, mark uint32) bool {
	s := l.cfg.numbered(uint64(id) >> 32)
	if mark != pingMark || s == nil || x.From.Side != s.side || x.From.Remote.Addr() != s.Addr.Addr() {
		return false
	}
	s.pong()
	if x.Msg.Status == 503 {
		s.failed(l, "503 to OPTIONS", false, x.At)
	} else {
		s.heard(l, x.At)
	}
	return true
}

// numbered returns the server that ping was given this number for, nil if there is none now.
func (s *settings) numbered(number uint64) *server {
	p, place := &s.pool, number%maxTried
	if n := number / maxTried; n > uint64(len(s.peers)) {
		return nil
	} else if n > 0 {
		p = &s.peers[n-1].pool
	}
	for _, one := range p.servers {
		if uint64(one.place) == place {
			return one
		}
	}
	return nil
}
