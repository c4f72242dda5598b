package transport

// Counters are totals since Open, except ConnectionsOpen, which is a level.
type Counters struct {
	PacketsIn, PacketsOut   uint64 // UDP datagrams
	MessagesIn, MessagesOut uint64 // messages on streams
	Keepalives              uint64 // CRLF on UDP and pings on streams

	DroppedWeakHost  uint64 // inside datagrams that came by an outside interface
	DroppedTooLarge  uint64 // datagrams larger than MaxMessage
	DroppedSource    uint64 // datagrams whose source cannot be answered
	DroppedPanic     uint64 // messages whose handling panicked
	DroppedSend      uint64 // datagrams not sent because the socket stayed full
	DroppedUndeliver uint64 // Undelivered notices lost because too many came at once

	SendErrors uint64 // datagrams the kernel refused to send
	ICMPErrors uint64 // errors that came back for datagrams already sent

	ConnectionsOpen  int64
	Accepted, Dialed uint64
	DialErrors       uint64
	RefusedTotal     uint64 // connections over Config.Connections
	RefusedSource    uint64 // connections over Config.ConnectionsPerSource
	RefusedFrames    uint64 // connections closed because their bytes could not be framed
	QueueOverflows   uint64 // connections closed because their far end does not read
	ReadTimeouts     uint64 // connections closed because a message took too long
	IdleTimeouts     uint64
	WriteErrors      uint64 // connections closed by a failed or timed-out write
}
