package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Payload types of the two codecs (RFC 3551 §6): 64 kbit/s, 8,000 samples a second, a byte each.
const (
	pcmu = 0
	pcma = 8
)

// maxMediaLines bounds what an offer may make us answer.
const maxMediaLines = 16

var (
	errNotSDP  = errors.New("not a session description")
	errNoMedia = errors.New("no audio stream with PCMU or PCMA over RTP/AVP to an address")
)

// A session is what matters to us in an SDP offer or answer (RFC 4566, RFC 3264).
type session struct {
	media     []string // values of all m= lines
	audio     int      // index in media of the stream that is used
	codec     int      // pcmu or pcma, the first of the two that is listed
	remote    netip.AddrPort
	direction string // sendrecv, sendonly, recvonly or inactive, as the far end sees it
	mux       bool   // a=rtcp-mux
}

// parseSDP reads an offer or answer; errNoMedia if we can't take part in any of its streams.
func parseSDP(b []byte) (*session, error) {
	if !strings.HasPrefix(string(b), "v=0") {
		return nil, errNotSDP
	}
	s := &session{audio: -1}
	var address, direction [2]string // [0] of the session, [1] of the stream used
	level := 0                       // 2: a stream that is not used
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		kind, value, ok := strings.Cut(line, "=")
		switch {
		case line == "":
		case !ok || len(kind) != 1:
			return nil, errNotSDP
		case kind == "m":
			level = s.stream(value)
		case level == 2:
		case kind == "c":
			address[level] = value
		case kind == "a" && (value == "sendrecv" || value == "sendonly" || value == "recvonly" || value == "inactive"):
			direction[level] = value
		case line == "a=rtcp-mux" && level == 1:
			s.mux = true
		}
	}
	if len(s.media) > maxMediaLines {
		return nil, errNotSDP
	}
	s.direction = firstOf(direction[1], direction[0], "sendrecv")
	return s, s.connect(firstOf(address[1], address[0]))
}

// stream notes an m= line and returns 1 if it is the one to be used, else 2.
func (s *session) stream(value string) int {
	s.media = append(s.media, value)
	f := strings.Fields(value)
	if s.audio >= 0 || len(f) < 4 || f[0] != "audio" || f[2] != "RTP/AVP" {
		return 2
	}
	port, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil || port == 0 {
		return 2
	}
	for _, format := range f[3:] {
		if format == strconv.Itoa(pcmu) || format == strconv.Itoa(pcma) {
			s.codec, _ = strconv.Atoi(format)
			s.audio = len(s.media) - 1
			s.remote = netip.AddrPortFrom(netip.Addr{}, uint16(port))
			return 1
		}
	}
	return 2
}

// connect notes the address of a c= line. 0.0.0.0 is hold in the old manner (RFC 3264 §8.4): nothing is sent there.
func (s *session) connect(value string) error {
	f := strings.Fields(value)
	if s.audio < 0 || len(f) != 3 || f[0] != "IN" {
		return errNoMedia
	}
	addr, err := netip.ParseAddr(f[2])
	if err != nil || addr.Zone() != "" || addr.Is4In6() || addr.IsMulticast() || addr.Is4() != (f[1] == "IP4") {
		return errNoMedia
	}
	s.remote = netip.AddrPortFrom(addr, s.remote.Port())
	if addr.IsUnspecified() {
		s.direction = "sendonly"
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// reversed is the answer to a direction (RFC 3264 §6.1).
func reversed(direction string) string {
	switch direction {
	case "sendonly":
		return "recvonly"
	case "recvonly":
		return "sendonly"
	}
	return direction
}

// hears reports whether the far end wants to receive.
func (s *session) hears() bool { return s.direction == "sendrecv" || s.direction == "recvonly" }

// appendSDP writes our side: the answer to offer, or an offer of both codecs if that is nil. id and version are those of
// the o= line (RFC 3264 §8).
func appendSDP(dst []byte, local netip.AddrPort, id, version uint64, offer *session) []byte {
	family := "IP4"
	if local.Addr().Is6() {
		family = "IP6"
	}
	dst = fmt.Appendf(dst, "v=0\r\no=- %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
		id, version, family, local.Addr(), family, local.Addr())
	if offer == nil {
		return fmt.Appendf(dst, "m=audio %d RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n",
			local.Port())
	}
	for i, line := range offer.media {
		if i != offer.audio { // refused (RFC 3264 §6)
			f := append(strings.Fields(line), "", "", "", "")
			dst = fmt.Appendf(dst, "m=%s 0 %s %s\r\n", firstOf(f[0], "audio"), firstOf(f[2], "RTP/AVP"), firstOf(f[3], "0"))
			continue
		}
		name := map[int]string{pcmu: "PCMU", pcma: "PCMA"}[offer.codec]
		dst = fmt.Appendf(dst, "m=audio %d RTP/AVP %d\r\na=rtpmap:%d %s/8000\r\na=ptime:20\r\na=%s\r\n",
			local.Port(), offer.codec, offer.codec, name, reversed(offer.direction))
		if offer.mux {
			dst = append(dst, "a=rtcp-mux\r\n"...)
		}
	}
	return dst
}
