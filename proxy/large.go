package proxy

import (
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/transaction"
)

// largest is the longest request, in bytes, that goes over UDP where the server's entry says large: tcp. RFC 3261 §18.1.1 has
// it of paths whose MTU is not known: a longer one is fragmented, and many firewalls drop fragments.
const largest = 1300

// overTCP changes the request b of tx, which is too long for UDP, to go to the same server over TCP, where its entry says so and there
// is a listener for it. Only our Via tells the difference: the dialog stays on UDP. What is returned is valid until the next
// call.
func (l *lane) overTCP(b []byte, tx *transaction.Tx) []byte {
	s := l.cfg.serverAt(tx.Target)
	if s == nil || !s.Large || tx.Target.Transport != edge.UDP || l.sent.Parse(b, true) != nil {
		return b
	}
	flow, ok := l.out.Route(s.side, edge.TCP, s.Addr)
	if !ok {
		return b
	}
	tx.Target = flow
	l.large = l.revia(l.large[:0], tx)
	return l.large
}

// otherwise sends the request of tx, which did not reach to, in another way, and appends it to dst: a large one over UDP after all,
// any to another server. nil: there is none.
func (l *lane) otherwise(dst []byte, tx *transaction.Tx, to edge.Flow, at time.Time) []byte {
	if s := l.cfg.serverAt(to); s != nil && s.switched(to) {
		if b := l.overUDP(dst, tx, s, at); b != nil {
			return b
		}
	}
	return l.moveOn(dst, tx, at)
}

// overUDP sends the large request of tx, for which no TCP connection could be made, over UDP after all (RFC 3261 §18.1.1), and
// appends it to dst; nil if that can't be.
func (l *lane) overUDP(dst []byte, tx *transaction.Tx, s *server, at time.Time) []byte {
	if l.sent.Parse(tx.Request(), true) != nil {
		return nil
	}
	flow, ok := l.out.Route(s.side, s.Transport, s.Addr)
	if !ok {
		return nil
	}
	tx.Retarget()
	tx.Target = flow
	b := l.revia(dst, tx)
	tx.Sent(b, at)
	return b
}

// revia appends l.sent with our Via as the present target of tx gets it.
func (l *lane) revia(dst []byte, tx *transaction.Tx) []byte {
	l.edit.Reset(&l.sent)
	l.setVia(tx)
	return l.edit.AppendTo(dst)
}

// setVia gives l.sent, which is being edited, the Via of the present target of tx.
func (l *lane) setVia(tx *transaction.Tx) {
	m := &l.sent
	_, loop, _ := l.branches.open(m.Via.Branch.Of(m.Raw))
	l.value = append(append(l.value[:0], l.p.faces[tx.Target.Listener].Via...), ";branch="...)
	l.value = l.branches.append(l.value, tx.ID(), loop)
	l.edit.Replace(m.Via.Field, l.finishVia(tx.Target))
}

// switched reports whether to is TCP in place of the UDP by which s is reached otherwise.
func (s *server) switched(to edge.Flow) bool { return s.Transport != to.Transport }

// tooLong reports whether a request of n bytes is one that large: tcp is for.
func tooLong(n int, to edge.Flow) bool { return n > largest && to.Transport == edge.UDP }
