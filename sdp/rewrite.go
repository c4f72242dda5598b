package sdp

import (
	"net/netip"
	"strconv"
)

// A Plan says what Rewrite writes in the place of what it read.
type Plan struct {
	ID      uint64     // session id of o=, constant for one side of one dialog
	Version uint64     // of o=: grows when the description changes (RFC 3264 §8); see Numbering
	Addr    netip.Addr // of o= and of the session's c=
	Media   []MediaPlan
	FullICE bool // who the credentials in Media are of is no ICE-lite agent
	Bundle  bool // BUNDLE groups stay: media lines of one group get one address and port where the reader may rely on it

	// Clean reports whether text, a line or part of one without its end, may be shown to the reader: it names nothing of the
	// inside. It keeps no reference to text. nil: all is clean.
	Clean func(text []byte) bool

	// Like is the description that another program made this one from. What it did not say, and holds unsaid, is not said: a=sendrecv, and
	// a=rtpmap of payload types that have their codec by number. nil: all is said.
	Like []byte
}

// A MediaPlan is what Rewrite writes for the media line of the same index. A line without one, without Addr or without Port
// is refused, and so is every line that is not Usable.
type MediaPlan struct {
	Addr  netip.Addr // where the reader sends media
	Port  uint16
	RTCP  uint16 // where it sends RTCP: written as a=rtcp unless it is the port above Port; 0: not said
	Ufrag string // credentials of an ICE agent of ours, which has this one address; "": ICE is removed
	Pwd   string
}

// Rewrite appends the description that Parse read to dst, with what plan says in the place of addresses, ports, origin and
// ICE. The only error is ErrMark; dst is then returned as it came.
func (s *Session) Rewrite(dst []byte, plan *Plan) ([]byte, error) {
	start := len(dst)
	dst = append(dst, "v=0\r\no=- "...)
	dst = append(strconv.AppendUint(dst, plan.ID, 10), ' ')
	dst = append(strconv.AppendUint(dst, plan.Version, 10), ' ')
	dst = appendAddr(dst, plan.Addr)
	dst = append(dst, "\r\ns=-\r\nc="...)
	dst = append(appendAddr(dst, plan.Addr), '\r', '\n')
	own := s.kept[:s.top.end]
	dst = s.appendKept(dst, own, plan, keepBandwidth)
	dst = append(dst, "t=0 0\r\n"...)
	if !plan.FullICE && s.ownICE(plan) {
		dst = append(dst, "a=ice-lite\r\n"...)
	}
	dst = s.appendKept(dst, own, plan, keepPlain|keepDirection|plan.bundle())
	for i := range s.Media {
		m := &s.Media[i]
		if plan.Clean != nil && !(plan.Clean(m.Type) && plan.Clean(m.tail)) {
			return dst[:start], ErrMark
		}
		dst = s.appendMedia(dst, m, i, plan)
	}
	return dst, nil
}

// bundle is the kind of lines that Bundle keeps.
func (p *Plan) bundle() keepKind {
	if p.Bundle {
		return keepBundle
	}
	return 0
}

// planned returns the plan of media line i, false if the line is refused.
func (s *Session) planned(i int, plan *Plan) (MediaPlan, bool) {
	m := &s.Media[i]
	if i >= len(plan.Media) || !m.Usable() || m.BundleOnly && m.Port == 0 && !plan.Bundle {
		return MediaPlan{}, false
	}
	p := plan.Media[i]
	return p, p.Addr.IsValid() && p.Port != 0
}

// ownICE reports whether any line is written with credentials of ours.
func (s *Session) ownICE(plan *Plan) bool {
	for i := range s.Media {
		if p, ok := s.planned(i, plan); ok && p.Ufrag != "" {
			return true
		}
	}
	return false
}

// appendMedia appends media line i and what belongs to it.
func (s *Session) appendMedia(dst []byte, m *Media, i int, plan *Plan) []byte {
	p, used := s.planned(i, plan)
	if !used || m.Port == 0 { // bundle-only has port 0, too
		p.Port = 0
	}
	lines := s.kept[m.from:m.end]
	dst = append(append(append(dst, "m="...), m.Type...), ' ')
	dst = append(strconv.AppendUint(dst, uint64(p.Port), 10), ' ')
	dst = append(append(dst, m.tail...), '\r', '\n')
	if !used {
		return s.appendKept(dst, lines, plan, keepMid)
	}
	addr := p.Addr
	kinds := keepPlain | keepMid | keepDirection | plan.bundle()
	switch {
	case !m.Hold:
	case p.Ufrag != "": // an address that no candidate has would say that ICE failed: hold by direction instead
		kinds &^= keepDirection
	default:
		addr = unspecified(addr)
	}
	if addr != plan.Addr {
		dst = append(appendAddr(append(dst, "c="...), addr), '\r', '\n')
	}
	dst = s.appendKept(dst, lines, plan, keepBandwidth)
	dst = s.appendKept(dst, lines, plan, kinds)
	if kinds&keepDirection == 0 {
		dst = append(append(append(dst, "a="...), m.Direction.hold().String()...), '\r', '\n')
	}
	return appendTransport(dst, m, &p)
}

// unspecified is 0.0.0.0 or ::, of the family of a.
func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// appendTransport appends a=rtcp and, with credentials of our own, ICE: an agent that has one address.
func appendTransport(dst []byte, m *Media, p *MediaPlan) []byte {
	if p.Port == 0 {
		return dst
	}
	rtcp := p.RTCP
	if !m.RTP {
		rtcp = 0
	}
	if rtcp != 0 && rtcp != p.Port+1 {
		dst = append(strconv.AppendUint(append(dst, "a=rtcp:"...), uint64(rtcp), 10), '\r', '\n')
	}
	if p.Ufrag == "" {
		return dst
	}
	dst = append(append(append(dst, "a=ice-ufrag:"...), p.Ufrag...), '\r', '\n')
	dst = append(append(append(dst, "a=ice-pwd:"...), p.Pwd...), '\r', '\n')
	dst = appendCandidate(dst, 1, p.Addr, p.Port)
	if rtcp != 0 && rtcp != p.Port {
		dst = appendCandidate(dst, 2, p.Addr, rtcp)
	}
	return dst
}

// appendCandidate appends a host candidate with the priority that RFC 8445 §5.1.2 has for the only address of an agent.
func appendCandidate(dst []byte, component uint8, addr netip.Addr, port uint16) []byte {
	const host, only = 126 << 24, 65535 << 8
	dst = strconv.AppendUint(append(dst, "a=candidate:1 "...), uint64(component), 10)
	dst = strconv.AppendUint(append(dst, " UDP "...), host+only+256-uint64(component), 10)
	dst = addr.AppendTo(append(dst, ' '))
	dst = strconv.AppendUint(append(dst, ' '), uint64(port), 10)
	return append(dst, " typ host\r\n"...)
}

// appendAddr appends "IN IP4 192.0.2.1".
func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		return a.AppendTo(append(dst, "IN IP4 "...))
	}
	return a.AppendTo(append(dst, "IN IP6 "...))
}

// appendKept appends those of lines that are of one of the kinds, and clean.
func (s *Session) appendKept(dst []byte, lines []kept, plan *Plan, kinds keepKind) []byte {
	for _, k := range lines {
		if k.kind&kinds == 0 {
			continue
		}
		text := s.Raw[k.from:k.end]
		if plan.Clean != nil && !plan.Clean(text) || plan.Like != nil && s.needless(text, plan.Like) {
			continue
		}
		dst = append(append(dst, s.Raw[k.from-2:k.end]...), '\r', '\n') // with the "a=" or "b=" before it
		for i := len(dst) - 2 - len(text); k.odd > 0; i, k.odd = i+1, k.odd-1 {
			if c := dst[i]; 'A' <= c && c <= 'Z' {
				dst[i] = c | 0x20
			}
		}
	}
	return dst
}
