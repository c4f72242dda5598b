package media

import (
	"net/netip"

	"github.com/ringwall/ringwall/edge"
)

// An End is one of the two far ends of a stream.
type End uint8

// The ends: whoever began the call, and whom he called. They keep their names when a later offer comes from the other one.
const (
	Caller End = iota
	Callee
	Ends = iota // how many there are
)

// Other is the end that e's packets are sent to.
func (e End) Other() End { return 1 - e }

// A Place is where an end is, and so which address of ours it sees.
type Place struct {
	Side edge.Side
	IPv6 bool
	Addr netip.Addr // of ours that it sends to, one of the relay's of that side; not valid, or another: the first of that side and version
}

// Descriptors is how many file descriptors a stream takes: a port for RTP and one for RTCP on each end.
const Descriptors = 2 * Ends

// A Spec describes a stream to be opened: one media line of a call.
type Spec struct {
	Ends [Ends]Place

	// Owner is the source that asked for the call, as long as nobody has authenticated it: such a source holds no more than
	// RelayConfig.PerOwner streams until Admit (audit F9). Invalid: no such limit.
	Owner netip.Addr

	// Opaque says that the line is no RTP (T.38 over UDPTL, BFCP, anything unknown): every packet of an accepted source passes.
	Opaque bool
}

// Latch says whose packets are accepted besides those of addresses that signalling named.
type Latch uint8

// The classes of latching. In all of them the first source accepted stays the only one.
const (
	// Strict accepts the address of the description or the address signalling came from, with any port, as a NAT may choose it.
	Strict Latch = iota
	// Prefix24 also accepts their neighbours (IPv4 /24, IPv6 /64) once three packets in a row have come from one of them.
	Prefix24
	// Any accepts anybody who first sends three packets in a row of one RTP source (SSRC). It is not for Trusted ends, which get Strict.
	Any
)

var latchNames = [...]string{"strict", "prefix24", "any"}

// String is the name of l in the configuration.
func (l Latch) String() string { return latchNames[min(int(l), len(latchNames)-1)] }

// A Remote is what signalling says about one end.
type Remote struct {
	RTP  netip.AddrPort // where it wants media, from its description; invalid, unspecified or port 0: nowhere (hold, or refused)
	RTCP netip.AddrPort // where it wants RTCP: a=rtcp, else the next port; invalid with Mux only
	Mux  bool           // RTP and RTCP share the RTP port (RFC 5761), agreed on by offer and answer

	Signalling netip.Addr // where its signalling comes from; invalid if unknown
	Proven     bool       // Signalling has shown that it receives what is sent there, so media may be sent there unasked
	Trusted    bool       // a configured peer or the platform: what it says about its addresses is believed
	Latch      Latch

	Clock uint32 // ticks per second of RTP timestamps, for the jitter [8000]
	Rate  int    // packets a second accepted at most, a second's worth at once; RTCP counts, too [no limit]
	ICE   bool   // it does ICE: only addresses that checked are accepted (see Stream.OfferICE)
}
