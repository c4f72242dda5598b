package sip

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"testing"
	"time"

	sipgo "github.com/emiago/sipgo/sip"
)

// invite is the second INVITE of a call as a phone sends it, with credentials: 1.1 KB, 16 fields, a session description.
var invite = []byte("INVITE sip:1002@pbx.example SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.23:5060;branch=z9hG4bK7f3a9c21d0e4b586;rport\r\n" +
	"Contact: <sip:1001@198.51.100.23:5060>\r\n" +
	"Max-Forwards: 70\r\n" +
	"To: <sip:1002@pbx.example>\r\n" +
	"From: \"Alice\" <sip:1001@pbx.example>;tag=5d8e21f0c3ab\r\n" +
	"Call-ID: 9a1c3b5d7e9f1a2b\r\n" +
	"CSeq: 2 INVITE\r\n" +
	"User-Agent: ExamplePhone 5.18.2 (x86_64/linux)\r\n" +
	"Allow: INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,SUBSCRIBE,INFO,MESSAGE,UPDATE,REFER\r\n" +
	"Supported: gruu,replaces,norefersub,timer\r\n" +
	"Proxy-Authorization: Digest username=\"1001\", realm=\"pbx.example\", nonce=\"5f3c7a9b1e2d4c6f8a0b\", " +
	"uri=\"sip:1002@pbx.example\", response=\"0123456789abcdef0123456789abcdef\", algorithm=MD5\r\n" +
	"Session-Expires: 1800;refresher=uac\r\n" +
	"Min-SE: 90\r\n" +
	"Accept: application/sdp\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 313\r\n\r\n" + sdp)

// dense is an INVITE with as many fields in which more is to be decoded: display names, parameters, long tokens.
var dense = []byte("INVITE sip:+4930123456@example.com;user=phone SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.23:5060;branch=z9hG4bK-524287-1---4a3f0e9d1c2b7a65;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"Contact: <sip:alice@198.51.100.23:5060;transport=udp>\r\n" +
	"To: \"Bob Baker\" <sip:+4930123456@example.com;user=phone>\r\n" +
	"From: \"Alice Archer\" <sip:alice@example.com;transport=udp>;tag=9f2c4e61\r\n" +
	"Call-ID: 84011MTk2ZDQ3NjY0YzU1OGM5ZWQxMTY4NDg4ZmQzNWYxYzQ\r\n" +
	"CSeq: 314159 INVITE\r\n" +
	"Allow: INVITE, ACK, CANCEL, BYE, REFER, INFO, NOTIFY, UPDATE, PRACK, MESSAGE, OPTIONS, SUBSCRIBE\r\n" +
	"Supported: replaces, outbound, gruu, path, 100rel, timer\r\n" +
	"User-Agent: ExamplePhone 5.18.2 rev 110088\r\n" +
	"Allow-Events: presence, kpml, talk, hold\r\n" +
	"Session-Expires: 1800;refresher=uac\r\n" +
	"Min-SE: 90\r\n" +
	"Accept: application/sdp, application/dtmf-relay\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 313\r\n\r\n" + sdp)

const sdp = "v=0\r\no=- 3862919210 3862919210 IN IP4 198.51.100.23\r\ns=call\r\nc=IN IP4 198.51.100.23\r\nt=0 0\r\n" +
	"m=audio 41000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\na=rtcp:41001\r\n" +
	"a=label:1\r\na=rtcp-rsize\r\na=ssrc:1203348117 cname:phone\r\n"

// measure runs f and also reports the time of the fastest 64 runs in a row: on a busy machine the mean says more about the
// neighbours than about f. (That nothing allocates is a test, TestAllocations.)
func measure(b *testing.B, f func() error) {
	const chunk = 64
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		begin := time.Now()
		for range chunk {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		best = min(best, time.Since(begin))
	}
	b.ReportMetric(float64(best)/chunk, "best-ns")
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/chunk, "ns/op")
}

func BenchmarkParse(b *testing.B) {
	var m Message
	measure(b, func() error { return m.Parse(invite, true) })
}

func BenchmarkParseDense(b *testing.B) {
	var m Message
	measure(b, func() error { return m.Parse(dense, true) })
}

func BenchmarkParseSipgo(b *testing.B)      { measureSipgo(b, invite) }
func BenchmarkParseSipgoDense(b *testing.B) { measureSipgo(b, dense) }

func measureSipgo(b *testing.B, raw []byte) {
	sipgo.SetDefaultLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	p := sipgo.NewParser()
	measure(b, func() error {
		_, err := p.ParseSIP(raw)
		return err
	})
}

// BenchmarkLines is the floor that any parser by lines stands on: find every line end.
func BenchmarkLines(b *testing.B) {
	measure(b, func() error {
		for rest := invite[:len(invite)-len(sdp)]; len(rest) > 0; {
			k := bytes.IndexByte(rest, '\n')
			rest = rest[k+1:]
		}
		return nil
	})
}

func BenchmarkEdit(b *testing.B) {
	var m Message
	if err := m.Parse(invite, true); err != nil {
		b.Fatal(err)
	}
	var e Edit
	var out []byte
	via := []byte("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK9d0a7c5e3b1f2a48")
	route := []byte("<sip:4f6a7c@10.0.0.1:5060;lr>")
	measure(b, func() error {
		e.Reset(&m)
		e.Top(FieldVia, via)
		e.Replace(m.Find(FieldMaxForwards), []byte("69"))
		e.Before(m.Find(FieldContact), FieldRecordRoute, route)
		e.ReplaceSpan(m.Via.Field, m.Via.RPortAt, []byte("rport=5060"))
		out = e.AppendTo(out[:0])
		return nil
	})
}

func BenchmarkReply(b *testing.B) {
	var m Message
	if err := m.Parse(invite, true); err != nil {
		b.Fatal(err)
	}
	var out []byte
	measure(b, func() error {
		out = AppendReply(out[:0], &m, nil, 100, "", nil)
		return nil
	})
}

func BenchmarkFramer(b *testing.B) {
	f := Framer{Max: MaxBody}
	measure(b, func() error {
		_, _, err := f.Next(invite)
		return err
	})
}
