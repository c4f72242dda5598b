package proxy

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/event"
	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// Preview shows raw, a message that comes from that side, as the other side would see it with cfg, keys and listeners. It opens no socket
// and keeps nothing. What only the transaction of a response knows, the Vias of its client, is missing.
func Preview(cfg Config, keys *seal.Keys, listeners []transport.Listener, raw []byte, from edge.Side, at time.Time) ([]byte, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	l, err := newPreview(cfg, keys, listeners, at)
	if err != nil {
		return nil, err
	}
	if err := l.msg.Parse(raw, true); err != nil {
		return nil, fmt.Errorf("read the message: %w at byte %d", err, l.msg.ErrorAt())
	}
	remote := cfg.Upstreams[0].Addr
	if from == edge.Outside {
		remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), 5060) // RFC 5737
	}
	near, far := l.preview(from, remote), l.preview(edge.Inside-from, remote)
	l.x = edge.Exchange{Msg: &l.msg, From: near, At: at}
	if !l.msg.IsRequest() {
		return l.previewReply(&l.x, far)
	}
	l.match(&l.x)
	to := hop{flow: far, inside: near}
	if from == edge.Outside {
		to.inside = far
		to.uri, _, _ = l.revealed()
	}
	b, _ := l.mayLeave(&l.x, l.rewriteInto(nil, &l.x, &to, nil), &to)
	return b, nil
}

// newPreview makes a lane that sends nothing.
func newPreview(cfg Config, keys *seal.Keys, listeners []transport.Listener, at time.Time) (*lane, error) {
	cfg.Transactions = transaction.DefaultConfig()
	table, err := transaction.New(cfg.Transactions, at)
	if err != nil {
		return nil, err
	}
	bindings, err := binding.New(binding.Config{}, keys)
	if err != nil {
		return nil, err
	}
	branches, err := newBrancher()
	if err != nil {
		return nil, err
	}
	p := &Proxy{keys: keys, faces: faces(listeners), seed: maphash.MakeSeed(), ring: event.NewRing(64), metrics: event.NewMetrics(),
		table: table, bindings: bindings, branches: branches}
	p.within = insideListeners(p.faces)
	p.chosen = newChosen(p.seed)
	cfg.Topology.Marks = p.marks(&cfg, nil)
	p.cfg.Store(newSettings(cfg, keys, nil))
	return p.NewLane(nil).(*lane), nil
}

// preview is a flow of side, by its first listener. It is never one over TLS, whose certificates are of sockets.
func (l *lane) preview(side edge.Side, remote netip.AddrPort) edge.Flow {
	for i := range l.p.faces {
		if l.p.faces[i].Side == side {
			return edge.Flow{Side: side, Listener: uint16(i), Remote: remote}
		}
	}
	return edge.Flow{Side: side, Remote: remote}
}

// previewReply is a response as the client of a request from far gets it.
func (l *lane) previewReply(x *edge.Exchange, far edge.Flow) ([]byte, error) {
	m := x.Msg
	tx, _, err := l.p.table.Begin(1, true)
	if err != nil {
		return nil, err
	}
	defer tx.Unlock()
	tx.Client, tx.Target, tx.Method = far, x.From, m.CSeq.Method
	var vias []byte
	for i, first := m.Find(sip.FieldVia), true; i >= 0; i, first = m.Next(sip.FieldVia, i), false {
		if !first { // the topmost is ours
			vias = append(appendUnfolded(vias, m.Fields[i].Value.Of(m.Raw)), '\n')
		}
	}
	l.own = belongings{callID: m.CallID.Of(m.Raw)}
	l.identify(x)
	var note []byte
	if l.own.masked {
		note = append(append(note, l.own.callID...), '\n')
		note = append(append(note, m.Value(sip.FieldFrom)...), '\n')
		note = append(append(note, m.Value(sip.FieldTo)...), '\n')
	}
	tx.Keep(vias, l.previewToken(m), append(binary.AppendUvarint(nil, uint64(len(note))), note...))
	b, _ := l.mayReturn(x, l.returned(nil, x, tx), far)
	return b, nil
}

// previewToken is the user part of our Record-Route in m, nil if there is none.
func (l *lane) previewToken(m *sip.Message) []byte {
	for i := m.Find(sip.FieldRecordRoute); i >= 0; i = m.Next(sip.FieldRecordRoute, i) {
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			u, err := sip.ParseURI(m.Raw, a.URI)
			if err == nil && u.User.Present() && (l.ours(edge.Inside, u.Host.Of(m.Raw), u.Port) || l.ours(edge.Outside, u.Host.Of(m.Raw), u.Port)) {
				return u.User.Of(m.Raw)
			}
		}
	}
	return nil
}
