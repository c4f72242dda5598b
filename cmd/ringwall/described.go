package main

import (
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
)

// described is raw, a message as it would leave for that side, with its session description as the media relay would write it: at our address
// there, with the first ports that it may use. One that is no offer and no answer, or can't be read, is taken out.
func described(cfg *config.Config, raw []byte, to edge.Side) []byte {
	var m sip.Message
	if cfg.Media.Relay == config.RelayOff || m.Parse(raw, true) != nil {
		return raw
	}
	body := m.Body.Of(raw)
	at, end, found, err := sdp.FindPart(m.Value(sip.FieldContentType), body)
	if !found || err != nil {
		return raw
	}
	var e sip.Edit
	e.Reset(&m)
	if text := describedAs(cfg, body[at:end], to); text != nil && isDescribed(&m) {
		e.SetBody(slices.Concat(body[:at], text, body[end:]))
	} else {
		topo.DropBody(&e, &m)
	}
	return e.AppendTo(nil)
}

// isDescribed reports whether a session description in m is an offer or an answer.
func isDescribed(m *sip.Message) bool {
	return (m.CSeq.Method == sip.ACK || proxy.MayDescribe(m.CSeq.Method)) && (m.IsRequest() || m.Status < 300)
}

// describedAs is a session description with our addresses; nil if it can't be read.
func describedAs(cfg *config.Config, text []byte, to edge.Side) []byte {
	addr := cfg.Media.Address
	if to == edge.Inside {
		addr = cfg.Media.InsideAddress
	}
	if !addr.IsValid() {
		addr = firstOf(cfg, to)
	}
	var s sdp.Session
	if s.Parse(text) != nil {
		return nil
	}
	plan := sdp.Plan{ID: 1, Version: 1, Addr: addr}
	for i := range s.Media {
		port := cfg.Media.Ports.First + uint16(2*i)
		plan.Media = append(plan.Media, sdp.MediaPlan{Addr: addr, Port: port, RTCP: port + 1})
	}
	out, err := s.Rewrite(nil, &plan)
	if err != nil {
		return nil
	}
	return out
}

// firstOf is the address of the first listener of a side.
func firstOf(cfg *config.Config, side edge.Side) netip.Addr {
	for _, l := range explainListeners(cfg) {
		if l.Side == side {
			return l.Addr.Addr()
		}
	}
	return netip.Addr{}
}
