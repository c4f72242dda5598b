package topo

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/sip"
)

// answer is a 200 of usual size as a platform sends it.
func answer() string {
	body := "v=0\r\no=- 2890844526 2890842807 IN IP4 198.51.100.7\r\ns=call\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 40000 RTP/AVP 9 8 0 18 101\r\n" +
		"a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n" +
		"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n"
	return strings.Replace(strings.Replace(notify("application/sdp", body), "NOTIFY sip:bob@198.51.100.7 SIP/2.0", "SIP/2.0 200 OK", 1), "Content-Type:",
		"Contact: <sip:bob@10.0.0.10:5080>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK\r\nSupported: replaces, timer\r\nContent-Type:", 1)
}

// BenchmarkFind is what the guard costs a message of 1 KB.
func BenchmarkFind(b *testing.B) {
	text := []byte(answer())
	for name, m := range map[string]*Marks{
		"addresses": NewMarks([]netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}, nil, nil, nil, nil),
		"names":     NewMarks([]netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}, []string{"pbx.inside.example"}, nil, nil, nil),
		"all":       NewMarks([]netip.Prefix{netip.MustParsePrefix("10.9.0.0/24"), netip.MustParsePrefix("2001:db8:7::/64")}, []string{"pbx.inside.example", "asterisk"}, nil, nil, nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, end := m.Find(text, 0); end > 0 {
					b.Fatal("found")
				}
			}
		})
	}
}

// BenchmarkOutward is what hides a usual 200: its Contact becomes a token.
func BenchmarkOutward(b *testing.B) {
	k, l := newMask(b), leg()
	l.Masked, l.Parties = false, false
	m := parse(b, answer())
	var e sip.Edit
	b.ReportAllocs()
	for b.Loop() {
		e.Reset(m)
		k.Outward(&e, m, &l)
		k.BodyOut(&e, m, &l)
	}
}

// BenchmarkTarget opens what BenchmarkOutward made.
func BenchmarkTarget(b *testing.B) {
	k, l := newMask(b), leg()
	token, room := k.appendTarget(nil, []byte("sip:bob@10.0.0.10:5080"), &l), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Target(room, token, epoch); err != nil {
			b.Fatal(err)
		}
	}
}
