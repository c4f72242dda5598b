package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// Media says whether and how media is relayed.
type Media struct {
	Relay         MediaRelay
	Ports         Ports      // of both sides
	Address       netip.Addr // that outside sends media to; not valid: those of the outside listeners
	InsideAddress netip.Addr // that the platform sends media to; not valid: those of the inside listeners
	Latch         Latches
	RTPEngine     []netip.AddrPort // NG ports of the servers, for relay: rtpengine
	Silence       Silence
	Journal       bool // keep calls over a restart, for relay: builtin
	Packets       int  // a second accepted of one end of a media line that is neither a peer nor inside; 0: any number
	Threads       int
	Coalesce      time.Duration // how long packets may gather under load; 0: not at all
}

// MediaRelay is who relays media.
type MediaRelay string

// Choices of media.relay.
const (
	RelayOff       MediaRelay = "off"
	RelayBuiltIn   MediaRelay = "builtin"
	RelayRTPEngine MediaRelay = "rtpengine"
)

// Ports is a range of ports, both ends included.
type Ports struct{ First, Last uint16 }

// Latch says whose media is accepted besides that of addresses which signalling named.
type Latch string

// Choices of media.latch.
const (
	LatchStrict   Latch = "strict"
	LatchPrefix24 Latch = "prefix24"
	LatchAny      Latch = "any"
)

// Latches are the choices by trust class.
type Latches struct {
	Unknown, Known, Peer Latch
}

// Silence says when a call whose media stopped is told of, and whether it is ended then.
type Silence struct {
	After time.Duration // 0: never
	End   bool
}

// media reads the section of that name.
func media(m *Media) reader {
	return section(
		key{"relay", choice(&m.Relay, RelayOff, RelayBuiltIn, RelayRTPEngine)},
		key{"ports", value(&m.Ports, parsePorts)},
		key{"address", value(&m.Address, parseMediaAddress)},
		key{"inside_address", value(&m.InsideAddress, parseMediaAddress)},
		key{"latch", latch(&m.Latch)},
		key{"rtpengine", texts(&m.RTPEngine, parseEngine)},
		key{"silence", section(
			key{"after", silence(&m.Silence.After)},
			key{"end", boolValue(&m.Silence.End)},
		)},
		key{"journal", boolValue(&m.Journal)},
		key{"packets", integer(&m.Packets, 0, 1_000_000)},
		key{"threads", integer(&m.Threads, 1, 64)},
		key{"coalesce", duration(&m.Coalesce, 0, 20*time.Millisecond)},
	)
}

// latch reads one choice for everybody, or one for each trust class.
func latch(l *Latches) reader {
	return func(d *decoder, n *node, path string) {
		if n.kind == mapping {
			section(
				key{"unknown", choice(&l.Unknown, LatchStrict, LatchPrefix24, LatchAny)},
				key{"known", choice(&l.Known, LatchStrict, LatchPrefix24, LatchAny)},
				key{"peer", choice(&l.Peer, LatchStrict, LatchPrefix24)},
			)(d, n, path)
			return
		}
		choice(&l.Unknown, LatchStrict, LatchPrefix24, LatchAny)(d, n, path)
		if l.Known, l.Peer = l.Unknown, l.Unknown; l.Peer == LatchAny {
			l.Peer = LatchStrict
		}
	}
}

// silence reads how long media may be silent: long enough for a pause, or 0s for as long as it likes.
func silence(dst *time.Duration) reader {
	return func(d *decoder, n *node, path string) {
		was := len(d.problems)
		var v time.Duration
		duration(&v, 0, 4*time.Hour)(d, n, path)
		switch {
		case len(d.problems) > was:
		case v > 0 && v < time.Second:
			d.report(n.at, path, n.text+" is less than 1s", "0s means never; 60s suits most")
		default:
			*dst = v
		}
	}
}

// parsePorts reads "30000-39999".
func parsePorts(s string) (Ports, error) {
	from, to, found := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	switch {
	case !found || err1 != nil || err2 != nil:
		return Ports{}, wrongf("write first and last port, such as 30000-39999", "%s is not a range of ports", quoted(s))
	case first < 1024:
		return Ports{}, wrongf("media has no use for ports below 1024", "%s begins below 1024", quoted(s))
	case last < first+15:
		return Ports{}, wrongf("each media line of a call takes two ports on each side", "%s has less than 16 ports", quoted(s))
	}
	return Ports{uint16(first), uint16(last)}, nil
}

// parseMediaAddress reads one address that a far end can send to.
func parseMediaAddress(s string) (netip.Addr, error) {
	bare, _ := unbracket(s)
	a, err := netip.ParseAddr(bare)
	a = a.Unmap()
	switch {
	case err != nil || a.Zone() != "":
		return netip.Addr{}, wrongf("write an IPv4 or IPv6 address; names are not looked up here", "%s is not an address", quoted(s))
	case a.IsUnspecified() || a.IsMulticast():
		return netip.Addr{}, wrongf("name the address that media is sent to, or leave the key out: it is that of the listeners then", "%s is not the address of one machine", s)
	}
	return a, nil
}

// parseEngine reads "udp:127.0.0.1:2223".
func parseEngine(s string) (netip.AddrPort, error) {
	const hint = "write udp: and the address that rtpengine's listen-ng has, such as udp:127.0.0.1:2223"
	rest, found := strings.CutPrefix(s, "udp:")
	if !found {
		return netip.AddrPort{}, wrongf(hint, "%s does not begin with udp:", quoted(s))
	}
	a, err := parseAddrPort(rest)
	if err == nil && (a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast()) {
		return netip.AddrPort{}, wrongf(hint, "%s is not the address of one server", quoted(s))
	}
	return a, err
}

// checkMedia finds silence that is never noticed, servers that are named twice or not at all, and listeners and media that want the same UDP ports.
func (c *Config) checkMedia() Errors {
	if c.Media.Silence.End && c.Media.Silence.After == 0 {
		return c.Fault("media.silence.end", "would end calls whose media stopped, but media.silence.after is 0s: that is never told", "write after: 60s, or end: false")
	}
	if c.Media.Relay == RelayRTPEngine {
		return c.checkEngines()
	}
	if c.Media.Relay == RelayOff || c.Media.Ports == (Ports{}) {
		return nil
	}
	for _, l := range slices.Concat(c.Outside.Listen, c.Inside.Listen) {
		if p := l.Addr.Port(); l.Transport == edge.UDP && p >= c.Media.Ports.First && p <= c.Media.Ports.Last {
			return c.Fault("media.ports", "holds the port of "+l.String(), "choose a range without it")
		}
	}
	return nil
}

func (c *Config) checkEngines() Errors {
	all := c.Media.RTPEngine
	if len(all) == 0 {
		return c.Fault("media.rtpengine", "names no server", "add rtpengine: [udp:127.0.0.1:2223] to media, with the address of rtpengine's listen-ng")
	}
	for i, a := range all {
		if slices.Contains(all[:i], a) {
			return c.Fault("media.rtpengine["+strconv.Itoa(i)+"]", a.String()+" stands there twice", "name each server once")
		}
	}
	return nil
}
