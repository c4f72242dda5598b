package replay

import (
	"net/netip"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/sip"
)

// fromInside takes what the platform sent: answers are watched, requests are only what answers from outside belong to.
func (p *player) fromInside(m *message) {
	if m.err != nil || p.msg.Parse(m.b, m.transport.Delimited()) != nil {
		return
	}
	p.report.Messages++
	client := m.dst
	key := p.tables.transaction(client.Addr(), edge.Outside, &p.msg)
	if p.msg.IsRequest() {
		key = p.tables.transaction(client.Addr(), edge.Inside, &p.msg)
		x := edge.Exchange{Msg: &p.msg, From: edge.Flow{Remote: m.src, Side: edge.Inside, Transport: m.transport}, At: p.at, Trust: edge.Peer}
		x.Asked = edge.Asked{From: x.From, Trust: edge.Peer, Method: p.msg.Method}
		if p.tables.find(key, p.at) == nil && p.msg.Method != sip.ACK && p.msg.Method != sip.CANCEL {
			p.tables.keep(key, &x, "")
		}
		return
	}
	p.seen(m.src)
	p.answered(m, key)
}

// answered takes a response of the platform to a client.
func (p *player) answered(m *message, key uint64) {
	t := p.tables
	one := t.find(key, p.at)
	if one == nil || p.msg.CSeq.Method == sip.CANCEL && one.asked.Method != sip.CANCEL {
		return
	}
	t.begins(&p.msg, one.refused, p.at)
	if one.refused != "" || !judge.Telling(&one.asked, p.msg.Status) || p.msg.Status >= 200 && !t.final(one, &p.msg, p.at) {
		return
	}
	x, f := &p.x, p.crowd.flow(one.asked.From.Remote)
	*x = edge.Exchange{Msg: &p.msg, At: p.at, Match: edge.MatchReply, Asked: one.asked,
		From: edge.Flow{Remote: m.src, Side: edge.Inside, Transport: m.transport, Conn: m.conn}}
	v := p.judge.Watch(x)
	p.heard(x, f, v)
	if p.msg.Status/100 == 2 && one.asked.Method == sip.REGISTER {
		p.crowd.bind(f, p.at.Add(t.granted(one, &p.msg)))
	}
	p.conversed(one.asked.From.Remote)
}

// answeredOutside takes a response of a client to the platform.
func (p *player) answeredOutside(client netip.AddrPort) {
	t := p.tables
	one := t.find(t.transaction(client.Addr(), edge.Inside, &p.msg), p.at)
	if one == nil {
		return
	}
	t.begins(&p.msg, "", p.at)
	if p.msg.Status >= 200 && t.final(one, &p.msg, p.at) {
		p.conversed(client)
	}
}

// conversed tells the ban book of calls that are accepted and of their ends, as proxy does: a ban spares those that were there before it.
func (p *player) conversed(client netip.AddrPort) {
	m := &p.msg
	switch {
	case m.CSeq.Method == sip.BYE && m.Status != 401 && m.Status != 407:
		p.book.CallEnded(p.tables.dialog(m), p.at)
	case m.CSeq.Method == sip.INVITE && m.Status/100 == 2:
		p.book.CallBegan(p.tables.dialog(m), client, p.at)
	}
}
