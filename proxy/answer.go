package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"net/netip"
	"strconv"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transport"
)

// answer sends the reply that a verdict asks for. Such replies need no transaction (RFC 3261 §8.2.7): each retransmission
// meets the same verdict and gets the same reply, and the ACK that follows a refused INVITE belongs to nothing.
func (l *lane) answer(x *edge.Exchange, v edge.Verdict) { l.replyAfter(x, v.Status, v.Text, v.Retry) }

// reply sends a response of our own to x, to where x came from and nowhere else (RFC 3581).
func (l *lane) reply(x *edge.Exchange, status int, text string) { l.replyAfter(x, status, text, 0) }

// replyAfter is reply with these seconds of Retry-After in a 503; 0: the usual.
func (l *lane) replyAfter(x *edge.Exchange, status int, text string, retry int) {
	if l.ordered { // nobody waits for it
		return
	}
	var extra [1]sip.Header
	n := 1
	switch status {
	case 405, 200:
		extra[0] = sip.Header{Name: "Allow", Value: allow}
		if !l.proven(x) { // against RFC 3261 §21.4.6: an answer must not outgrow a request whose source may be forged
			n = 0
		}
	case 420:
		extra[0] = sip.Header{Name: "Unsupported", Value: x.Msg.Value(sip.FieldProxyRequire)}
	case 503:
		extra[0] = sip.Header{Name: "Retry-After", Value: retryAfter}
		if retry > 0 {
			l.seconds = strconv.AppendInt(l.seconds[:0], int64(retry), 10)
			extra[0].Value = l.seconds
		}
	default:
		n = 0
	}
	l.topVia(x)
	b := l.appendReply(l.out.Buffer(), x.Msg, l.viaLines(l.vias), x.From.Side, status, text, l.tag(x.Msg, x.From), extra[:n]...)
	if !l.proven(x) && 10*len(b) > 13*len(x.Msg.Raw) {
		l.count.Refused(reasonOutgrown)
		return
	}
	if !l.mayAnswer(x) {
		l.count.Refused(reasonOften)
		return
	}
	l.transmit(b, x.From)
	l.count.SentReply(x.From, status)
}

// appendReply is sip.AppendReply for a client on that side. Outside sees one face, whoever made a response.
func (l *lane) appendReply(dst []byte, m *sip.Message, vias []byte, to edge.Side, status int, text string, tag []byte, extra ...sip.Header) []byte {
	if face := l.cfg.scrub.Face(); len(face) > 0 && l.cfg.Hide && to == edge.Outside {
		l.fields = append(append(l.fields[:0], extra...), sip.Header{Name: "Server", Value: face})
		extra = l.fields
	}
	return sip.AppendReply(dst, m, vias, status, text, tag, extra...)
}

var (
	allow      = []byte("INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, PUBLISH, MESSAGE")
	retryAfter = []byte("10")
)

// tag is our To tag in a response to m that goes to a client: equal for every retransmission of a request, without keeping it, and another one
// for anybody else who sends the same: who knows it reads what goes there (ownTag, echoes).
func (l *lane) tag(m *sip.Message, client edge.Flow) []byte {
	l.hashed = binary.BigEndian.AppendUint64(appendNumber(l.hashed[:0], m), hashFlow(l.p.seed, client))
	l.hashed = appendParts(l.hashed, m, m.CallID, m.FromTag)
	l.small = strconv.AppendUint(append(l.small[:0], 'r'), maphash.Bytes(l.p.seed, l.hashed), 36)
	return l.small
}

// topVia fills l.vias with the values of all Via fields of x, each ended by LF, the topmost with received and rport filled in
// (RFC 3261 §18.2.1, RFC 3581 §4), and returns the value of the topmost field alone.
func (l *lane) topVia(x *edge.Exchange) []byte {
	m := x.Msg
	l.vias = l.vias[:0]
	first := 0
	for i := m.Find(sip.FieldVia); i >= 0; i = m.Next(sip.FieldVia, i) {
		f := &m.Fields[i]
		if i == m.Via.Field {
			l.vias = l.appendSource(l.vias, x)
			first = len(l.vias)
		} else {
			l.vias = appendUnfolded(l.vias, f.Value.Of(m.Raw))
		}
		l.vias = append(l.vias, '\n')
	}
	return l.vias[:first]
}

// appendSource appends the value of the topmost Via field with what we know of its source.
func (l *lane) appendSource(dst []byte, x *edge.Exchange) []byte {
	m, v := x.Msg, &x.Msg.Via
	value := m.Fields[v.Field].Value
	if !v.HasRPort && isAddr(v.Host.Of(m.Raw), x.From.Remote.Addr()) && !v.Received.Present() {
		return appendUnfolded(dst, value.Of(m.Raw))
	}
	l.source.write(x.From.Remote)
	if v.RPortAt.Present() && !v.Received.Present() && !m.Fields[v.Field].Folded { // as nearly always
		dst = append(append(dst, m.Raw[value.Start:v.RPortAt.Start]...), "rport="...)
		dst = append(append(dst, l.source.port()...), m.Raw[v.RPortAt.End:v.Whole.End]...)
		dst = append(append(dst, ";received="...), l.source.host()...)
		return append(dst, m.Raw[v.Whole.End:value.End]...)
	}
	cut := func(from, to uint32) { dst = appendUnfolded(dst, m.Raw[from:to]) }
	at := value.Start
	for _, s := range sorted(v.RPortAt, v.Received) {
		if !s.Present() {
			continue
		}
		cut(at, s.Start)
		at = s.End
		if s == v.RPortAt {
			dst = append(append(dst, "rport="...), l.source.port()...)
		} else {
			dst = append(dst, l.source.host()...)
		}
	}
	if !v.Received.Present() {
		cut(at, v.Whole.End)
		at = v.Whole.End
		dst = append(append(dst, ";received="...), l.source.host()...)
	}
	cut(at, value.End)
	return dst
}

// sorted returns two spans in the order in which they stand.
func sorted(a, b sip.Span) [2]sip.Span {
	if b.Start < a.Start {
		return [2]sip.Span{b, a}
	}
	return [2]sip.Span{a, b}
}

// appendUnfolded appends a field value with each line fold replaced by one SP.
func appendUnfolded(dst, value []byte) []byte {
	if bytes.IndexByte(value, '\r') < 0 {
		return append(dst, value...)
	}
	for i := 0; i < len(value); i++ {
		if value[i] != '\r' {
			dst = append(dst, value[i])
			continue
		}
		for i+1 < len(value) && (value[i+1] == '\n' || value[i+1] == ' ' || value[i+1] == '\t') {
			i++
		}
		dst = append(dst, ' ')
	}
	return dst
}

// viaLines turns values ended by LF into whole Via lines.
func (l *lane) viaLines(values []byte) []byte {
	l.extra = l.extra[:0]
	for len(values) > 0 {
		var one []byte
		one, values = cutLine(values)
		l.extra = append(append(append(l.extra, "Via: "...), one...), "\r\n"...)
	}
	return l.extra
}

// transmit hands b to the transport. What can't even be queued is counted: its sender repeats a request, and a response goes again with
// the next retransmission.
func (l *lane) transmit(b []byte, to edge.Flow) {
	l.leaving(b, to)
	err := l.out.Send(b, to)
	if err == nil {
		return
	}
	if errors.Is(err, transport.ErrGone) {
		if again, ok := l.anew(b, to); ok {
			err = l.out.Send(b, again)
		}
	}
	if err != nil {
		l.count.Refused(reasonDeadFlow)
	}
}

// anew is another way for b, a response to a request that came over a connection which is gone: a new connection, to the port that the client's
// Via names at its address (RFC 3261 §18.2.2). Only the platform and peers are called so: strangers do not choose a port that we connect to.
func (l *lane) anew(b []byte, to edge.Flow) (again edge.Flow, ok bool) {
	if to.Conn == 0 || to.Transport.WebSocket() || to.Side == edge.Outside && l.cfg.peerFrom(to) == nil ||
		!bytes.HasPrefix(b, []byte("SIP/2.0 ")) || l.left.Parse(b, true) != nil {
		return again, false
	}
	port := l.left.Via.Port
	if port == 0 {
		if port = 5060; to.Transport == edge.TLS {
			port = 5061
		}
	}
	again = to
	again.Conn, again.Remote = 0, netip.AddrPortFrom(to.Remote.Addr(), port)
	return again, true
}
