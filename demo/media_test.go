package demo

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// decode is G.711 the other way, written from the tables of the recommendation: one sample of 16 bits.
func decode(c byte, aLaw bool) int {
	if aLaw {
		c ^= 0x55
		exponent, v := int(c>>4&7), int(c&0xf)<<4+8
		if exponent > 0 {
			v = (v + 0x100) << (exponent - 1)
		}
		if c&0x80 == 0 {
			return -v
		}
		return v
	}
	c = ^c
	v := (int(c&0xf)<<3+0x84)<<(c>>4&7) - 0x84
	if c&0x80 != 0 {
		return -v
	}
	return v
}

// TestG711 encodes every sample: what it decodes to is as near as the step of its segment allows, and decoding and
// encoding again gives the same byte.
func TestG711(t *testing.T) {
	for _, aLaw := range []bool{false, true} {
		encode := encodeMuLaw
		if aLaw {
			encode = encodeALaw
		}
		for s := math.MinInt16; s <= math.MaxInt16; s++ {
			c := encode(int16(s))
			got := decode(c, aLaw)
			if diff := max(got-s, s-got); diff > max(s, -s)/16+16 && diff > 700 || diff > 1024 {
				t.Fatalf("A-law %v: %d becomes %d", aLaw, s, got)
			}
			if again := encode(int16(got)); again != c && !(got == 0 && again&0x7f == c&0x7f) {
				t.Fatalf("A-law %v: %d is %#x, then %#x", aLaw, s, c, again)
			}
		}
	}
}

func TestParseSDP(t *testing.T) {
	const head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"
	tests := []struct {
		name, body string
		err        error
		want       session // remote, codec, direction
	}{
		{"plain", head + "c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n", nil,
			session{remote: netip.MustParseAddrPort("192.0.2.1:4000"), codec: pcmu, direction: "sendrecv"}},
		{"LF only, media level address and direction", head + "c=IN IP4 192.0.2.1\na=inactive\nm=audio 4000 RTP/AVP 96 8 0\nc=IN IP4 192.0.2.2\na=sendonly\n", nil,
			session{remote: netip.MustParseAddrPort("192.0.2.2:4000"), codec: pcma, direction: "sendonly"}},
		{"session level direction", head + "c=IN IP4 192.0.2.1\r\na=recvonly\r\nm=audio 4000 RTP/AVP 0\r\n", nil,
			session{remote: netip.MustParseAddrPort("192.0.2.1:4000"), codec: pcmu, direction: "recvonly"}},
		{"IPv6, second stream, attributes of others", head + "c=IN IP6 ::1\r\nm=video 1 RTP/AVP 0\r\na=sendonly\r\nm=audio 4002 RTP/AVP 0\r\nm=audio 5 RTP/AVP 0\r\nc=IN IP4 192.0.2.9\r\na=inactive\r\n", nil,
			session{remote: netip.MustParseAddrPort("[::1]:4002"), codec: pcmu, direction: "sendrecv"}},
		{"old hold", head + "c=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n", nil,
			session{remote: netip.MustParseAddrPort("0.0.0.0:4000"), codec: pcmu, direction: "sendonly"}},
		{"no codec of ours", head + "c=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 3 9\r\n", errNoMedia, session{}},
		{"refused stream", head + "c=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 0\r\n", errNoMedia, session{}},
		{"port out of range", head + "c=IN IP4 192.0.2.1\r\nm=audio 65536 RTP/AVP 0\r\n", errNoMedia, session{}},
		{"name instead of address", head + "c=IN IP4 localhost\r\nm=audio 4000 RTP/AVP 0\r\n", errNoMedia, session{}},
		{"families mixed", head + "c=IN IP6 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n", errNoMedia, session{}},
		{"no address", head + "m=audio 4000 RTP/AVP 0\r\n", errNoMedia, session{}},
		{"no stream", head + "c=IN IP4 192.0.2.1\r\n", errNoMedia, session{}},
		{"short m=", head + "c=IN IP4 192.0.2.1\r\nm=audio\r\n", errNoMedia, session{}},
		{"too many streams", head + "c=IN IP4 192.0.2.1\r\n" + strings.Repeat("m=audio 4000 RTP/AVP 0\r\n", maxMediaLines+1), errNotSDP, session{}},
		{"no colon", head + "hello\r\n", errNotSDP, session{}},
		{"empty", "", errNotSDP, session{}},
	}
	for _, tt := range tests {
		s, err := parseSDP([]byte(tt.body))
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
			continue
		}
		if err == nil && (s.remote != tt.want.remote || s.codec != tt.want.codec || s.direction != tt.want.direction) {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

// TestAnswerHasAllStreams: RFC 3264 §6, as many m= lines as the offer, in its order.
func TestAnswerHasAllStreams(t *testing.T) {
	offer, err := parseSDP([]byte("v=0\r\nc=IN IP6 ::1\r\nm=video 1 RTP/AVP 99\r\nm=audio 2 RTP/AVP 8\r\na=rtcp-mux\r\nm=application 3 UDP/BFCP *\r\nm=x\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(appendSDP(nil, netip.MustParseAddrPort("[::1]:4000"), 5, 6, offer))
	want := "v=0\r\no=- 5 6 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\n" +
		"m=video 0 RTP/AVP 99\r\nm=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\na=rtcp-mux\r\n" +
		"m=application 0 UDP/BFCP *\r\nm=x 0 RTP/AVP 0\r\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWhereMediaGoes: nothing is ever sent to a public address that only a message named.
func TestWhereMediaGoes(t *testing.T) {
	addr := netip.MustParseAddrPort
	now := time.Now()
	public, private, other := addr("192.0.2.1:4000"), addr("10.0.0.1:4000"), addr("192.0.2.66:5")
	packet := make([]byte, rtpHeader+ptimeBytes)
	follow := func(m *media, to netip.AddrPort, direction string) {
		m.follow(&session{remote: to, codec: pcmu, direction: direction})
	}
	m := &media{tone: true}
	expect := func(name string, want netip.AddrPort) {
		t.Helper()
		if got := m.next(packet, now); got != want {
			t.Errorf("%s: tone goes to %v, want %v", name, got, want)
		}
	}
	expect("no description yet", netip.AddrPort{})
	follow(m, public, "sendrecv")
	expect("public, silent", netip.AddrPort{})
	m.accept(rtp(pcma, 1), other, now)
	expect("wrong codec", netip.AddrPort{})
	m.accept(rtp(pcmu, 1), public, now)
	expect("public, heard", public)
	m.accept(rtp(pcmu, 1), other, now)
	expect("a second source", public)
	now = now.Add(silentAfter)
	expect("public, silent again", netip.AddrPort{})
	follow(m, private, "sendrecv")
	expect("private, silent", private)
	m.accept(rtp(pcmu, 1), addr("10.0.0.2:6000"), now)
	expect("private, heard from another address", addr("10.0.0.2:6000"))
	follow(m, private, "sendonly")
	expect("hold", netip.AddrPort{})

	echo := &media{}
	follow(echo, public, "sendrecv")
	if !echo.accept(rtp(pcmu, 1), public, now) || echo.accept(rtp(pcmu, 1), other, now) {
		t.Error("echo answers others than its first source")
	}
	for name, b := range map[string][]byte{"short": rtp(pcmu, 1)[:11], "version 1": {0x40, 11: 0}, "CSRC": {0x81, 11: 0}, "RTCP": {0x80, 200, 11: 0}, "empty": nil} {
		if echo.accept(b, public, now) {
			t.Errorf("echo of %s", name)
		}
	}
}

// FuzzAnswer: whatever we agree to take part in is answered with as many streams, and with a session of our own that
// another such platform would take part in.
func FuzzAnswer(f *testing.F) {
	f.Add("v=0\r\nc=IN IP4 192.0.2.1\r\na=inactive\r\nm=video 1 RTP/AVP 99\r\nm=audio 2 RTP/AVP 8 0\r\na=rtcp-mux\r\nm=x\r\n")
	f.Add("v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP6 ::1\na=sendonly\nm=\n")
	local := netip.MustParseAddrPort("127.0.0.1:4000")
	f.Fuzz(func(t *testing.T, body string) {
		offer, err := parseSDP([]byte(body))
		if err != nil {
			return
		}
		b := appendSDP(nil, local, 1, 2, offer)
		answer, err := parseSDP(b)
		if err != nil {
			t.Fatalf("answer can't be read: %v\n%s", err, b)
		}
		if len(answer.media) != len(offer.media) || answer.codec != offer.codec || answer.remote != local ||
			answer.direction != reversed(offer.direction) || answer.mux != offer.mux || strings.Count(string(b), "\n") != strings.Count(string(b), "\r\n") {
			t.Errorf("offer %+v, answer\n%s", offer, b)
		}
	})
}
