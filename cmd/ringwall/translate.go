package main

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/proxy"
	"github.com/ringwall/ringwall/scrub"
	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/topo"
	"github.com/ringwall/ringwall/transaction"
	"github.com/ringwall/ringwall/transport"
)

// What the number of calls means for the table of transactions: a call begins and ends with one each, which linger, and
// may hold some others (re-INVITE, UPDATE, PRACK) between; unknown sources get their share of all (design, section 5).
const (
	transactionsPerCall = 20
	leastTransactions   = 20_000
	mostTransactions    = 4_000_000
	untrustedPercent    = 30
)

// proxyConfig says in the proxy's terms what the configuration says.
func proxyConfig(cfg *config.Config, upstreams []proxy.Upstream, trunks []trunk) proxy.Config {
	t := transaction.DefaultConfig()
	t.Max = min(max(cfg.Limits.Calls*transactionsPerCall, leastTransactions), mostTransactions)
	t.Untrusted = t.Max / 100 * untrustedPercent
	t.Bytes = transactionBytes(memoryLimit(cfg.Limits.Memory), t.Max)
	t.T1, t.T2, t.T4 = cfg.Timers.T1, cfg.Timers.T2, cfg.Timers.T4
	t.C, t.Linger = cfg.Timers.C, cfg.Timers.Linger
	return proxy.Config{
		Upstreams:    upstreams,
		Peers:        proxyPeers(trunks),
		Sources:      cfg.Inside.Sources,
		Names:        cfg.Inside.Names,
		Domains:      cfg.Domains,
		Advertise:    cfg.Outside.Advertise,
		Unknown:      methods(cfg.Access.Unknown),
		Known:        methods(cfg.Access.Known),
		Peer:         methods(cfg.Access.Peer),
		Challenge:    checkMode(cfg.Trust.Challenge),
		Realm:        cfg.Trust.Realm,
		Unify:        checkMode(cfg.Access.Unify),
		NotUnified:   cfg.Access.NotUnified,
		OpenInbound:  cfg.Access.OpenInbound,
		Monitor:      cfg.Mode == config.Monitor,
		SourceHeader: cfg.Headers.Source,
		Remove:       cfg.Headers.Remove,
		Allow:        cfg.Headers.Allow,
		Limits: proxy.Limits{Headers: cfg.Limits.Headers, Header: cfg.Limits.Header, URI: cfg.Limits.URI, Vias: cfg.Limits.Vias,
			Parameters: cfg.Limits.Parameters},
		Hide:         cfg.Topology.Hide,
		Topology:     topo.Config{CallID: cfg.Topology.MaskCallID, Domain: first(cfg.Domains), Shown: shown(cfg), Bodies: cfg.Topology.Bodies},
		Guard:        guard(cfg.Topology.Guard),
		Scrub:        scrub.Config{Server: cfg.Identity.Server, Allow: cfg.Headers.ToOutside},
		Path:         cfg.Registrations.Path,
		Keepalive:    cfg.Registrations.Keepalive,
		Transactions: t,
	}
}

// guard says it in the proxy's terms.
func guard(g config.Guard) proxy.Guard {
	switch g {
	case config.GuardLog:
		return proxy.GuardLog
	case config.GuardBlock:
		return proxy.GuardBlock
	}
	return proxy.GuardOff
}

// first is the first of list, "" if it is empty.
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// shown are the hosts that outside may see although inside wrote them: ours, and those of peers.
func shown(cfg *config.Config) []string {
	hosts := slices.Clone(cfg.Domains)
	if cfg.Outside.Advertise != "" {
		hosts = append(hosts, strings.ToLower(cfg.Outside.Advertise))
	}
	if cfg.Media.Address.IsValid() {
		hosts = append(hosts, cfg.Media.Address.String())
	}
	for _, p := range cfg.Peers {
		hosts = append(hosts, p.URI.Host)
	}
	return hosts
}

func methods(m config.Methods) proxy.Methods {
	set := proxy.MethodSet(m.List...)
	set.Any = m.Any
	return set
}

// listenerName is the journal's text for a listener. A worker's own socket is named like the listener whose address it
// shares: its port is another one after a restart.
func listenerName(all []transport.Listener, i uint16) string {
	if int(i) >= len(all) {
		return ""
	}
	l := all[i]
	if l.Spread {
		for _, base := range all {
			if !base.Spread && near(base, l) && base.Addr.Addr() == l.Addr.Addr() {
				l = base
				break
			}
		}
	}
	return nameOf(l)
}

func nameOf(l transport.Listener) string {
	side := "outside"
	if l.Side == edge.Inside {
		side = "inside"
	}
	return side + ":" + l.Transport.String() + ":" + l.Addr.String()
}

// near reports whether a and b serve the same side and transport.
func near(a, b transport.Listener) bool { return a.Side == b.Side && a.Transport == b.Transport }

// findListener finds the listener of that name, or else one that can stand in for it: the same side, transport and
// address family, at the same address if there is one.
func findListener(all []transport.Listener, name string) (uint16, bool) {
	best, score := 0, 0
	for i, l := range all {
		if l.Spread {
			continue
		}
		if n := likeness(l, name); n > score {
			best, score = i, n
		}
	}
	return uint16(best), score > 0
}

// likeness tells how well l stands in for the listener of that name: 0 not at all, 3 it is the one.
func likeness(l transport.Listener, name string) int {
	own := nameOf(l)
	if own == name {
		return 3
	}
	place := strings.TrimSuffix(own, l.Addr.String()) // "outside:udp:"
	addr, err := netip.ParseAddrPort(strings.TrimPrefix(name, place))
	switch {
	case err != nil || addr.Addr().Is4() != l.Addr.Addr().Is4():
		return 0
	case addr.Addr() == l.Addr.Addr():
		return 2
	}
	return 1
}

// bestFirst names the outside listeners in the order in which a newcomer should try them: addresses that other machines
// can reach before loopback, IPv4 before IPv6, UDP before TCP.
func bestFirst(all []transport.Listener) []string {
	var outside []transport.Listener
	for _, l := range all {
		if l.Side == edge.Outside && !l.Spread {
			outside = append(outside, l)
		}
	}
	rank := func(l transport.Listener) int {
		n := int(l.Transport)
		if l.Addr.Addr().Is6() {
			n += 2
		}
		if l.Addr.Addr().IsLoopback() {
			n += 4
		}
		return n
	}
	slices.SortStableFunc(outside, func(a, b transport.Listener) int { return cmp.Compare(rank(a), rank(b)) })
	return bound(outside, edge.Outside)
}

// malformed lists the reasons of messages and session descriptions that cannot be parsed.
func malformed() []edge.Reason {
	var all []edge.Reason
	for _, e := range sip.Errors() {
		all = append(all, edge.Reason(e.ID()))
	}
	for _, e := range sdp.Errors() {
		all = append(all, edge.Reason(e.ID()))
	}
	return all
}

// observe adds what the rooms count themselves to the metrics.
func (s *service) observe() {
	s.metrics.Reasons(malformed()...)
	gauge := func(name, help string, f func() int) {
		s.metrics.Gauge("ringwall_"+name, help, func() float64 { return float64(f()) })
	}
	gauge("bindings", "Registered phones.", s.bindings.Len)
	gauge("transactions", "Transactions on record, finished ones that linger included.", func() int { return s.proxy.Status().Transactions })
	gauge("transactions_pending", "Relayed requests that wait for a final response.", s.proxy.Pending)
	gauge("traces", "Running traces and tails (ringwall trace, ringwall tail).", func() int { return s.proxy.Traces() + s.ring.Tails() })
	gauge("connections", "Open stream connections.", func() int { return int(s.transport.Counters().ConnectionsOpen) })
	gauge("af_xdp_partners", "Far ends with which datagrams go past the sockets (af_xdp).", func() int { return s.transport.Counters().Partners })
	gauge("connections_queued_bytes", "Bytes that wait to be written on all connections.", func() int { return int(s.transport.Counters().QueuedBytes) })
	gauge("connections_max", "Most stream connections at once.", func() int { return s.budget.connections })
	gauge("memory_used_bytes", "Memory in use, as it is compared with limits.memory.", func() int { return int(s.memory.Used()) })
	gauge("memory_limit_bytes", "limits.memory.", func() int { return int(s.memory.Limit()) })
	gauge("memory_pressure", "How short memory is: 0 calm, 1 tight, 2 scarce, 3 drought.", func() int { return int(s.memory.Pressure()) })
	gauge("bans_hard", "Sources that nothing is read of.", func() int { return s.bans.Stats().Hard })
	gauge("bans_soft", "Sources whose new requests are dropped.", func() int { return s.bans.Stats().Soft })
	gauge("bans_remembered", "Sources that were banned and are free.", func() int { return s.bans.Stats().Remembered })
	gauge("bans_max", "Most banned and remembered sources at once.", func() int { return s.bans.Stats().Max })
	for _, c := range banCounters() {
		s.metrics.Counter("ringwall_"+c.name+"_total", c.help, func() float64 { return float64(c.of(s)) })
	}
	s.metrics.Counter("ringwall_log_lines_dropped_total", "Lines that the reader of the log took too slowly, or not at all.", func() float64 { return float64(s.lines.Lost()) })
	s.metrics.Counter("ringwall_events_dropped_total", "Events that found the ring full.", func() float64 { return float64(s.ring.Dropped()) })
	for _, c := range transportCounters() {
		s.metrics.Counter("ringwall_transport_"+c.name+"_total", c.help, func() float64 { return float64(c.of(s.transport.Counters())) })
	}
}

// banCounter is one counter of the ban book or the gate as a metric.
type banCounter struct {
	name, help string
	of         func(*service) uint64
}

func banCounters() []banCounter {
	return []banCounter{
		{"bans", "Bans made.", func(s *service) uint64 { return s.bans.Stats().Banned }},
		{"bans_prolonged", "Bans prolonged because the source was still sending.", func(s *service) uint64 { return s.bans.Stats().Prolonged }},
		{"bans_lifted", "Bans lifted before their time.", func(s *service) uint64 { return s.bans.Stats().Lifted }},
		{"bans_evicted", "Bans given up because the book was full.", func(s *service) uint64 { return s.bans.Stats().Evicted }},
		{"bans_protected", "Bans refused because the source is never banned.", func(s *service) uint64 { return s.bans.Stats().Protected }},
		{"gate_packets_refused", "Datagrams of banned sources dropped.", func(s *service) uint64 { return s.gate.Counters().Packets }},
		{"gate_connections_refused", "Connections of banned sources refused.", func(s *service) uint64 { return s.gate.Counters().Connections }},
		{"gate_connections_closed", "Connections closed because their source was banned.", func(s *service) uint64 { return s.gate.Counters().Closed }},
	}
}

// transportCounter is one counter of transport as a metric.
type transportCounter struct {
	name, help string
	of         func(transport.Counters) uint64
}

func transportCounters() []transportCounter {
	type c = transport.Counters
	return []transportCounter{
		{"packets_in", "UDP datagrams received.", func(t c) uint64 { return t.PacketsIn }},
		{"packets_out", "UDP datagrams sent.", func(t c) uint64 { return t.PacketsOut }},
		{"frames_in", "UDP datagrams received past the sockets (af_xdp).", func(t c) uint64 { return t.FramesIn }},
		{"frames_out", "UDP datagrams sent past the sockets (af_xdp).", func(t c) uint64 { return t.FramesOut }},
		{"frames_bad", "Frames past the sockets that held no whole datagram.", func(t c) uint64 { return t.FramesBad }},
		{"stream_messages_in", "Messages received on connections.", func(t c) uint64 { return t.MessagesIn }},
		{"stream_messages_out", "Messages sent on connections.", func(t c) uint64 { return t.MessagesOut }},
		{"keepalives", "CRLF keep-alives received.", func(t c) uint64 { return t.Keepalives }},
		{"weak_host_dropped", "Datagrams for an inside address that came in by an outside interface.", func(t c) uint64 { return t.DroppedWeakHost }},
		{"too_large_dropped", "Datagrams larger than limits.message.", func(t c) uint64 { return t.DroppedTooLarge }},
		{"source_dropped", "Datagrams whose source cannot be answered.", func(t c) uint64 { return t.DroppedSource }},
		{"panics", "Messages whose handling panicked.", func(t c) uint64 { return t.DroppedPanic }},
		{"send_dropped", "Datagrams not sent because the socket stayed full.", func(t c) uint64 { return t.DroppedSend }},
		{"send_errors", "Datagrams that the system refused to send.", func(t c) uint64 { return t.SendErrors }},
		{"undelivered_notices_lost", "Notices of failed sends lost because too many came at once.", func(t c) uint64 { return t.DroppedUndeliver }},
		{"icmp_errors", "Errors that came back for datagrams already sent.", func(t c) uint64 { return t.ICMPErrors }},
		{"connections_accepted", "Connections accepted.", func(t c) uint64 { return t.Accepted }},
		{"connections_dialed", "Connections made.", func(t c) uint64 { return t.Dialed }},
		{"handshakes", "TLS and WebSocket handshakes completed.", func(t c) uint64 { return t.Handshakes }},
		{"handshake_errors", "TLS and WebSocket handshakes that failed or took too long.", func(t c) uint64 { return t.HandshakeErrors }},
		{"connections_reused", "Accepted connections that requests to their far end reuse (RFC 5923).", func(t c) uint64 { return t.Aliases }},
		{"dial_errors", "Connections that could not be made.", func(t c) uint64 { return t.DialErrors }},
		{"connections_refused", "Connections refused because the table was full.", func(t c) uint64 { return t.RefusedTotal }},
		{"connections_evicted", "Connections of strangers closed to make room for others.", func(t c) uint64 { return t.Evicted }},
		{"connections_refused_source", "Connections over limits.connections_per_source.", func(t c) uint64 { return t.RefusedSource }},
		{"proxy_headers_refused", "Connections from load balancers without a good PROXY protocol header.", func(t c) uint64 { return t.RefusedProxy }},
		{"frames_refused", "Connections closed because their bytes could not be framed.", func(t c) uint64 { return t.RefusedFrames }},
		{"queue_overflows", "Connections closed because their far end does not read.", func(t c) uint64 { return t.QueueOverflows }},
		{"queues_crowded", "Messages not queued because too much waits on all connections together.", func(t c) uint64 { return t.QueuesCrowded }},
		{"read_timeouts", "Connections closed because a message took too long.", func(t c) uint64 { return t.ReadTimeouts }},
		{"idle_timeouts", "Connections closed because nothing came or went.", func(t c) uint64 { return t.IdleTimeouts }},
		{"write_errors", "Connections closed because of a failed write.", func(t c) uint64 { return t.WriteErrors }},
	}
}
