// Package sdp reads session descriptions (RFC 8866, RFC 3264) and writes them anew with other addresses and ports, by allow
// list: strict in, canonical out. It is pure: bytes in, bytes out, no allocation once a Session has grown.
package sdp

import "net/netip"

// Limits of what Parse accepts.
const (
	MaxBody       = 65535 // bytes
	MaxLines      = 1000
	MaxMedia      = 32
	MaxCandidates = 16 // candidates kept of one media line; further ones are not looked at
)

// Direction is the direction of media as the writer of the description sees it (RFC 8866 §6.7).
type Direction uint8

// Directions.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

var directionNames = [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}

// String is the attribute that says d.
func (d Direction) String() string { return directionNames[d&3] }

// hold is d without receiving.
func (d Direction) hold() Direction {
	if d == SendRecv || d == SendOnly {
		return SendOnly
	}
	return Inactive
}

// A Session is one session description. It is reused: Parse forgets what it held before. All slices of bytes in it lie in
// Raw, which the caller keeps unchanged as long as they are used.
type Session struct {
	Raw    []byte // what was given to Parse
	Origin Origin
	Media  []Media // in the order of the m= lines
	Lite   bool    // the writer is an ICE-lite agent (RFC 8445 §2.5)

	top        Media // what stands at session level, as if it were a media line
	group      []byte
	kept       []kept // lines that Rewrite may write: those of the session, then those of each media line
	candidates []Candidate
	scan       scanner
}

// Origin is the o= line (RFC 8866 §5.2). Its address is never used and not read.
type Origin struct {
	Username []byte
	ID       []byte // decimal digits
	Version  []byte // decimal digits
}

// A Media is one m= line with what applies to it, from its own lines or those of the session.
type Media struct {
	Type    []byte // "audio", "image", as written
	Proto   []byte // "RTP/AVP", as written
	Formats []byte // "0 8 101"

	Addr  netip.Addr     // of its c= line or the session's: where its writer wants media; never a name or multicast
	Port  uint16         // 0: refused, switched off, or bundled (BundleOnly)
	Ports uint16         // how many in a row, 1 unless the line says "port/count"
	RTCP  netip.AddrPort // of a=rtcp, else the port above Port; invalid for what is not RTP, and where there is RTCP on Port only

	Direction Direction
	Hold      bool // Addr is 0.0.0.0 or ::, and there is no ICE to find another: send nothing (RFC 3264 §8.4)
	RTP       bool // RTP, with RTCP beside it; else one flow of datagrams (T.38, BFCP, what we do not know)
	Stream    bool // over TCP, or another transport that is no UDP: it can't be relayed
	Mux       bool // a=rtcp-mux (RFC 5761)
	Secure    bool // SRTP or DTLS: the profile, a=crypto or a=fingerprint says so. It passes through untouched

	ICE        bool // there are credentials (RFC 8839)
	Ufrag      []byte
	Pwd        []byte
	Candidates []Candidate // over UDP and with an address; at most MaxCandidates

	Mid        []byte // a=mid (RFC 5888)
	Bundle     int    // index of the media line that leads its BUNDLE group (RFC 9143), maybe its own; -1: it is in none
	BundleOnly bool   // a=bundle-only: with Port 0 it is in use nevertheless

	tail      []byte // of the m= line: what follows the port
	seen      uint32 // lines and attributes that may stand once
	rtcpPort  uint16
	rtcpAddr  netip.Addr
	from, end int // its lines in kept
	first     int // its candidates
	last      int
}

// Usable reports whether the line wants media that a relay of datagrams can carry: a port, or a place in a bundle, one port
// only, and no TCP. Rewrite refuses every other line by port 0.
func (m *Media) Usable() bool {
	return (m.Port != 0 || m.BundleOnly) && m.Ports == 1 && !m.Stream
}

// A Candidate is an address that ICE may use (RFC 8839 §5.1).
type Candidate struct {
	Addr      netip.AddrPort
	Priority  uint32
	Component uint8 // 1: RTP, 2: RTCP
}

// ErrorLine is the number of the line, from 1, that the last Parse refused.
func (s *Session) ErrorLine() int { return s.scan.line }
