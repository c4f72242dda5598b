package sdp

import (
	"net/netip"
	"strings"
	"testing"
)

// head is a session up to its media lines.
const head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"

// audio is an offer as phones make it.
const audio = head + "m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"

// parse reads text, which must be accepted.
func parse(t *testing.T, text string) *Session {
	t.Helper()
	s := &Session{}
	if err := s.Parse([]byte(text)); err != nil {
		t.Fatalf("line %d: %v\n%q", s.ErrorLine(), err, text)
	}
	return s
}

// refused checks that text is refused with e at a line.
func refused(t *testing.T, text string, e Error, line int) {
	t.Helper()
	var s Session
	err := s.Parse([]byte(text))
	if err != e || s.ErrorLine() != line {
		t.Errorf("line %d: %v, want line %d: %v\n%q", s.ErrorLine(), err, line, e, text)
	}
	if err != nil && len(s.Media) != 0 {
		t.Errorf("refused, but media lines are there: %q", text)
	}
}

func TestParse(t *testing.T) {
	s := parse(t, audio)
	if got := string(s.Origin.Username) + string(s.Origin.ID) + string(s.Origin.Version); got != "-11" {
		t.Errorf("origin %q", got)
	}
	if len(s.Media) != 1 {
		t.Fatalf("%d media lines", len(s.Media))
	}
	m := &s.Media[0]
	if string(m.Type) != "audio" || string(m.Proto) != "RTP/AVP" || string(m.Formats) != "0 8 101" {
		t.Errorf("media line %s %s %s", m.Type, m.Proto, m.Formats)
	}
	if m.Addr != netip.MustParseAddr("192.0.2.1") || m.Port != 40000 || m.RTCP != netip.MustParseAddrPort("192.0.2.1:40001") {
		t.Errorf("address %v, port %d, rtcp %v", m.Addr, m.Port, m.RTCP)
	}
	if m.Direction != SendRecv || m.Hold || m.Mux || m.ICE || m.Secure || m.Stream || !m.RTP || !m.Usable() || m.Bundle != -1 {
		t.Errorf("%+v", m)
	}
}

// one makes a description of one media line with lines below it.
func one(lines ...string) string {
	return head + "m=audio 40000 RTP/AVP 0\r\n" + strings.Join(lines, "\r\n") + "\r\n"
}

// TestMedia: what is read of one media line.
func TestMedia(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want func(m *Media) bool
	}{
		"own address": {one("c=IN IP4 198.51.100.7"), func(m *Media) bool {
			return m.Addr.String() == "198.51.100.7" && m.RTCP.String() == "198.51.100.7:40001"
		}},
		"IPv6":                  {one("c=IN IP6 2001:db8::7"), func(m *Media) bool { return m.Addr.String() == "2001:db8::7" }},
		"refused":               {head + "m=audio 0 RTP/AVP 0\r\n", func(m *Media) bool { return m.Port == 0 && !m.Usable() && !m.RTCP.IsValid() }},
		"refused, no address":   {strings.Replace(head, "c=IN IP4 192.0.2.1\r\n", "", 1) + "m=audio 0 RTP/AVP 0\r\n", func(m *Media) bool { return !m.Addr.IsValid() }},
		"count of one":          {head + "m=audio 40000/1 RTP/AVP 0\r\n", func(m *Media) bool { return m.Ports == 1 && m.Usable() }},
		"count of two":          {head + "m=video 40000/2 RTP/AVP 31\r\n", func(m *Media) bool { return m.Ports == 2 && !m.Usable() }},
		"rtcp":                  {one("a=rtcp:53020"), func(m *Media) bool { return m.RTCP.String() == "192.0.2.1:53020" }},
		"rtcp with address":     {one("a=rtcp:53020 IN IP4 192.0.2.9"), func(m *Media) bool { return m.RTCP.String() == "192.0.2.9:53020" }},
		"rtcp twice the same":   {one("a=rtcp:53020", "a=rtcp:53020"), func(m *Media) bool { return m.RTCP.Port() == 53020 }},
		"rtcp in capitals":      {one("a=RTCP:53020"), func(m *Media) bool { return m.RTCP.Port() == 53020 }},
		"no rtcp":               {one("a=rtcp:0"), func(m *Media) bool { return !m.RTCP.IsValid() }},
		"last port":             {head + "m=audio 65535 RTP/AVP 0\r\n", func(m *Media) bool { return m.Port == 65535 && !m.RTCP.IsValid() }},
		"mux":                   {one("a=rtcp-mux"), func(m *Media) bool { return m.Mux && m.RTCP.Port() == 40001 }},
		"mux only":              {one("a=rtcp-mux", "a=rtcp-mux-only"), func(m *Media) bool { return m.Mux && !m.RTCP.IsValid() }},
		"hold by address":       {one("c=IN IP4 0.0.0.0"), func(m *Media) bool { return m.Hold && m.Usable() }},
		"hold by IPv6 address":  {one("c=IN IP6 ::"), func(m *Media) bool { return m.Hold }},
		"hold by direction":     {one("a=sendonly"), func(m *Media) bool { return m.Direction == SendOnly && !m.Hold }},
		"inactive":              {one("a=inactive"), func(m *Media) bool { return m.Direction == Inactive }},
		"direction of session":  {head + "a=recvonly\r\nm=audio 4 RTP/AVP 0\r\n", func(m *Media) bool { return m.Direction == RecvOnly }},
		"direction of its own":  {head + "a=recvonly\r\nm=audio 4 RTP/AVP 0\r\na=sendrecv\r\n", func(m *Media) bool { return m.Direction == SendRecv }},
		"direction, then space": {one("a=sendonly "), func(m *Media) bool { return m.Direction == SendOnly }},
		"direction in capitals": {one("a=SendOnly"), func(m *Media) bool { return m.Direction == SendOnly }},
		"SAVP":                  {head + "m=audio 4 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n", func(m *Media) bool { return m.Secure && m.RTP }},
		"crypto on AVP":         {one("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x"), func(m *Media) bool { return m.Secure }},
		"DTLS-SRTP":             {head + "a=fingerprint:sha-1 AB:CD\r\nm=audio 4 UDP/TLS/RTP/SAVPF 0\r\n", func(m *Media) bool { return m.Secure && m.RTP && !m.Stream }},
		"T.38":                  {head + "m=image 4000 udptl t38\r\na=T38FaxVersion:0\r\n", func(m *Media) bool { return !m.RTP && m.Usable() && !m.RTCP.IsValid() }},
		"T.38 over DTLS":        {head + "m=image 4000 UDP/TLS/UDPTL t38\r\n", func(m *Media) bool { return !m.RTP && m.Secure && m.Usable() }},
		"T.38 over TCP":         {head + "m=image 4000 tcp t38\r\n", func(m *Media) bool { return m.Stream && !m.Usable() }},
		"BFCP":                  {head + "m=application 4000 UDP/BFCP *\r\na=floorctrl:c-only\r\n", func(m *Media) bool { return !m.RTP && m.Usable() }},
		"BFCP over TCP":         {head + "m=application 9 TCP/TLS/BFCP *\r\n", func(m *Media) bool { return m.Stream && !m.Usable() }},
		"MSRP":                  {head + "m=message 7654 TCP/MSRP *\r\na=path:msrp://192.0.2.1:7654/x;tcp\r\n", func(m *Media) bool { return m.Stream && !m.Usable() }},
		"data channel":          {head + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", func(m *Media) bool { return !m.RTP && m.Secure && !m.Stream }},
		"SCTP itself":           {head + "m=application 9 SCTP x\r\n", func(m *Media) bool { return m.Stream }},
		"unknown":               {head + "m=teleportation 4000 X-QUANTUM/2 now\r\n", func(m *Media) bool { return !m.RTP && m.Usable() }},
	} {
		s := &Session{}
		if err := s.Parse([]byte(c.text)); err != nil || len(s.Media) != 1 {
			t.Errorf("%s: line %d: %v\n%q", name, s.ErrorLine(), err, c.text)
		} else if !c.want(&s.Media[0]) {
			t.Errorf("%s: %+v", name, s.Media[0])
		}
	}
}

// TestLineEnds: CRLF, LF, no end behind the last line and empty lines at the end are one description.
func TestLineEnds(t *testing.T) {
	lf := strings.ReplaceAll(audio, "\r\n", "\n")
	for _, text := range []string{lf, strings.TrimSuffix(audio, "\r\n"), strings.TrimSuffix(lf, "\n"), audio + "\r\n", audio + "\r\n\r\n", lf + "\n"} {
		s := parse(t, text)
		if out, err := s.Rewrite(nil, plain(1)); err != nil || string(out) != rewritten(t, audio) {
			t.Errorf("%q\nbecomes %q, %v", text, out, err)
		}
	}
}

// TestRefused: what two readers could read in two ways, or what can't be relayed.
func TestRefused(t *testing.T) {
	lf := strings.ReplaceAll(audio, "\r\n", "\n")
	for _, c := range []struct {
		text string
		want Error
		line int
	}{
		{"", ErrOrigin, 0},
		{"x", ErrLine, 1},
		{"v=0", ErrOrigin, 1},
		{"s=-\r\n" + audio, ErrOrder, 1},
		{"\r\n" + audio, ErrLine, 1},
		{strings.Replace(audio, "v=0", "v=1", 1), ErrVersion, 1},
		{strings.Replace(audio, "v=0", "v=00", 1), ErrVersion, 1},
		{strings.Replace(audio, "v=0", "V=0", 1), ErrOrder, 1},
		{audio + audio, ErrOrder, 13},
		{strings.Replace(audio, "s=-", "v=0", 1), ErrDuplicate, 3},

		{strings.Replace(audio, "\r\ns=", "\ns=", 1), ErrLineEnd, 2},
		{strings.Replace(lf, "\ns=", "\r\ns=", 1), ErrLineEnd, 2},
		{strings.Replace(audio, "s=-", "s=a\rb", 1), ErrLineEnd, 3},
		{strings.Replace(audio, "s=-", "s=a\r", 1), ErrLineEnd, 3},
		{strings.Replace(audio, "s=-", "s=a\nb", 1), ErrLineEnd, 3},
		{strings.Replace(lf, "0-15", "0-15\ra=rtcp:9", 1), ErrLineEnd, 10},
		{audio + "\r", ErrLineEnd, 13},
		{strings.Replace(audio, "0-15", "0-\x0015", 1), ErrControl, 10},
		{strings.Replace(audio, "0-15", "0-\t15", 1), ErrControl, 10},
		{strings.Replace(audio, "0-15", "0-\x7f15", 1), ErrControl, 10},
		{strings.Replace(audio, "s=-", "s=\x0b", 1), ErrControl, 3},

		{strings.Replace(audio, "s=-", "s = -", 1), ErrLine, 3},
		{strings.Replace(audio, "s=-", " s=-", 1), ErrLine, 3},
		{strings.Replace(audio, "s=-", "q=-", 1), ErrLine, 3},
		{strings.Replace(audio, "s=-", "S=-", 1), ErrLine, 3},
		{strings.Replace(audio, "s=-", "s", 1), ErrLine, 3},
		{strings.Replace(audio, "s=-", " ", 1), ErrLine, 3},
		{strings.Replace(audio, "s=-\r\n", "\r\n", 1), ErrLine, 3},
		{audio + "\r\nm=audio 1 RTP/AVP 0\r\n", ErrLine, 13},

		{audio + "s=-\r\n", ErrOrder, 13},
		{audio + "o=- 1 1 IN IP4 192.0.2.1\r\n", ErrOrder, 13},
		{audio + "t=0 0\r\n", ErrOrder, 13},
		{audio + "c=IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n", ErrDuplicate, 14},
		{strings.Replace(audio, "s=-", "s=-\r\ns=-", 1), ErrDuplicate, 4},
		{strings.Replace(audio, "s=-", "o=- 1 1 IN IP4 192.0.2.1", 1), ErrDuplicate, 3},
		{strings.Replace(audio, "t=0 0", "c=IN IP4 192.0.2.1", 1), ErrDuplicate, 5},
		{audio + "i=a\r\ni=b\r\n", ErrDuplicate, 14},
		{audio + "a=inactive\r\n", ErrDuplicate, 13},
		{one("a=rtcp:9", "a=rtcp:10"), ErrDuplicate, 8},
		{one("a=rtcp:9", "a=Rtcp:9 IN IP4 192.0.2.1"), ErrDuplicate, 8},
		{one("a=mid:0", "a=mid:1"), ErrDuplicate, 8},
		{one("a=setup:active", "a=setup:passive"), ErrDuplicate, 8},
		{one("a=ice-ufrag:abcd", "a=ice-ufrag:abce"), ErrDuplicate, 8},
		{head + "a=group:BUNDLE 0\r\na=group:BUNDLE 1\r\n", ErrDuplicate, 7},

		{strings.Replace(audio, "o=- 1 1 IN IP4 192.0.2.1\r\n", "", 1), ErrOrigin, 11},
		{strings.Replace(audio, "o=- 1", "o= 1", 1), ErrOrigin, 2},
		{strings.Replace(audio, "o=- 1", "o=- x", 1), ErrOrigin, 2},
		{strings.Replace(audio, "o=- 1 1", "o=- 1 -1", 1), ErrOrigin, 2},
		{strings.Replace(audio, "o=- 1 1", "o=- 1", 1), ErrOrigin, 2},
		{strings.Replace(audio, "192.0.2.1\r\ns", "192.0.2.1 x\r\ns", 1), ErrOrigin, 2},
		{strings.Replace(audio, "t=0 0", "t=0", 1), ErrTime, 5},
		{strings.Replace(audio, "t=0 0", "t=0 0 0", 1), ErrTime, 5},
		{strings.Replace(audio, "t=0 0", "b=AS", 1), ErrBandwidth, 5},
		{strings.Replace(audio, "t=0 0", "b=AS:", 1), ErrBandwidth, 5},
		{strings.Replace(audio, "t=0 0", "b=:64", 1), ErrBandwidth, 5},
		{strings.Replace(audio, "t=0 0", "b=AS:-64", 1), ErrBandwidth, 5},

		{strings.Replace(audio, "c=IN IP4 192.0.2.1\r\n", "", 1), ErrConnection, 11},
		{one("c=192.0.2.1"), ErrConnection, 7},
		{one("c=IN IP4"), ErrConnection, 7},
		{one("c=IN IP4 "), ErrConnection, 7},
		{one("c=ATM NSAP 47"), ErrConnection, 7},
		{one("c=IN  IP4 192.0.2.1"), ErrAddress, 7},
		{one("c=IN IP4 host.example.com"), ErrAddress, 7},
		{one("c=IN IP4 localhost"), ErrAddress, 7},
		{one("c=IN IP4 192.0.2.1/127"), ErrAddress, 7},
		{one("c=IN IP4 224.2.1.1/127/3"), ErrAddress, 7},
		{one("c=IN IP4 224.2.1.1"), ErrAddress, 7},
		{one("c=IN IP6 ff15::101"), ErrAddress, 7},
		{one("c=IN IP6 fe80::1%eth0"), ErrAddress, 7},
		{one("c=IN IP6 [2001:db8::1]"), ErrAddress, 7},
		{one("c=IN IP6 ::ffff:192.0.2.1"), ErrAddress, 7},
		{one("c=IN IP4 2001:db8::1"), ErrAddress, 7},
		{one("c=IN IP6 192.0.2.1"), ErrAddress, 7},
		{one("c=IN ip4 192.0.2.1"), ErrAddress, 7},
		{one("c=IN IP4 192.0.2.1 x"), ErrAddress, 7},
		{one("c=IN IP4 192.0.2.01"), ErrAddress, 7},
		{one("c=IN IP4 192.0.2"), ErrAddress, 7},
		{one("c=IN IP4 0xc0000201"), ErrAddress, 7},
		{one("c=IN IP4 3221225985"), ErrAddress, 7},

		{head + "m=audio\r\n", ErrPort, 6},
		{head + "m= 4 RTP/AVP 0\r\n", ErrMedia, 6},
		{head + "m=audio 4  RTP/AVP 0\r\n", ErrMedia, 6},
		{head + "m=audio 4 RTP/AVP\r\n", ErrMedia, 6},
		{head + "m=audio 4 RTP/AVP 128\r\n", ErrMedia, 6},
		{head + "m=audio 4 RTP/AVP 00\r\n", ErrMedia, 6},
		{head + "m=audio 4 RTP/AVP 0  8\r\n", ErrMedia, 6},
		{head + "m=audio 4 RTP/AVP *\r\n", ErrMedia, 6},
		{head + "m=audio 4 RTP//AVP 0\r\n", ErrMedia, 6},
		{head + "m=audio 4 /RTP 0\r\n", ErrMedia, 6},
		{head + "m=audio 4 udp a/b\r\n", ErrMedia, 6},
		{head + "m=audio 65536 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 4294967300 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 18446744073709551620 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio -4 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio +4 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 0x4 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 010 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 4/0 RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 4/ RTP/AVP 0\r\n", ErrPort, 6},
		{head + "m=audio 4/2/2 RTP/AVP 0\r\n", ErrPort, 6},
		{head + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", MaxMedia+1), ErrMediaCount, 6 + MaxMedia},
		{audio + strings.Repeat("a=x\r\n", MaxLines), ErrTooLarge, MaxLines + 1},
		{audio + "a=x:" + strings.Repeat("y", MaxBody), ErrTooLarge, 0},

		{one("a="), ErrAttribute, 7},
		{one("a=:x"), ErrAttribute, 7},
		{one("a=sendrecv:x"), ErrAttribute, 7},
		{one("a=rtcp-mux:"), ErrAttribute, 7},
		{one("a=mid:"), ErrAttribute, 7},
		{one("a=mid:a b"), ErrAttribute, 7},
		{one("a=rtcp"), ErrRTCP, 7},
		{one("a=rtcp:"), ErrRTCP, 7},
		{one("a=rtcp:65536"), ErrRTCP, 7},
		{one("a=rtcp:9 192.0.2.1"), ErrRTCP, 7},
		{one("a=rtcp:9 IN IP4 192.0.2.1/3"), ErrAddress, 7},
		{one("a=rtcp:9 IN IP4 host.example.com"), ErrAddress, 7},
		{one("a=rtcp:9 IN IP4 224.0.0.1"), ErrAddress, 7},
		{one("a=ice-ufrag:abcd"), ErrICE, 7},
		{one("a=ice-ufrag:abc", "a=ice-pwd:"+pwd), ErrICE, 7},
		{one("a=ice-ufrag:ab.d", "a=ice-pwd:"+pwd), ErrICE, 7},
		{one("a=ice-ufrag:abcd", "a=ice-pwd:short"), ErrICE, 8},
		{one("a=ice-pwd:" + pwd), ErrICE, 7},
		{head + "a=ice-pwd:" + pwd + "\r\n", ErrICE, 6},
	} {
		refused(t, c.text, c.want, c.line)
	}
}

// TestEveryByte puts every byte at every place of a line (audit row F19): control bytes are refused, and no other ones.
func TestEveryByte(t *testing.T) {
	const line = "0123456789abcdefghijklmno"
	for at := range line {
		for c := range 256 {
			b := []byte(line)
			b[at] = byte(c)
			err := new(Session).Parse([]byte(strings.Replace(audio, "s=-", "s="+string(b), 1)))
			if control := c < ' ' || c == 0x7f; control != (err != nil) {
				t.Fatalf("byte %02x at %d: %v", c, at, err)
			}
		}
	}
}

const pwd = "abcdefghijklmnopqrstuv"

// TestLimits: just as much as is allowed is accepted.
func TestLimits(t *testing.T) {
	if s := parse(t, head+strings.Repeat("m=audio 0 RTP/AVP 0\r\n", MaxMedia)); len(s.Media) != MaxMedia {
		t.Errorf("%d media lines", len(s.Media))
	}
	parse(t, audio+strings.Repeat("a=x\r\n", MaxLines-12))
	parse(t, audio+"a=x:"+strings.Repeat("y", MaxBody-len(audio)-len("a=x:")))
	if s := parse(t, head); len(s.Media) != 0 {
		t.Error("a description without media lines")
	}
}

// TestErrorsAreNamed: each Error has an id of its own, words and a status.
func TestErrorsAreNamed(t *testing.T) {
	ids := map[string]bool{}
	for _, e := range Errors() {
		if ids[e.ID()] || !strings.HasPrefix(e.ID(), "sdp.") || e.Error() == "" || e.Status() != 400 && e.Status() != 488 {
			t.Errorf("%d: %s, %q, %d", e, e.ID(), e.Error(), e.Status())
		}
		ids[e.ID()] = true
	}
}
