package transport

import "sync/atomic"

// Counters are totals since Open, except ConnectionsOpen and QueuedBytes, which are levels.
type Counters struct {
	PacketsIn, PacketsOut   uint64 // UDP datagrams
	FramesIn, FramesOut     uint64 // of these past the sockets (Config.AFXDP)
	FramesBad               uint64 // frames there that held no whole datagram
	Partners                int    // a level: far ends with which datagrams go that way
	MessagesIn, MessagesOut uint64 // messages on streams
	Keepalives              uint64 // CRLF on UDP, pings and CRLF on streams

	DroppedKernel    uint64 // datagrams the kernel lost because a receive buffer was full
	DroppedWeakHost  uint64 // inside datagrams that came by an outside interface
	DroppedTooLarge  uint64 // datagrams larger than MaxMessage
	DroppedSource    uint64 // datagrams whose source cannot be answered
	DroppedPanic     uint64 // messages whose handling panicked
	DroppedSend      uint64 // datagrams not sent because the socket stayed full or was closed
	DroppedUndeliver uint64 // Undelivered notices lost because too many came at once

	SendErrors uint64 // datagrams the kernel refused to send
	ICMPErrors uint64 // errors that came back for datagrams already sent

	ConnectionsOpen  int64
	Accepted, Dialed uint64
	AcceptErrors     uint64
	DialErrors       uint64
	Handshakes       uint64 // TLS and WebSocket handshakes completed, accepted and dialled
	HandshakeErrors  uint64 // those that failed or took too long
	Aliases          uint64 // accepted connections that requests to their far end reuse (RFC 5923)
	RefusedTotal     uint64 // connections over Config.Connections
	Evicted          uint64 // strangers' connections closed to make room for others
	RefusedSource    uint64 // connections over Config.ConnectionsPerSource
	RefusedProxy     uint64 // connections from load balancers without a good PROXY protocol header
	RefusedFrames    uint64 // connections closed because their bytes could not be framed
	QueuedBytes      int64  // a level: what waits on all connections
	QueuesCrowded    uint64 // messages not queued because of Config.QueueBytes
	QueueOverflows   uint64 // connections closed because their far end does not read
	ReadTimeouts     uint64 // connections closed because a message took too long
	IdleTimeouts     uint64
	WriteErrors      uint64 // connections closed by a failed or timed-out write
}

// counts are the live counters. Readers add once per batch.
type counts struct {
	packetsIn, packetsOut, messagesIn, messagesOut, keepalives                                                          atomic.Uint64
	droppedWeakHost, droppedTooLarge, droppedSource, droppedPanic, droppedSend, droppedUndeliver                        atomic.Uint64
	sendErrors, icmpErrors                                                                                              atomic.Uint64
	accepted, dialed, acceptErrors, dialErrors, handshakes, handshakeErrors, refusedTotal, refusedSource, refusedFrames atomic.Uint64
	queueOverflows, readTimeouts, idleTimeouts, writeErrors, aliases, refusedProxy, queuesCrowded, evicted              atomic.Uint64
}

// Counters returns what has been counted since Open.
func (s *Server) Counters() Counters {
	c, fast := &s.count, s.express.stats()
	return Counters{
		FramesIn: fast.In, FramesOut: fast.Out, FramesBad: fast.Bad, Partners: fast.Partners,
		PacketsIn: c.packetsIn.Load(), PacketsOut: c.packetsOut.Load(),
		MessagesIn: c.messagesIn.Load(), MessagesOut: c.messagesOut.Load(),
		Keepalives:      c.keepalives.Load(),
		DroppedKernel:   s.kernelDrops() + fast.Dropped,
		DroppedWeakHost: c.droppedWeakHost.Load(), DroppedTooLarge: c.droppedTooLarge.Load(),
		DroppedSource: c.droppedSource.Load(), DroppedPanic: c.droppedPanic.Load(),
		DroppedSend: c.droppedSend.Load(), DroppedUndeliver: c.droppedUndeliver.Load(),
		SendErrors: c.sendErrors.Load(), ICMPErrors: c.icmpErrors.Load(),
		ConnectionsOpen: int64(s.conns.open()),
		Accepted:        c.accepted.Load(), Dialed: c.dialed.Load(),
		AcceptErrors: c.acceptErrors.Load(), DialErrors: c.dialErrors.Load(),
		Handshakes: c.handshakes.Load(), HandshakeErrors: c.handshakeErrors.Load(),
		RefusedTotal: c.refusedTotal.Load(), RefusedSource: c.refusedSource.Load(), RefusedFrames: c.refusedFrames.Load(),
		RefusedProxy: c.refusedProxy.Load(), Evicted: c.evicted.Load(),
		Aliases:        c.aliases.Load(),
		QueuedBytes:    s.queued.Load(),
		QueuesCrowded:  c.queuesCrowded.Load(),
		QueueOverflows: c.queueOverflows.Load(), ReadTimeouts: c.readTimeouts.Load(),
		IdleTimeouts: c.idleTimeouts.Load(), WriteErrors: c.writeErrors.Load(),
	}
}
