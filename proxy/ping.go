package proxy

import (
	"fmt"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/transaction"
)

// pingMark stands in our branch where requests have their loop hash: a response with it answers an OPTIONS of our own.
const pingMark = 0x70696e67

// ping sends an OPTIONS of our own to server i of the pool (RFC 3261 §11).
func (l *lane) ping(i int, s *server) {
	flow, ok := l.out.Route(edge.Inside, s.Transport, s.Addr)
	if !ok {
		return
	}
	f := &l.p.faces[flow.Listener]
	branch := l.branches.append(nil, transaction.NoID(uint64(i)<<32), pingMark)
	b := fmt.Appendf(l.out.Buffer(), "OPTIONS sip:%v%s SIP/2.0\r\nVia: %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s>;tag=%s\r\nTo: <sip:%v>\r\n"+
		"Call-ID: %s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		s.Addr, f.params, f.Via, branch, f.host, branch[len(cookie):len(cookie)+8], s.Addr, branch[len(cookie):])
	l.transmit(b, flow)
}

// pinged takes the response to an OPTIONS of our own; false if x is none. Any answer but 503 says that the server works.
func (l *lane) pinged(x *edge.Exchange, id transaction.ID, mark uint32) bool {
	i := int(uint64(id) >> 32)
	if mark != pingMark || x.From.Side != edge.Inside || i >= len(l.cfg.servers) {
		return false
	}
	s := l.cfg.servers[i]
	if x.From.Remote.Addr() != s.Addr.Addr() {
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
