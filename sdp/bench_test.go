package sdp

import "testing"

// webrtc is an offer as browsers make it.
const webrtc = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS s1\r\n" +
	"m=audio 50000 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 192.0.2.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\n" +
	"a=candidate:1 1 udp 2122260223 192.168.1.7 50000 typ host generation 0 network-id 1\r\n" +
	"a=candidate:2 1 udp 1686052607 192.0.2.7 50000 typ srflx raddr 192.168.1.7 rport 50000 generation 0\r\n" +
	"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n" +
	"a=fingerprint:sha-256 49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:43:91:73:23:5E\r\n" +
	"a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:s1 t1\r\na=rtcp-mux\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n" +
	"a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n" +
	"a=rtpmap:126 telephone-event/8000\r\na=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r\na=ssrc:3570614608 msid:s1 t1\r\n"

// offer is an audio offer of 350 bytes, as desk phones make it.
const offer = head + "m=audio 40000 RTP/AVP 0 8 9 18 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\n" +
	"a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:150\r\na=silenceSupp:off - - - -\r\na=label:1\r\na=rtcp:40001\r\na=sendrecv\r\n"

func BenchmarkRewrite(b *testing.B) {
	for name, text := range map[string]string{"audio": offer, "webrtc": webrtc} {
		b.Run(name, func(b *testing.B) {
			var s Session
			body, plan, out := []byte(text), plain(1), make([]byte, 0, 4096)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Parse(body); err != nil {
					b.Fatal(err)
				}
				out, _ = s.Rewrite(out[:0], plan)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	var s Session
	body := []byte(offer)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.Parse(body)
	}
}
